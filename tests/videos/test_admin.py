from datetime import date, timedelta

import pytest
from django.contrib.auth.models import Permission, User
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from tests.factories import make_channel, make_person, make_video
from tests.pages import choose, said
from videos.cells import clock, day, kind_words, number_of, size
from videos.models import Video

pytestmark = pytest.mark.django_db

LIST = reverse("admin:videos_video_changelist")


def titles(response) -> list[str]:
    return [video.title for video in response.context["cl"].result_list]


@pytest.fixture
def viewer_client(client):
    """Staff who may see videos and nothing else."""
    viewer = User.objects.create_user("viewer", is_staff=True)
    viewer.user_permissions.add(Permission.objects.get(codename="view_video"))
    client.force_login(viewer)
    return client


@pytest.mark.parametrize(
    ("shown", "words"),
    [
        pytest.param(clock(None), "-", id="length unknown"),
        pytest.param(clock(59), "0:59", id="seconds"),
        pytest.param(clock(3661), "1:01:01", id="hours"),
        pytest.param(clock(timedelta(hours=30, seconds=5)), "30:00:05", id="more than a day"),
        pytest.param(size(None), "-", id="size unknown"),
        pytest.param(size(5 * 2**20), "5.0\xa0MB", id="size"),
        pytest.param(kind_words("members_only"), "Members only", id="kind"),
        pytest.param(number_of(0, "video"), "No video", id="none"),
        pytest.param(number_of(1, "video"), "1 video", id="one"),
        pytest.param(number_of(1200, "video"), "1,200 videos", id="many"),
        pytest.param(day(None), "-", id="no date"),
    ],
)
def test_values_read_as_people_write_them(shown, words):
    assert shown == words


def test_a_date_that_is_not_exact_says_about():
    assert "about 5 Jun 2023" in day(date(2023, 6, 5), exact=False)
    assert "about" not in day(date(2023, 6, 5))


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        pytest.param({"status": "stored"}, "Stored", id="stored"),
        pytest.param({"status": "pending"}, "Pending", id="pending"),
        pytest.param({"status": "pending", "wanted": "pause"}, "Paused", id="paused"),
        pytest.param({"status": "pending", "wanted": "cancel"}, "Cancelled", id="cancelled"),
        pytest.param({"status": "pending", "next_attempt_at": timezone.now() + timedelta(days=1)}, "Waiting", id="waiting"),
    ],
)
def test_the_list_says_how_each_video_stands(admin_client, fields, words):
    make_video(**fields)
    assert f"\n{words}\n" in admin_client.get(LIST).text


def test_the_list_costs_the_same_for_2_and_24_videos(admin_client):
    for status in ("stored", "failed"):
        make_video(status=status)
    admin_client.get(LIST)
    with CaptureQueriesContext(connection) as few:
        admin_client.get(LIST)
    for _ in range(22):
        make_video(status="unavailable")
    with CaptureQueriesContext(connection) as many:
        assert len(titles(admin_client.get(LIST))) == 24
    assert len(few) == len(many)


def test_titles_are_escaped(admin_client):
    video = make_video(title="<script>alert(1)</script>", status="failed", error_message="<img src=x>")
    for page in (LIST, reverse("admin:videos_video_change", args=[video.pk])):
        text = admin_client.get(page).text
        assert "<script>alert(1)" not in text
        assert "&lt;script&gt;alert(1)" in text
        assert "<img src=x>" not in text


@pytest.mark.parametrize(
    ("query", "found"),
    [
        pytest.param({"status__exact": "failed"}, ["lost one"], id="status"),
        pytest.param({"error_kind": "lost"}, ["lost one"], id="error"),
        pytest.param({"error_kind": "nonsense"}, [], id="unknown error"),
        pytest.param({"stored": "week"}, ["fresh"], id="stored this week"),
        pytest.param({"stored": "month"}, ["fresh", "older"], id="stored this month"),
        pytest.param({"stored": "nonsense"}, ["fresh", "older", "lost one"], id="unknown span"),
        pytest.param({"year": "2019"}, ["older"], id="year"),
        pytest.param({"year": "99999"}, ["fresh", "older", "lost one"], id="unknown year"),
    ],
)
def test_filters(admin_client, query, found):
    now = timezone.now()
    make_video(title="lost one", status="failed", error_kind="lost")
    make_video(title="older", status="stored", stored_at=now - timedelta(days=10), upload_date=date(2019, 12, 31))
    make_video(title="fresh", status="stored", stored_at=now, upload_date=date(2020, 1, 1))
    assert titles(admin_client.get(LIST, query)) == found


