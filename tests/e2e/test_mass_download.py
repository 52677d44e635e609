"""The main job by the real command, on real parts: PostgreSQL, S3, ffmpeg, yt-dlp against the local stand-in."""

import json
import re
import subprocess

import pytest

from ingestion.streams import ffmpeg_path
from tests.e2e.conftest import run


@pytest.fixture(scope="module")
def first_run(world, tmp_path_factory):
    """Four sheets in four formats, with six channels among them a missing, an empty and a large one."""
    folder = tmp_path_factory.mktemp("sheets")
    (folder / "people.csv").write_text(
        "name,email,type,channel_url\nAnn,ann@example.org,teacher,https://www.youtube.com/@demo\nBob,bob@example.org,,youtube.com/@nobody-here\n"
    )
    (folder / "more.json").write_text(
        json.dumps(
            {
                "channels": [
                    {"name": "Cleo", "channel_url": "https://www.youtube.com/@empty"},
                    {"name": "Dan", "channel_url": "@tiny1000"},
                ],
                "settings": {"quality": "360p"},
            }
        )
    )
    (folder / "list.txt").write_text("# a playlist\nhttps://www.youtube.com/playlist?list=PLtwin12xxxxx\n")
    import openpyxl

    book = openpyxl.Workbook()
    book.active.append(["name", "channel_url"])
    book.active.append(["Eve", "https://youtu.be/PROGRESS18_"])
    book.save(folder / "one.xlsx")
    report = folder / "report.json"
    inputs = [word for name in ("people.csv", "more.json", "list.txt", "one.xlsx") for word in ("--input", str(folder / name))]
    outcome = run(world, "mass_download", *inputs, "--limit", "45", "--report-file", str(report), "--progress-interval", "2")
    return outcome, json.loads(report.read_text()), inputs, report


def test_the_run_ends_with_some_not_stored_and_says_why(first_run):
    outcome, report, *_ = first_run
    assert outcome.code == 1, outcome.said
    kinds = {row["kind"]: row for row in report["failures"]}
    expected = {"private", "removed", "members_only", "geo_blocked", "upcoming", "bot_check", "channel_missing", "empty"}
    assert expected <= kinds.keys()
    for kind in expected:
        assert kinds[kind]["advice"] in outcome.said


def test_everything_playable_is_stored(first_run):
    _, report, *_ = first_run
    stored = [video for video in report["videos"] if video["status"] == "stored"]
    assert report["totals"]["stored"] == len(stored) >= 70
    assert {channel["scan"] for channel in report["channels"]} == {"done", "failed"}


def test_report_database_and_bucket_agree_to_the_byte(first_run, world):
    *_, report = first_run
    outcome = run(world, "audit", "--report", str(report))
    assert outcome.code == 0, outcome.said


def test_a_second_run_downloads_nothing_and_asks_for_no_video(first_run, world):
    _, report, inputs, file = first_run
    world.twin.clear_log()
    outcome = run(world, "mass_download", *inputs, "--limit", "45", "--report-file", str(file))
    again = json.loads(file.read_text())
    assert again["totals"]["stored"] == 0, outcome.said
    # PROGRESS18_ was asked for twice: in its channel and alone
    assert again["totals"]["already_stored"] == report["totals"]["stored"] + 1, outcome.said
    assert {entry["kind"] for entry in world.twin.log()} <= {"browse", "page", "innertube"}, "listings only, no video"


def test_every_stored_object_plays_to_its_announced_end_with_its_index_first(first_run, world):
    _, report, *_ = first_run
    for video in report["videos"]:
        if video["status"] != "stored":
            continue
        path = world.folder / "s3" / "videos" / video["key"]
        seconds, complaints = decoded(path)
        assert complaints == "", video
        assert seconds == pytest.approx(video["duration"], abs=1.1), video
        assert index_stands_first(path.read_bytes()), video


def decoded(path):
    """Seconds of a file that ffmpeg decodes, and what it complains of."""
    command = [ffmpeg_path(), "-nostdin", "-v", "error", "-progress", "pipe:1", "-i", str(path), "-f", "null", "-"]
    done = subprocess.run(command, capture_output=True, text=True)
    return int(re.findall(r"out_time_us=(\d+)", done.stdout)[-1]) / 1e6, done.stderr


def index_stands_first(content):
    return 0 < content.find(b"moov") < content.find(b"mdat")
