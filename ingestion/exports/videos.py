"""What a file tells of each video: a word for each column, the same in all formats."""

from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import date
from typing import Any

from django.db.models import QuerySet

from ingestion.errors import KINDS
from videos.models import Video

AT_ONCE = 2000
"""Rows that are in memory at a time."""
Row = list[Any]

COLUMNS: dict[str, Callable[[Video], Any]] = {
    "number": lambda video: video.pk,
    "person": lambda video: video.person.name,
    "channel": lambda video: video.channel.title,
    "address": lambda video: video.channel.canonical_url,
    "title": lambda video: video.title,
    "link": lambda video: video.url,
    "status": lambda video: video.in_words,
    "why": lambda video: _kind(video).meaning if video.error_kind else "",
    "advice": lambda video: _kind(video).advice if video.error_kind else "",
    "bytes": lambda video: video.file_size,
    "seconds": lambda video: video.duration,
    "uploaded": lambda video: _uploaded(video),
    "stored": lambda video: video.stored_at,
    "height": lambda video: video.height,
    "format": lambda video: video.container,
    "key": lambda video: video.storage_key,
    "checksum": lambda video: video.checksum,
    "crc32": lambda video: video.crc32,
    "attempts": lambda video: video.attempts,
    "session": lambda video: video.session_id,
}
READ = (
    *("external_id", "title", "status", "wanted", "next_attempt_at", "error_kind", "file_size", "duration", "upload_date"),
    *("upload_date_is_exact", "stored_at", "height", "container", "storage_key", "checksum", "crc32", "attempts"),
    *("person__name", "channel__title", "channel__canonical_url", "channel__state", "session__state"),
)


def video_rows(videos: QuerySet[Video], in_words: Callable[[Video], str]) -> Iterator[Row]:
    """The videos by number, a value for each of COLUMNS; `in_words` says how a video stands.

    Read through a cursor of the database, AT_ONCE at a time. Inside a transaction the first rows come at once; without one
    PostgreSQL puts all of them aside first.
    """
    found = videos.select_related("person", "channel", "session").only(*READ).order_by("pk")
    with closing(found.iterator(chunk_size=AT_ONCE)) as rows:
        for video in rows:
            video.in_words = in_words(video)
            yield [read(video) for read in COLUMNS.values()]


def _kind(video: Video):
    return KINDS.get(video.error_kind, KINDS["unknown"])


def _uploaded(video: Video) -> date | str | None:
    """YouTube often says only about when."""
    return video.upload_date if video.upload_date is None or video.upload_date_is_exact else f"about {video.upload_date.isoformat()}"
