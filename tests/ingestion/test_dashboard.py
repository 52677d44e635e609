import json
import re
from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from ingestion.dashboard import pace, versions
from ingestion.dashboard.pace import Pace, about, time_left
from ingestion.models import Attempt, Budget, DayTotal, DownloadWindow, Limits, Worker
from massdl_site.unfold import UNFOLD
from people.sheets.samples import SAMPLES
from tests.factories import make_channel, make_person, make_scan, make_session, make_video
from tests.pages import make_download, staff_with
from videos.models import Video

pytestmark = pytest.mark.django_db

INDEX, LIVE = reverse("admin:index"), reverse("overview")
EVERYTHING = (*("view_person", "view_channel", "view_video"), *("view_downloadsession", "view_budget", "view_worker"))
OF_VIDEOS = {
    *("stored", "downloading", "pending", "failed", "unavailable", "storage", "cost", "speed", "pace", "time_left", "oldest"),
    *("running", "running_more", "notices"),
}
MAY_SEE = {
    "view_person": {"people"},
    "view_channel": {"channels"},
    "view_video": OF_VIDEOS,
    "view_downloadsession": {"sessions"},
    "view_budget": {"used", "breaker"},
    "view_worker": {"workers"},
}


@pytest.fixture(autouse=True)
def overview(settings):
    settings.UNFOLD = UNFOLD


def make_work() -> Video:
    """A session of four videos, one of each fate, and one that runs; a worker that is alive."""
    session = make_session(source="people.csv")
    for status in ("stored", "failed", "unavailable", "pending"):
        make_video(session=session, status=status)
    Worker.objects.create(name="host:supervisor", host="host", queue="all")
    Worker.objects.create(name="host:supervisor:1", host="host", queue="download")
    return make_download(session=session, title="Under <way>")


def told(client) -> dict:
    return client.get(LIVE).json()


def notices(client) -> dict[str, str]:
    return {row["key"]: row["text"] for row in told(client)["notices"]}


def test_an_empty_archive_says_how_to_begin_and_offers_sheets(admin_client):
    page = admin_client.get(INDEX).text
    assert reverse("admin:people_person_import") in page
    for name in SAMPLES:
        assert admin_client.get(reverse("admin:people_person_import_sample", args=[name])).status_code == 200
        assert reverse("admin:people_person_import_sample", args=[name]) in page
    make_person()
    assert "The archive is empty" not in admin_client.get(INDEX).text


def test_who_may_not_import_is_told_whom_to_ask(client):
    client.force_login(staff_with("view_person"))
    page = client.get(INDEX).text
    assert "ask somebody with the role Operator or Administrator" in page
    assert reverse("admin:people_person_import") not in page


def test_an_empty_archive_says_that_no_worker_runs(admin_client):
    assert "No worker is running" in admin_client.get(INDEX).text
    Worker.objects.create(name="host:supervisor", host="host", queue="all")
    assert "No worker is running" not in admin_client.get(INDEX).text


def test_who_may_see_nothing_is_told_whom_to_ask(client):
    client.force_login(staff_with())
    assert "into one of the groups Viewer, Operator, Administrator" in client.get(INDEX).text


def test_the_page_and_its_script_say_the_same(admin_client):
    make_work()
    page, values = admin_client.get(INDEX), told(admin_client)
    shown = page.context["live"]
    assert {**shown, "at": ""} == {**values, "at": ""}
    of_videos = dict.fromkeys(("stored", "downloading", "pending", "failed", "unavailable"), "1")
    assert {tile.key: count for tile, count in page.context["tiles"]} == {"people": "5", "channels": "5", **of_videos}
    assert f'data-live="{LIVE}"' in page.text
    assert "Under &lt;way&gt;" in page.text
    assert "Under <way>" not in page.text


def test_the_values_are_texts_and_rows(admin_client):
    video = make_work()
    values = told(admin_client)
    assert set(values) == {"at", *set.union(*MAY_SEE.values())}
    lists = {"running", "notices", "sessions"}
    assert all(isinstance(value, str) for name, value in values.items() if name not in lists)
    assert values["running"] == [
        {
            "key": str(Attempt.objects.get().pk),
            "title": "Under <way>",
            "href": reverse("admin:videos_video_change", args=[video.pk]),
            "percent": 45,
            "done": "45 bytes of 100 bytes",
        }
    ]
    (session,) = values["sessions"]
    assert (session["state"], session["percent"], session["why"]) == ("Running", 20, "")
    assert session["done"] == "Stored: 1 of 5. Not stored: 2."
    assert values["workers"] == "1 worker on 1 host"
    assert values["used"] == "0 of 900 in the last hour"
    assert values["breaker"] == "answers"
    assert values["oldest"] == "began 0 minutes ago"


