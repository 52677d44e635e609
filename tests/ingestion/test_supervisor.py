import os
import signal
import subprocess
from datetime import timedelta
from itertools import pairwise
from types import SimpleNamespace

import pytest
from django.db import OperationalError
from django.db.models.functions import Now
from django.utils import timezone

from ingestion import dispatch, roster, supervisor
from ingestion.models import Limits, Worker
from ingestion.supervisor import Supervisor
from tests.factories import make_attempt, make_channel, make_scan, make_video

pytestmark = pytest.mark.django_db

HOUR_AWAY, HOUR_AGO = Now() + timedelta(hours=1), Now() - timedelta(hours=1)
FOREVER = 1e9


class FakeHost:
    """A host whose processes are fake and whose clock stands still but for sleep.

    `lifetimes` says for each queue how many seconds its clusters live (the last number goes for all further ones), then
    they end with code 3. A SIGTERM comes at `until`.
    """

    def __init__(self):
        self.now = 0.0
        self.until = FOREVER
        self.lifetimes = {queue: [FOREVER] for queue in dispatch.TASKS}
        self.started: list[FakeProcess] = []

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds
        if self.now >= self.until:
            self.until = FOREVER
            signal.raise_signal(signal.SIGTERM)

    def popen(self, command, *, env, **_):
        process = FakeProcess(self, env)
        self.started.append(process)
        return process

    def killpg(self, pid: int, number: int) -> None:
        next(process for process in self.started if process.pid == pid).returncode = -number

    def starts(self, queue: str) -> list[float]:
        """The seconds at which this queue's clusters were started."""
        return [process.started_at for process in self.started if process.queue == queue]


class FakeProcess:
    def __init__(self, host: FakeHost, env: dict[str, str]):
        self._host, self.env, self.queue = host, env, env["Q_CLUSTER_NAME"]
        self.pid = 100_000_000 + len(host.started)
        self.started_at, self.returncode = host.now, None
        self.signals: list[int] = []
        self.held_back = signal.pthread_sigmask(signal.SIG_BLOCK, [])
        rest = host.lifetimes[self.queue]
        self._lifetime = rest.pop(0) if len(rest) > 1 else rest[0]

    def poll(self):
        if self.returncode is None and self._host.now - self.started_at >= self._lifetime:
            self.returncode = 3
        return self.returncode

    def wait(self, timeout=None):
        if self.poll() is None:
            raise subprocess.TimeoutExpired("workers", timeout)
        return self.returncode

    def send_signal(self, number):
        self.signals.append(number)
        self.returncode = 0


@pytest.fixture
def host(monkeypatch):
    host = FakeHost()
    monkeypatch.setattr(supervisor, "time", SimpleNamespace(monotonic=host.monotonic, sleep=host.sleep))
    monkeypatch.setattr(supervisor.subprocess, "Popen", host.popen)
    monkeypatch.setattr(supervisor.os, "killpg", host.killpg)
    before = {number: signal.getsignal(number) for number in supervisor.STOP_SIGNALS}
    yield host
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.fixture
def only_the_first_tick(monkeypatch):
    monkeypatch.setattr(supervisor, "TICK_SECONDS", FOREVER)


def about(*seconds):
    """These seconds, give or take what the supervisor sleeps and the steps of its ticks."""
    return pytest.approx(seconds, abs=supervisor.TICK_SECONDS if supervisor.TICK_SECONDS < FOREVER else 1)


def run_for(host, seconds):
    """Run a supervisor for so many seconds of the fake clock; returns it."""
    host.until = host.now + seconds
    running = Supervisor(download_workers=7)
    running.run()
    return running


# --- starting and stopping


def test_there_is_a_cluster_for_each_queue_and_all_of_them_stop_at_the_end(host):
    run_for(host, 3)
    assert [process.queue for process in host.started] == list(dispatch.TASKS)
    assert [process.signals for process in host.started] == [[signal.SIGTERM]] * 2
    assert not Worker.objects.exists()


def test_a_cluster_learns_whose_it_is_and_holds_signals_back_until_it_can_handle_them(host):
    run_for(host, 1)
    process = host.started[0]
    assert (process.env["WORKERS_PARENT"], process.env["WORKERS_NO_PAGES"]) == (str(os.getpid()), "1")
    assert process.env["MASSDL_DOWNLOAD_WORKERS"] == "7"
    assert {signal.SIGTERM, signal.SIGINT} <= process.held_back
    assert signal.SIGTERM not in signal.pthread_sigmask(signal.SIG_BLOCK, [])


@pytest.mark.parametrize("number", supervisor.STOP_SIGNALS)
def test_a_signal_that_comes_before_the_first_round_starts_nothing(host, number):
    early = Supervisor(download_workers=1)
    signal.raise_signal(number)
    early.run()
    assert host.started == []


def test_a_cluster_that_ignores_the_signal_is_killed(host, monkeypatch):
    monkeypatch.setattr(FakeProcess, "send_signal", lambda self, number: None)
    run_for(host, 1)
    assert [process.returncode for process in host.started] == [-signal.SIGKILL] * 2


# --- clusters that die


def test_a_cluster_that_dies_at_once_is_started_ever_more_slowly_and_then_no_more(host, only_the_first_tick, caplog):
    host.lifetimes["download"] = [0]
    with pytest.raises(SystemExit) as ended:
        run_for(host, 600)
    assert ended.value.code == 1
    assert host.starts("download") == about(0, 1, 3, 7, 15)
    assert host.starts("control") == [0]
    assert host.started[0].signals == [signal.SIGTERM]
    said = [record.getMessage() for record in caplog.records if record.name == supervisor.logger.name]
    assert len(said) == 5
    assert "the download cluster ended 5 times in a row within 10 s of its start, the last time with exit code 3" in said[-1]


