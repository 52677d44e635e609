from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from ingestion.models import DayTotal, DownloadWindow, Limits, LiveProgress
from ingestion.schedule import Hold, count_stored, held_until
from tests.factories import make_attempt, make_video
from videos.models import Video

pytestmark = pytest.mark.django_db

BERLIN = ZoneInfo("Europe/Berlin")
MONDAY_NOON = datetime(2026, 11, 23, 12, tzinfo=BERLIN)
MONDAY = MONDAY_NOON.date()
MIDNIGHT = datetime(2026, 11, 24, tzinfo=BERLIN)


def limits_of(**bounds) -> Limits:
    Limits.row()
    Limits.objects.update(**{"time_zone": "Europe/Berlin", **bounds})
    return Limits.row()


def open_at_night() -> None:
    DownloadWindow.objects.create(days=list(range(7)), opens_at=time(22), closes_at=time(6))


def store(videos: int, size: int, *, day: date = MONDAY) -> None:
    DayTotal.objects.create(day=day, videos=videos, bytes=size)


def run_download(**announced: int | None) -> None:
    video = make_video()
    attempt = make_attempt(video=video)
    lease = {"claim_id": attempt.pk, "lease_owner": "host", "lease_expires_at": timezone.now() + timedelta(seconds=30)}
    Video.objects.filter(pk=video.pk).update(status="downloading", **lease)
    if announced:
        LiveProgress.objects.create(attempt=attempt, **announced)


def test_nothing_holds_downloads_without_windows_and_caps():
    assert held_until(limits_of(), MONDAY_NOON) is None


def test_outside_the_windows_downloads_wait_for_the_next_one():
    limits = limits_of()
    open_at_night()
    hold = held_until(limits, MONDAY_NOON)
    assert hold == Hold("outside_window", datetime(2026, 11, 23, 22, tzinfo=BERLIN), BERLIN)
    assert hold.in_words() == "Outside the download window until Mon 23 Nov 22:00 (Europe/Berlin)."
    assert held_until(limits, hold.until) is None


def test_windows_are_in_the_zone_of_the_limits():
    open_at_night()
    new_york = ZoneInfo("America/New_York")
    assert held_until(limits_of(time_zone="America/New_York"), MONDAY_NOON).until == datetime(2026, 11, 23, 22, tzinfo=new_york)
    assert held_until(limits_of(time_zone="Asia/Tokyo"), MONDAY_NOON + timedelta(hours=2)) is None


@pytest.mark.parametrize(
    ("cap", "stored", "is_held"),
    [
        pytest.param({"max_videos_per_day": 3}, (2, 0), False, id="a video fits"),
        pytest.param({"max_videos_per_day": 3}, (3, 0), True, id="as many videos as may be"),
        pytest.param({"max_videos_per_day": 3}, (7, 0), True, id="more videos, the cap was lowered"),
        pytest.param({"max_gigabytes_per_day": 1.5}, (9, 1_499_999_999), False, id="a byte is left"),
        pytest.param({"max_gigabytes_per_day": 1.5}, (9, 1_500_000_000), True, id="as many bytes as may be"),
    ],
)
def test_a_day_is_over_when_its_cap_is_reached(cap, stored, is_held):
    store(*stored)
    hold = held_until(limits_of(**cap), MONDAY_NOON)
    assert (hold.until if hold else None) == (MIDNIGHT if is_held else None)


def test_nothing_stored_today_is_room():
    store(5, 10**12, day=date(2026, 11, 22))
    assert held_until(limits_of(max_videos_per_day=1, max_gigabytes_per_day=0.1), MONDAY_NOON) is None


def test_the_day_is_that_of_the_zone():
    store(5, 0, day=date(2026, 11, 24))
    late = datetime(2026, 11, 23, 23, 30, tzinfo=UTC)
    assert held_until(limits_of(max_videos_per_day=5), late).until == datetime(2026, 11, 25, tzinfo=BERLIN)
    assert held_until(limits_of(max_videos_per_day=5, time_zone="UTC"), late) is None


def test_running_downloads_are_of_the_day_too():
    store(1, 0)
    run_download()
    assert held_until(limits_of(max_videos_per_day=3), MONDAY_NOON) is None
    run_download()
    assert held_until(limits_of(max_videos_per_day=3), MONDAY_NOON).reason == "videos_of_the_day"


def test_bytes_that_running_downloads_announced_are_counted_in():
    limits = limits_of(max_gigabytes_per_day=1)
    store(1, 400_000_000)
    run_download()
    run_download(bytes_done=100_000_000, bytes_total=None)
    run_download(bytes_done=1, bytes_total=499_999_999)
    assert held_until(limits, MONDAY_NOON) is None
    run_download(bytes_done=0, bytes_total=1)
    assert held_until(limits, MONDAY_NOON) == Hold("gigabytes_of_the_day", MIDNIGHT, BERLIN, 1)


@pytest.mark.parametrize(
    ("cap", "words"),
    [
        ({"max_videos_per_day": 1500}, "Today's 1,500 videos are stored or under way; it goes on from Tue 24 Nov 00:00 (Europe/Berlin)."),
        ({"max_videos_per_day": 1}, "Today's 1 video is stored or under way; it goes on from Tue 24 Nov 00:00 (Europe/Berlin)."),
        ({"max_gigabytes_per_day": 2.5}, "Today's 2.5 GB are stored or under way; it goes on from Tue 24 Nov 00:00 (Europe/Berlin)."),
    ],
    ids=["videos", "one video", "gigabytes"],
)
def test_a_spent_day_is_told_in_a_sentence(cap, words):
    store(2000, 10**10)
    assert held_until(limits_of(**cap), MONDAY_NOON).in_words() == words


def test_after_a_spent_day_it_goes_on_in_the_first_window_of_the_next():
    DownloadWindow.objects.create(days=list(range(7)), opens_at=time(8), closes_at=time(20))
    store(9, 0)
    assert held_until(limits_of(max_videos_per_day=9), MONDAY_NOON).until == datetime(2026, 11, 24, 8, tzinfo=BERLIN)


@pytest.mark.parametrize(("cap", "queries"), [({}, 1), ({"max_videos_per_day": 9, "max_gigabytes_per_day": 9}, 2)], ids=["none", "caps"])
def test_asking_costs_a_query_and_another_for_caps(cap, queries):
    limits = limits_of(**cap)
    with CaptureQueriesContext(connection) as asked:
        held_until(limits, MONDAY_NOON)
    assert len(asked) == queries


def test_stored_videos_are_counted_to_the_day_of_the_zone():
    for zone, size in (("Pacific/Kiritimati", 5), ("Pacific/Kiritimati", 7), ("Etc/GMT+12", 1)):  # 26 hours apart
        limits_of(time_zone=zone)
        count_stored(size)
    later, sooner = DayTotal.objects.all()
    assert later.day > sooner.day
    assert [(total.videos, total.bytes) for total in (later, sooner)] == [(2, 12), (1, 1)]
