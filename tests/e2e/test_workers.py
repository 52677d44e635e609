"""The real workers, killed and stopped while they work."""

import signal

import psutil
import pytest

from tests.e2e.conftest import enlist, start, until

TWO = {"MASSDL_DOWNLOAD_WORKERS": "2"}
SLOW = {"latency": 0.4}


@pytest.fixture(autouse=True)
def leave_no_work(world, ask):
    """What one test leaves undone is no other test's work."""
    world.twin.reset()
    yield
    world.twin.reset()
    ask("UPDATE ingestion_downloadsession SET state = 'cancelled' WHERE state <> 'finished' RETURNING id")


def cluster_of(workers, queue: str) -> psutil.Process | None:
    """The main process of a queue's cluster, once it has a sentinel with workers."""
    for child in psutil.Process(workers.pid).children():
        if child.cmdline()[-2:] == ["--cluster", queue] and child.children() and child.children()[0].children():
            return child
    return None


def stop(workers) -> tuple[int, str]:
    """Exit code and output after SIGTERM."""
    workers.send_signal(signal.SIGTERM)
    said, _ = workers.communicate(timeout=60)
    return workers.returncode, said


@pytest.mark.parametrize(("victim", "channel"), [("main process", "tiny12"), ("sentinel", "tiny13")])
def test_a_fresh_cluster_goes_on_where_a_killed_one_stopped(world, count, victim, channel):
    size = int(channel.removeprefix("tiny"))
    with start(world, "workers", env=TWO) as workers:
        enlist(world, channel)
        until(lambda: count(channel, "stored") >= 2, "the first videos are stored")
        old = cluster_of(workers, "download")
        whole = [old, *old.children(recursive=True)]
        (old if victim == "main process" else old.children()[0]).kill()
        assert psutil.wait_procs(whole, timeout=15)[1] == [], "nothing of the old cluster is left"
        until(lambda: count(channel, "stored") == size, "all videos are stored")
        fresh = cluster_of(workers, "download")
        assert fresh and fresh.pid != old.pid
        code, said = stop(workers)
    assert code == 0, said
    assert said.count("the download cluster ended") == 1


def test_running_videos_are_finished_when_workers_are_asked_to_stop(world, ask, count):
    world.twin.configure(**SLOW)
    with start(world, "workers", env=TWO) as workers:
        enlist(world, "tiny20")
        until(lambda: count("tiny20", "downloading") == 2, "two videos run")
        taken = [pk for (pk,) in ask("SELECT id FROM videos_video WHERE status = 'downloading'")]
        code, said = stop(workers)
    assert code == 0, said
    assert ask("SELECT status, count(*) FROM videos_video WHERE id = ANY(%s) GROUP BY 1", taken) == [("stored", len(taken))]
    assert count("tiny20", "downloading") == 0
    assert count("tiny20", "pending") > 0, "nothing new was taken"
    assert ask("SELECT outcome FROM ingestion_attempt WHERE video_id = ANY(%s)", taken) == [("stored",)] * len(taken)


def test_a_killed_supervisor_takes_its_clusters_along(world):
    with start(world, "workers", env=TWO) as workers:
        until(lambda: cluster_of(workers, "download") and cluster_of(workers, "control"), "both clusters run")
        everybody = psutil.Process(workers.pid).children(recursive=True)
        assert len(everybody) > 8
        workers.kill()
        assert psutil.wait_procs(everybody, timeout=15)[1] == []


def test_workers_with_a_bad_cookies_file_pause_the_session_and_say_why(world, ask, tmp_path):
    cookies = tmp_path / "cookies.txt"
    cookies.write_text("this is no cookies file\n")
    enlist(world, "tiny3")
    [(session,)] = ask("SELECT max(id) FROM ingestion_downloadsession")
    with start(world, "workers", env=TWO | {"MASSDL_COOKIES_FILE": str(cookies)}) as workers:
        look = "SELECT state, state_reason FROM ingestion_downloadsession WHERE id = %s"
        until(lambda: ask(look, session)[0][0] == "paused", "the session is paused")
        code, said = stop(workers)
    assert code == 0, said
    assert "cookies" in ask(look, session)[0][1].lower()
    assert "Traceback" not in said
    assert ask("SELECT count(*) FROM django_q_task WHERE NOT success") == [(0,)]