def test_the_wait_before_a_start_has_a_longest(host, only_the_first_tick):
    host.lifetimes["download"] = [20]
    run_for(host, 230)
    waits = [later - earlier - 20 for earlier, later in pairwise(host.starts("download"))]
    assert waits == about(1, 2, 4, 8, 16, 30)


def test_a_cluster_that_lived_a_minute_starts_without_a_history(host, only_the_first_tick):
    host.lifetimes["download"] = [0, 0, 0, 0, 61, 0, FOREVER]
    run_for(host, 100)
    assert host.starts("download") == about(0, 1, 3, 7, 16, 77, 79.5)


# --- clusters that hang


def downloading(owner, **over):
    return make_video(status="downloading", claim_id=1, lease_owner=owner, lease_expires_at=HOUR_AWAY, **over)


def test_a_download_cluster_that_lets_due_videos_lie_is_replaced(host):
    make_video()
    run_for(host, 40)
    assert (host.starts("download"), host.starts("control")) == (about(0, 31), [0])


def test_a_download_cluster_lives_while_nobody_may_claim_what_is_due(host):
    Limits.objects.filter(pk=Limits.row().pk).update(max_concurrent_videos_per_channel=1)
    channel = make_channel()
    downloading("other:supervisor:1", channel=channel)
    make_video(channel=channel)
    run_for(host, 70)
    assert host.starts("download") == [0]


@pytest.mark.parametrize(("worker", "starts"), [("mine", [0]), ("elsewhere", about(0, 31))])
def test_a_download_cluster_lives_while_wake_ups_reach_its_own_workers(host, monkeypatch, worker, starts):
    """What another host takes proves nothing of this one."""
    monkeypatch.setattr(supervisor.os, "getpid", lambda: 1)
    make_video()
    running = Supervisor(download_workers=1)
    name = running.name.removesuffix("1") + "7" if worker == "mine" else "elsewhere:x:7"
    roster.note_wake_up(name, "download")
    Worker.objects.update(woken_at=HOUR_AWAY, pid=os.getppid())
    make_attempt(video=make_video(status="skipped"), worker="elsewhere:x:7")
    host.until = 40
    running.run()
    assert host.starts("download") == starts


def test_a_control_cluster_that_lets_due_scans_lie_is_replaced(host):
    make_scan()
    run_for(host, 40)
    assert (host.starts("control"), host.starts("download")) == (about(0, 31), [0])


def test_a_control_cluster_lives_while_it_scans(host, monkeypatch):
    monkeypatch.setattr(supervisor.os, "getpid", lambda: 1)
    waiting = make_scan()
    running = Supervisor(download_workers=1)
    make_scan(state="running", lease_owner=running.name, lease_expires_at=HOUR_AWAY)
    host.until = 70
    running.run()
    assert host.starts("control") == [0]
    waiting.refresh_from_db()
    assert waiting.state == "pending"


def test_a_database_that_is_away_stops_nothing(host, monkeypatch, caplog):
    def refuse():
        raise OperationalError("the server is away")

    make_video()
    monkeypatch.setattr(dispatch, "tick", refuse)
    monkeypatch.setattr(supervisor, "close_connection", lambda: None)
    run_for(host, 40)
    assert (host.starts("download"), host.starts("control")) == ([0], [0])
    assert "the server is away" in caplog.text


def test_no_cluster_is_started_before_the_database_answers_again(host, monkeypatch):
    def refuse_for_a_while():
        if host.now < 60:
            raise OperationalError("the server is away")

    host.lifetimes["download"] = [5, FOREVER]
    monkeypatch.setattr(dispatch, "tick", refuse_for_a_while)
    monkeypatch.setattr(supervisor, "close_connection", lambda: None)
    run_for(host, 70)
    first, second = host.starts("download")
    assert first == 0 and second >= 60


# --- who works where


def test_whoever_was_not_heard_of_for_an_hour_is_forgotten(host):
    for name, minutes in (("gone", 70), ("silent", 50)):
        Worker.objects.create(name=name, queue="all", heartbeat_at=Now() - timedelta(minutes=minutes))
    run_for(host, 1)
    assert list(Worker.objects.values_list("name", flat=True)) == ["silent"]


def test_a_supervisor_speaks_for_its_living_workers_and_strikes_the_dead_ones_off(monkeypatch):
    monkeypatch.setattr(roster, "FORGOTTEN", timedelta(days=9))
    for name, pid in (("h:mine:10", 10), ("h:mine:11", 11), ("h:other:12", 12)):
        Worker.objects.create(name=name, pid=pid, queue="download", heartbeat_at=HOUR_AGO)
    roster.report("h:mine:1", "h:mine:", lambda pid: pid != 11)
    heard = set(Worker.objects.filter(heartbeat_at__gt=Now() - timedelta(seconds=5)).values_list("name", flat=True))
    assert heard == {"h:mine:1", "h:mine:10"}
    assert set(Worker.objects.values_list("name", flat=True)) == heard | {"h:other:12"}
    assert [worker.name for worker in roster.live_supervisors()] == ["h:mine:1"]
    roster.strike_off("h:mine:")
    assert Worker.objects.get().name == "h:other:12"


def test_a_worker_that_writes_itself_down_again_keeps_what_its_supervisor_said():
    roster.enlist("h:mine:10", "download")
    Worker.objects.update(heartbeat_at=HOUR_AGO)
    roster.enlist("h:mine:10", "download")
    worker = Worker.objects.get()
    assert worker.heartbeat_at < timezone.now() - timedelta(minutes=59)
    assert (worker.queue, worker.pid) == ("download", os.getpid())
