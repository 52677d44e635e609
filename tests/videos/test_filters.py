"""The video list's filters, asked of rows whose dates are of no help: what matches is the oldest upload."""

from datetime import date, timedelta

import pytest
from django.db import connection
from django.urls import reverse
from django.utils import timezone

from tests.factories import make_channel, make_video
from videos.filters import MEGABYTE
from videos.models import Video

pytestmark = pytest.mark.django_db

LIST = reverse("admin:videos_video_changelist")
MANY = 3000


def listed(client, query: str):
    return client.get(f"{LIST}?{query}").context["cl"]


def titles(client, query: str) -> list[str]:
    return [video.title for video in listed(client, query).result_list]


def stored(title: str, *, size: int, days_ago: int, uploaded: int) -> Video:
    moment = timezone.now() - timedelta(days=days_ago)
    return make_video(
        title=title, status="stored", file_size=size * MEGABYTE, stored_at=moment, upload_date=date(2020, 1, 1) + timedelta(uploaded)
    )


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        pytest.param("size=small", ["middle", "newest", "oldest"], id="the largest first"),
        pytest.param("stored=week", ["oldest", "middle", "newest"], id="the last stored first"),
        pytest.param("stored=week&size=small", ["oldest", "middle", "newest"], id="both: as they were stored"),
        pytest.param("size=small&o=8", ["oldest", "middle", "newest"], id="in the order that was asked for"),
        pytest.param("size=small&o=-8", ["newest", "middle", "oldest"], id="and the other way round"),
        pytest.param("status__exact=stored", ["newest", "middle", "oldest"], id="others by upload"),
    ],
)
def test_a_range_comes_in_its_own_order(admin_client, query, expected):
    stored("oldest", size=1, days_ago=0, uploaded=1)
    stored("middle", size=3, days_ago=1, uploaded=2)
    stored("newest", size=2, days_ago=2, uploaded=3)
    assert titles(admin_client, query) == expected


def rows_read(plan: dict) -> int:
    """Of the videos' table and its indexes, those left out by a condition among them."""
    here = plan["Actual Rows"] + plan.get("Rows Removed by Filter", 0) if "Scan" in plan["Node Type"] else 0
    return max([here, *(rows_read(part) for part in plan.get("Plans", []))])


@pytest.mark.parametrize("query", ["size=small", "stored=week"])
def test_a_page_of_a_range_reads_little_more_than_it_shows(admin_client, query):
    channel = make_channel()
    first = make_video(channel=channel)
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO videos_video (uuid, external_id, person_id, channel_id, status, storage_key, file_size, checksum, stored_at,"
            " upload_date) SELECT gen_random_uuid(), 'v' || n, person_id, channel_id, 'stored', 'k' || n, n * 100000, 'c',"
            " now() - n * interval '1 hour', date '2010-01-01' + n FROM videos_video, generate_series(1, %s) n WHERE id = %s",
            [MANY, first.pk],
        )
        cursor.execute("ANALYZE videos_video")
    page = listed(admin_client, query).queryset.values_list("pk", flat=True)[:50]
    with connection.cursor() as cursor:
        sql, parameters = page.query.sql_with_params()
        cursor.execute(f"EXPLAIN (ANALYZE, FORMAT JSON) {sql}", parameters)
        assert rows_read(cursor.fetchone()[0][0]["Plan"]) <= 100


def test_what_asks_for_a_person_is_found_by_its_kind_alone(admin_client):
    for title, status in (("mine", "failed"), ("held", "pending"), ("skipped", "skipped")):
        make_video(title=title, status=status, error_kind="private")
    make_video(title="other", status="failed", error_kind="network")
    found = listed(admin_client, "todo=person")
    assert {video.title for video in found.result_list} == {"mine", "held"}
    assert "NOT" in str(found.queryset.query), "an index of statuses would be read for every video of these"
