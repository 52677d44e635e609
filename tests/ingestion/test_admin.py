import re
from datetime import timedelta

import pytest
from django.contrib import admin
from django.contrib.auth.models import User
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from ingestion import streams
from ingestion.admin import attempts
from ingestion.models import Attempt, Budget, DownloadSession, Scan, Worker
from tests.factories import make_asset, make_attempt, make_channel, make_scan, make_session, make_video
from tests.pages import choose, make_download, page_of, said, staff_with
from videos.models import Asset, Video

pytestmark = pytest.mark.django_db

SESSIONS = reverse("admin:ingestion_downloadsession_changelist")
ATTEMPTS = reverse("admin:ingestion_attempt_changelist")
INDEX = reverse("admin:index")
HOLDING = {"pause", "pause_now", "resume"}
STEERING = HOLDING | {"cancel", "cancel_now"}
RETRYING = {"retry_failed", "retry_assets"}


def make_everything() -> None:
    problem = {"source": "people.csv", "row": 7, "value": "<b>nowhere</b>", "message": "No address of a channel."}
    session = make_session(problems=[problem], created_by=User.objects.first(), options={"quality": "1080p"})
    make_scan(session=session, state="failed", error_kind="terminated", error_message="This account has been terminated")
    for status in ("stored", "failed", "unavailable"):
        make_attempt(video=make_video(session=session, status=status), session=session, outcome="failed", error_kind="network")
    make_download(session=session)
    Budget.objects.create(identity="guest", open_until=timezone.now() + timedelta(hours=1), open_reason="bot_check")
    Worker.objects.create(name="host:supervisor:1", queue="download")


REGISTERED = sorted(admin.site._registry, key=lambda model: model._meta.label)


@pytest.mark.parametrize("model", REGISTERED, ids=lambda model: model._meta.label)
def test_every_page_of_the_admin_renders(admin_client, model):
    make_everything()
    name = f"admin:{model._meta.app_label}_{model._meta.model_name}"
    assert admin_client.get(reverse(f"{name}_changelist"), follow=True).status_code == 200
    for row in model._default_manager.all()[:5]:
        assert admin_client.get(page_of(row)).status_code == 200


@pytest.mark.parametrize("name", ["django_q_success", "django_q_failure", "django_q_schedule", "django_q_ormq"])
def test_the_queues_own_pages_are_hidden(name):
    assert name not in {f"{model._meta.app_label}_{model._meta.model_name}" for model in admin.site._registry}


@pytest.mark.parametrize("model", [Attempt, Scan, DownloadSession, Video], ids=lambda model: model._meta.label)
def test_lists_cost_the_same_for_2_and_30_rows(admin_client, model):
    url = reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_changelist")

    def grow(rows: int) -> None:
        for _ in range(rows):
            session = make_session(created_by=User.objects.first())
            make_attempt(video=make_video(session=session, status="failed"), session=session)
            make_scan(session=session)

    grow(2)
    admin_client.get(url)
    with CaptureQueriesContext(connection) as few:
        admin_client.get(url)
    grow(22)
    with CaptureQueriesContext(connection) as many:
        assert len(admin_client.get(url).context["cl"].result_list) == 24
    assert len(few) == len(many)


def test_a_sessions_page_costs_the_same_for_2_and_30_channels(admin_client):
    session = make_session()

    def grow(rows: int) -> None:
        for _ in range(rows):
            make_scan(session=session, state="failed")
            make_video(session=session, status="failed")

    grow(2)
    admin_client.get(page_of(session))
    with CaptureQueriesContext(connection) as few:
        admin_client.get(page_of(session))
    grow(28)
    with CaptureQueriesContext(connection) as many:
        admin_client.get(page_of(session))
    assert len(few) == len(many)


@pytest.mark.parametrize("model", [Attempt, Scan, Budget, Worker], ids=lambda model: model._meta.label)
def test_nobody_adds_edits_or_deletes_what_workers_write(admin_client, model):
    make_everything()
    name = f"admin:ingestion_{model._meta.model_name}"
    row = model.objects.first()
    assert admin_client.get(reverse(f"{name}_add")).status_code == 403
    assert admin_client.post(page_of(row), {}).status_code == 403
    assert admin_client.post(reverse(f"{name}_delete", args=[row.pk]), {"post": "yes"}).status_code == 403


