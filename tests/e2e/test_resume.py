"""kill -9 in the middle of a video: how much of it is fetched and sent a second time. `make bench-resume` does it with 1 GB."""

from collections.abc import Iterator

import pytest
from django.conf import settings

from bench._s3_proxy import S3Fault
from bench._scene import MIB, PART, Scene, fetched_again, open_scene, served, until

ONE_FILE, MERGED = "prog_00060M", "bench00060M"
FILE, PICTURE = 22, 136  # formats of the local YouTube
SLICE = PART // 4
MIDDLE = 4  # the part in which the worker is killed


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    with open_scene(tmp_path_factory.mktemp("scene"), media=settings.VAR_DIR / "twin") as scene:
        yield scene


@pytest.fixture(autouse=True)
def leave_nothing(scene):
    yield
    scene.twin.reset()
    scene.proxy.faults()
    scene.clear()


def stall(scene, itag, at):
    """The local YouTube falls silent at byte `at` of a format, in the range that begins 1 MiB before."""
    scene.twin.faults([{"match": rf"videoplayback\S*[?&]itag={itag}\b.* bytes={at - MIB}-", "times": 1, "stall": MIB}])


@pytest.fixture(scope="module")
def one_file(scene):
    """What an uninterrupted run stores."""
    with scene.host():
        return scene.uninterrupted(ONE_FILE)


@pytest.fixture(scope="module")
def merged(scene):
    with scene.host():
        return scene.uninterrupted(MERGED)


def finish(scene):
    """Another host takes the video over when the lease has run out, and stores it."""
    scene.twin.faults([])
    scene.proxy.faults()
    with scene.host():
        until(lambda: scene.status() == "stored", "another host stores it")
        until(lambda: scene.rows("SELECT 1 FROM ingestion_attempt WHERE outcome = '' LIMIT 1") == [], "it is at rest")
        seen = scene.look()
    assert (seen["as recorded"], seen["objects"], seen["uploads"]) == (True, 1, 0)
    return {name: seen[name] for name in ("size", "checksum", "crc32")}


def outcomes(scene):
    return scene.rows("SELECT way, outcome FROM ingestion_attempt ORDER BY id")


MOMENTS = {
    "a part is being fetched": (lambda scene: stall(scene, FILE, (MIDDLE - 1) * PART + SLICE + MIB), PART, 0),
    "a part is being sent": (lambda scene: scene.proxy.faults(S3Fault("part", "hold", part=MIDDLE)), PART, PART),
    "a part has arrived, and nobody knows": (lambda scene: scene.proxy.faults(S3Fault("part", "slow", part=MIDDLE)), 0, 0),
}


@pytest.mark.parametrize("moment", MOMENTS)
def test_a_worker_killed_over_one_format_costs_one_part_at_most(moment, scene, one_file):
    begin, most_fetched, most_sent = MOMENTS[moment]
    begin(scene)
    with scene.host() as host:
        scene.ask_for(ONE_FILE)
        until(lambda: scene.parts() == MIDDLE - 1, "the parts before are stored")
        if "fetched" in moment:
            until(scene.stalled, "the part is begun")
        else:
            until(lambda: scene.proxy.seen("part")[-1].fault, "the part is on its way")
            until(lambda: scene.uploads()[""]["sending"], "the row knows that")
        host.kill()
    assert finish(scene) == {name: one_file[name] for name in ("size", "checksum", "crc32")}
    assert outcomes(scene) == [("copy", "lost"), ("copy", "stored")]
    answers = served(scene.twin.log())
    assert sum(answer.sent for answer in answers) == one_file["size"] + fetched_again(answers)
    assert fetched_again(answers) <= most_fetched
    assert sum(answer.last + 1 - answer.first for answer in answers) - one_file["size"] <= PART, "asked for"
    assert scene.proxy.bytes_sent() - one_file["size"] <= most_sent


def test_a_merged_video_is_not_fetched_again_before_its_last_part_once_it_was_begun_in_vain(scene, merged):
    stall(scene, PICTURE, 3 * PART + MIB)
    with scene.host() as host:
        scene.ask_for(MERGED)
        until(scene.stalled, "the first attempt is in the middle")
        until(lambda: outcomes(scene) == [("mux", "")], "its way is known")
        host.kill()
    in_vain = len(served(scene.twin.log()))
    stall(scene, PICTURE, (MIDDLE - 1) * PART + SLICE + MIB)
    with scene.host() as host:
        until(lambda: scene.parts("picture") == MIDDLE - 1, "parts of the picture are stored")
        until(scene.stalled, "the next part is begun")
        host.kill()
    second = len(served(scene.twin.log()))
    scene.twin.faults([])
    scene.proxy.faults(S3Fault("get", "hold"))
    with scene.host() as host:
        until(lambda: scene.uploads().keys() == {"picture", "sound", "media"}, "the tracks are stored")
        until(lambda: scene.proxy.seen("get"), "they are read")
        host.kill()
    third = len(served(scene.twin.log()))
    assert finish(scene) == {name: merged[name] for name in ("size", "checksum", "crc32")}
    assert outcomes(scene) == [("mux", "lost"), ("tracks", "lost"), ("tracks", "lost"), ("tracks", "stored")]
    answers = served(scene.twin.log())
    assert {answer.itag for answer in answers[in_vain:second]} == {PICTURE}
    assert min(answer.first for answer in answers[second:] if answer.itag == PICTURE) == (MIDDLE - 1) * PART
    assert fetched_again(answers[in_vain:]) <= PART
    assert answers[third:] == [], "the last attempt made it from the storage alone"
