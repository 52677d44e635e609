"""One claimed video, from one look at YouTube to an exact row: the work itself, without queue or process around it."""

import logging
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from django.conf import settings
from django.db import connection, transaction
from django.db.models import QuerySet, Subquery
from django.db.models.functions import Coalesce

from ingestion import budget, leases, orphans
from ingestion.assets import AssetClaim, ask_after_download
from ingestion.errors import ArchiveError, error
from ingestion.extraction import Extraction, MediaSource
from ingestion.heartbeat import Heartbeat, Stopped
from ingestion.leases import Claim
from ingestion.models import Attempt
from ingestion.options import Choice, Options
from ingestion.outages import DATABASE_AWAY, close_connection, insist
from ingestion.store import Store
from ingestion.streams import Transferred, codecs_after, transfer
from ingestion.uploads import media_keys, way_of
from videos.keys import key_stem
from videos.models import Video
from videos.text import storable

logger = logging.getLogger(__name__)


class VideoSource(MediaSource, Protocol):
    """YouTube, as far as a download needs it."""

    def extract(self, external_id: str, choice: Choice) -> Extraction: ...


@dataclass(frozen=True)
class Downloaded:
    """A video is stored: the look at it, and the assets that are now ours to make beside it, None for none."""

    extraction: Extraction
    assets: AssetClaim | None


def download(claim: Claim, *, source: VideoSource, store: Store, heartbeat: Heartbeat) -> Downloaded | None:
    """Download one claimed video and record the outcome, whatever it is. None when it is not stored.

    Nothing is raised for a video that fails: its row and its attempt say what happened. `heartbeat` is running.
    """
    begun = False
    try:
        video = _video(claim)
        options = _options(video)
        store.check()  # a storage that is away costs YouTube no request
        begun = True
        extraction = source.extract(video.external_id, options.choice)
        budget.accepted()
        moved = _move(claim, video, extraction, options, source=source, store=store, heartbeat=heartbeat)
        return _record(claim, video, extraction, options, moved, store)
    except Stopped as stop:
        _stopped(claim, stop)
    except ArchiveError as failure:
        _failed(claim, failure, store, begun=begun)
    except DATABASE_AWAY as exc:
        logger.warning("the database went away in a download, which is handed back: %s", exc, extra={"video": claim.video_id})
        close_connection()
        insist(leases.hand_back, claim)
    except Exception as exc:  # the attempt must be recorded whatever broke, and the worker goes on
        logger.exception("an unforeseen error in a download", extra={"video": claim.video_id})
        _failed(claim, error("unknown", f"{type(exc).__name__}: {exc}"), store, begun=begun)
    return None


def _video(claim: Claim) -> Video:
    return Video.objects.select_related("person", "channel", "session").get(pk=claim.video_id)


def _options(video: Video) -> Options:
    return Options.of(video.session.options if video.session else {})


def _move(
    claim: Claim, video: Video, extraction: Extraction, options: Options, *, source: VideoSource, store: Store, heartbeat: Heartbeat
) -> Transferred:
    """Stream the bytes; no database connection is held meanwhile but for the upload's state."""
    state = _last_upload(claim)
    _remove_unrecorded(claim, store, but=set(media_keys(state)))
    begun_before = _begun_before(claim)
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
        container=options.container,
        convert=options.convert,
        audio_bitrate=options.audio_bitrate,
        renew=lambda: _look_again(video, options, source),
        begun_before=begun_before,
    )


def _look_again(video: Video, options: Options, source: VideoSource) -> Extraction:
    """In whichever thread met the refused address; the look uses the database, whose connections are a thread's own."""
    try:
        return source.extract(video.external_id, options.choice)
    finally:
        connection.close()


def _remember_upload(claim: Claim, state: Mapping[str, Any] | None) -> None:
    """Keep what is needed to go on or to clear away. What the database raises goes through: the upload knows whether it can
    do without."""
    try:
        Attempt.objects.filter(pk=claim.attempt_id).update(upload=state, **({"way": way_of(state)} if state else {}))
    except DATABASE_AWAY:
        close_connection()
        raise


