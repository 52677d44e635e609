import json
import time
from collections.abc import Callable
from http.client import IncompleteRead
from pathlib import Path
from typing import Any

import pytest
from yt_dlp.utils import DownloadError

from demo.youtube_twin import Twin, TwinControl
from tests.demo.conftest import connect, get

WEB = "https://www.youtube.com/"
WATCH = WEB + "watch?v="
Extract = Callable[..., dict[str, Any]]


@pytest.fixture
def media_url(extract: Extract) -> str:
    formats = extract(WATCH + "demv0000040")["formats"]
    return next(format["url"] for format in formats if format["format_id"] == "134")


def test_a_fault_answers_with_its_status_as_often_as_it_says(fresh_twin: Twin, media_url: str):
    fresh_twin.faults([{"match": "itag=134", "status": 429, "body": "slow down", "times": 2}])
    with connect(fresh_twin) as connection:
        answers = [get(connection, media_url) for _ in range(3)]
    assert [response.status for response, _ in answers] == [429, 429, 200]
    assert answers[0][1] == b"slow down"


def test_a_fault_may_want_one_client(extract: Extract, fresh_twin: Twin):
    fresh_twin.faults([{"match": "/player", "client": "VISIONOS", "status": 500}])
    with pytest.raises(DownloadError):
        extract(WATCH + "demv0000040", retries=0, extractor_retries=0)
    assert 500 in {entry["status"] for entry in fresh_twin.log() if entry["client"] == "VISIONOS"}


def test_a_fault_may_pretend_that_the_file_was_replaced(fresh_twin: Twin, media_url: str):
    fresh_twin.faults([{"match": "bytes=1000-", "etag": '"another"'}])
    with connect(fresh_twin) as connection:
        first, _ = get(connection, media_url, Range="bytes=0-999")
        second, body = get(connection, media_url, Range="bytes=1000-1999")
    assert second.headers["ETag"] == '"another"' != first.headers["ETag"]
    assert (second.status, len(body)) == (206, 1000)


def test_a_fault_may_want_one_range(fresh_twin: Twin, media_url: str):
    fresh_twin.faults([{"match": "bytes=1000-", "status": 403}])
    with connect(fresh_twin) as connection:
        assert get(connection, media_url, Range="bytes=0-999")[0].status == 206
        assert get(connection, media_url, Range="bytes=1000-1999")[0].status == 403


def test_a_cut_answer_ends_early(fresh_twin: Twin, media_url: str):
    fresh_twin.faults([{"match": "itag=134", "cut": 5000, "times": 1}])
    with connect(fresh_twin) as connection, pytest.raises((IncompleteRead, OSError)) as raised:
        get(connection, media_url)
    assert not isinstance(raised.value, IncompleteRead) or len(raised.value.partial) == 5000
    assert fresh_twin.log()[-1]["bytes"] == 5000


def test_a_reset_answer_breaks_the_connection(fresh_twin: Twin, media_url: str):
    fresh_twin.faults([{"match": "itag=134", "reset": 5000, "times": 1}])
    with connect(fresh_twin) as connection, pytest.raises((IncompleteRead, OSError)):  # ssl shows some resets as an end
        get(connection, media_url)


def test_a_stalled_answer_stops_in_the_middle(fresh_twin: Twin, media_url: str):
    fresh_twin.faults([{"match": "itag=134", "stall": 5000, "times": 1}])
    with connect(fresh_twin, timeout=0.3) as connection, pytest.raises(TimeoutError):
        get(connection, media_url)


def test_a_closing_twin_ends_its_stalls(tmp_path: Path):
    twin = Twin(tmp_path)
    with connect(twin, "www.youtube.com") as connection:
        with twin:
            twin.faults([{"match": "iframe_api", "stall": 10}])
            connection.request("GET", WEB + "iframe_api")
            response = connection.getresponse()
            assert response.read(10) == b"var script"
        with pytest.raises((OSError, IncompleteRead)):
            response.read()


def test_a_delay_and_the_latency_hold_the_answer_back(fresh_twin: Twin):
    fresh_twin.configure(latency=0.05)
    fresh_twin.faults([{"match": "iframe_api", "delay": 0.05}])
    began = time.monotonic()
    with connect(fresh_twin, "www.youtube.com") as connection:
        assert get(connection, WEB + "iframe_api")[0].status == 200
    assert time.monotonic() - began >= 0.1


def test_media_can_be_slow(fresh_twin: Twin, media_url: str, monkeypatch: pytest.MonkeyPatch):
    waits = []
    monkeypatch.setattr(Twin, "wait", lambda twin, seconds: waits.append(seconds))
    fresh_twin.configure(bytes_per_second=200_000)
    with connect(fresh_twin) as connection:
        get(connection, media_url, Range="bytes=0-39999")
    assert max(waits) > 0.1, "40,000 bytes at 200,000 a second"


def test_an_incomplete_continuation_is_an_error_to_ytdlp(extract: Extract, fresh_twin: Twin):
    fresh_twin.faults([{"match": "POST .*/browse", "junk": "incomplete"}])
    with pytest.raises(DownloadError, match="Incomplete data received"):
        extract(WEB + "@big90/videos", extract_flat=True, extractor_retries=0)


def test_an_empty_continuation_ends_the_listing_without_a_word(extract: Extract, fresh_twin: Twin):
    fresh_twin.faults([{"match": "POST .*/browse", "junk": "empty"}])
    assert len(list(extract(WEB + "@big90/videos", extract_flat=True)["entries"])) == 30


@pytest.mark.parametrize("rule", [{"status": 500}, {"match": "x", "statu": 500}, {"match": "("}, {"match": "x", "junk": "?"}])
def test_a_rule_that_is_none_is_refused_and_changes_nothing(rule: dict[str, Any], fresh_twin: Twin):
    fresh_twin.faults([{"match": "iframe_api", "status": 500}])
    with pytest.raises(ValueError):
        TwinControl(fresh_twin.port).faults([rule])
    with connect(fresh_twin, "www.youtube.com") as connection:
        assert get(connection, WEB + "iframe_api")[0].status == 500


@pytest.mark.parametrize("settings", [{"refuse": "rudely"}, {"shape": "round"}, {"no_such": 1}])
def test_a_setting_that_is_none_is_refused(settings: dict[str, Any], fresh_twin: Twin):
    with pytest.raises(ValueError):
        fresh_twin.configure(**settings)


def test_an_unknown_continuation_is_not_found(fresh_twin: Twin):
    with connect(fresh_twin, "www.youtube.com") as connection:
        connection.request("POST", WEB + "youtubei/v1/browse", body=json.dumps({"continuation": "nonsense"}))
        assert connection.getresponse().status == 404
