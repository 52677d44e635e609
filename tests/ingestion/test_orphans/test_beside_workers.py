"""Cleaning all the time, without regard to age, while workers download, fail, go on and finish."""

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from django.db import connection
from django.db.models.functions import Now

from ingestion import leases
from ingestion.audit import differences
from ingestion.downloading import download
from ingestion.errors import error
from ingestion.heartbeat import Heartbeat
from ingestion.models import Attempt, Limits
from ingestion.orphans import clean
from ingestion.store import upload as uploading
from tests.factories import make_video
from tests.ingestion.test_downloading import CONTENT, FakeSource
from tests.ingestion.test_orphans.leftovers import uploads
from videos.models import Video

pytestmark = pytest.mark.django_db(transaction=True)

VIDEOS, PARTS, REFUSALS = 12, 4, 8


class Unsteady(FakeSource):
    """Refuses every third range, for a while; the upload then waits for the next attempt."""

    def __init__(self):
        super().__init__()
        self._ranges = 0

    def open_range(self, media, first, last):
        self._ranges += 1
        if self._ranges % 3 == 0 and self._ranges < REFUSALS * 3:
            raise error("forbidden")
        return super().open_range(media, first, last)


def work(done: threading.Event, store) -> None:
    """Download until nothing is left, as one worker; a worker that breaks ends the work of all."""
    source = Unsteady()
    try:
        while Video.objects.unfinished().exists() and not done.is_set():
            Video.objects.filter(status="pending").update(next_attempt_at=Now())
            if claim := leases.claim("w"):
                download(claim, source=source, store=store, heartbeat=Heartbeat(claim))
    except BaseException:
        done.set()
        raise
    finally:
        connection.close()


def clean_until(done: threading.Event, store) -> int:
    removed = 0
    try:
        while not done.is_set():
            cleaning = clean(store, older_than=timedelta(0))
            removed += cleaning.objects + cleaning.uploads + cleaning.remembered
    finally:
        connection.close()
    return removed


@pytest.mark.parametrize("kind", ["folder", "rclone"])
def test_no_video_loses_anything_to_the_cleaning_and_nothing_is_left_over(kind, request, monkeypatch):
    store = request.getfixturevalue(f"{kind}_store")
    monkeypatch.setattr(uploading, "SMALLEST_PART", -(-len(CONTENT) // PARTS))
    Limits.objects.update_or_create(
        pk=1, defaults={"max_attempts": 2 * REFUSALS + 3, "max_concurrent_channels": 9, "max_concurrent_videos_per_channel": 9}
    )
    for number in range(VIDEOS):
        make_video(storage_key="" if number else "old/key")  # one is to be stored anew
    done = threading.Event()
    with ThreadPoolExecutor(3) as threads:
        cleaner = threads.submit(clean_until, done, store)
        workers = [threads.submit(work, done, store) for _ in range(2)]
        try:
            for worker in workers:
                worker.result()
        finally:
            done.set()
        cleaner.result()
    clean(store, older_than=timedelta(0))
    assert list(Video.objects.exclude(status="stored").values_list("pk", "status", "attempts", "error_kind", "error_message")) == []
    assert list(differences(store)) == []
    assert uploads(store) == set()
    assert not Attempt.objects.filter(upload__isnull=False).exclude(outcome="stored").exists()
    assert set(Attempt.objects.values_list("error_kind", flat=True)) <= {"", "forbidden"}
