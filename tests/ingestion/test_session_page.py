"""The page of a session: what it shows, what it asks again every few seconds, and what that costs."""

import re
import uuid
from datetime import timedelta

import pytest
from django.contrib.auth.models import Permission, User
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from ingestion.admin import session_words
from ingestion.models import DownloadSession, Limits, Worker
from ingestion.progress import session_progress
from ingestion.roster import SUPERVISOR
from tests.factories import make_asset, make_channel, make_scan, make_session, make_video
from tests.pages import make_download, page_of, staff_with
from videos.models import Video

pytestmark = pytest.mark.django_db

LATER = timedelta(hours=1)
MOST_QUERIES = 10
REFUSED = {"source": "s.csv", "row": 3, "value": "<b>x", "message": "No channel."}


@pytest.fixture(autouse=True)
def limits():
    Worker.objects.create(name="host:supervisor:1", queue=SUPERVISOR)
    return Limits.row()


def live_of(session) -> str:
    return reverse("admin:ingestion_downloadsession_progress", args=[session.pk])


def told(client, session) -> dict:
    return client.get(live_of(session)).json()


def facts(client, session) -> dict[str, str]:
    return {row["key"]: row["text"] for row in told(client, session)["facts"]}


def live_address(client, session) -> str:
    """The one that the page asks."""
    return re.search(r'data-live="([^"]*)"', client.get(page_of(session)).text)[1].replace("&amp;", "&")


def make_busy(session) -> None:
    """Some of all that a session may have."""
    for state in ("active", "paused"):
        channel = make_channel(state=state)
        make_scan(session=session, channel=channel, state="done", seen=9, already_stored=1, left_alone={"removed": 1})
        for status in ("stored", "failed", "unavailable", "pending"):
            make_asset(video=make_video(session=session, channel=channel, status=status), session=session)
        make_video(session=session, channel=channel, wanted="pause")
        make_download(session=session, channel=channel)
    make_scan(session=session, state="failed", error_kind="terminated")
    make_asset(video=make_video(status="stored"), session=session, status="failed", error_kind="network")


def queries_of(client, address: str) -> list[str]:
    """Without the savepoints, which are there for the test's own transaction."""
    with CaptureQueriesContext(connection) as asked:
        assert client.get(address).status_code == 200
    return [query["sql"] for query in asked if "SAVEPOINT" not in query["sql"]]


# --- what it costs


@pytest.mark.parametrize("address", [page_of, live_of], ids=["page", "progress"])
def test_a_session_takes_few_queries_at_any_size(admin_client, address):
    session = make_session(created_by=User.objects.first(), problems=[REFUSED])
    make_busy(session)
    admin_client.get(address(session))
    few = queries_of(admin_client, address(session))
    assert len(few) <= MOST_QUERIES, "\n".join(few)
    for _ in range(5):
        make_busy(session)
    assert len(queries_of(admin_client, address(session))) == len(few)


def test_when_the_first_may_run_is_read_from_the_index_of_the_claims(admin_client):
    session, channel = make_session(), make_channel()
    for _ in range(50):
        make_video(session=session, channel=channel)
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE videos_video")
        cursor.execute("SET LOCAL enable_seqscan = off")
        (look,) = (sql for sql in queries_of(admin_client, live_of(session)) if "jsonb_build_object" in sql)
        cursor.execute("EXPLAIN " + look.replace("%", "%%"))
        plan = "\n".join(line for (line,) in cursor.fetchall())
    assert "video_by_turn" in plan


# --- what it says


def test_the_progress_says_how_far_a_session_is(admin_client):
    session = make_session()
    make_busy(session)
    now = told(admin_client, session)
    assert (now["state"], now["percent"], now["ended"]) == ("Running", 16, False)
    assert now["done"].startswith("Stored: 2 of 12. Not stored: 4, and 1 channel")
    assert {row["key"]: row["count"] for row in now["numbers"]} == {
        "stored": "2",
        "failed": "2",
        "unavailable": "2",
        "pending": "4",
        "downloading": "2",
    }
    assert [row["done"] for row in now["running"]] == ["45 bytes of 100 bytes (45 %)"] * 2
    said = {row["key"]: row["text"] for row in now["facts"]}
    assert said["held"] == "2 videos held back: channel paused. 1 video held back: video paused."
    assert said["channels"] == "2 listed, 1 could not be listed"
    assert said["beside"] == "Waiting 8, Failed 1"
    assert (said["before"], said["left"]) == ("2 videos", "2 videos")
    assert said["size"] == "2.0 KB"


