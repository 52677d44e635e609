"""The list of videos: presets above it and filters beside it."""

from datetime import timedelta

import pytest
from django.db import connection
from django.utils import timezone

from ingestion.admin.kinds import FOR_STAFF, HOPELESS, RETRIABLE
from ingestion.errors import KINDS, DeferredError, StaffError
from tests.factories import make_video
from tests.pages import choose, list_of, said
from videos.models import Video

pytestmark = pytest.mark.django_db


def titles(response) -> set[str]:
    return {video.title for video in response.context["cl"].result_list}


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