GOOGLE = "https://storage.googleapis.com/upload/storage/v1/b/videos/o?uploadType=resumable&upload_id=ABSOLUTELY-SECRET"
PARTS = {str(number): {"size": 8 << 20, "crc32": 1, "sha256": "MTIz", "etag": '"5d41"'} for number in (1, 2, 3)}
ONE = {"upload_id": GOOGLE, "key": "ann-1/UC1/abc/u-1.mp4", "part_size": 8 << 20, "facts": {"way": "mux"}, "parts": PARTS, "sending": {}}
TRACK = {"key": "ann-1/UC1/abc/u-1.picture.mp4", "facts": {}, "stored": {"key": "ann-1/UC1/abc/u-1.picture.mp4", "size": 5 << 30}}
BEGUN = [
    (ONE, [["Video", "Picture + sound", "ann-1/UC1/abc/u-1.mp4", "3", "24.0\xa0MB"]]),
    (
        {"uploads": {"picture": TRACK, "sound": {**ONE, "key": "ann-1/UC1/abc/u-1.sound.m4a", "parts": {}}}},
        [
            ["Picture", "Track by track", "ann-1/UC1/abc/u-1.picture.mp4", "all", "5.0\xa0GB"],
            ["Sound", "Track by track", "ann-1/UC1/abc/u-1.sound.m4a", "0", "0\xa0bytes"],
        ],
    ),
    (None, []),
]


@pytest.mark.parametrize(("upload", "rows"), BEGUN, ids=["one", "tracks", "none"])
def test_an_attempt_tells_what_it_has_uploaded_and_never_by_what_address(admin_client, upload, rows):
    text = admin_client.get(page_of(make_attempt(upload=upload))).text
    cells = re.findall(r"<td[^>]*>(.*?)</td>", text, re.DOTALL)
    shown = [re.sub(r"<[^>]+>", "", cell).strip() for cell in cells]
    for row in rows:
        assert any(shown[start : start + 5] == row for start in range(len(shown))), shown
    for secret in ("ABSOLUTELY-SECRET", "upload_id", "5d41", "MTIz"):
        assert secret not in text


def test_the_list_of_sessions_says_how_far_each_is(admin_client):
    session = make_session()
    make_scan(session=session, state="running")
    for status in ("stored", "pending", "failed", "unavailable"):
        make_video(session=session, status=status)
    empty = make_session()
    page = admin_client.get(SESSIONS)
    tallies = {row.pk: row.tally for row in page.context["cl"].result_list}
    assert (tallies[session.pk].in_words(), tallies[session.pk].waiting, tallies[session.pk].refused) == ("1 of 4 so far", 1, 2)
    assert tallies[empty.pk].in_words() == "no videos"
    assert "1 of 4 so far" in page.text


def test_a_sessions_page_shows_refused_rows_running_downloads_and_advice(admin_client):
    make_everything()
    text = admin_client.get(page_of(DownloadSession.objects.get())).text
    assert "&lt;b&gt;nowhere&lt;/b&gt;" in text
    assert "<b>nowhere" not in text
    assert "45 %" in text
    assert "YouTube closed the account." in text
    assert "ask the person for a new channel" in text
    assert "Quality 1080p" in text


def test_many_refused_rows_are_cut_and_counted(admin_client):
    session = make_session(problems=[{"source": "s.csv", "row": n, "value": "", "message": "No."} for n in range(203)])
    assert "3 more" in admin_client.get(page_of(session)).text


@pytest.mark.parametrize(
    ("action", "states", "sentence", "after"),
    [
        pytest.param(
            "pause",
            ["running", "running", "finished"],
            "2 download sessions paused. 1 left alone: it was not running.",
            ["paused", "paused", "finished"],
            id="pause",
        ),
        pytest.param(
            "pause_now",
            ["running", "paused", "cancelled"],
            "1 download session paused. 2 left alone: they were not running.",
            ["paused", "paused", "cancelled"],
            id="pause now",
        ),
        pytest.param(
            "cancel",
            ["running", "paused", "finished"],
            "2 download sessions cancelled. 1 left alone: it was over already.",
            ["cancelled", "cancelled", "finished"],
            id="cancel",
        ),
        pytest.param(
            "cancel_now",
            ["finished", "cancelled"],
            "No download session cancelled. 2 left alone: they were over already.",
            ["finished", "cancelled"],
            id="cancel now",
        ),
        pytest.param(
            "resume",
            ["paused", "finished", "cancelled"],
            "2 download sessions will go on. 1 left alone: it was neither paused nor cancelled.",
            ["running", "finished", "running"],
            id="resume",
        ),
    ],
)
def test_sessions_are_paused_resumed_and_cancelled(admin_client, action, states, sentence, after):
    sessions = [make_session(state=state) for state in states]
    assert said(choose(admin_client, action, sessions)) == [sentence]
    assert list(DownloadSession.objects.order_by("pk").values_list("state", flat=True)) == after


def test_a_pause_says_who_paused_and_a_resume_forgets_it(admin_client):
    session = make_session()
    choose(admin_client, "pause", [session])
    session.refresh_from_db()
    assert session.state_reason == "Paused by admin."
    choose(admin_client, "resume", [session])
    session.refresh_from_db()
    assert session.state_reason == ""


def test_pausing_a_list_filtered_by_state_counts_rightly(admin_client):
    sessions = [make_session() for _ in range(2)]
    assert said(choose(admin_client, "pause", sessions, query="?state__exact=running")) == ["2 download sessions paused."]


