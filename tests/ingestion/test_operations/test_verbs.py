"""What the verbs do to their rows and to what hangs on them, and what they tell of it."""

import pytest
from django.utils import timezone

from ingestion import leases
from ingestion.models import DownloadSession
from people.models import Channel
from tests.factories import make_asset, make_channel, make_scan, make_session, make_video
from tests.ingestion.test_operations.steps import done, tell
from videos.models import Video

pytestmark = pytest.mark.django_db


def test_who_asked_may_be_gone_by_then():
    session = make_session()
    done("pause", DownloadSession.objects.all())
    session.refresh_from_db()
    assert session.state_reason == "Paused."


def test_a_stored_video_whose_assets_are_given_up_is_counted(user):
    make_asset(video=make_video(status="stored"))
    assert tell(done("cancel", Video.objects.all(), user)) == "1 video cancelled. 1 asset given up."


def test_scans_and_assets_of_what_is_cancelled_are_told(user):
    channel = make_channel()
    make_scan(channel=channel)
    make_asset(video=make_video(channel=channel, status="stored"))
    assert tell(done("cancel", Channel.objects.all(), user)) == "1 channel cancelled. 1 scan and 1 asset given up."


def test_what_goes_first_is_claimed_first():
    old, wanted = make_video(), make_video(next_attempt_at=timezone.now())
    done("prioritise", Video.objects.filter(pk=wanted.pk))
    assert leases.claim("w").video_id == wanted.pk != old.pk
    assert tell(done("in_turn", Video.objects.all())) == "1 video will go in turn. 1 left alone: it is over, or goes in turn already."


def test_storing_again_keeps_what_is_stored_until_then():
    video = make_video(status="stored")
    done("store_again", Video.objects.all())
    video.refresh_from_db()
    assert (video.status, video.storage_key != "") == ("pending", True)
    done("cancel", Video.objects.all())
    video.refresh_from_db()
    assert video.status == "stored"


def test_looking_for_new_videos_tells_the_sessions_it_made(user):
    channel = make_channel()
    operation = done("look_for_new_videos", Channel.objects.all(), user)
    session = DownloadSession.objects.get()
    assert [scan.channel for scan in session.scans.all()] == [channel]
    assert operation.notes == [{"model": "ingestion.downloadsession", "pk": session.pk, "text": f"Session {session.pk}"}]
