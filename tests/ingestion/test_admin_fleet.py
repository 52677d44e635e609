import uuid
from datetime import timedelta

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from ingestion.models import Attempt, Budget, DownloadSession, DownloadWindow, Limits, Worker
from ingestion.operations import next_piece, work_piece
from tests.factories import make_channel, make_scan, make_session, make_video
from tests.pages import choose, list_of, make_download, page_of, press, said, send, staff_with, words_of
from videos.models import Video

pytestmark = pytest.mark.django_db

EDITED = {
    "max_concurrent_channels": 5,
    "max_concurrent_videos_per_channel": 4,
    "scan_batch_size": 100,
    "max_attempts": 7,
    "backoff_base_seconds": 2.5,
    "backoff_cap_seconds": 60.0,
    "requests_per_second": 0.5,
    "requests_per_hour": 300,
    "breaker_seconds": 90.0,
    "megabytes_per_second": 20.0,
    "max_videos_per_day": 1000,
    "max_gigabytes_per_day": 50.0,
    "rescan_every_hours": 24,
    "time_zone": "Europe/Berlin",
}


# --- limits


def test_limits_are_one_row_that_is_edited_and_never_added_or_deleted(admin_client):
    Limits.objects.all().delete()  # whoever asks first makes it anew
    shown = admin_client.get(list_of(Limits))
    limits = Limits.objects.get()
    assert shown.url == page_of(limits)
    assert admin_client.get(f"{list_of(Limits)}add/").status_code == 403
    assert admin_client.post(f"{list_of(Limits)}1/delete/", {"post": "yes"}).status_code == 403


def test_every_limit_is_edited_on_one_page(admin_client):
    assert send(admin_client, Limits.row(), **EDITED).status_code == 302
    assert Limits.objects.values(*EDITED).get() == EDITED
    assert {field.name for field in Limits._meta.get_fields() if field.concrete} == {"id", "paused", "paused_reason", *EDITED}


@pytest.mark.parametrize(
    ("field", "value"),
    [("max_concurrent_channels", 0), ("max_attempts", ""), ("backoff_base_seconds", 0), ("scan_batch_size", 5001), ("time_zone", "Mars")],
)
def test_a_limit_that_makes_no_sense_is_refused_in_its_field(admin_client, field, value):
    response = send(admin_client, Limits.row(), **{field: value})
    assert response.status_code == 200
    assert field in response.context["adminform"].form.errors


def test_saving_limits_writes_only_what_was_changed(admin_client):
    limits = Limits.row()
    with CaptureQueriesContext(connection) as queries:
        send(admin_client, limits, max_attempts=5, paused="on")
    updates = [query["sql"] for query in queries if query["sql"].startswith('UPDATE "ingestion_limits"')]
    assert len(updates) == 1
    assert "max_concurrent" not in updates[0]
    assert (Limits.row().max_attempts, Limits.row().paused) == (5, False)


def test_a_blank_limit_shows_the_value_of_the_environment(admin_client, settings):
    settings.REQUESTS_PER_HOUR = 777
    assert 'placeholder="777"' in admin_client.get(page_of(Limits.row())).text


def test_the_page_of_limits_says_why_no_download_may_begin(admin_client):
    assert "Downloads may begin." in admin_client.get(page_of(Limits.row())).text
    DownloadWindow.objects.create(days=[(timezone.now().weekday() + 2) % 7], opens_at="10:00", closes_at="11:00")
    assert "Outside the download window until" in admin_client.get(page_of(Limits.row())).text


def test_everything_is_paused_and_what_runs_may_finish(admin_client):
    video = make_download()
    response = press(admin_client, "pause_everything", Limits.row())
    assert response.url == page_of(Limits.row())
    assert said(response) == ["Everything is paused; 1 running download may finish."]
    assert (Limits.row().paused, Limits.row().paused_reason) == (True, "Paused by admin.")
    assert Attempt.objects.get(video=video).stop == ""
    assert "Paused by admin." in admin_client.get(page_of(Limits.row())).text


def test_everything_is_paused_and_what_runs_is_stopped(admin_client):
    for _ in range(2):
        make_download()
    make_scan(state="running", claim_id=uuid.uuid4(), lease_owner="host", lease_expires_at=timezone.now() + timedelta(seconds=30))
    response = press(admin_client, "pause_everything_now", Limits.row())
    assert said(response) == ["Everything is paused; 3 running jobs will stop within seconds."]
    assert set(Attempt.objects.values_list("stop", flat=True)) == {"pause"}


def test_what_runs_can_still_be_stopped_after_a_pause_that_let_it_finish(admin_client):
    make_download()
    press(admin_client, "pause_everything", Limits.row())
    response = press(admin_client, "pause_everything_now", Limits.row())
    assert said(response)[-1] == "Everything is paused already; 1 running job will stop within seconds."


