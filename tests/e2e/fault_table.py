"""What can fail under a video that is being moved, and what follows: the rows of docs/faults.md.

    python -m tests.e2e.fault_table            write docs/faults.md
    python -m tests.e2e.fault_table --check    change nothing; exit 1 when it is out of date

`test_stream_faults` lets each of them happen and compares. Sentences for staff are those of `ingestion.errors`.
"""

import argparse
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench._s3_proxy import S3Fault
from ingestion.errors import KINDS, TREATMENTS
from massdl_site.configuration import ROOT, between_markers, write

PAGE = Path("docs") / "faults.md"
MIB = 1 << 20
PART, RANGE = 8 * MIB, 2 * MIB

HEADERS = ("what fails", "when", "the video", "bytes lost", "fetched again", "what staff see")


@dataclass(frozen=True)
class Cost:
    """How many bytes are fetched a second time: words, and the bound; None is the whole video."""

    words: str
    most: int | None


NOTHING = Cost("none", 0)
ONE_RANGE = Cost("what was under way on that connection: 2 MiB at most", RANGE)
ONE_PART = Cost("the part that was begun: 8 MiB at most", PART)
ALL = Cost("what was fetched so far: all of it at most", None)


@dataclass(frozen=True)
class Case:
    """`begin` readies the fault on a stage (`test_stream_faults.Stage`).

    `kind` is what the video is recorded with; "" when the same attempt goes on and stores it. `said` is what the recorded
    line begins with, where that tells the setting to correct. `way` is the one of the attempt that is hit. `leaves_upload`:
    the storage keeps an empty upload that only `clean_storage` or a lifecycle rule removes, for nobody was told its id.
    """

    fault: str
    when: str
    begin: Callable[[Any], None]
    kind: str = ""
    cost: Cost = NOTHING
    way: str = "copy"
    said: str = ""
    leaves_upload: bool = False
    is_recreated: bool = False

    @property
    def name(self) -> str:
        return f"{self.fault}, {self.when}"


STEPS = {"create": "as the upload is begun", "part": "in the middle of its parts", "complete": "as it is completed"}
SHARES = (10, 50, 99)
WAYS = {"copy": "", "mux": ", picture and sound", "tracks": ", picture and sound, second try"}


def s3(step: str, kind: str, *, times: int | None = None, status: int = 0, code: str = "") -> Callable[[Any], None]:
    fault = {"step": step, "kind": kind, "status": status, "code": code, "times": times, "part": 3 if step == "part" else None}
    return lambda stage: stage.spoil_storage(S3Fault(**fault))


def _storage_refusals() -> Iterable[Case]:
    for step, when in STEPS.items():
        cost = ONE_PART if step == "part" else NOTHING
        unreachable, throttled = "storage_unreachable", "storage_throttled"
        once = s3(step, "refuse", status=500, code="InternalError", times=1)
        yield Case("the storage answers 500 once", when, once)
        yield Case("the storage answers 500", when, s3(step, "refuse", status=500, code="InternalError"), unreachable, cost)
        yield Case("the storage answers 503", when, s3(step, "refuse", status=503, code="SlowDown"), throttled, cost)
        yield Case("the storage resets connections", when, s3(step, "reset"), unreachable, cost)
        yield Case("the storage is too slow to answer", when, s3(step, "slow"), unreachable, leaves_upload=step == "create")


