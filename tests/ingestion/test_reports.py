import json
from datetime import timedelta

import pytest
from django.utils import timezone

from ingestion.errors import KINDS
from ingestion.models import Attempt, Limits, LiveProgress, Scan
from ingestion.progress import session_progress
from ingestion.reports import session_report
from tests.factories import make_channel, make_session, make_video

pytestmark = pytest.mark.django_db


@pytest.fixture
def session():
    session = make_session()
    channel = make_channel()
    make_video(session=session, channel=channel, status="stored", file_size=700, storage_key="a", crc32="00000001", part_size=8)
    make_video(session=session, channel=channel, status="unavailable", error_kind="private", error_message="raw")
    make_video(session=session, channel=channel, status="pending", next_attempt_at=timezone.now() + timedelta(hours=2))
    make_video(status="stored")
    Scan.objects.create(session=session, channel=channel, state="done", seen=5, new=3, already_stored=1, left_alone={"removed": 1})
    Scan.objects.create(session=session, channel=make_channel(), state="failed", error_kind="channel_missing")
    return session


def test_progress_counts_the_sessions_own_videos_and_what_was_known_before(session):
    progress = session_progress(session)
    assert dict(progress.videos) == {"stored": 1, "unavailable": 1, "pending": 1}
    assert (progress.bytes_stored, progress.already_stored, dict(progress.left_alone)) == (700, 1, {"removed": 1})
    assert (progress.total, progress.unfinished, progress.scans_open) == (3, 1, 0)


def test_progress_costs_the_same_however_large_the_session(session, django_assert_num_queries):
    Limits.row()
    with django_assert_num_queries(4):
        session_progress(session)
    for _ in range(20):
        make_video(session=session)
    with django_assert_num_queries(4):
        session_progress(session)


def test_running_downloads_show_their_bytes(session):
    video = make_video(session=session, status="downloading", claim_id=1, lease_owner="w", lease_expires_at=timezone.now())
    attempt = Attempt.objects.create(video=video, session=session, number=1, worker="w")
    LiveProgress.objects.create(attempt=attempt, bytes_done=5, bytes_total=10)
    (running,) = session_progress(session).running
    assert (running.video_id, running.bytes_done, running.bytes_total) == (video.pk, 5, 10)


def test_a_session_with_only_far_work_left_is_not_waited_for(session):
    progress = session_progress(session)
    assert not progress.is_over
    assert progress.waits_beyond(timezone.now() + timedelta(minutes=1))
    assert not progress.waits_beyond(timezone.now() + timedelta(hours=3))


def test_all_is_stored_only_when_every_asked_video_is_there():
    session = make_session()
    make_video(session=session, status="stored")
    assert session_progress(session).all_stored
    scan = Scan.objects.create(session=session, channel=make_channel(), state="done", left_alone={"private": 1})
    assert not session_progress(session).all_stored
    scan.delete()
    Scan.objects.create(session=session, channel=make_channel(), state="failed", error_kind="network")
    assert not session_progress(session).all_stored


def test_the_report_is_json_with_every_video_and_every_kind_with_its_advice(session):
    report = json.loads(json.dumps(session_report(session)))
    assert report["totals"]["stored"] == 1 and report["totals"]["left_alone"] == 1
    assert {row["kind"]: (row["videos"], row["channels"], row["known_before"]) for row in report["failures"]} == {
        "private": (1, 0, 0),
        "removed": (0, 0, 1),
        "channel_missing": (0, 1, 0),
    }
    assert all(row["advice"] == KINDS[row["kind"]].advice for row in report["failures"])
    stored = next(video for video in report["videos"] if video["status"] == "stored")
    assert (stored["key"], stored["size"], stored["crc32"], stored["part_size"]) == ("a", 700, "00000001", 8)
    assert len(report["videos"]) == 3 and len(report["channels"]) == 2
