"""The questions of the admin's lists are served by an index that has their rows in order.

Asked of empty tables, where a plan tells which index can serve, not which is best: what costs least without sorting and without
reading a table.
"""

import pytest
from django.db import connection
from django.db.models import F, Sum

from ingestion.models import Attempt, Scan
from videos.models import Video, VideoTally

pytestmark = pytest.mark.django_db

NEWEST = (F("upload_date").desc(nulls_last=True), "-id")
QUESTIONS = {
    "video_session_error": lambda: Video.objects.filter(session=1, error_kind="network").order_by(*NEWEST),
    "video_channel_largest": lambda: Video.objects.stored().filter(channel=1, file_size__lt=5).order_by("-file_size", "-id"),
    "attempt_session_outcome": lambda: Attempt.objects.filter(session=1, outcome="failed").order_by("-id"),
    "scan_error_newest": lambda: Scan.objects.filter(error_kind="network").order_by("-id"),
    "scan_session_state": lambda: Scan.objects.filter(session=1, state__in=["failed", "pending"]).order_by(),
    "tally_of_session": lambda: VideoTally.objects.filter(session_id=1).order_by().values("status").annotate(Sum("videos")),
}


@pytest.mark.parametrize("index", QUESTIONS)
def test_a_question_has_its_index(index):
    with connection.cursor() as cursor:
        for way in ("seqscan", "sort", "bitmapscan"):
            cursor.execute(f"SET LOCAL enable_{way} = off")
    assert f" using {index} on " in QUESTIONS[index]().explain()