def _storage_setup() -> Iterable[Case]:
    expired = {"status": 400, "code": "ExpiredToken", "said": "The S3 credentials ran out: renew AWS_SESSION_TOKEN."}
    words, when = "the S3 credentials run out", STEPS["part"]
    begin = s3("part", "refuse", status=expired["status"], code=expired["code"])
    yield Case(words, when, begin, "storage_credentials", ONE_PART, said=expired["said"])
    yield Case(words, when + WAYS["mux"], begin, "storage_credentials", ALL, "mux", said=expired["said"])
    yield Case(
        "the bucket is deleted",
        "at 50 %",
        lambda stage: stage.at(50, stage.delete_bucket),
        "storage_missing",
        ALL,
        said="There is no such bucket: create it, or correct MASSDL_S3_BUCKET.",
        is_recreated=True,
    )
    begin = s3("part", "refuse", status=500, code="InternalError")
    yield Case("the storage answers 500", when + WAYS["mux"], begin, "storage_unreachable", ALL, "mux")
    yield Case("the storage answers 500", when + WAYS["tracks"], begin, "storage_unreachable", ONE_PART, "tracks")
    when = "as the tracks are put together" + WAYS["tracks"]
    yield Case("the storage resets a read", when, s3("get", "cut", times=1), way="tracks")
    yield Case("the storage resets every read", when, s3("get", "cut"), "storage_unreachable", NOTHING, "tracks")


def _media() -> Iterable[Case]:
    for share in SHARES:
        when = f"at {share} %"
        yield Case("the connection to the media is reset", when, lambda stage, at=share: stage.spoil_media(at, "reset"), "", ONE_RANGE)
        yield Case("the media are silent", when, lambda stage, at=share: stage.spoil_media(at, "stall"), "", ONE_RANGE)
        yield Case("the addresses of the media run out", when, lambda stage, at=share: stage.expire(at))
        yield Case("YouTube refuses the media for good (403)", when, lambda stage, at=share: stage.refuse_media(at), "forbidden", ONE_PART)
        begin = lambda stage, at=share: stage.spoil_media(at, "reset", lasting=True)  # noqa: E731
        yield Case("connections to the media are reset again and again", when, begin, "network", ONE_PART)
    at, mux, tracks = "at 50 %", WAYS["mux"], WAYS["tracks"]
    yield Case("the connection to the media is reset", at + mux, lambda stage: stage.spoil_media(50, "reset"), "", ONE_RANGE, "mux")
    yield Case("the addresses of the media run out", at + mux, lambda stage: stage.expire(50), "", NOTHING, "mux")
    yield Case("YouTube refuses the media for good (403)", at + mux, lambda stage: stage.refuse_media(50), "forbidden", ALL, "mux")
    yield Case("ffmpeg is killed", at + mux, lambda stage: stage.at(50, stage.kill_ffmpeg), "media", ALL, "mux")
    yield Case("ffmpeg is killed", "at 75 %" + tracks, lambda stage: stage.at(75, stage.kill_ffmpeg), "media", NOTHING, "tracks")


CASES = [*_storage_refusals(), *_storage_setup(), *_media()]


def row(case: Case) -> tuple[str, ...]:
    """Cells under HEADERS."""
    return case.fault, case.when, _follows(case), "none", case.cost.words, _seen(case)


def _follows(case: Case) -> str:
    if not case.kind:
        return "The same attempt goes on and stores it."
    treatment = TREATMENTS[KINDS[case.kind].type.treatment]
    return f"[`{case.kind}`](errors.md#{case.kind}), {treatment.slug}"


def _seen(case: Case) -> str:
    if not case.kind:
        return "Nothing."
    known = KINDS[case.kind]
    return " ".join([known.meaning, case.said or known.advice])


def body() -> str:
    """The generated part of the page, in Markdown."""
    lines: list[Sequence[str]] = [HEADERS, ["---"] * len(HEADERS), *map(row, CASES)]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)


def main(arguments: list[str], root: Path = ROOT) -> int:
    """Write the page, or only compare it; returns the exit code."""
    parser = argparse.ArgumentParser(prog="tests.e2e.fault_table", description="Make docs/faults.md.")
    parser.add_argument("--check", action="store_true", help="change nothing, fail when the page is out of date")
    page = root / PAGE
    return write({page: between_markers(page.read_text(encoding="utf-8"), body())}, root, check=parser.parse_args(arguments).check)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