def test_the_page_shows_what_its_script_asks_for(admin_client):
    session = make_session()
    make_busy(session)
    page, now = admin_client.get(page_of(session)), told(admin_client, session)
    shown = page.context["live"]
    for name in ("state", "why", "percent", "done", "numbers", "facts", "running", "running_more", "ended"):
        assert shown[name] == now[name], name


def test_every_title_is_escaped(admin_client):
    session = make_session(source="<b>source", state_reason="<b>reason", problems=[REFUSED])
    make_download(session=session, title="<b>film")
    make_scan(session=session, channel=make_channel(title="<b>channel"))
    text = admin_client.get(page_of(session)).text
    assert not re.search(r"<b>(source|reason|film|channel|x)", text)
    assert all(f"&lt;b&gt;{word}" in text for word in ("source", "reason", "film", "channel", "x"))


def test_the_first_and_the_last_of_all_priorities_are_found():
    session, now = make_session(), timezone.now().replace(microsecond=0)
    for priority, hours in ((0, 5), (0, 9), (7, 3), (7, 4), (-2, 2), (-2, 6)):
        make_video(session=session, channel=make_channel() if hours > 5 else None, priority=priority, next_attempt_at=now + hours * LATER)
    make_video(session=session, wanted="pause", next_attempt_at=now + LATER)
    make_video(session=make_session(), next_attempt_at=now)
    progress = session_progress(session)
    assert progress.next_video_at == now + 2 * LATER
    assert max(progress.last_due) == now + 9 * LATER
    assert progress.held_videos == {"video paused": 1} and progress.has_later


def test_a_session_says_that_everything_is_paused(admin_client):
    session = make_session()
    make_video(session=session)
    make_scan(session=session)
    Limits.objects.update(paused=True)
    assert facts(admin_client, session)["held"] == "1 video held back: everything paused. 1 channel not listed: everything paused."


def test_a_scan_whose_worker_fell_silent_waits(admin_client):
    session = make_session()
    make_scan(session=session, state="running", claim_id=uuid.uuid4(), lease_owner="w", lease_expires_at=timezone.now() - LATER)
    assert facts(admin_client, session)["channels"] == "1 still to be listed"


def test_kinds_of_files_are_those_of_the_first_ones_and_say_so(admin_client, monkeypatch):
    session = make_session()
    for _ in range(3):
        make_video(session=session, status="stored", container="mp4")
    assert facts(admin_client, session)["files"] == "3 mp4."
    for module in ("session_words", "session_page"):
        monkeypatch.setattr(f"ingestion.admin.{module}.MOST_FILES", 2)
    assert session_words.MOST_FILES == 2
    assert facts(admin_client, session)["files"] == "2 mp4 (of the first 2 looked at)."


def test_nothing_is_told_of_what_there_is_not(admin_client):
    now = told(admin_client, make_session())
    assert (now["numbers"], now["facts"], now["running"], now["running_more"]) == ([], [], [], "")


def test_what_is_counted_row_by_row_is_counted_so_far_and_says_that_there_is_more(admin_client, monkeypatch):
    for module in ("session_words", "session_page"):
        monkeypatch.setattr(f"ingestion.admin.{module}.MOST_COUNTED", 2)
    session, paused = make_session(), make_channel(state="paused")
    for _ in range(3):
        make_video(session=session, channel=paused, wanted="pause")
        for status in ("stored", "failed"):
            make_asset(
                video=make_video(status="stored"), session=session, status=status, error_kind="cancelled" if status == "failed" else ""
            )
    for _ in range(2):
        make_video(session=session, wanted="pause")
    said = facts(admin_client, session)
    assert said["held"] == "3 videos held back: channel paused. 2 videos held back: video paused."
    assert said["beside"] == "Stored 2+, Failed or cancelled 2+"
    for _ in range(2):
        make_video(session=session, wanted="pause")
    assert "2+ videos held back: video paused." in facts(admin_client, session)["held"]
    whole = session_progress(session)
    assert whole.held_videos == {"channel paused": 3, "video paused": 4}
    assert whole.assets == {"stored": 3, "failed": 3} and whole.assets_cancelled == 3


# --- when it ends, and when its buttons are old


@pytest.mark.parametrize(("state", "is_live"), [("running", True), ("paused", True), ("finished", False), ("cancelled", False)])
def test_a_page_asks_again_as_long_as_something_may_change(admin_client, state, is_live):
    session = make_session(state=state)
    assert ("data-live=" in admin_client.get(page_of(session)).text) == is_live
    assert told(admin_client, session)["ended"] == (not is_live)


