"""Pages of a person and of a channel: what is archived of them, and what a channel is offered."""

import re
from datetime import date, timedelta

import pytest
from django.urls import reverse
from django.utils import timezone

from ingestion.errors import KINDS
from ingestion.models import Limits
from people.models import ChannelAlias
from tests.factories import make_channel, make_person, make_scan, make_session, make_video
from tests.pages import make_download, offered, page_of, staff_with, words_of

pytestmark = pytest.mark.django_db
LATER = timedelta(hours=1)


# --- the page of a person


def test_a_persons_page_shows_channels_numbers_and_the_newest_videos(admin_client):
    person = make_person()
    first, second = make_channel(person=person, title="<b>First</b>"), make_channel(person=person, state="paused")
    for number in range(22):
        make_video(channel=first, title=f"Film {number:02}", status="stored", upload_date=date(2020, 1, 1) + timedelta(days=number))
    make_video(channel=second, title="Film 99", status="failed", upload_date=date(2010, 1, 1))
    make_video(title="Another person's film")
    page = admin_client.get(page_of(person))
    words = words_of(page).replace("\xa0", " ")
    assert "22 of 22" in words and "0 of 1" in words and "21.5 KB" in words
    assert re.findall(r"Film (\d\d)", words) == [f"{number:02}" for number in range(21, 1, -1)]
    assert "All 23 videos" in words and f"person__id__exact={person.pk}" in page.text
    assert "Another person" not in words
    assert "&lt;b&gt;First&lt;/b&gt;" in page.text and "<b>First" not in page.text
    add = f"{reverse('admin:people_channel_add')}?person={person.pk}"
    assert f'<p class="mt-2"><a class="text-link" href="{add}">Add a channel</a></p>' in page.text


def test_many_channels_of_a_person_are_a_click_away(admin_client):
    person = make_person()
    for _ in range(21):
        make_channel(person=person)
    make_channel()
    page = admin_client.get(page_of(person))
    every = f"{reverse('admin:people_channel_changelist')}?person__id__exact={person.pk}"
    assert every in page.text
    assert len(admin_client.get(every).context["cl"].result_list) == 21


def test_a_person_without_anything_has_a_page_and_a_new_one_a_form(admin_client):
    assert "None yet." in admin_client.get(page_of(make_person())).text
    text = admin_client.get(reverse("admin:people_person_add")).text
    assert "Number in the sheet" in text and "Archived of this person" not in text


def test_what_is_archived_is_shown_to_those_who_may_see_videos(client):
    video = make_video(title="A film", status="failed")
    client.force_login(staff_with("view_person", "view_channel"))
    for row in (video.person, video.channel):
        words = words_of(client.get(page_of(row)))
        assert "A film" not in words and "Archived of" not in words and "What went wrong" not in words


# --- the page of a channel


def test_a_channels_page_shows_listing_limits_videos_scans_and_what_failed(admin_client, limits):
    channel = make_channel(seen=30, expected=40, max_concurrent_videos=1, last_scanned_at=timezone.now())
    ChannelAlias.objects.create(channel=channel, canonical_url="https://www.youtube.com/c/ann")
    session = make_session()
    make_scan(channel=channel, session=session, state="failed", error_kind="terminated")
    for kind in ("private", "private", "network"):
        make_video(channel=channel, status="unavailable", error_kind=kind)
    make_video(channel=channel, title="Her film", status="stored")
    make_video(channel=make_channel(person=channel.person), title="Of her other channel", status="stored")
    Limits.objects.update(rescan_every_hours=24)
    page = admin_client.get(page_of(channel))
    words = words_of(page)
    for part in (
        *("30 of 40 that YouTube announced", "https://www.youtube.com/c/ann", "Her film", "All 4 videos", f"Session {session.pk}"),
        *("At most 1 video at the same time; looked at for new videos every 24 hours.", "Terminated"),
        *(KINDS["private"].advice, KINDS["network"].meaning),
    ):
        assert part in words
    assert "Of her other channel" not in words
    assert f'channel__id__exact={channel.pk}&amp;error_kind=private">2</a>' in page.text


def test_a_channel_is_offered_what_can_do_something_for_it(admin_client):
    idle, paused = make_channel(), make_channel(state="paused")
    assert offered(admin_client, idle) == {"pause", "look_for_new_videos"}
    assert offered(admin_client, paused) == {"resume"}
    busy = make_download().channel
    make_scan(channel=busy)
    assert offered(admin_client, busy) == {"pause", "pause_now", "cancel", "cancel_now"}
    waiting = make_video(next_attempt_at=timezone.now() + LATER).channel
    assert offered(admin_client, waiting) == {"pause", "resume", "cancel", "look_for_new_videos"}
    assert "look_for_new_videos" not in offered(admin_client, make_channel(kind="video"))
    assert "look_for_new_videos" not in offered(admin_client, make_channel(state="gone"))
