import gc
import subprocess
import threading
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import imageio_ffmpeg
import pytest

from demo.youtube_twin import Twin
from ingestion.errors import ArchiveError, TransientError
from ingestion.extraction import MediaFormat, RangeAnswer
from ingestion.options import Choice
from ingestion.youtube import YouTube
from tests.ingestion.test_youtube.conftest import asked_site


@pytest.fixture
def media(youtube: YouTube) -> MediaFormat:
    return youtube.extract("demv0000050", Choice("360p")).formats[0]


def read(answer: RangeAnswer, size: int) -> bytes:
    """All of `size` bytes, fewer at the end."""
    buffer, filled = bytearray(size), 0
    while filled < size and (more := answer.readinto(memoryview(buffer)[filled:])):
        filled += more
    return bytes(buffer[:filled])


def read_all(youtube: YouTube, media: MediaFormat, first: int, last: int) -> bytes:
    answer = youtube.open_range(media, first, last)
    try:
        return b"".join(iter(lambda: read(answer, 7_000), b""))
    finally:
        answer.close()


def test_a_range_gives_its_bytes_and_the_size_of_the_file(youtube: YouTube, media: MediaFormat):
    answer = youtube.open_range(media, 100, 1099)
    assert (answer.first, answer.last, answer.total) == (100, 1099, media.size)
    parts = [read(answer, 600), read(answer, 600), read(answer, 600)]
    answer.close()
    assert [len(part) for part in parts] == [600, 400, 0]
    assert parts[0] + parts[1] == read_all(youtube, media, 0, media.size - 1)[100:1100]


def test_every_byte_of_a_range_is_paced_once(make_youtube: Callable[..., YouTube]):
    paced = []
    youtube = make_youtube(pace=paced.append)
    media = youtube.extract("demv0000050", Choice("360p")).formats[0]
    assert paced == [], "a look is no media"
    data = read_all(youtube, media, 100, media.size - 1)
    assert len(data) == sum(paced) == media.size - 100
    assert max(paced) <= 7_000, "as they come"


def test_a_range_beyond_the_end_stops_at_the_end(youtube: YouTube, media: MediaFormat):
    answer = youtube.open_range(media, media.size - 10, media.size + 10)
    assert (answer.last, len(read(answer, 100))) == (media.size - 1, 10)
    answer.close()


def test_several_threads_read_at_once(youtube: YouTube, media: MediaFormat):
    whole = read_all(youtube, media, 0, media.size - 1)
    step = media.size // 24 + 1
    together = threading.Barrier(8)

    def piece(first: int) -> bytes:
        if first < 8 * step:
            together.wait(20)
        return read_all(youtube, media, first, min(first + step, media.size) - 1)

    with ThreadPoolExecutor(8) as pool:
        assert b"".join(pool.map(piece, range(0, media.size, step))) == whole


def test_connections_are_kept_alive(twin: Twin, youtube: YouTube, media: MediaFormat):
    before = twin.counters()["connections"]
    for first in range(0, 5000, 1000):
        read_all(youtube, media, first, first + 999)
    assert twin.counters()["connections"] == before + 1


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        ({"status": 403}, "forbidden"),
        ({"status": 404}, "forbidden"),
        ({"status": 410}, "forbidden"),
        ({"status": 416}, "incomplete"),
        ({"status": 429}, "network"),
        ({"status": 500}, "network"),
        ({"status": 503}, "network"),
        ({"status": 200, "body": "the whole file"}, "network"),
        ({"reset": 0}, "network"),
    ],
    ids=str,
)
def test_a_refused_range_is_transient(twin: Twin, youtube: YouTube, media: MediaFormat, fault: dict, kind: str):
    twin.faults([{"match": "videoplayback", **fault}])
    with pytest.raises(TransientError) as raised:
        read_all(youtube, media, 0, 999)
    assert raised.value.kind == kind
    twin.faults([])
    assert len(read_all(youtube, media, 0, 999)) == 1000


@pytest.mark.parametrize("fault", ["reset", "cut"])
def test_an_answer_that_ends_early_is_an_error_not_an_end(twin: Twin, youtube: YouTube, media: MediaFormat, fault: str):
    twin.faults([{"match": "videoplayback", fault: 3000, "times": 1}])
    answer = youtube.open_range(media, 0, 9999)
    got = 0
    with pytest.raises(TransientError) as raised:
        while chunk := read(answer, 1000):
            got += len(chunk)
    answer.close()
    assert raised.value.kind == "network"
    assert got <= 3000


