"""The page of a session: its files and assets, what it waits for, what it is offered."""

from datetime import timedelta

import pytest
from django.utils import timezone

from ingestion.models import Worker
from ingestion.roster import SUPERVISOR
from tests.factories import make_asset, make_session, make_video
from tests.pages import choose, make_download, offered, page_of, press, said, words_of
from videos.models import Asset, Video

pytestmark = pytest.mark.django_db
LATER = timedelta(hours=1)


def test_a_sessions_page_counts_assets_and_tries_failed_ones_again(admin_client):
    session = make_session(state="finished", finished_at=timezone.now())
    video = make_video(session=session, status="stored")
    for language, fields in {
        "en": {"status": "stored"},
        "de": {"status": "failed", "error_kind": "network"},
        "fr": {"status": "failed", "error_kind": "cancelled"},
        "es": {"status": "absent"},
    }.items():
        make_asset(video=video, session=session, kind="subtitles", language=language, ext="vtt", **fields)
    words = words_of(admin_client.get(page_of(session)))
    for part in ("Stored 1", "Failed 1", "Cancelled 1", "YouTube has none 1"):
        assert part in words
    assert said(press(admin_client, "retry_assets", session)) == ["2 assets of 1 download session will be tried again."]
    session.refresh_from_db()
    assert (session.state, session.finished_at) == ("running", None)
    assert Asset.objects.filter(status="pending", error_kind="").count() == 2


def test_retrying_assets_where_none_failed_says_so(admin_client):
    session = make_session(state="finished")
    make_asset(session=session)
    assert said(choose(admin_client, "retry_assets", [session])) == ["No asset will be tried again. 1 left alone: nothing of it failed."]
    session.refresh_from_db()
    assert session.state == "finished"


def test_a_sessions_page_says_what_kind_of_files_there_are_whatever_was_asked_for(admin_client):
    session = make_session(options={"container": "webm"})
    for container in ("webm", "webm", "mkv"):
        make_video(session=session, status="stored", container=container)
    words = words_of(admin_client.get(page_of(session)))
    assert "2 webm, 1 mkv. Asked for was webm: what YouTube offered of 1 video fits into another kind of file only." in words
    sound = make_session(options={"quality": "audio"})
    make_video(session=sound, status="stored", container="m4a")
    assert "1 m4a." in words_of(admin_client.get(page_of(sound)))
    assert "Asked for was" not in words_of(admin_client.get(page_of(sound)))


def test_a_sessions_page_says_that_nobody_works_or_when_it_goes_on(admin_client):
    session = make_session()
    make_video(session=session, next_attempt_at=timezone.now() + LATER)
    assert "No worker is running" in words_of(admin_client.get(page_of(session)))
    Worker.objects.create(name="host:supervisor:1", queue=SUPERVISOR)
    assert "What is left is tried again from" in words_of(admin_client.get(page_of(session)))
    Video.objects.update(next_attempt_at=timezone.now())
    assert "what it waits for" not in admin_client.get(page_of(session)).text.lower()


def test_a_session_is_offered_what_can_do_something_for_it(admin_client):
    over = make_session(state="finished")
    make_video(session=over, status="stored")
    assert offered(admin_client, over) == set()
    make_video(session=over, status="failed")
    assert offered(admin_client, over) == {"retry_failed"}
    assert offered(admin_client, make_session(state="paused")) == {"resume", "cancel"}
    assert offered(admin_client, make_session(state="cancelled")) == {"resume"}
    going = make_video(session=make_session()).session
    assert offered(admin_client, going) == {"pause", "cancel"}
    make_download(session=going)
    assert offered(admin_client, going) == {"pause", "pause_now", "cancel", "cancel_now"}