def test_a_cancelled_session_has_not_ended_before_its_last_download_has(admin_client):
    session = make_session(state="cancelled")
    video = make_download(session=session)
    assert not told(admin_client, session)["ended"]
    Video.objects.filter(pk=video.pk).update(status="skipped", claim_id=None, lease_owner="", lease_expires_at=None)
    assert told(admin_client, session)["ended"]


def test_buttons_that_are_not_the_right_ones_any_more_are_told_with_a_link(admin_client):
    session = make_session()
    make_video(session=session)
    address = live_address(admin_client, session)
    assert admin_client.get(address).json()["outdated"] == []
    DownloadSession.objects.update(state="paused")
    (row,) = admin_client.get(address).json()["outdated"]
    assert "since the page was loaded" in row["text"] and row["href"] == page_of(session)
    assert admin_client.get(live_address(admin_client, session)).json()["outdated"] == []


@pytest.mark.parametrize("kind", ["video", "channel"])
def test_what_has_gone_wrong_since_is_told_with_a_link(admin_client, kind):
    session = make_session()
    make_video(session=session)
    make_video(session=session, status="failed")
    address = live_address(admin_client, session)
    assert admin_client.get(address).json()["outdated"] == []
    make_video(session=session, status="unavailable") if kind == "video" else make_scan(
        session=session, state="failed", error_kind="network"
    )
    (row,) = admin_client.get(address).json()["outdated"]
    assert row["text"] == "What went wrong has changed since the page was loaded." and row["href"] == page_of(session)
    DownloadSession.objects.update(state="paused")
    (row,) = admin_client.get(address).json()["outdated"]
    assert "other buttons belong to it now. What went wrong" in row["text"]


def test_what_went_wrong_leads_to_the_videos(admin_client):
    session = make_session()
    for _ in range(2):
        make_video(session=session, status="failed", error_kind="private")
    make_scan(session=session, state="failed", error_kind="network")
    page = admin_client.get(page_of(session)).text
    address = f"{reverse('admin:videos_video_changelist')}?session__id__exact={session.pk}&amp;error_kind=private"
    assert f'href="{address}">Show the 2 videos</a>' in page
    assert "error_kind=network" not in page, "a channel is no video"
    assert admin_client.get(address.replace("&amp;", "&")).context["cl"].result_count == 2


def test_a_download_that_begins_makes_no_button_wrong(admin_client):
    session = make_session()
    make_video(session=session)
    address = live_address(admin_client, session)
    make_download(session=session)
    assert admin_client.get(address).json()["outdated"] == []


# --- who may ask


def test_the_progress_is_for_those_who_may_see_sessions(client):
    session = make_session()
    client.force_login(staff_with("view_video"))
    assert client.get(live_of(session)).status_code == 403
    assert client.post(live_of(session)).status_code == 405


def test_who_may_not_see_videos_is_not_told_what_is_being_downloaded(client):
    session = make_session()
    make_download(session=session, title="A secret film")
    user = staff_with("view_downloadsession")
    client.force_login(user)
    assert "A secret film" not in client.get(page_of(session)).text
    now = told(client, session)
    assert "running" not in now and "running_more" not in now and now["state"] == "Running"
    user.user_permissions.add(Permission.objects.get(codename="view_video"))
    assert "A secret film" in client.get(page_of(session)).text
    assert [row["title"] for row in told(client, session)["running"]] == ["A secret film"]


def test_a_session_that_is_not_there_has_no_progress(admin_client):
    assert admin_client.get(reverse("admin:ingestion_downloadsession_progress", args=[999_999])).status_code == 404


# --- what is folded away


def test_long_tables_unfold(admin_client):
    session = make_session(problems=[REFUSED] * 3)
    make_scan(session=session, channel=make_channel(title="Broken"), state="failed", error_kind="terminated")
    for _ in range(25):
        make_scan(session=session)
    text = admin_client.get(page_of(session)).text
    assert ">26 channels</summary>" in text and ">3 rows</summary>" in text and ">Terminated: 1 channel</summary>" in text
    assert "All 26 channels</a>" in text and "Broken" in text, "the failed ones come first"


def test_the_page_of_a_video_without_assets_has_no_empty_table(admin_client):
    bare, other = make_video(), make_asset(status="stored").video
    assert "Beside the video" not in admin_client.get(page_of(bare)).text
    assert "Beside the video" in admin_client.get(page_of(other)).text
