"""Pages of a video, a person, a channel and a session: what staff see there, what they are offered, what it costs."""

import re
import uuid
from datetime import date, timedelta

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from ingestion.admin.kinds import FOR_STAFF, HOPELESS, RETRIABLE
from ingestion.errors import KINDS, DeferredError, StaffError
from ingestion.models import Attempt, Limits, Worker
from ingestion.roster import SUPERVISOR
from people.models import ChannelAlias
from tests.factories import make_asset, make_attempt, make_channel, make_person, make_scan, make_session, make_video
from tests.pages import choose, list_of, make_download, page_of, press, said, staff_with
from videos.models import Asset, Video

pytestmark = pytest.mark.django_db

LATER = timedelta(hours=1)
MOST_QUERIES = 10


@pytest.fixture(autouse=True)
def limits():
    return Limits.row()


def titles(response) -> set[str]:
    return {video.title for video in response.context["cl"].result_list}


def words_of(response) -> str:
    """What a page says, without its markup."""
    text = re.sub(r"<(script|style).*?</\1>", " ", response.text, flags=re.DOTALL)
    return " ".join(re.sub(r"<[^>]+>", " ", text).split())


def offered(client, row) -> set[str]:
    return {button["name"] for button in client.get(page_of(row)).context["page_actions"]["buttons"]}


# --- presets and filters of the list of videos


def test_every_kind_is_for_a_retry_for_staff_hopeless_or_takes_care_of_itself():
    by_itself = {kind.slug for kind in KINDS.values() if issubclass(kind.type, DeferredError | StaffError)}
    groups = [set(RETRIABLE), set(FOR_STAFF), set(HOPELESS), by_itself]
    assert sum(map(len, groups)) == len(KINDS)
    assert set.union(*groups) == set(KINDS)


def test_presets_above_the_list_find_what_they_say(admin_client):
    make_video(title="network", status="failed", error_kind="network")
    make_video(title="refused", status="failed", error_kind="bot_check")
    make_video(title="private", status="unavailable", error_kind="private")
    make_video(title="no rights", error_kind="storage_credentials")
    make_video(title="removed", status="unavailable", error_kind="removed")
    make_video(title="skipped", status="skipped", error_kind="private")
    make_video(title="tried again", error_kind="network")
    make_video(title="fresh", status="stored", stored_at=timezone.now())
    make_video(title="older", status="stored", stored_at=timezone.now() - timedelta(days=8))
    presets = {preset.title: preset for preset in admin_client.get(list_of(Video)).context["cl"].presets}
    found = {title: titles(admin_client.get(list_of(Video) + preset.href)) for title, preset in presets.items()}
    assert found == {
        "Failed, can be retried": {"network", "refused"},
        "Needs a person": {"private", "no rights"},
        "Stored this week": {"fresh"},
        "All videos": set(Video.objects.values_list("title", flat=True)),
    }


def test_the_preset_that_is_chosen_says_so_and_pages_and_orders_do_not_matter(admin_client):
    def chosen(query: str) -> list[str]:
        page = admin_client.get(list_of(Video) + query)
        assert page.text.count('aria-current="page"') == sum(preset.is_chosen for preset in page.context["cl"].presets)
        return [preset.title for preset in page.context["cl"].presets if preset.is_chosen]

    assert chosen("") == ["All videos"]
    assert chosen("?todo=retriable&o=-8") == ["Failed, can be retried"]
    assert chosen("?todo=retriable&status__exact=failed") == []


def test_all_that_a_preset_finds_can_be_retried_at_once(admin_client):
    rows = [make_video(status="failed", error_kind=kind) for kind in ("network", "lost", "private")]
    assert said(choose(admin_client, "retry", rows[:1], query="?todo=retriable", all_matching=True)) == ["2 videos will be tried again."]


@pytest.mark.parametrize(
    ("size", "found"),
    [
        ("small", {"50"}),
        ("medium", {"100", "999"}),
        ("large", {"1000"}),
        ("huge", {"5000"}),
        ("nonsense", {"50", "100", "999", "1000", "5000"}),
    ],
)
def test_videos_are_filtered_by_size(admin_client, size, found):
    for megabytes in (50, 100, 999, 1000, 5000):
        make_video(title=str(megabytes), status="stored", file_size=megabytes * 1_000_000)
    assert titles(admin_client.get(list_of(Video), {"size": size})) == found


def test_counting_what_is_of_a_size_reads_an_index(admin_client):
    for number in range(100):
        make_video(status="stored", file_size=number * 1_000_000)
    found = admin_client.get(list_of(Video), {"size": "huge"}).context["cl"].queryset.order_by().values("pk")
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE videos_video")
        cursor.execute("SET LOCAL enable_seqscan = off")
    assert "video_file_size" in found.explain()


# --- what it costs


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


# --- the page of a video


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
    assert "The connection to YouTube failed. Check this host" in words
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
    assert f"{reverse('admin:people_channel_add')}?person={person.pk}" in page.text


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


# --- the page of a session


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


def test_a_video_tells_in_words_what_youtube_says_in_codes(admin_client):
    video = make_video(live_status="was_live", availability="unlisted", view_count=1234, status="stored", part_size=8 << 20)
    words = words_of(admin_client.get(page_of(video))).replace("\xa0", " ")
    for part in ("Yes, this is the recording", "Whoever has the link", "1,234", "8.0 MB"):
        assert part in words


def test_an_attempts_page_is_titled_by_its_video(admin_client):
    attempt = make_attempt(video=make_video(title="A film"))
    assert "Attempt 1 at A film" in words_of(admin_client.get(page_of(attempt)))


def test_every_limit_says_what_it_is_for(admin_client):
    form = admin_client.get(page_of(Limits.row())).context["adminform"].form
    assert form.fields and all(field.help_text for field in form.fields.values())
    assert not any("MASSDL_" in str(field.help_text) for field in form.fields.values())