def test_a_second_pause_and_a_needless_resume_say_so(admin_client):
    limits = Limits.row()
    assert said(choose(admin_client, "resume_everything", [limits])) == ["Everything was not paused."]
    press(admin_client, "pause_everything", limits)
    response = choose(admin_client, "pause_everything", [limits])
    assert said(response)[-1] == "Everything is paused already. Nothing was running."


def test_everything_goes_on_and_the_clock_has_its_say(admin_client):
    make_video()
    press(admin_client, "pause_everything", Limits.row())
    assert "resume_everything" in admin_client.get(page_of(Limits.row())).text
    DownloadWindow.objects.create(days=[(timezone.now().weekday() + 2) % 7], opens_at="10:00", closes_at="11:00")
    sentence = said(press(admin_client, "resume_everything", Limits.row()))[-1]
    assert sentence.startswith("Everything goes on; 1 video may be begun. Outside the download window until ")
    assert (Limits.row().paused, Limits.row().paused_reason) == (False, "")


@pytest.mark.parametrize(
    ("action", "running", "stop"),
    [
        ("cancel_everything", "1 running download may finish.", ""),
        ("cancel_everything_now", "1 running job will stop within seconds.", "cancel"),
    ],
)
def test_everything_is_cancelled(admin_client, action, running, stop):
    make_download()
    make_video(title="due")
    response = press(admin_client, action, Limits.row())
    assert said(response) == [f"Everything is cancelled. 2 videos given up. {running} Resume a session to bring back what is its own."]
    assert Video.objects.get(title="due").status == "skipped"
    assert Attempt.objects.get().stop == stop


def test_nothing_is_cancelled_where_nothing_is_to_be_done(admin_client):
    make_video(status="stored")
    assert said(press(admin_client, "cancel_everything", Limits.row())) == ["There was nothing to cancel."]


def test_of_a_large_archive_everything_is_held_at_once_and_cancelled_in_the_background(admin_client, monkeypatch):
    monkeypatch.setattr("ingestion.admin.fleet.MOST_VIDEOS_AT_ONCE", 1)
    monkeypatch.setattr("ingestion.operations.MOST_VIDEOS_AT_ONCE", 1)
    sessions = [make_session(), make_session()]
    for session in sessions:
        make_video(session=session)
    assert said(press(admin_client, "cancel_everything", Limits.row())) == ["Under way in the background: Cancel: 2 download sessions."]
    assert set(DownloadSession.objects.values_list("state", "state_reason")) == {("paused", "Being cancelled by admin.")}
    while piece := next_piece():
        work_piece(piece)
    assert set(DownloadSession.objects.values_list("state", flat=True)) == {"cancelled"}
    assert set(Video.objects.values_list("status", flat=True)) == {"skipped"}


def test_the_buttons_that_cancel_everything_ask_once_more(admin_client):
    tags = [
        tag for tag in admin_client.get(page_of(Limits.row())).text.split("<button") if 'value="pause_' in tag or 'value="cancel_' in tag
    ]
    assert ["data-confirm=" in tag for tag in tags] == [False, False, True, True]


def test_the_history_of_the_limits_tells_who_paused(admin_client):
    press(admin_client, "pause_everything", Limits.row())
    entry = LogEntry.objects.get()
    assert (entry.user.username, entry.change_message) == ("admin", "Everything is paused; nothing was running.")


def test_a_viewer_of_limits_sees_them_and_neither_edits_nor_pauses(client):
    client.force_login(staff_with("view_limits"))
    page = client.get(page_of(Limits.row()))
    assert page.status_code == 200
    assert page.context["page_actions"]["buttons"] == []
    assert client.post(page_of(Limits.row()), EDITED).status_code == 403
    video = make_video()
    for action in ("pause_everything", "pause_everything_now", "resume_everything", "cancel_everything", "cancel_everything_now"):
        choose(client, action, [Limits.row()])
    video.refresh_from_db()
    assert (Limits.row().paused, video.status) == (False, "pending")


def test_a_viewer_of_limits_sees_what_a_blank_one_means(client, settings):
    settings.REQUESTS_PER_HOUR = 777
    client.force_login(staff_with("view_limits"))
    Limits.objects.filter(pk=Limits.row().pk).update(requests_per_second=0.25)
    text = words_of(client.get(page_of(Limits.row())))
    for words in ("Requests per hour 777 (as this installation is set up)", "Requests per second 0.25 To YouTube", "UTC (as this"):
        assert words in text
    assert "Hours between two looks at a channel Only when asked" in text and "Blank:" not in text


