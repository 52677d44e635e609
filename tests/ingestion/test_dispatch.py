from datetime import timedelta

import pytest
from django.db.models.functions import Now
from django_q.models import OrmQ
from django_q.signing import SignedPackage

from ingestion import dispatch
from ingestion.models import Budget, DownloadSession, Limits, Scan
from tests.factories import make_channel, make_session, make_video
from videos.models import Video

pytestmark = pytest.mark.django_db


def rung(queue):
    return [SignedPackage.loads(message.payload)["func"] for message in OrmQ.objects.filter(key=queue)]


def test_a_wake_up_says_nothing_but_where_to_look():
    dispatch.ring(dispatch.DOWNLOADS)
    assert rung("download") == ["ingestion.tasks.download_due"]


def test_a_tick_rings_for_what_is_due_once():
    make_video(), make_video()
    Scan.objects.create(session=make_session(), channel=make_channel())
    dispatch.tick()
    dispatch.tick()
    assert (len(rung("download")), len(rung("control"))) == (2, 1)


def test_no_more_is_rung_for_than_the_limits_leave_room_for():
    Limits.objects.filter(pk=Limits.row().pk).update(max_concurrent_channels=1, max_concurrent_videos_per_channel=2)
    for _ in range(5):
        make_video()
    assert dispatch.due_videos() == 2


@pytest.mark.parametrize(
    "held",
    [
        pytest.param(lambda: Limits.objects.update(paused=True), id="the system is paused"),
        pytest.param(lambda: DownloadSession.objects.update(state="paused"), id="its session is paused"),
        pytest.param(lambda: Video.objects.update(next_attempt_at=Now() + timedelta(hours=1)), id="not yet"),
        pytest.param(
            lambda: Budget.objects.create(identity="guest", closed_until=Now() + timedelta(hours=1), closed_reason="captcha"),
            id="the breaker is closed",
        ),
    ],
)
def test_nothing_is_rung_for_what_is_held_back(held):
    Limits.row()
    make_video(session=make_session())
    held()
    assert dispatch.due_videos() == 0


def test_a_tick_takes_abandoned_videos_back():
    video = make_video(status="downloading", claim_id=1, lease_owner="dead", lease_expires_at=Now() - timedelta(seconds=1), attempts=1)
    dispatch.tick()
    video.refresh_from_db()
    assert (video.status, video.error_kind) == ("pending", "lost")


def test_a_session_is_finished_when_nothing_of_it_is_left_to_do():
    idle, scanning, downloading = make_session(), make_session(), make_session()
    Scan.objects.create(session=scanning, channel=make_channel())
    make_video(session=downloading)
    make_video(session=idle, status="stored")
    assert dispatch.finish_sessions() == 1
    states = {session.pk: session.state for session in DownloadSession.objects.all()}
    assert states == {idle.pk: "finished", scanning.pk: "running", downloading.pk: "running"}


def test_a_finished_session_runs_on_when_staff_want_its_video_again():
    session = make_session(state="finished")
    make_video(session=session, status="failed")
    assert dispatch.reopen_sessions() == 0
    Video.objects.all().retry()
    assert dispatch.reopen_sessions() == 1
    session.refresh_from_db()
    assert session.state == "running"