def test_filters_by_person_and_channel(admin_client):
    person = make_person()
    first, second = make_channel(person=person), make_channel(person=person)
    make_video(title="a", channel=first)
    make_video(title="b", channel=second)
    make_video(title="c")
    assert sorted(titles(admin_client.get(LIST, {"person__id__exact": person.pk}))) == ["a", "b"]
    assert titles(admin_client.get(LIST, {"channel__id__exact": first.pk})) == ["a"]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        pytest.param("algebra", ["Linear Algebra"], id="a word of the title"),
        pytest.param("algebra linear", ["Linear Algebra"], id="all words, in any order"),
        pytest.param("algebra poetry", [], id="not all words"),
        pytest.param("100%", [], id="no wildcards"),
        pytest.param("ada love", ["Poetry"], id="a person's name"),
        pytest.param("dQw4w9WgXcQ", ["Linear Algebra"], id="an id"),
        pytest.param("https://youtu.be/dQw4w9WgXcQ?t=3", ["Linear Algebra"], id="a short link"),
        pytest.param("https://www.youtube.com/watch?app=desktop&v=dQw4w9WgXcQ", ["Linear Algebra"], id="a link"),
        pytest.param("Al", [], id="too short for a title"),
        pytest.param("  ", ["Linear Algebra", "Poetry"], id="nothing"),
    ],
)
def test_search(admin_client, text, found):
    make_video(title="Poetry", channel=make_channel(person=make_person(name="Ada Lovelace")))
    make_video(title="Linear Algebra", external_id="dQw4w9WgXcQ")
    assert titles(admin_client.get(LIST, {"q": text})) == found


def test_a_short_search_does_not_read_titles():
    sql = str(Video.objects.search("ab").query)
    assert "LIKE" not in sql


def test_uploaded_sorts_by_the_index_both_ways(admin_client):
    make_video(title="undated")
    make_video(title="old", upload_date=date(2001, 1, 1))
    make_video(title="new", upload_date=date(2021, 1, 1))
    column = admin_client.get(LIST).context["cl"].list_display.index("uploaded")
    assert titles(admin_client.get(LIST)) == ["new", "old", "undated"]
    assert titles(admin_client.get(LIST, {"o": column})) == ["undated", "old", "new"]
    newest = admin_client.get(LIST, {"o": f"-{column}"})
    assert titles(newest) == ["new", "old", "undated"]
    assert '"upload_date" DESC NULLS LAST' in str(newest.context["cl"].queryset.query)


@pytest.mark.parametrize("status", ["stored", "failed", "unavailable", "pending", "skipped"])
def test_every_video_has_a_page(admin_client, status):
    video = make_video(status=status)
    page = admin_client.get(reverse("admin:videos_video_change", args=[video.pk]))
    assert video.url in page.text
    assert 'name="_save"' not in page.text
    assert ("What we stored" in page.text) == (status == "stored")
    assert ("What went wrong" in page.text) == (status in ("failed", "unavailable"))


def test_a_failed_video_tells_what_to_do_and_shows_the_raw_line(admin_client):
    video = make_video(status="unavailable", error_kind="private", error_message="ERROR: Private video")
    text = admin_client.get(reverse("admin:videos_video_change", args=[video.pk])).text
    assert "The video is private." in text
    assert "Ask its owner" in text
    assert "ERROR: Private video" in text


def test_nobody_adds_edits_or_deletes_a_video_by_hand(admin_client):
    video = make_video()
    change = reverse("admin:videos_video_change", args=[video.pk])
    assert admin_client.get(reverse("admin:videos_video_add")).status_code == 403
    assert admin_client.post(change, {"title": "other"}).status_code == 403
    assert admin_client.post(reverse("admin:videos_video_delete", args=[video.pk]), {"post": "yes"}).status_code == 403
    assert "delete_selected" not in admin_client.get(LIST).text


