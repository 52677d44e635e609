import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from yt_dlp import YoutubeDL

from demo.youtube_twin import Twin, TwinControl
from tests.demo.conftest import Silence, connect, get

WEB = "https://www.youtube.com/"
ROOT = Path(__file__).resolve().parents[2]


def test_a_control_sees_what_was_asked(fresh_twin: Twin, list_ids: Callable[[str], list[str]]):
    control = TwinControl(fresh_twin.port)
    list_ids(WEB + "@big60/videos")
    kinds = [(entry["method"], entry["kind"], entry["status"]) for entry in control.log()]
    assert kinds == [("GET", "page", 200), ("POST", "browse", 200)]
    assert control.counters()["requests"] == 2
    control.clear_log()
    assert (control.log(), control.counters()) == ([], {})


def test_a_control_turns_and_resets_settings(fresh_twin: Twin):
    control = TwinControl(fresh_twin.port)
    assert control.configure(pad=9000, latency=0.01)["pad"] == 9000
    control.faults([{"match": "watch", "status": 500}])
    control.reset()
    assert control.configure()["pad"] == 0
    assert fresh_twin.faults_in_force.rules() == []


def test_hosts_that_are_not_youtubes_are_refused(fresh_twin: Twin):
    with connect(fresh_twin, "www.example.org") as connection, pytest.raises(OSError, match="502"):
        get(connection, "https://www.example.org/")
    assert fresh_twin.log()[-1]["host"] == "www.example.org"


def test_counters_know_the_bytes_of_media(fresh_twin: Twin):
    thumbnail, media = "https://i.ytimg.com/vi/demv0000040/hqdefault.jpg", fresh_twin.site.library.file(134, 7)
    url = f"/videoplayback?id=demv0000040&itag=134&expire={int(time.time()) + 60}"
    with connect(fresh_twin) as connection, connect(fresh_twin, "i.ytimg.com") as pictures:
        get(pictures, thumbnail)
        get(connection, url, Range="bytes=0-999")
        get(connection, url)
    counts = fresh_twin.counters()
    assert (counts["media"], counts["media_bytes"]) == (2, 1000 + media.size)
    assert (counts["status_206"], counts["status_200"], counts["image"]) == (1, 2, 1)


def test_a_connection_serves_many_requests(fresh_twin: Twin):
    with connect(fresh_twin, "www.youtube.com") as connection:
        for _ in range(5):
            assert get(connection, WEB + "iframe_api")[0].status == 200
    assert fresh_twin.counters() == {**fresh_twin.counters(), "connections": 1, "requests": 5}


def test_pages_can_be_as_heavy_as_youtubes(fresh_twin: Twin):
    with connect(fresh_twin, "www.youtube.com") as connection:
        _, light = get(connection, WEB + "@big30/videos")
        fresh_twin.configure(pad=9000)
        _, heavy = get(connection, WEB + "@big30/videos")
    assert len(heavy) - len(light) > 30 * 9000


def test_a_second_twin_on_the_same_folder_shows_the_same_certificate(tmp_path: Path):
    with Twin(tmp_path) as first, Twin(tmp_path) as second:
        assert first.ca_file.read_bytes() == second.ca_file.read_bytes()
        with connect(second, "www.youtube.com") as connection:
            assert get(connection, WEB + "iframe_api")[0].status == 200


def test_a_twin_of_its_own_process_serves_and_stops(tmp_path: Path):
    command = [sys.executable, "-m", "demo.youtube_twin", "--state", str(tmp_path)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        try:
            ready: dict[str, Any] = json.loads(process.stdout.readline())
            options = {"proxy": ready["proxy"], "nocheckcertificate": True, "extract_flat": True, "quiet": True, "logger": Silence()}
            with YoutubeDL(options) as downloader:
                assert len(list(downloader.extract_info(WEB + "@big5/videos", download=False)["entries"])) == 5
            assert ready["pid"] == process.pid
            assert Path(ready["ca"]).is_file()
            assert TwinControl(urlsplit(ready["proxy"]).port).counters()["requests"] == 1
        finally:
            process.terminate()
    assert process.returncode == 0