def test_an_address_that_ran_out_is_forbidden(twin: Twin, youtube: YouTube):
    twin.configure(ttl=-5)
    media = youtube.extract("demv0000050", Choice("360p")).formats[0]
    with pytest.raises(TransientError) as raised:
        youtube.open_range(media, 0, 99)
    assert raised.value.kind == "forbidden"


def test_a_host_that_is_not_there_is_the_network(youtube: YouTube, media: MediaFormat):
    elsewhere = replace(media, url="https://not-simulated.example/videoplayback")
    with pytest.raises(TransientError) as raised:
        youtube.open_range(elsewhere, 0, 99)
    assert raised.value.kind == "network"


@pytest.mark.parametrize(("video", "quality"), [("demv0000050", "360p"), ("demv0000050", "audio"), ("HLSONLY____", "360p")])
def test_the_downloader_makes_one_whole_file(twin: Twin, youtube: YouTube, tmp_path: Path, video: str, quality: str):
    extraction = youtube.extract(video, Choice(quality))
    twin.clear_log()
    seen = []
    made = youtube.download_to(extraction, tmp_path, lambda done, total: seen.append((done, total)))
    assert asked_site(twin) == [], "nothing is extracted again"
    assert list(tmp_path.iterdir()) == [made], "one file, nothing beside it"
    assert seen[-1][0] > 0
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)
    if extraction.formats[0].size:
        assert {total for _, total in seen} == {sum(media.size for media in extraction.formats)}
    assert duration(made) == pytest.approx(extraction.duration, abs=1)


@pytest.mark.parametrize(("video", "quality"), [("demv0000050", "360p"), ("demv0000050", "720p"), ("HLSONLY____", "360p")])
def test_every_byte_of_the_downloader_is_paced_once(
    twin: Twin, make_youtube: Callable[..., YouTube], tmp_path: Path, video: str, quality: str
):
    paced, seen = [], []
    youtube = make_youtube(pace=paced.append)
    extraction = youtube.extract(video, Choice(quality))
    twin.clear_log()
    youtube.download_to(extraction, tmp_path, lambda done, total: seen.append(done))
    sent = sum(entry["bytes"] for entry in twin.log() if entry.get("kind") == "media")
    assert sum(paced) == sent == seen[-1]
    assert min(paced) > 0


def duration(path: Path) -> float:
    """Seconds, as ffmpeg reads the whole file."""
    done = subprocess.run([imageio_ffmpeg.get_ffmpeg_exe(), "-i", path, "-f", "null", "-"], capture_output=True, text=True, check=True)
    hours, minutes, seconds = done.stderr.rpartition("time=")[2].split()[0].split(":")
    return int(hours) * 3600 + int(minutes) * 60 + float(seconds)


@pytest.fixture
def files_left_open() -> Iterator[None]:
    """yt-dlp's downloader leaves its file to the garbage collector when it fails."""
    yield
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        gc.collect()


@pytest.mark.usefixtures("files_left_open")
@pytest.mark.parametrize(
    ("video", "match", "fault", "kind"),
    [
        ("HLSONLY____", r"itag/93/file/seg1\.ts", {"status": 404}, "forbidden"),
        ("HLSONLY____", "videoplayback", {"status": 503}, "network"),
        ("demv0000050", "videoplayback", {"status": 403}, "forbidden"),
        ("demv0000050", "videoplayback", {"status": 503}, "network"),
    ],
)
def test_a_hole_in_the_film_fails_the_download(twin: Twin, youtube: YouTube, tmp_path: Path, video, match, fault, kind):
    extraction = youtube.extract(video, Choice("360p"))
    twin.faults([{"match": match, **fault}])
    with pytest.raises(ArchiveError) as raised:
        youtube.download_to(extraction, tmp_path, lambda done, total: None)
    assert raised.value.kind == kind


@pytest.mark.usefixtures("files_left_open")
def test_progress_stops_the_downloader(youtube: YouTube, tmp_path: Path):
    class Stopped(Exception):
        pass

    def progress(done: int, total: int | None):
        raise Stopped

    with pytest.raises(Stopped):
        youtube.download_to(youtube.extract("demv0000050", Choice("360p")), tmp_path, progress)


@pytest.mark.usefixtures("files_left_open")
def test_a_stop_while_waiting_for_bandwidth_ends_either_way_of_reading(make_youtube: Callable[..., YouTube], tmp_path: Path):
    class Stopped(Exception):
        pass

    def pace(size: int):
        raise Stopped

    youtube = make_youtube(pace=pace)
    extraction = youtube.extract("demv0000050", Choice("360p"))
    with pytest.raises(Stopped):
        read_all(youtube, extraction.formats[0], 0, 9_999)
    with pytest.raises(Stopped):
        youtube.download_to(extraction, tmp_path, lambda done, total: None)
