import signal
from datetime import timedelta

import pytest
from django.utils import timezone

from ingestion import api, borrowed
from ingestion.models import Limits, Worker
from tests.factories import make_session, make_video

pytestmark = pytest.mark.django_db


class Process:
    """A process that lives until the test says otherwise."""

    def __init__(self):
        self.returncode: int | None = None
        self.signals: list[int] = []

    def poll(self):
        return self.returncode

    def send_signal(self, number):
        self.signals.append(number)

    def wait(self):
        self.returncode = 0


class Clock:
    def __init__(self):
        self.now = 1000.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def started(monkeypatch):
    """The processes that were started, each with its command."""
    processes = []

    def start(command, **kwargs):
        processes.append((command, Process()))
        return processes[-1][1]

    monkeypatch.setattr(borrowed.subprocess, "Popen", start)
    return processes


def somebody_works(seconds_ago=0):
    moment = timezone.now() - timedelta(seconds=seconds_ago)
    Worker.objects.update_or_create(name="elsewhere:1:2", defaults={"queue": "all", "heartbeat_at": moment})


def test_nobody_works_so_our_own_are_started_once(started, clock):
    workers = borrowed.Workers(clock=clock)
    workers.keep()
    workers.keep()
    assert workers.are_ours and len(started) == 1


@pytest.mark.parametrize("how", ["they say goodbye", "they fall silent"])
def test_our_own_are_started_when_the_workers_of_others_go(started, clock, how):
    somebody_works()
    workers = borrowed.Workers(clock=clock)
    workers.keep()
    assert not started
    if how == "they say goodbye":
        Worker.objects.all().delete()
    else:
        somebody_works(seconds_ago=60)
    workers.keep()
    assert len(started) == 1


def test_watching_keeps_the_workers(started, clock):
    session = make_session()
    make_video(session=session)
    watched = api.watch(session, borrowed.Workers(clock=clock), every=timedelta(0))
    next(watched)
    next(watched)
    assert len(started) == 1


def test_dead_ones_are_started_again_after_a_while(started, clock):
    workers = borrowed.Workers(clock=clock)
    workers.keep()
    started[0][1].returncode = -9
    workers.keep()
    assert len(started) == 1
    clock.now += 2
    workers.keep()
    assert len(started) == 2


def die(workers, started, clock, *, after):
    workers.keep()
    clock.now += after
    started[-1][1].returncode = 1
    workers.keep()
    clock.now += 60


def test_three_quick_deaths_in_a_row_are_enough(started, clock):
    workers = borrowed.Workers(clock=clock)
    die(workers, started, clock, after=5)
    die(workers, started, clock, after=5)
    with pytest.raises(borrowed.WorkersFailed, match=r"ended 3 times .* \(exit code 1\).*--check"):
        die(workers, started, clock, after=5)
    assert len(started) == 3


def test_a_death_after_a_long_life_begins_the_count_anew(started, clock):
    workers = borrowed.Workers(clock=clock)
    for _ in range(2):
        die(workers, started, clock, after=5)
        die(workers, started, clock, after=3600)
    assert len(started) == 4


@pytest.mark.parametrize(("lived", "number"), [(1, signal.SIGTERM), (30, signal.SIGINT)], ids=["starting", "working"])
def test_a_process_that_is_still_starting_is_ended_without_a_traceback(started, clock, lived, number):
    workers = borrowed.Workers(clock=clock)
    workers.keep()
    clock.now += lived
    workers.stop()
    assert started[0][1].signals == [number]


def test_the_workers_of_others_are_left_alone(started):
    somebody_works()
    with borrowed.borrowed_workers() as workers:
        assert not workers.are_ours
    assert not started


@pytest.mark.parametrize(("asked", "given"), [(None, None), (1, "1"), (4, "4"), (1_000_000, "6")])
def test_no_more_are_started_than_the_limits_let_work(started, asked, given):
    Limits.objects.update_or_create(pk=1, defaults={"max_concurrent_channels": 3, "max_concurrent_videos_per_channel": 2})
    with borrowed.borrowed_workers(max_concurrent=asked):
        command, _ = started[0]
    assert (command[-1] if "--max-concurrent" in command else None) == given
