"""One claimed video, from one look at YouTube to an exact row: the work itself, without queue or process around it."""

import logging
from collections.abc import Mapping
from typing import Any, Protocol

from django.conf import settings
from django.db import DatabaseError, InterfaceError, connection

from ingestion import budget, leases, orphans
from ingestion.errors import ArchiveError, error
from ingestion.extraction import Extraction, MediaSource
from ingestion.heartbeat import Heartbeat, Stopped
from ingestion.leases import Claim
from ingestion.models import Attempt
from ingestion.options import Options
from ingestion.outages import DATABASE_AWAY, close_connection, insist
from ingestion.store import Store
from ingestion.streams import Transferred, transfer
from videos.keys import key_stem
from videos.models import Video
from videos.text import storable

logger = logging.getLogger(__name__)


class VideoSource(MediaSource, Protocol):
    """YouTube, as far as a download needs it."""

    def extract(self, external_id: str, quality: str) -> Extraction: ...


def download(claim: Claim, *, source: VideoSource, store: Store, heartbeat: Heartbeat) -> bool:
    """Download one claimed video and record the outcome, whatever it is. True when it is stored.

    Nothing is raised for a video that fails: its row and its attempt say what happened. `heartbeat` is running.
    """
    way = ""
    try:
        video = _video(claim)
        extraction = source.extract(video.external_id, _options(video).quality)
        budget.accepted()
        moved = _move(claim, video, extraction, source=source, store=store, heartbeat=heartbeat)
        way = moved.way
        return _record(claim, video, extraction, moved, store)
    except Stopped as stop:
        _stopped(claim, stop)
    except ArchiveError as failure:
        _failed(claim, failure, way, store)
    except DATABASE_AWAY as exc:
        logger.warning("the database went away in a download, which is handed back: %s", exc, extra={"video": claim.video_id})
        close_connection()
        insist(leases.hand_back, claim)
    except Exception as exc:  # the attempt must be recorded whatever broke, and the worker goes on
        logger.exception("an unforeseen error in a download", extra={"video": claim.video_id})
        _failed(claim, error("unknown", f"{type(exc).__name__}: {exc}"), way, store)
    return False


def _video(claim: Claim) -> Video:
    return Video.objects.select_related("person", "channel", "session").get(pk=claim.video_id)


def _options(video: Video) -> Options:
    return Options.of(video.session.options if video.session else {})


def _move(claim: Claim, video: Video, extraction: Extraction, *, source: VideoSource, store: Store, heartbeat: Heartbeat) -> Transferred:
    """Stream the bytes; no database connection is held meanwhile but for the upload's state."""
    state = _last_upload(claim)
    _remove_unrecorded(claim, store)
    connection.close()
    return transfer(
        extraction,
        source=source,
        store=store,
        key_stem=_key_stem(claim, video),
        progress=heartbeat.progress,
        metadata={"massdl-video": str(video.uuid), "youtube-id": video.external_id},
        state=state,
        on_state=lambda state: _remember_upload(claim, state),
    )


def _remember_upload(claim: Claim, state: Mapping[str, Any] | None) -> None:
    """Keep what is needed to go on or to clear away. A database that is away for a moment must not end a download: the
    state of the next part says it all again."""
    try:
        Attempt.objects.filter(pk=claim.attempt_id).update(upload=state)
    except (DatabaseError, InterfaceError):
        logger.warning("the state of an upload was not saved", extra={"attempt": claim.attempt_id})
        connection.close()


def _last_upload(claim: Claim) -> Mapping[str, Any] | None:
    """What an earlier attempt had begun to upload: the transfer goes on from it, or clears it away."""
    earlier = Attempt.objects.filter(video_id=claim.video_id, upload__isnull=False, pk__lt=claim.attempt_id)
    return earlier.exclude(outcome=Attempt.Outcome.STORED).order_by("-pk").values_list("upload", flat=True).first()


