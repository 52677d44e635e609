"""What holds for every page of the archive: it takes few queries and speaks in staff's words."""

import re
import uuid

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test.utils import CaptureQueriesContext

from ingestion.models import Limits, Worker
from ingestion.roster import SUPERVISOR
from tests.factories import make_asset, make_attempt, make_channel, make_person, make_scan, make_session, make_video
from tests.pages import list_of, make_download, page_of, words_of
from videos.models import Video

pytestmark = pytest.mark.django_db
MOST_QUERIES = 10


def make_archive():
    """A person with two channels, a session of all kinds of rows, and a worker."""
    person, user = make_person(), User.objects.first()
    session = make_session(created_by=user)
    for channel in (make_channel(person=person), make_channel(person=person)):
        make_scan(session=session, channel=channel, state="done", seen=3, expected=5)
        for status in ("stored", "failed", "unavailable", "pending"):
            video = make_video(channel=channel, session=session, status=status)
            make_attempt(video=video, session=session, outcome="failed", error_kind="network", error_message="reset")
            make_asset(video=video, session=session, status="failed", error_kind="network")
        make_download(channel=channel, session=session)
    Worker.objects.get_or_create(name="host:supervisor:1", queue=SUPERVISOR, host="host")
    return Video.objects.filter(status="stored").first()


def queries_of(client, page: str) -> list[str]:
    with CaptureQueriesContext(connection) as queries:
        assert client.get(page).status_code == 200
    return [query["sql"] for query in queries]


# --- what it costs


PAGES = ["video", "channel", "person", "video_list", "channel_list", "person_list", "scan_list", "attempt_list", "session_list"]


@pytest.mark.parametrize("page", PAGES)
def test_a_page_takes_few_queries_and_no_more_where_there_is_more(admin_client, page):
    video, *_ = [make_archive() for _ in range(3)]
    rows = {"video": video, "channel": video.channel, "person": video.person, "session": video.session}
    scan, attempt = video.channel.scans.get(), video.tries.get()
    lists = {f"{name}_list": list_of(type(row)) for name, row in {**rows, "scan": scan, "attempt": attempt}.items()}
    address = lists.get(page) or page_of(rows[page])
    admin_client.get(address)
    few = queries_of(admin_client, address)
    assert len(few) <= MOST_QUERIES, "\n".join(few)
    for _ in range(2):
        make_archive()
        make_video(channel=video.channel, session=video.session, status="failed")
        make_attempt(video=video)
        make_asset(video=video, kind="subtitles", language=uuid.uuid4().hex[:8], session=make_session())
        make_scan(channel=video.channel)
        make_channel(person=video.person)
    assert len(queries_of(admin_client, address)) == len(few)


# --- words


JARGON = ("row_id", "not_live", "part size", "lease", "backoff", "budgets", "live status", "raw message", "wanted", "external", "canonical")


def test_no_page_speaks_of_internals(admin_client):
    video = make_archive()
    Video.objects.filter(pk=video.pk).update(live_status="not_live", availability="public", part_size=8 << 20, view_count=1234)
    failed = Video.objects.filter(status="failed").first()
    rows = (video, failed, video.channel, video.person, video.session, video.channel.scans.get(), failed.tries.get(), Limits.row())
    for page in (*map(page_of, rows), *{list_of(type(row)) for row in rows[:-1]}):
        shown = words_of(admin_client.get(page)).lower()
        assert [word for word in JARGON if re.search(rf"\b{word}\b", shown)] == [], page


def test_every_limit_says_what_it_is_for(admin_client):
    form = admin_client.get(page_of(Limits.row())).context["adminform"].form
    assert form.fields and all(field.help_text for field in form.fields.values())
    assert not any("MASSDL_" in str(field.help_text) for field in form.fields.values())
