"""Two hosts at once: the shared budget, the breaker, pause and resume, a worker that comes back from the dead."""

import signal
import time
from collections import Counter
from contextlib import ExitStack, contextmanager
from urllib.parse import parse_qs, urlsplit

import psutil
import pytest

from tests.e2e.conftest import enlist, run, start, until

FOUR = {"MASSDL_DOWNLOAD_WORKERS": "4"}
WORKERS = 8


@pytest.fixture(autouse=True)
def leave_no_work(world, ask):
    """What one test leaves undone is no other test's work."""
    world.twin.reset()
    yield
    world.twin.reset()
    assert run(world, "cancel", "--all", "--now", "--yes").code == 0
    ask("UPDATE ingestion_limits SET max_concurrent_channels = 3, max_concurrent_videos_per_channel = 2, paused = false RETURNING id")
    ask("DELETE FROM ingestion_budget RETURNING identity")
    ask(
        """UPDATE videos_video SET status = 'skipped', claim_id = NULL, lease_owner = '', lease_expires_at = NULL
           WHERE status = 'downloading' RETURNING id"""
    )


@contextmanager
def two_hosts(world, ask, *, env=None):
    """Two supervisors of four workers each, and limits that let all eight work."""
    ask("UPDATE ingestion_limits SET max_concurrent_channels = 4, max_concurrent_videos_per_channel = 2 RETURNING id")
    with ExitStack() as stack:
        hosts = [stack.enter_context(start(world, "workers", env={**FOUR, **(env or {})})) for _ in range(2)]
        yield hosts
        for host in hosts:
            host.send_signal(signal.SIGINT)
        for host in hosts:
            assert host.wait(60) == 0


def subject(entry):
    """The video that an entry of the stand-in's log is about; for what is about none, its address."""
    return entry.get("videoId") or parse_qs(urlsplit(entry["path"]).query).get("v", [entry["path"]])[0]


def running(ask):
    return ask("SELECT count(*) FROM videos_video WHERE status = 'downloading'")[0][0]


def test_after_one_refusal_each_worker_asks_once_more_at_most_until_the_probe(world, ask):
    for channel in ("tiny21", "tiny22", "tiny23", "tiny24"):
        enlist(world, channel)
    world.twin.configure(latency=0.3)
    with two_hosts(world, ask, env={"MASSDL_BREAKER_SECONDS": "6"}):
        until(lambda: ask("SELECT count(*) FROM ingestion_scan WHERE state IN ('pending', 'running')") == [(0,)], "all is listed")
        until(lambda: running(ask) == WORKERS, "each worker has a video")
        world.twin.configure(refuse="bot_check", refuse_times=1)
        until(lambda: ask("SELECT 1 FROM ingestion_budget WHERE refusals > 0"), "YouTube refuses")
        [(opened_until,)] = ask("SELECT extract(epoch FROM open_until)::float FROM ingestion_budget")
        until(lambda: time.time() > opened_until, "the breaker's time is over")
        until(lambda: ask("SELECT 1 FROM ingestion_budget WHERE refusals = 0"), "a probe was answered")
        log = [entry for entry in world.twin.log() if entry["host"].endswith("youtube.com")]
        *_, refused = [entry for entry in log if entry["refused"]]
        later = Counter(subject(entry) for entry in log if refused["t"] < entry["asked"] < opened_until)
        assert set(later.values()) <= {1} and later.total() < WORKERS, "who heard of it too late asked once more"
        assert subject(refused) not in later, "who was refused asked nothing more"
        until(lambda: running(ask) > 1, "everybody works again")
    given_back = ask(
        """SELECT v.attempts, v.status, count(*) FILTER (WHERE a.outcome IN ('retry', 'stored', 'failed'))
           FROM videos_video v JOIN ingestion_attempt a ON a.video_id = v.id
           WHERE v.id IN (SELECT video_id FROM ingestion_attempt WHERE outcome IN ('refused', 'handed_back')) GROUP BY v.id"""
    )
    assert given_back and all(attempts == spent for attempts, _, spent in given_back), "nobody paid an attempt"
    assert ask("SELECT count(*) FROM ingestion_attempt WHERE outcome = 'refused'") == [(1,)]


def media_requests(world):
    return [entry for entry in world.twin.log() if entry["kind"] == "media"]


@pytest.mark.parametrize(
    ("channel", "scope"),
    [("evening-physics", ["--all"]), ("old-engines", ["--channel", "@old-engines"])],
    ids=["everything", "channel"],
)
def test_a_pause_now_stops_the_bytes_and_a_resume_makes_them_flow_again(world, ask, channel, scope):
    world.twin.configure(bytes_per_second=10_000)  # a minute and more for each video
    enlist(world, channel)
    with start(world, "workers", env=FOUR):
        until(lambda: media_requests(world), "bytes flow")
        paused = run(world, "pause", *scope, "--now")
        assert paused.code == 0 and "will stop within seconds" in paused.said
        until(lambda: running(ask) == 0, "what ran is handed back")
        world.twin.clear_log()
        stopped = """SELECT DISTINCT v.status, v.attempts FROM videos_video v JOIN ingestion_attempt a ON a.video_id = v.id
                     JOIN people_channel c ON c.id = v.channel_id WHERE a.stop = 'pause' AND c.canonical_url LIKE '%%@' || %s"""
        assert ask(stopped, channel) == [("pending", 0)]
        until(lambda: ask("SELECT 1 FROM ingestion_worker WHERE queue = 'all' AND heartbeat_at > now() - interval '3 s'"), "workers tick")
        assert not media_requests(world)
        assert run(world, "resume", *scope).code == 0
        until(lambda: media_requests(world), "bytes flow again")


def test_a_worker_that_wakes_after_its_lease_changes_nothing(world, ask, count):
    world.twin.configure(bytes_per_second=60_000)
    enlist(world, "tiny27")
    with start(world, "workers", env={"MASSDL_DOWNLOAD_WORKERS": "2", "MASSDL_LEASE_SECONDS": "4"}):
        until(lambda: count("tiny27", "downloading") == 2, "two videos run")
        query = """SELECT v.id, claim_id, lease_owner FROM videos_video v JOIN people_channel c ON c.id = v.channel_id
                   WHERE status = 'downloading' AND c.canonical_url LIKE '%%@' || %s"""
        [(video, attempt, owner), *_] = ask(query, "tiny27")
        zombie = psutil.Process(int(owner.rpartition(":")[2]))
        zombie.suspend()
        world.twin.configure(bytes_per_second=0)
        until(lambda: ask("SELECT 1 FROM videos_video WHERE id = %s AND status = 'stored'", video), "another worker stores it")
        before = ask("SELECT row_to_json(v) FROM videos_video v WHERE id = %s", video)
        zombie.resume()
        until(lambda: not zombie.is_running() or not busy_with(ask, zombie.pid, video), "the zombie let go")
        until(lambda: count("tiny27", "stored") == 27, "the whole channel is stored")
        assert ask("SELECT row_to_json(v) FROM videos_video v WHERE id = %s", video) == before
        assert ask("SELECT outcome FROM ingestion_attempt WHERE id = %s", attempt) == [("lost",)]
    assert run(world, "audit").code == 0


def busy_with(ask, pid, video):
    return ask("SELECT 1 FROM videos_video WHERE id = %s AND lease_owner LIKE %s", video, f"%:{pid}")