def test_failed_videos_of_sessions_are_tried_again_and_finished_sessions_go_on(admin_client):
    finished, paused, fine = make_session(state="finished", finished_at=timezone.now()), make_session(state="paused"), make_session()
    for session in (finished, finished, paused):
        make_video(session=session, status="failed")
    for status in ("unavailable", "skipped", "stored"):
        make_video(session=fine, status=status)
    elsewhere = make_video(session=make_session(), status="failed")
    response = choose(admin_client, "retry_failed", [finished, paused, fine])
    assert said(response) == ["3 videos of 2 download sessions will be tried again. 1 left alone: nothing of it failed."]
    assert Video.objects.filter(status="pending").count() == 3
    elsewhere.refresh_from_db()
    assert elsewhere.status == "failed"
    finished.refresh_from_db()
    paused.refresh_from_db()
    assert (finished.state, finished.finished_at, paused.state) == ("running", None, "paused")


def test_retrying_where_nothing_failed_says_so(admin_client):
    sentence = "No video will be tried again. 1 left alone: nothing of it failed."
    assert said(choose(admin_client, "retry_failed", [make_session()])) == [sentence]


@pytest.mark.parametrize(
    ("codenames", "offered"),
    [
        pytest.param(["view_downloadsession"], set(), id="viewer"),
        pytest.param(["view_downloadsession", "change_video"], set(), id="may change videos only"),
        pytest.param(["view_downloadsession", "change_downloadsession"], HOLDING, id="may change sessions only"),
        pytest.param(["view_downloadsession", "change_downloadsession", "change_video"], STEERING | RETRYING, id="may change both"),
    ],
)
def test_actions_are_offered_to_those_who_may_run_them(client, codenames, offered):
    session = make_session()
    make_video(session=session, status="failed")
    make_video(session=session, next_attempt_at=timezone.now() + timedelta(hours=1))
    make_download(session=session)
    make_asset(session=session, status="failed", error_kind="network")
    client.force_login(staff_with(*codenames))
    for page in (SESSIONS, page_of(session)):
        text = client.get(page).text
        assert {name for name in STEERING | RETRYING if f'value="{name}"' in text} == offered
    for name in (STEERING | RETRYING) - offered:
        choose(client, name, [session])
    session.refresh_from_db()
    assert "pause" in offered or session.state == "running"
    assert "retry_failed" in offered or Video.objects.filter(status="failed").exists()
    assert "retry_assets" in offered or Asset.objects.filter(status="failed").exists()


def test_a_videos_page_shows_its_attempts(admin_client):
    video = make_video(status="failed", error_kind="network")
    make_attempt(video=video, outcome="failed", error_kind="network", error_message="<b>reset</b> by peer")
    text = admin_client.get(page_of(video)).text
    assert "&lt;b&gt;reset&lt;/b&gt; by peer" in text
    assert "The connection to YouTube failed." in text


def test_a_running_download_shows_how_far_it_is(admin_client):
    video = make_download()
    assert "Running 45 %" in admin_client.get(page_of(video)).text
    assert "Running 45 %" in admin_client.get(ATTEMPTS).text


@pytest.mark.parametrize(
    ("query", "found"),
    [
        pytest.param({"outcome": "running"}, 1, id="running"),
        pytest.param({"outcome": "failed"}, 1, id="failed"),
        pytest.param({"error_kind": "network"}, 1, id="error"),
        pytest.param({"way": "mux"}, 1, id="way"),
        pytest.param({"q": "algebra"}, 2, id="title"),
        pytest.param({"q": "dQw4w9WgXcQ"}, 2, id="YouTube id"),
        pytest.param({"q": "poetry"}, 0, id="nothing found"),
        pytest.param({"q": " "}, 3, id="no search"),
    ],
)
def test_attempts_are_filtered_and_found(admin_client, query, found):
    video = make_video(title="Algebra", external_id="dQw4w9WgXcQ")
    make_attempt(video=video, outcome="failed", error_kind="network")
    make_attempt(video=video)
    make_attempt(outcome="stored", way="mux")
    assert len(admin_client.get(ATTEMPTS, query).context["cl"].result_list) == found


def test_every_way_of_the_streams_has_a_name_for_staff():
    assert set(attempts.WAYS) == set(streams.WAYS)


def test_an_attempt_tells_what_its_error_means(admin_client):
    attempt = make_attempt(outcome="unavailable", error_kind="members_only", error_message="Join this channel")
    text = admin_client.get(page_of(attempt)).text
    assert "Only paying members" in text
    assert "MASSDL_COOKIES_FILE" in text
    assert "Join this channel" in text


def test_videos_are_filtered_by_session(admin_client):
    session = make_session()
    make_video(session=session)
    make_video()
    found = admin_client.get(reverse("admin:videos_video_changelist"), {"session__id__exact": session.pk})
    assert len(found.context["cl"].result_list) == 1


def test_a_channel_title_in_a_scan_is_escaped(admin_client):
    make_scan(channel=make_channel(title="<script>alert(1)</script>"))
    assert "<script>alert(1)" not in admin_client.get(reverse("admin:ingestion_scan_changelist")).text
