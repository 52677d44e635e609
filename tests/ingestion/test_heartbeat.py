from datetime import timedelta

import pytest
from django.db import OperationalError
from django.db.models.functions import Now

from ingestion import heartbeat as module
from ingestion import leases
from ingestion.heartbeat import Heartbeat, Stopped
from ingestion.models import Attempt, LiveProgress
from tests.factories import make_session, make_video
from videos.models import Video

pytestmark = pytest.mark.django_db


@pytest.fixture
def clock(monkeypatch):
    """The boot clock, turned by hand."""
    now = [1000.0]
    monkeypatch.setattr(module, "_boot_clock", lambda: now[0])
    return now


@pytest.fixture
def heart(clock):
    make_video(session=make_session())
    return Heartbeat(leases.claim("w"))


def test_a_beat_lengthens_the_lease(heart):
    Video.objects.update(lease_expires_at=Now() + timedelta(seconds=1))
    assert heart._beat()
    assert Video.objects.filter(lease_expires_at__gt=Now() + timedelta(seconds=20)).exists()
    heart.check()


def test_a_host_that_slept_longer_than_the_lease_stops_before_it_writes(heart, clock):
    clock[0] += 31
    with pytest.raises(Stopped, match="lost"):
        heart.progress(1, 2)


def test_a_lost_claim_stops_the_download(heart):
    Video.objects.update(lease_expires_at=Now() - timedelta(seconds=1))
    leases.reap()
    heart._beat()
    with pytest.raises(Stopped, match="lost"):
        heart.check()


@pytest.mark.parametrize("told", ["pause", "cancel"])
def test_staffs_word_reaches_the_download_with_the_beat(heart, told):
    Attempt.objects.update(stop=told)
    heart._beat()
    with pytest.raises(Stopped, match=told):
        heart.check()


def test_a_stop_of_the_workers_reaches_the_download_at_once(clock):
    make_video()
    heart = Heartbeat(leases.claim("w"), shutting_down=lambda: True)
    with pytest.raises(Stopped, match="shutdown"):
        heart.check()


def test_a_silent_database_is_borne_until_the_lease_is_nearly_over(heart, clock, monkeypatch):
    def silent():
        raise OperationalError

    monkeypatch.setattr(heart, "_renew", silent)
    monkeypatch.setattr(module.connection, "close", lambda: None)
    clock[0] += 20
    assert not heart._beat()
    heart.check()
    clock[0] += 5
    assert not heart._beat()
    with pytest.raises(Stopped, match="lost"):
        heart.check()


def test_progress_is_written_once_for_each_change(heart, django_assert_num_queries):
    heart.progress(5, 10)
    heart._write_progress()
    assert LiveProgress.objects.values_list("bytes_done", "bytes_total").get() == (5, 10)
    with django_assert_num_queries(0):
        heart._write_progress()


def test_a_download_whose_bytes_stand_still_ends_its_process(heart, monkeypatch):
    killed, now = [], [5000.0]
    monkeypatch.setattr(module.os, "kill", lambda pid, signal: killed.append(signal))
    monkeypatch.setattr(module.time, "monotonic", lambda: now[0])
    heart.progress(1, 2)
    now[0] += module.STALL_SECONDS + 1
    heart.progress(2, 2)
    heart._end_if_stalled()
    assert killed == [], "bytes moved"
    now[0] += module.STALL_SECONDS + 1
    heart.progress(2, 2)
    heart._end_if_stalled()
    assert killed == [9], "called, but nothing moved"


def test_a_wait_that_is_meant_is_no_stall(heart, monkeypatch):
    killed, now = [], [5000.0]
    monkeypatch.setattr(module.os, "kill", lambda pid, signal: killed.append(signal))
    monkeypatch.setattr(module.time, "monotonic", lambda: now[0])
    now[0] += module.STALL_SECONDS + 1
    heart.check()
    heart._end_if_stalled()
    assert killed == []