def test_a_download_of_unknown_size_has_no_percent(admin_client):
    make_work()
    with connection.cursor() as cursor:
        cursor.execute("UPDATE ingestion_liveprogress SET bytes_total = NULL")
    (row,) = told(admin_client)["running"]
    assert (row["percent"], row["done"]) == (None, "45 bytes")
    (bar,) = re.findall(r'<progress [^>]*aria-label="Under &lt;way&gt;"', admin_client.get(INDEX).text)
    assert " value=" not in bar


@pytest.mark.parametrize("permission", MAY_SEE)
def test_everybody_is_told_what_they_may_see(client, permission):
    make_work()
    client.force_login(staff_with(permission))
    assert set(told(client)) == {"at", *MAY_SEE[permission]}
    page = client.get(INDEX)
    assert set(page.context["live"]) == {"at", *MAY_SEE[permission]}
    assert bool(page.context["versions"]) is (permission == "view_worker")


def test_the_largest_people_are_shown_to_those_who_may_see_people(client):
    make_work()
    client.force_login(staff_with("view_video"))
    assert [chart.title for chart in client.get(INDEX).context["charts"]] == ["What went wrong"]


def test_nobody_else_is_told_anything(client, django_user_model):
    assert client.get(LIVE).status_code == 302
    client.force_login(django_user_model.objects.create_user("nobody"))
    assert client.get(LIVE).status_code == 302


def test_it_is_not_kept_by_anybody(admin_client):
    assert "no-store" in admin_client.get(LIVE).headers["Cache-Control"]


@pytest.mark.parametrize(("url", "most"), [(INDEX, 10), (LIVE, 9)], ids=["page", "values"])
def test_it_costs_the_same_however_much_there_is(admin_client, url, most):
    DayTotal.objects.create(day=timezone.localdate(), videos=1)

    def grow(rows: int) -> None:
        for _ in range(rows):
            make_scan(session=make_download(session=make_session()).session)
            make_video(status="failed"), make_video(status="stored")

    grow(2)
    admin_client.get(url)
    with CaptureQueriesContext(connection) as few:
        admin_client.get(url)
    grow(20)
    with CaptureQueriesContext(connection) as many:
        admin_client.get(url)
    assert len(few) == len(many) <= most, [query["sql"] for query in many]


def test_it_tells_why_nothing_moves(admin_client):
    make_video()
    Limits.objects.filter(pk=Limits.row().pk).update(paused=True, paused_reason="Paused by Ann.")
    Budget.objects.create(identity="guest", open_until=timezone.now() + timedelta(hours=1), open_reason="bot_check")
    said = notices(admin_client)
    assert list(said) == ["refusal", "hold", "workers"]
    assert "YouTube takes us for a robot." in said["refusal"]
    assert said["hold"].startswith("Everything is paused. Paused by Ann. ")
    assert "no worker is running" in said["workers"]
    values = told(admin_client)
    assert values["breaker"].startswith("not asked until ")
    assert values["time_left"] == "unknown while nothing is begun"
    assert values["workers"] == "none is running"


def test_it_tells_of_windows_of_a_half_open_breaker_and_of_requests(admin_client):
    now = timezone.now()
    closed = DownloadWindow(days=[(now.weekday() + 2) % 7], opens_at="10:00", closes_at="11:00", limits=Limits.row())
    DownloadWindow.objects.bulk_create([closed])
    Budget.objects.create(identity="guest", minutes=[7, 5], minute_at=now, open_until=now, open_reason="bot_check", refusals=1)
    said, values = notices(admin_client), told(admin_client)
    assert "one request at a time finds out" in said["refusal"]
    assert said["hold"].startswith("No download begins. Outside the download window until ")
    assert values["used"] == "12 of 900 in the last hour"
    assert values["breaker"] == "one request finds out whether it answers"


def test_it_tells_why_a_session_is_paused_or_waits_for_the_storage(admin_client):
    paused = make_session(state="paused", state_reason="Paused by Ann.")
    waiting = make_session()
    make_video(session=waiting, error_kind="storage_unreachable")
    make_video(session=waiting, error_kind="network")
    why = {row["key"]: row["why"] for row in told(admin_client)["sessions"]}
    assert why[str(paused.pk)] == "Paused by Ann."
    assert why[str(waiting.pk)].startswith("1 video could not be stored, because the storage did not take it")
    assert "The storage does not answer, or not as it should." in notices(admin_client)["storage"]