def _earlier(claim: Claim) -> QuerySet[Attempt]:
    """Attempts at the same video that did not store it."""
    return Attempt.objects.filter(video_id=claim.video_id, pk__lt=claim.attempt_id).exclude(outcome=Attempt.Outcome.STORED)


def _last_upload(claim: Claim) -> Mapping[str, Any] | None:
    """What an earlier attempt had begun to upload: the transfer goes on from it, or clears it away. None when it became the
    object that the video has: another attempt had gone on with it."""
    state = _earlier(claim).filter(upload__isnull=False).order_by("-pk").values_list("upload", flat=True).first()
    is_stored = Video.objects.filter(storage_key__in=list(media_keys(state))).exists()
    return None if is_stored else state


def _begun_before(claim: Claim) -> bool:
    """Whether an attempt since the video was last stored has fetched picture and sound."""
    stored = Attempt.objects.filter(video_id=claim.video_id, outcome=Attempt.Outcome.STORED).order_by("-pk").values("pk")[:1]
    return _earlier(claim).filter(pk__gt=Coalesce(Subquery(stored), 0), way__in=["mux", "tracks", "convert"]).exists()


def _remove_unrecorded(claim: Claim, store: Store, *, but: Collection[str]) -> None:
    """Remove what an earlier attempt had stored whole when it was killed before it could record it."""
    states = _earlier(claim).filter(upload__isnull=False).values_list("upload", flat=True)
    keys = {key for state in states for key in media_keys(state)} - set(but)
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


def _record(claim: Claim, video: Video, extraction: Extraction, options: Options, moved: Transferred, store: Store) -> Downloaded | None:
    """The exact row. The object of an earlier download of the same video goes when the new one is recorded."""
    stored = moved.stored
    fields = {
        **_what_youtube_says(extraction),
        **_picture(extraction, options.convert),
        "storage_key": stored.key,
        "file_size": stored.size,
        "checksum": stored.checksum,
        "crc32": stored.crc32,
        "part_size": stored.part_size,
        "container": moved.container,
    }
    is_ours, assets = insist(_finish, claim, options, way=moved.way, **fields)
    if not is_ours:
        # its object stays: the attempt remembers it, and whoever has the video now may be about to record it
        logger.warning("a video was finished after its lease had gone to somebody else", extra={"video": claim.video_id})
        return None
    _delete(store, {video.storage_key, *moved.leftovers} - {"", stored.key})
    return Downloaded(extraction, assets)


def _delete(store: Store, keys: Iterable[str]) -> None:
    """Of objects that are no longer needed. What the storage refuses is no matter of the video, which is stored: it is left
    for the daily cleaning."""
    for key in keys:
        try:
            store.delete(key)
        except ArchiveError as failure:
            logger.warning("%s stays in the storage for now: %s", key, failure)


def _finish(claim: Claim, options: Options, **fields: Any) -> tuple[bool, AssetClaim | None]:
    """The row, and those of the assets that go with it, or neither."""
    with transaction.atomic():
        is_ours = leases.finish_stored(claim, **fields)
        return is_ours, ask_after_download(claim, options) if is_ours else None


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


def _picture(extraction: Extraction, convert: str) -> dict[str, Any]:
    vcodec, acodec = codecs_after(extraction, convert)
    size = {name: getattr(extraction.formats[0], name) if vcodec else None for name in ("width", "height", "fps")}
    return {**size, "vcodec": vcodec[:40], "acodec": acodec[:40]}


def _stopped(claim: Claim, stop: Stopped) -> None:
    logger.info("the download of video %d was stopped: %s", claim.video_id, stop.reason, extra={"video": claim.video_id})
    if stop.reason != "lost":
        insist(leases.hand_back, claim)


def _failed(claim: Claim, failure: ArchiveError, store: Store, *, begun: bool) -> None:
    if budget.is_refusal(failure) and not leases.refuses_this_video_only(claim, failure.kind):
        until = budget.refused(failure.kind)
        logger.error("YouTube refuses us (%s): no requests until %s", failure.kind, until.isoformat(timespec="seconds"))
    budget.note_answer(failure)
    logger.info("video %d was not stored: %s", claim.video_id, failure, extra={"video": claim.video_id})
    if insist(leases.finish_failed, claim, failure, begun=begun):
        orphans.clear_video(claim.video_id, store=store)