@pytest.mark.parametrize(
    ("action", "statuses", "sentence", "after"),
    [
        pytest.param(
            "retry",
            ["failed", "unavailable", "skipped", "stored", "pending"],
            "3 videos will be tried again. 2 left alone: they did not fail.",
            ["pending", "pending", "pending", "stored", "pending"],
            id="retry",
        ),
        pytest.param(
            "retry",
            ["failed", "stored"],
            "1 video will be tried again. 1 left alone: it did not fail.",
            ["pending", "stored"],
            id="retry one",
        ),
        pytest.param("retry", ["failed"], "1 video will be tried again.", ["pending"], id="none left alone"),
        pytest.param("retry", ["stored"], "No video will be tried again. 1 left alone: it did not fail.", ["stored"], id="retry none"),
        pytest.param(
            "skip",
            ["pending", "failed", "stored"],
            "2 videos will be skipped. 1 left alone: it is stored, being downloaded or skipped already.",
            ["skipped", "skipped", "stored"],
            id="skip",
        ),
    ],
)
def test_actions_count_what_they_did_and_what_they_left(admin_client, action, statuses, sentence, after):
    videos = [make_video(status=status) for status in statuses]
    assert said(choose(admin_client, action, videos)) == [sentence]
    assert list(Video.objects.order_by("pk").values_list("status", flat=True)) == after


def test_resume_makes_waiting_videos_due(admin_client):
    paused, due = make_video(wanted="pause"), make_video()
    later = make_video(next_attempt_at=timezone.now() + timedelta(days=1))
    sentence = "2 videos will go on at once. 1 left alone: it was not held back itself; its session may be."
    assert said(choose(admin_client, "resume", [paused, due, later])) == [sentence]
    assert Video.objects.due().count() == 3


def test_skipping_keeps_what_went_wrong_on_record(admin_client):
    video = make_video(status="failed", error_kind="private")
    choose(admin_client, "skip", [video])
    video.refresh_from_db()
    assert (video.status, video.error_kind) == ("skipped", "private")


def test_an_action_on_all_rows_of_a_filtered_list_changes_these_and_counts_them(admin_client):
    videos = [make_video(status="failed", title="Algebra") for _ in range(3)]
    make_video(status="failed", title="Poetry")
    response = choose(admin_client, "retry", videos[:1], query="?status__exact=failed&q=algebra", all_matching=True)
    assert said(response) == ["3 videos will be tried again."]
    assert Video.objects.filter(status="failed").count() == 1


def test_an_action_is_one_update(admin_client):
    videos = [make_video(status="failed") for _ in range(5)]
    with CaptureQueriesContext(connection) as queries:
        choose(admin_client, "retry", videos)
    assert sum(query["sql"].startswith("UPDATE") and "videos_video" in query["sql"] for query in queries) == 1


def test_a_viewer_neither_sees_nor_runs_actions(viewer_client):
    video = make_video(status="failed")
    page = viewer_client.get(LIST)
    assert page.status_code == 200
    assert 'value="retry"' not in page.text
    assert reverse("admin:videos_video_change", args=[video.pk]) in page.text
    choose(viewer_client, "retry", [video])
    video.refresh_from_db()
    assert video.status == "failed"


def test_the_video_list_and_page_are_for_staff_with_permission(client):
    client.force_login(User.objects.create_user("nobody", is_staff=True))
    assert client.get(LIST).status_code == 403


def test_a_channel_given_to_another_person_takes_its_videos_along(admin_client):
    video, owner = make_video(), make_person()
    page = reverse("admin:people_channel_change", args=[video.channel_id])
    form = admin_client.get(page).context["adminform"].form
    data = {name: form[name].value() or "" for name in form.fields} | {"person": owner.pk}
    data |= {"aliases-TOTAL_FORMS": 0, "aliases-INITIAL_FORMS": 0}
    admin_client.post(page, data)
    video.refresh_from_db()
    assert (video.person, video.channel.person) == (owner, owner)