def test_the_estimate_takes_the_price_of_the_setting(admin_client, settings):
    make_video(status="stored", file_size=100 << 30, storage_key="a", checksum="c")
    settings.STORAGE_PRICE = 0.023
    assert told(admin_client)["cost"] == "about 2.30 USD a month, at 0.023 USD per GB"
    settings.STORAGE_PRICE = 0
    assert "cost" not in told(admin_client)
    assert "What it costs" not in admin_client.get(INDEX).text


def test_charts_say_the_same_in_a_table(admin_client):
    today = timezone.localdate()
    DayTotal.objects.create(day=today, videos=3, bytes=3 << 20)
    DayTotal.objects.create(day=today - timedelta(days=2), videos=4, bytes=1 << 20)
    DayTotal.objects.create(day=today - timedelta(days=30), videos=9)
    make_video(channel=make_channel(person=make_person(name="<Ann>")), status="stored", file_size=5 << 20, storage_key="a", checksum="c")
    make_video(status="unavailable", error_kind="private")
    page = admin_client.get(INDEX)
    per_day, failures, storage = page.context["charts"]
    assert per_day.summary == "7 videos in the last 30 days, 3 of them today."
    assert "3.0 MB" in per_day.table
    assert json.loads(per_day.data)["datasets"][0]["data"] == [0] * 27 + [4, 0, 3]
    assert failures.summary == "1 video failed or unavailable."
    assert "Private" in failures.table
    assert "&lt;Ann&gt;" in storage.table
    assert "<Ann>" not in page.text


def test_the_page_has_no_script_of_its_own(admin_client):
    make_work()
    page = admin_client.get(INDEX).text
    content = page[page.index("data-live=") : page.index("simplebar.js")]
    assert "<script>" not in content
    assert not re.search(r"\son[a-z]+=", content)
    assert 'massdl/live.js" defer></script>' in page


def test_versions_are_numbers():
    versions.versions.cache_clear()
    found = versions.versions()
    assert set(found) == {"yt-dlp", "deno", "ffmpeg"}
    assert all(version[0].isdigit() for version in found.values())


def test_a_program_that_is_not_there_is_said_to_be_missing(settings):
    settings.FFMPEG = "/nowhere/ffmpeg"
    versions.versions.cache_clear()
    assert versions.versions()["ffmpeg"] == "not found"
    versions.versions.cache_clear()


LEFT = {
    "nothing waits": (0, Pace(9, 0, 60), False, "nothing waits"),
    "held": (5, Pace(9, 0, 60), True, "unknown while nothing is begun"),
    "too few": (5, Pace(pace.LEAST_VIDEOS - 1, 0, 60), False, "unknown: too few were stored in the last hour"),
    "minutes": (10, Pace(60, 0, 3600), False, "about 10 minutes"),
    "the newest of many": (500, Pace(500, 0, 60), False, "about 1 minute"),
    "at once": (1, Pace(500, 0, 1), False, "about 1 minute"),
    "days": (24_000, Pace(100, 0, 3600), False, "about 10 days"),
}


@pytest.mark.parametrize(("waiting", "seen", "is_held", "words"), LEFT.values(), ids=LEFT)
def test_the_time_left_is_honest(waiting, seen, is_held, words):
    assert time_left(waiting, seen, is_held=is_held, runs=True) == words


def test_where_nothing_runs_no_time_is_guessed():
    """All that waits is held back by its session or channel, or waits for a later time."""
    assert time_left(3, Pace(60, 0, 3600), is_held=False, runs=False) == "unknown while nothing is begun"


SPANS = {
    "about 119 minutes": 119 * 60,
    "about 2 hours": 7200,
    "about 47 hours": 47 * 3600,
    "about 59 days": 59 * 86_400,
    "about 3 months": 90 * 86_400,
    "about 3 years": 3 * 365 * 86_400,
}


@pytest.mark.parametrize(("words", "span"), SPANS.items())
def test_a_guess_has_one_unit(span, words):
    assert about(span) == words


def test_the_pace_is_that_of_the_last_hour(admin_client):
    now = timezone.now()
    for minutes in (10, 20, 30, 40, 50, 70):
        make_video(status="stored", stored_at=now - timedelta(minutes=minutes))
    make_download()
    Worker.objects.create(name="host:supervisor", host="host", queue="all")
    values = told(admin_client)
    assert values["pace"] == "about 6 videos an hour"
    assert values["time_left"] == "about 10 minutes"