def _remove_unrecorded(claim: Claim, store: Store) -> None:
    """Remove what an earlier attempt had stored whole when it was killed before it could record it."""
    earlier = Attempt.objects.filter(video_id=claim.video_id, upload__isnull=False, pk__lt=claim.attempt_id)
    keys = set(earlier.exclude(outcome=Attempt.Outcome.STORED).values_list("upload__key", flat=True))
    for key in keys - set(Video.objects.filter(storage_key__in=keys).values_list("storage_key", flat=True)):
        if store.size(key) is not None:  # on some servers a DELETE of a key breaks the upload under it that is still open
            store.delete(key)


def _key_stem(claim: Claim, video: Video) -> str:
    return key_stem(
        person_id=video.person_id,
        person_name=video.person.name,
        channel_id=video.channel.external_id,
        video_id=video.external_id,
        uuid=video.uuid,
        attempt_id=claim.attempt_id,
        by_person=settings.ORGANISE_BY_PERSON,
    )


def _record(claim: Claim, video: Video, extraction: Extraction, moved: Transferred, store: Store) -> bool:
    """The exact row. The object of an earlier download of the same video goes when the new one is recorded."""
    stored = moved.stored
    fields = {
        **_what_youtube_says(extraction),
        **_picture(extraction),
        "storage_key": stored.key,
        "file_size": stored.size,
        "checksum": stored.checksum,
        "crc32": stored.crc32,
        "part_size": stored.part_size,
        "container": moved.container,
    }
    if not insist(leases.finish_stored, claim, way=moved.way, **fields):
        logger.warning("a video was finished after its lease had gone to somebody else", extra={"video": claim.video_id})
        _clear_away(claim, stored.key, store)
        return False
    if video.storage_key and video.storage_key != stored.key:
        store.delete(video.storage_key)
    return True


def _what_youtube_says(extraction: Extraction) -> dict[str, Any]:
    """Columns that this look filled; what it did not tell is left as it was."""
    said = {
        "title": storable(extraction.title, 300),
        "description": storable(extraction.description),
        "duration": round(extraction.duration) if extraction.duration else None,
        "upload_date": extraction.upload_date,
        "view_count": extraction.view_count,
        "live_status": extraction.live_status[:20],
        "availability": extraction.availability[:20],
    }
    exact = {"upload_date_is_exact": True} if extraction.upload_date else {}
    return {name: value for name, value in said.items() if value not in (None, "")} | exact


def _picture(extraction: Extraction) -> dict[str, Any]:
    first, last = extraction.formats[0], extraction.formats[-1]
    return {
        "width": first.width,
        "height": first.height,
        "fps": first.fps,
        "vcodec": (first.vcodec or "")[:40],
        "acodec": (last.acodec or "")[:40],
    }


def _clear_away(claim: Claim, key: str, store: Store) -> None:
    """Remove the object of a lost claim, unless a later attempt goes on with the same upload."""
    later = Attempt.objects.filter(video_id=claim.video_id, pk__gt=claim.attempt_id, upload__key=key)
    taken = Video.objects.filter(storage_key=key)
    if not later.exists() and not taken.exists():
        store.delete(key)


def _stopped(claim: Claim, stop: Stopped) -> None:
    logger.info("the download of video %d was stopped: %s", claim.video_id, stop.reason, extra={"video": claim.video_id})
    if stop.reason != "lost":
        insist(leases.hand_back, claim)


def _failed(claim: Claim, failure: ArchiveError, way: str, store: Store) -> None:
    if budget.is_refusal(failure) and not leases.refuses_this_video_only(claim, failure.kind):
        until = budget.refused(failure.kind)
        logger.error("YouTube refuses us (%s): no requests until %s", failure.kind, until.isoformat(timespec="seconds"))
    budget.note_answer(failure)
    logger.info("video %d was not stored: %s", claim.video_id, failure, extra={"video": claim.video_id})
    if insist(leases.finish_failed, claim, failure, way=way):
        orphans.clear_video(claim.video_id, store=store)
