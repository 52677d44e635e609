"""TRACKS: picture and sound become objects of their own first, beside the video; then they flow from there through ffmpeg.

It takes nearly twice the time of MUX, and loses almost nothing: each track goes on part by part as a COPY does, on any
host, and whatever happens afterwards is made from the storage alone. So it is for videos that were begun in vain once,
and for large ones. The tracks are left for whoever records the video: another worker may be at them.
"""

import logging
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from django.db import Error as DatabaseError

from ingestion.errors import ArchiveError, TransientError
from ingestion.extraction import MediaFormat, RangeAnswer
from ingestion.store import OnState, Store, Stored
from ingestion.streams.addresses import Addresses
from ingestion.streams.copying import fits, store_format
from ingestion.streams.ffmpeg import BlamelessError
from ingestion.streams.gate import check_track
from ingestion.streams.job import NOT_TO_RESUME, Job, Transferred, Unstreamable
from ingestion.streams.muxing import mux
from ingestion.streams.ranges import Meter
from ingestion.uploads import MEDIA, PICTURE, SOUND, by_role

logger = logging.getLogger(__name__)

LARGE = 4 << 30
"""Bytes from which a video is worth the detour at its first attempt."""


def store_tracks(job: Job) -> Transferred:
    """Goes on from `job.state` with every track that is still the same file. Raises Unstreamable, with nothing left behind.

    Tracks that ffmpeg complains of, or that are not the announced film, are not kept; what it was killed for is not theirs.
    """
    begun = _Begun(job)
    try:
        return _store_tracks(job, begun)
    except Unstreamable:
        begun.clear_away_quietly()
        raise
    except TransientError as exc:
        if exc.kind in NOT_TO_RESUME and not isinstance(exc, BlamelessError):
            begun.clear_away_quietly()
        raise


def _store_tracks(job: Job, begun: "_Begun") -> Transferred:
    formats = job.extraction.formats
    whole = sum(media.size for media in formats)
    meters = [Meter() for _ in formats]
    done, stored = 0, []
    for media, meter in zip(formats, meters, strict=True):
        role = PICTURE if media.vcodec else SOUND
        stored.append(_track(_counted(begun.job(role), done, 2 * whole - done - media.size), begun, role, media, meter))
        done += media.size
    kept = tuple(replace(media, url=track.key) for media, track in zip(formats, stored, strict=True))
    from_store = replace(
        _counted(begun.job(MEDIA), whole, 0),
        source=_StoreSource(job.store),
        extraction=replace(job.extraction, formats=kept),
        addresses=Addresses(kept),
    )
    moved = mux(from_store)
    return replace(
        moved, way="tracks", bytes_fetched=sum(meter.fetched for meter in meters), leftovers=tuple(track.key for track in stored)
    )


def _counted(job: Job, before: int, after: int) -> Job:
    """Its progress goes on from `before`, with `after` to follow: every byte is moved twice, and staff see one way."""
    return replace(job, progress=lambda done, total: job.progress(before + done, before + (total or 0) + after))


def _track(job: Job, begun: "_Begun", role: str, media: MediaFormat, meter: Meter) -> Stored:
    """One track as an object, which may be there already."""
    if job.state and "stored" in job.state:
        if fits(job.state, media) and job.store.size(job.state["key"]) == media.size:
            return Stored(**job.state["stored"])
        job.clear_away()
        job = replace(job, state=None)
    stored = store_format(job, media, f"{role}.{media.ext}", meter, check=lambda head: check_track(head, media, job.extraction))
    begun.note_stored(role, stored, media)
    return stored


class _StoreSource:
    """A MediaSource of formats that are objects: their address is their key."""

    def __init__(self, store: Store):
        self._store = store

    def open_range(self, media: MediaFormat, first: int, last: int) -> RangeAnswer:
        return self._store.open_range(media.url, first, last)

    def download_to(self, *arguments: Any) -> Path:
        raise Unstreamable("tracks that are objects cannot be fetched by yt-dlp")


class _Begun:
    """What is remembered of the three uploads, kept together for `job.on_state`."""

    def __init__(self, job: Job):
        self._job = job
        self._uploads: dict[str, Mapping[str, Any]] = by_role(job.state)
        if not self._uploads:
            job.clear_away()  # what was begun in another way

    def job(self, role: str) -> Job:
        """The job of one of the uploads. The video's own is never gone on with: it is made again from the tracks."""
        return replace(self._job, state=self._uploads.get(role), on_state=self._keeper(role))

    def note_stored(self, role: str, stored: Stored, media: MediaFormat) -> None:
        facts = {"format_id": media.format_id, "size": media.size}
        self._keep(role, {"key": stored.key, "facts": facts, "stored": asdict(stored)})

    def clear_away_quietly(self) -> None:
        """What went wrong before matters more than what cannot be removed; that stays remembered."""
        try:
            replace(self._job, state={"uploads": self._uploads}).clear_away()
            self._uploads = {}
            self._tell()
        except (ArchiveError, DatabaseError) as exc:
            logger.warning("tracks could not be removed: %s", exc, extra={"key": self._job.key_stem})

    def _keeper(self, role: str) -> OnState | None:
        return (lambda state: self._keep(role, state)) if self._job.on_state else None

    def _keep(self, role: str, state: Mapping[str, Any] | None) -> None:
        if state is None:
            self._uploads.pop(role, None)
        else:
            self._uploads[role] = state
        self._tell()

    def _tell(self) -> None:
        if self._job.on_state:
            self._job.on_state({"uploads": dict(self._uploads)} if self._uploads else None)
