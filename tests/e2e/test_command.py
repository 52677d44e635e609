"""Flags, exit codes and interruptions of the real command."""

import json
import os
import re
import signal

import pytest

from tests.e2e.conftest import run, start


def wait_for(process, text):
    """Read the command's output until a line has the text; its end before that is a failure."""
    seen = []
    for line in process.stdout:
        seen.append(line)
        if text in line:
            return line
    pytest.fail("".join(seen))


def test_check_says_ok_for_each_part(world):
    outcome = run(world, "mass_download", "--check")
    assert outcome.code == 0, outcome.said
    for part in ("database", "tables", "clock", "storage", "ffmpeg", "JavaScript", "yt-dlp", "YouTube"):
        assert f"ok   {part}:" in outcome.said


def test_a_broken_set_up_is_code_2_and_says_the_fix(world):
    outcome = run(world, "mass_download", "--channel", "@demo", env={"MASSDL_S3_BUCKET": "nowhere"})
    assert outcome.code == 2 and "FIX  storage:" in outcome.said and "MASSDL_S3_BUCKET" in outcome.said
    assert run(world, "mass_download", "--check", env={"MASSDL_FFMPEG": "/nowhere/ffmpeg"}).code == 2


def test_a_cookies_file_that_cannot_be_used_is_code_2_and_nobody_waits(world, tmp_path):
    (tmp_path / "cookies.txt").write_text("{not cookies}\n")
    for cookies in (tmp_path / "cookies.txt", tmp_path / "missing.txt"):
        outcome = run(world, "mass_download", "--channel", "@demo", env={"MASSDL_COOKIES_FILE": str(cookies)})
        assert outcome.code == 2 and "FIX  YouTube:" in outcome.said and "MASSDL_COOKIES_FILE" in outcome.said, outcome.said


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ([], "--input"),
        (["--input", "/nowhere.csv"], "cannot be read"),
        (["--channel", "https://vimeo.com/x"], "No channel is left"),
        (["--resume", "99999"], "no session 99999"),
        (["--quality", "8k", "--channel", "@demo"], "invalid choice"),
        (["--limit", "0", "--channel", "@demo"], "--limit"),
    ],
)
def test_bad_input_is_code_2_in_words(world, words, sentence):
    outcome = run(world, "mass_download", *words)
    assert outcome.code == 2 and sentence in outcome.said and "Traceback" not in outcome.said


def test_a_dry_run_lists_what_would_happen_and_writes_nothing(world):
    world.twin.clear_log()
    outcome = run(world, "mass_download", "--channel", "@dry-run-only", "--dry-run", "--quality", "best")
    assert outcome.code == 0 and "@dry-run-only" in outcome.said and "best" in outcome.said
    assert world.twin.log() == []
    assert "@dry-run-only" not in run(world, "dumpdata", "people.channel").said


def test_one_url_from_stdin_is_stored_and_the_code_is_0(world):
    outcome = run(world, "mass_download", "--input", "-", said="https://youtu.be/demv0000061\n")
    assert outcome.code == 0 and "1 of 1 video stored" in outcome.said, outcome.said


def test_a_run_that_ends_at_once_ends_its_workers_quietly(world):
    run(world, "mass_download", "--channel", "@tiny1")
    outcome = run(world, "mass_download", "--resume")
    assert outcome.code == 0 and "Traceback" not in outcome.said and "Interrupt" not in outcome.said, outcome.said


def slow_download(world, channel, limit):
    """A command in the middle of downloading: the stand-in trickles until it is reset."""
    world.twin.configure(bytes_per_second=300_000)
    return start(world, "mass_download", "--channel", channel, "--limit", str(limit), "--progress-interval", "0.2")


def rows(world, model):
    return [row["fields"] for row in json.loads(run(world, "dumpdata", model).said)]


def test_ctrl_c_hands_work_back_and_resume_goes_on(world, tmp_path):
    with slow_download(world, "@gardening-with-ann", 6) as process:
        wait_for(process, "running")
        process.send_signal(signal.SIGINT)
        said = process.stdout.read()
        assert process.wait(60) == 130, said
    videos = rows(world, "videos.video")
    assert {video["status"] for video in videos} <= {"pending", "stored"}
    assert all(video["attempts"] == 0 for video in videos if video["status"] == "pending")
    world.twin.reset()
    report = tmp_path / "report.json"
    number = re.search(r"--resume (\d+)", said)[1]
    outcome = run(world, "mass_download", "--resume", number, "--report-file", str(report))
    assert json.loads(report.read_text())["totals"]["waiting"] == 0, outcome.said
    assert run(world, "audit").code == 0


def lost(world):
    return [attempt["outcome"] for attempt in rows(world, "ingestion.attempt")].count("lost")


def workers_of(world):
    """The supervisors: each of them has workers of its own beside it in the table."""
    workers = json.loads(run(world, "dumpdata", "ingestion.worker").said)
    return {row["pk"] for row in workers if row["fields"]["queue"] == "all"}


def test_a_killed_worker_costs_one_attempt_and_nothing_else(world):
    lost_before = lost(world)
    with slow_download(world, "@old-engines", 4) as process:
        wait_for(process, "running")
        owner = next(video["lease_owner"] for video in rows(world, "videos.video") if video["status"] == "downloading")
        os.kill(int(owner.rpartition(":")[2]), signal.SIGKILL)
        world.twin.reset()
        said = process.stdout.read()
        assert process.wait(120) in (0, 1), said
    outcome = run(world, "audit")
    assert outcome.code == 0, outcome.said
    assert lost(world) == lost_before + 1


def test_a_run_goes_on_with_fresh_workers_when_its_own_are_killed_whole(world):
    workers_before = workers_of(world)
    with slow_download(world, "@evening-physics", 3) as process:
        wait_for(process, "running")
        (worker,) = workers_of(world) - workers_before
        os.kill(int(worker.rpartition(":")[2]), signal.SIGKILL)
        world.twin.reset()
        said = process.stdout.read()
        assert process.wait(120) in (0, 1), said
    assert "they are started again" in said and "Still waiting" not in said, said
    assert run(world, "audit").code == 0


def test_detached_work_is_done_by_running_workers(world):
    workers_before = workers_of(world)  # of a killed supervisor a row stays
    outcome = run(world, "mass_download", "--channel", "@tiny5", "--detach")
    assert outcome.code == 0 and "Left to the workers" in outcome.said
    with start(world, "workers", "--max-concurrent", "2") as workers:
        followed = run(world, "mass_download", "--resume")
        assert "5 of 5 videos stored" in followed.said and followed.code == 0, followed.said
        workers.send_signal(signal.SIGTERM)
        assert workers.wait(60) == 0
    assert workers_of(world) == workers_before
