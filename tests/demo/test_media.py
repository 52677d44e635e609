import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from yt_dlp import YoutubeDL

from demo.youtube_twin import Twin
from demo.youtube_twin.encoding import ffmpeg_path
from demo.youtube_twin.media import Library
from tests.demo.conftest import connect, get

WATCH = "https://www.youtube.com/watch?v="
Extract = Callable[..., dict[str, Any]]
Download = Callable[..., YoutubeDL]


def decode(path: Path) -> float:
    """Its length in seconds; fails at the first word of ffmpeg's."""
    command = [ffmpeg_path(), "-nostdin", "-v", "error", "-i", str(path), "-f", "null", "-progress", "pipe:1", "-"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stderr == ""
    return int(re.findall(r"out_time_us=(\d+)", done.stdout)[-1]) / 1e6


def url_of(info: dict[str, Any], itag: int) -> str:
    return next(format["url"] for format in info["formats"] if format["format_id"] == str(itag))


@pytest.mark.parametrize("video_id", ["demv0000040", "demv0000041", "UHD2160____", "PROGRESS18_", "t0000500001", "bench00002M"])
def test_each_file_has_the_announced_size_and_length(video_id: str, extract: Extract, fresh_twin: Twin, tmp_path: Path):
    info = extract(WATCH + video_id)
    with connect(fresh_twin) as connection:
        for format in (format for format in info["formats"] if format["protocol"] == "https"):
            response, body = get(connection, format["url"])
            assert (response.status, len(body)) == (200, format["filesize"])
            (tmp_path / "track").write_bytes(body)
            assert decode(tmp_path / "track") == pytest.approx(info["duration"], abs=0.05)


@pytest.mark.parametrize(
    ("video_id", "format"),
    [
        pytest.param("demv0000040", "137+140", id="H.264 and AAC"),
        pytest.param("demv0000041", "247+251", id="VP9 and Opus"),
        pytest.param("demv0000041", "137+251", id="H.264 and Opus"),
        pytest.param("PROGRESS18_", "18", id="progressive"),
        pytest.param("HLSONLY____", "95", id="HLS"),
        pytest.param("t0000500001", "134+140", id="tiny"),
        pytest.param("demv0000040", "602", id="the stamp-sized HLS of an ordinary video"),
    ],
)
def test_ytdlp_downloads_a_video_of_the_announced_length(video_id: str, format: str, ytdlp: Download, tmp_path: Path):
    with ytdlp(format=format) as downloader:
        info = downloader.extract_info(WATCH + video_id)
    path = Path(info["requested_downloads"][0]["filepath"])
    assert path.parent == tmp_path
    assert decode(path) == pytest.approx(info["duration"], abs=0.1)


def test_hls_comes_in_several_real_segments(ytdlp: Download, fresh_twin: Twin):
    with ytdlp(format="93") as downloader:
        downloader.extract_info(WATCH + "HLSONLY____")
    assert [entry["path"].rpartition("/")[2] for entry in fresh_twin.log() if entry["kind"] == "media"] == ["seg0.ts", "seg1.ts"]


def test_benchmark_videos_weigh_what_their_name_says(extract: Extract):
    info = extract(WATCH + "bench00010M")
    assert sum(format.get("filesize") or 0 for format in info["formats"]) == pytest.approx(10e6, rel=0.08)
    assert extract(WATCH + "prog_00010M")["formats"][0]["filesize"] == pytest.approx(10e6, rel=0.08)


def test_a_scale_makes_videos_heavier(tmp_path: Path):
    light, heavy = Library(tmp_path), Library(tmp_path, scale=4)
    assert heavy.file(134, 7).size > 2.5 * light.file(134, 7).size
    assert decode(heavy.file(134, 7).path) == pytest.approx(7, abs=0.05)


def test_media_are_made_once_for_all_libraries_of_a_folder(tmp_path: Path):
    first = Library(tmp_path).file(134, 2, "tiny")
    second = Library(tmp_path).file(134, 2, "tiny")
    assert (first.etag, first.modified) == (second.etag, second.modified)
    assert not list(tmp_path.glob(".*.part"))


@pytest.mark.parametrize(
    ("header", "status", "start", "end"),
    [
        ("bytes=0-99", 206, 0, 100),
        ("bytes=1000-1999", 206, 1000, 2000),
        ("bytes=1000-", 206, 1000, None),
        ("bytes=-100", 206, -100, None),
        ("bytes=0-999999999", 206, 0, None),
        ("bytes=999999999-", 416, 0, 0),
        ("nonsense", 200, 0, None),
    ],
)
def test_a_range_brings_those_bytes(header: str, status: int, start: int, end: int | None, extract: Extract, fresh_twin: Twin):
    url = url_of(extract(WATCH + "demv0000040"), 134)
    with connect(fresh_twin) as connection:
        whole_response, whole = get(connection, url)
        response, body = get(connection, url, Range=header)
    assert (response.status, body) == (status, whole[start:end])
    assert response.headers["ETag"] == whole_response.headers["ETag"]
    if status == 206:
        first = start % len(whole)
        assert response.headers["Content-Range"] == f"bytes {first}-{first + len(body) - 1}/{len(whole)}"
    if status == 416:
        assert response.headers["Content-Range"] == f"bytes */{len(whole)}"


def test_a_media_file_carries_what_proves_that_it_did_not_change(extract: Extract, fresh_twin: Twin):
    info = extract(WATCH + "demv0000040")
    with connect(fresh_twin) as connection:
        video, _ = get(connection, url_of(info, 134))
        sound, _ = get(connection, url_of(info, 140))
    assert re.fullmatch(r'"[^"]+"', video.headers["ETag"])
    assert video.headers["ETag"] != sound.headers["ETag"]
    assert video.headers["Last-Modified"].endswith("GMT")
    assert video.headers["Accept-Ranges"] == "bytes"


def test_an_address_that_expired_is_refused(extract: Extract, fresh_twin: Twin):
    fresh_twin.configure(ttl=-1)
    with connect(fresh_twin) as connection:
        response, body = get(connection, url_of(extract(WATCH + "demv0000040"), 134))
    assert (response.status, body) == (403, b"")


def test_thumbnails_are_pictures(extract: Extract, fresh_twin: Twin):
    with connect(fresh_twin, "i.ytimg.com") as connection:
        response, body = get(connection, extract(WATCH + "demv0000040")["thumbnail"])
    assert (response.headers["Content-Type"], body[:3]) == ("image/jpeg", b"\xff\xd8\xff")
