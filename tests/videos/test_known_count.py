"""How many videos a filter finds, told by the tallies: the same number as by counting them, without looking at a video."""

import pytest
from django.db import connection
from django.db.models import F, Q
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from ingestion.admin.kinds import KIND_GROUPS
from tests.factories import make_channel, make_session, make_video
from videos import tallies
from videos.models import Video

pytestmark = pytest.mark.django_db

ENDS = (("stored", ""), ("failed", "network"), ("failed", "storage"), ("unavailable", "private"), ("pending", ""), ("pending", "network"))


@pytest.fixture(params=["fresh", "folded", "half of each"])
def archive(request):
    """Two channels and two sessions with a few videos of every end, and some without a session."""
    channels, sessions = [make_channel(), make_channel()], [make_session(), make_session(), None]
    for number in range(60):
        status, kind = ENDS[number % len(ENDS)]
        make_video(channel=channels[number % 5 % 2], session=sessions[number % 7 % 3], status=status, error_kind=kind)
        if request.param == "half of each" and number == 30:
            tallies.fold()
    if request.param == "folded":
        tallies.fold()
    return {"channel": channels[0].pk, "person": channels[1].person_id, "session": sessions[0].pk}


def asked(archive) -> dict:
    """Filters by what they are about."""
    channel, person, session = (archive[name] for name in ("channel", "person", "session"))
    return {
        "all": Q(),
        "a status": Q(status="stored"),
        "statuses": Q(status__in=["failed", "pending"]),
        "not a status": ~Q(status="stored"),
        "a kind": Q(error_kind="network"),
        "no kind": Q(error_kind=""),
        "a kind of a status": Q(error_kind="network", status="failed"),
        "kinds but for statuses": Q(error_kind__in=["network", "private"]) & ~Q(status__in=["pending", "stored"]),
        "a channel": Q(channel=channel),
        "a channel, through the join": Q(channel__id__exact=channel),
        "a person": Q(person__id__exact=person),
        "a session": Q(session=session),
        "no session": Q(session=None),
        "one or the other": Q(session=session) | Q(status="failed"),
        "all at once": Q(session=session, channel=channel, status="failed", error_kind="network"),
        "nothing": Q(status="skipped"),
    }


@pytest.mark.parametrize("what", asked({"channel": 0, "person": 0, "session": 0}))
def test_it_is_the_number_of_rows(archive, what):
    videos = Video.objects.filter(asked(archive)[what])
    with CaptureQueriesContext(connection) as queries:
        known = tallies.known_count(videos)
    assert known == videos.count()
    assert not [query for query in queries if 'videos_video"' in query["sql"]]


@pytest.mark.parametrize(
    "unknown",
    [
        pytest.param(Q(file_size__gte=1), id="a size"),
        pytest.param(Q(title__icontains="video"), id="a word"),
        pytest.param(Q(channel__title="x") | Q(status="stored"), id="another table"),
        pytest.param(Q(error_kind=F("status")), id="another column"),
        pytest.param(Q(upload_date=None) | Q(status="stored"), id="one or the other"),
    ],
)
def test_what_the_tallies_do_not_know_they_do_not_tell(archive, unknown):
    assert tallies.known_count(Video.objects.filter(unknown)) is None
    assert tallies.known_count(Video.objects.filter(unknown, status="stored")) is None


def test_what_they_know_is_enough_where_nothing_is_like_that(archive):
    assert tallies.known_count(Video.objects.stored().filter(file_size__gte=1, error_kind="network")) == 0


def test_part_of_a_queryset_is_not_told(archive):
    assert tallies.known_count(Video.objects.all()[:5]) is None


FILTERS = {
    "status__exact=failed": Q(status="failed"),
    "error_kind=network": Q(error_kind="network"),
    "channel__id__exact={channel}&status__exact=pending": Q(status="pending"),
    "session__id__exact={session}&person__id__exact={person}": Q(),
    "": Q(),
    **{f"todo={name}": Q(error_kind__in=group.kinds, status__in=group.statuses) for name, group in KIND_GROUPS.items()},
}


@pytest.mark.parametrize("query", FILTERS)
def test_the_list_tells_the_exact_number_and_counts_no_video(admin_client, archive, monkeypatch, query):
    monkeypatch.setattr("videos.paginator.capped_count.__defaults__", (3,))
    monkeypatch.setattr("videos.paginator.CAP", 3)
    of_row = {name: archive[name] for name in ("channel", "session", "person") if f"{{{name}}}" in query}
    with CaptureQueriesContext(connection) as queries:
        page = admin_client.get(f"{reverse('admin:videos_video_changelist')}?{query.format(**archive)}")
    truth = Video.objects.filter(FILTERS[query], **of_row).count()
    assert page.context["cl"].result_count == truth > 3 and f"{page.context['cl'].result_count}" == f"{truth}"
    assert not [one["sql"] for one in queries if "COUNT(" in one["sql"] and 'FROM "videos_video"' in one["sql"]]


def test_a_list_of_nothing_looks_for_nothing(admin_client, archive):
    with CaptureQueriesContext(connection) as queries:
        page = admin_client.get(reverse("admin:videos_video_changelist") + "?status__exact=stored&error_kind=private")
    assert page.context["cl"].result_count == 0 and list(page.context["cl"].result_list) == []
    assert not [one["sql"] for one in queries if 'FROM "videos_video"' in one["sql"]]