def test_no_get_and_no_post_without_a_token_pauses(admin_client):
    limits = Limits.row()
    admin_client.get(list_of(Limits), {"action": "pause_everything", "_selected_action": limits.pk})
    strict = Client(enforce_csrf_checks=True)
    strict.force_login(User.objects.get(username="admin"))
    assert choose(strict, "pause_everything", [limits]).status_code == 403
    assert not Limits.row().paused


# --- requests to YouTube


def make_budget(**over) -> Budget:
    return Budget.objects.create(**{"identity": "guest", "minutes": [30, 12], "minute_at": timezone.now(), **over})


OPEN = {"open_until": timezone.now() + timedelta(days=1), "open_reason": "bot_check", "refusals": 2}


@pytest.mark.parametrize(
    ("fields", "limits", "words"),
    [
        pytest.param({}, {}, ["Yes: requests may leave", "42 of 900 requests", "1 per second"], id="closed"),
        pytest.param(OPEN, {}, ["No: it refused us", "Bot check", "YouTube takes us for a robot."], id="open"),
        pytest.param({**OPEN, "open_until": timezone.now()}, {}, ["One request finds out"], id="half-open"),
        pytest.param({}, {"requests_per_hour": 42, "requests_per_second": 0.5}, ["used up", "42 of 42", "0.5 per second"], id="spent"),
    ],
)
def test_the_page_of_requests_tells_how_it_stands(admin_client, fields, limits, words):
    Limits.objects.filter(pk=Limits.row().pk).update(**limits)
    budget = make_budget(**fields)
    text = admin_client.get(page_of(budget)).text
    assert [word for word in words if word not in text] == []
    listed = admin_client.get(list_of(Budget)).text
    assert words[0] in listed


def test_youtube_is_asked_again_at_once(admin_client):
    budget = make_budget(**OPEN)
    response = press(admin_client, "ask_again_now", budget)
    assert said(response) == ["1 allowance may ask YouTube again: one request finds out whether it answers."]
    budget.refresh_from_db()
    assert budget.open_until <= timezone.now()
    assert budget.refusals == 2
    assert said(choose(admin_client, "ask_again_now", [budget]))[-1].endswith("1 left alone: its breaker is not open.")


def test_only_the_chosen_identity_asks_again(admin_client):
    make_budget(**OPEN)
    choose(admin_client, "ask_again_now", [make_budget(identity="cookies.txt", **OPEN)])
    assert list(Budget.objects.filter(open_until__gt=timezone.now()).values_list("pk", flat=True)) == ["guest"]


def test_who_may_only_see_requests_may_not_ask_again(client):
    client.force_login(staff_with("view_budget"))
    budget = make_budget(**OPEN)
    assert client.get(page_of(budget)).context["page_actions"]["buttons"] == []
    choose(client, "ask_again_now", [budget])
    budget.refresh_from_db()
    assert budget.open_until > timezone.now()


# --- workers


def make_worker(number: int, **over) -> Worker:
    fields = {"host": "archive-1", "pid": number, "queue": "download", "version": "yt-dlp 2026.1.1"}
    return Worker.objects.create(name=f"archive-1:7:{number}", **fields | over)


def test_workers_are_shown_with_what_they_are_at(admin_client):
    download = make_download(title="Algebra")
    Video.objects.filter(pk=download.pk).update(lease_owner="archive-1:7:8")
    lease = {"claim_id": uuid.uuid4(), "lease_owner": "archive-1:7:9", "lease_expires_at": timezone.now() + timedelta(seconds=30)}
    scan = make_scan(state="running", channel=make_channel(title="Kitchen <b>"), **lease)
    at_video = make_worker(8)
    at_scan = make_worker(9, queue="control")
    make_worker(7, queue="all", heartbeat_at=timezone.now() - timedelta(hours=2))
    text = admin_client.get(list_of(Worker)).text
    for shown in (
        page_of(download),
        page_of(scan),
        "Listing Kitchen &lt;b&gt;",
        "Supervisor",
        "Downloads",
        "2\xa0hours ago",
        "yt-dlp 2026.1.1",
    ):
        assert shown in text
    assert page_of(download) in admin_client.get(page_of(at_video)).text
    assert page_of(scan) in admin_client.get(page_of(at_scan)).text


def test_the_list_of_workers_costs_the_same_for_2_and_20(admin_client):
    def grow(numbers):
        for number in numbers:
            make_worker(number)
            Video.objects.filter(pk=make_download().pk).update(lease_owner=f"archive-1:7:{number}")

    grow(range(2))
    admin_client.get(list_of(Worker))
    with CaptureQueriesContext(connection) as few:
        admin_client.get(list_of(Worker))
    grow(range(2, 20))
    with CaptureQueriesContext(connection) as many:
        assert admin_client.get(list_of(Worker)).text.count("videos/video/") >= 20
    assert len(few) == len(many)
