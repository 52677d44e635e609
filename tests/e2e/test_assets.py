"""Assets by the real command: with their videos, after a failure, and later beside videos that are stored already."""

import json
import os
import signal

import pytest

from tests.e2e.conftest import run, start, until

CHANNEL = "https://www.youtube.com/@shortsonly"
VIDEOS = 6
ALONE = "demv0000040"
UNFINISHED = """SELECT count(*) FROM videos_asset a JOIN videos_video v ON v.id = a.video_id
                WHERE v.external_id = %s AND a.kind = %s AND a.status <> 'stored'"""
COMMON = ("mass_download", "--channel", CHANNEL, "--quality", "360p", "--limit", str(VIDEOS), "--progress-interval", "2")


@pytest.fixture(scope="module")
def first_run(world, tmp_path_factory):
    """Every picture fails once, and so do two of the captions."""
    faults = [{"match": "ytimg", "status": 500, "times": VIDEOS}, {"match": "timedtext.*lang=de", "status": 500, "times": 2}]
    world.twin.faults(faults)
    report = tmp_path_factory.mktemp("reports") / "report.json"
    asked = ("--assets", "info,thumbnail,subtitles,nfo", "--subtitle-languages", "en,de", "--report-file", str(report))
    outcome = run(world, *COMMON, *asked)
    world.twin.faults([])
    return outcome, json.loads(report.read_text()), report


def test_all_assets_are_stored_before_the_run_ends(first_run):
    outcome, report, _ = first_run
    assert outcome.code == 0, outcome.said
    assert len(report["videos"]) == VIDEOS
    statuses = [asset["status"] for video in report["videos"] for asset in video["assets"]]
    assert set(statuses) <= {"stored", "absent"}, outcome.said
    assert f"Beside them: {statuses.count('stored')} assets stored" in outcome.said
    assert report["totals"]["assets_stored"] == statuses.count("stored") >= VIDEOS * 6


def test_videos_that_are_stored_get_more_assets_without_being_downloaded_again(first_run, world, tmp_path):
    _, before, _ = first_run
    world.twin.clear_log()
    report = tmp_path / "report.json"
    outcome = run(world, *COMMON, "--assets", "transcript,nfo", "--report-file", str(report))
    again = json.loads(report.read_text())
    assert outcome.code == 0, outcome.said
    assert (again["totals"]["stored"], again["totals"]["already_stored"]) == (0, VIDEOS)
    assert {(asset["kind"], asset["format"]) for video in again["completed"] for asset in video["assets"]} == {("transcript", "txt")}
    assert {video["key"] for video in again["completed"]} == {video["key"] for video in before["videos"]}
    asked = {entry["kind"] for entry in world.twin.log() if ALONE not in entry["path"]}  # whose killed worker may still be answered
    assert asked <= {"browse", "page", "innertube"}, "made of the stored captions"


def test_database_and_bucket_agree_to_the_byte(first_run, world):
    *_, report = first_run
    outcome = run(world, "audit", "--report", str(report))
    assert outcome.code == 0, outcome.said


def test_a_worker_that_is_killed_over_its_assets_loses_none_of_them(world, ask):
    world.twin.faults([{"match": "timedtext", "delay": 60, "times": 1}])
    asked = ("--assets", "info,transcript", "--progress-interval", "1")
    with start(world, "mass_download", "--channel", f"https://www.youtube.com/watch?v={ALONE}", "--quality", "360p", *asked) as process:
        until(lambda: held(ask) and not ask(UNFINISHED, ALONE, "info")[0][0], "the info stored, the transcript under way", 60)
        os.kill(int(held(ask)[0][0].rpartition(":")[2]), signal.SIGKILL)
        said, _ = process.communicate(timeout=120)
    assert process.returncode == 0, said
    assert ask(
        "SELECT a.status, a.losses FROM videos_asset a JOIN videos_video v ON v.id = a.video_id WHERE v.external_id = %s", ALONE
    ) == [
        ("stored", 0),
        ("stored", 0),
    ]
    outcome = run(world, "audit")
    assert outcome.code == 0, outcome.said


def held(ask) -> list[tuple[str]]:
    """Whose assets are in work."""
    return ask("SELECT lease_owner FROM videos_asset WHERE claim_id IS NOT NULL")
