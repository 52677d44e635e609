"""The page of a video: its attempts, its assets, what went wrong, what it is offered."""

import re
import uuid
from datetime import timedelta

import pytest
from django.utils import timezone

from ingestion.errors import KINDS
from ingestion.models import Attempt
from tests.factories import make_asset, make_attempt, make_video
from tests.pages import list_of, make_download, offered, page_of, press, said, staff_with, words_of

pytestmark = pytest.mark.django_db
LATER = timedelta(hours=1)


# --- attempts


def test_a_videos_page_tells_its_attempts_as_a_story(admin_client):
    video = make_video(status="stored")
    began = timezone.now() - LATER
    make_attempt(
        video=video, number=1, worker="host-7:supervisor:4", outcome="retry", error_kind="network", error_message="<b>reset</b>",
        started_at=began, finished_at=began + timedelta(seconds=65), bytes_stored=0,
    )  # fmt: skip
    make_attempt(
        video=video, number=2, worker="host-8:supervisor:1", outcome="stored", way="mux",
        started_at=began, finished_at=began + timedelta(seconds=10), bytes_stored=50 << 20,
    )  # fmt: skip
    page = admin_client.get(page_of(video))
    words = words_of(page)
    assert "On host-7, took 1:05." in words
    assert "On host-8, took 0:10, 50.0 MB at 5.0 MB a second, picture + sound." in words.replace("\xa0", " ")
    assert words.index("Attempt 2") < words.index("Attempt 1")
    assert "The connection to YouTube failed. Retry; if it stays" in words
    assert "&lt;b&gt;reset" in page.text and "<details" in page.text


def test_the_newest_attempts_are_told_and_all_are_a_click_away(admin_client):
    video = make_video()
    for number in range(1, 24):
        make_attempt(video=video, number=number, outcome="handed_back")
    page = admin_client.get(page_of(video))
    told = re.findall(r"Attempt (\d+)</a>", page.text)
    assert told == [str(number) for number in range(23, 3, -1)]
    every = f"{list_of(Attempt)}?video__id__exact={video.pk}"
    assert every in page.text
    assert len(admin_client.get(every).context["cl"].result_list) == 23


def test_attempts_are_told_to_those_who_may_see_them(client):
    video = make_attempt().video
    client.force_login(staff_with("view_video"))
    assert "Attempt 1" not in client.get(page_of(video)).text


def test_an_attempts_page_is_titled_by_its_video(admin_client):
    attempt = make_attempt(video=make_video(title="A film"))
    assert "Attempt 1 at A film" in words_of(admin_client.get(page_of(attempt)))


# --- how it stands


@pytest.mark.parametrize(
    ("fields", "words", "is_red"),
    [
        ({"status": "failed", "error_kind": "network"}, "Failed", True),
        ({"status": "failed", "error_kind": "cancelled"}, "Cancelled", False),
        ({"status": "absent"}, "YouTube has none", False),
        ({"status": "stored"}, "Stored", False),
        ({"error_kind": "network"}, "Waiting for another try", False),
        ({}, "Waiting", False),
        ({"claim_id": uuid.uuid4(), "lease_owner": "w", "lease_expires_at": timezone.now()}, "In work", False),
    ],
)
def test_an_asset_says_how_it_stands_and_only_a_failed_one_in_red(admin_client, fields, words, is_red):
    page = admin_client.get(page_of(make_asset(**fields).video)).text
    *_, asset = re.findall(rf'<span class="([^"]*)"[^>]*>\s*{words}\s*</span>', page)  # the video's own state stands before
    assert ("bg-red-100" in asset) == is_red


def test_what_went_wrong_is_told_whole(admin_client):
    line = f"<i>odd</i> {'x' * 900} end-of-line"
    video = make_video(status="failed", error_kind="storage_credentials", error_message=line)
    words = words_of(admin_client.get(page_of(video)))
    kind = KINDS["storage_credentials"]
    assert kind.meaning in words and kind.advice in words and "end-of-line" in words


def test_a_video_tells_in_words_what_youtube_says_in_codes(admin_client):
    video = make_video(live_status="was_live", availability="unlisted", view_count=1234, status="stored", part_size=8 << 20)
    words = words_of(admin_client.get(page_of(video))).replace("\xa0", " ")
    for part in ("Yes, this is the recording", "Whoever has the link", "1,234", "8.0 MB"):
        assert part in words


# --- what it is offered


STAND = [
    ({}, {"pause", "skip", "cancel"}),
    ({"next_attempt_at": timezone.now() + LATER}, {"pause", "resume", "skip", "cancel"}),
    ({"wanted": "pause"}, {"resume", "skip", "cancel"}),
    ({"status": "failed"}, {"retry", "skip"}),
    ({"status": "unavailable"}, {"retry", "skip"}),
    ({"status": "skipped"}, {"retry"}),
    ({"status": "stored"}, set()),
]


@pytest.mark.parametrize(("fields", "names"), STAND)
def test_a_video_is_offered_what_can_do_something_for_it(admin_client, fields, names):
    ours = {"retry", "retry_assets", "pause", "pause_now", "resume", "skip", "cancel", "cancel_now"}
    assert offered(admin_client, make_video(**fields)) & ours == names


@pytest.mark.parametrize(("fields", "names"), [fields for fields in STAND if fields[1]])
def test_each_button_of_a_video_does_something(admin_client, fields, names):
    for name in names:
        assert not said(press(admin_client, name, make_video(**fields)))[-1].startswith("No ")


def test_a_running_video_is_offered_to_stop_and_one_with_failed_assets_to_retry_them(admin_client):
    assert {"pause", "pause_now", "cancel", "cancel_now"} <= offered(admin_client, make_download())
    assert "retry_assets" in offered(admin_client, make_asset(status="failed", error_kind="network").video)
    assert "cancel" in offered(admin_client, make_asset().video)
    assert "resume" in offered(admin_client, make_asset(next_attempt_at=timezone.now() + LATER).video)
