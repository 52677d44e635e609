"""What a grave button says before it does anything: how much, and what becomes of what runs."""

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from ingestion.admin.bulk_actions import to_be_downloaded
from ingestion.models import Limits
from tests.factories import make_channel, make_session, make_video
from tests.pages import make_download, page_of, staff_with

pytestmark = pytest.mark.django_db

OWED = "All that is still owed is given up and not downloaded: videos, scans and assets."
VIDEO = "What is still to be downloaded is given up, with the assets that wait. A retry brings it back."
AGAIN = "A retry in the list of videos brings the videos back; to look for new ones lists the channel again."


@pytest.fixture
def rows():
    """A session and a channel with a running, a waiting and a stored video, and one video of others."""
    session, channel = make_session(), make_channel()
    running = make_download(session=session, channel=channel)
    make_video(session=session, channel=channel)
    make_video(session=session, channel=channel, status="stored")
    make_video()
    return {"session": session, "channel": channel, "video": running, "everything": Limits.row()}


def test_a_page_that_asks_has_the_dialog_and_its_script(admin_client, rows):
    text = admin_client.get(page_of(rows["session"])).text
    assert text.count("massdl/confirm.js") == text.count('<dialog id="confirmation"') == 1


def warnings(client, row) -> dict[str, str]:
    """Of each button of the row's page that asks."""
    buttons = client.get(page_of(row)).context["page_actions"]["buttons"]
    return {button["name"]: button["attrs"]["data-confirm"] for button in buttons if button["attrs"]}


@pytest.mark.parametrize(
    ("kind", "videos", "becomes"),
    [
        ("session", "2 videos are", f"{OWED} Resume brings all of it back."),
        ("channel", "2 videos are", f"{OWED} {AGAIN}"),
        ("video", "1 video is", VIDEO),
    ],
)
def test_a_button_that_cancels_says_how_many_videos_it_gives_up_and_what_brings_them_back(admin_client, rows, kind, videos, becomes):
    given_up = f"{videos} still to be downloaded. {becomes}"
    assert warnings(admin_client, rows[kind]) == {
        "cancel": f"{given_up} What runs may finish.",
        "cancel_now": f"{given_up} What runs is stopped within seconds.",
    }


def test_the_question_names_the_row_and_the_answer_cannot_be_taken_for_going_back(admin_client, rows):
    buttons = admin_client.get(page_of(rows["session"])).context["page_actions"]["buttons"]
    asked = {button["name"]: button["attrs"] for button in buttons if button["attrs"]}
    said = {name: (attrs["data-confirm-title"], attrs["data-confirm-yes"]) for name, attrs in asked.items()}
    session = str(rows["session"])
    assert said == {"cancel": (f"Cancel {session}?", "Yes, cancel"), "cancel_now": (f"Cancel {session} at once?", "Yes, cancel now")}


def test_the_buttons_for_everything_say_that_it_is_about_all(admin_client, rows):
    told = warnings(admin_client, rows["everything"])
    assert set(told) == {"cancel_everything", "cancel_everything_now"}
    assert told["cancel_everything"].startswith(
        "3 videos are still to be downloaded. All that is still owed, of all sessions, channels and hosts"
    )
    assert "To resume a session brings back what is its own." in told["cancel_everything_now"]
    assert "stopped within seconds" in told["cancel_everything_now"] and "may finish" in told["cancel_everything"]


def test_a_page_with_nothing_to_ask_has_no_dialog(admin_client, rows):
    assert "confirm.js" in admin_client.get(page_of(rows["session"])).text
    assert "confirm.js" not in admin_client.get(page_of(rows["session"]).replace("change/", "history/")).text


def test_who_may_not_cancel_is_asked_nothing_and_nothing_is_counted(client, rows):
    client.force_login(staff_with("view_channel"))
    with CaptureQueriesContext(connection) as queries:
        page = client.get(page_of(rows["channel"]))
    assert page.context["page_actions"]["buttons"] == [] and "confirm.js" not in page.text
    assert not [query for query in queries if "COUNT" in query["sql"] and "'downloading'" in query["sql"]]


@pytest.mark.parametrize(("videos", "told"), [(0, "No video is"), (1, "1 video is"), (2, "2 videos are"), (1234, "1,234 videos are")])
def test_the_number_is_told_whatever_it_is(videos, told):
    assert to_be_downloaded(videos) == f"{told} still to be downloaded."


def test_what_failed_or_was_cancelled_is_not_to_be_downloaded(admin_client, rows):
    for status in ("failed", "unavailable", "skipped"):
        make_video(session=rows["session"], channel=rows["channel"], status=status)
    for kind in ("session", "channel"):
        assert warnings(admin_client, rows[kind])["cancel"].startswith("2 videos are still to be downloaded.")
