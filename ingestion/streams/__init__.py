"""A video's bytes from YouTube into the store, in bounded memory; the object appears only when whole and checked.

    plan()   COPY     one https format, stored as it is       copying   resumable: part i is byte range i
             MUX      picture and sound, https, known sizes   muxing    through ffmpeg, in memory
             CONVERT  the same, or one format, encoded anew   muxing    through ffmpeg, in memory
             TRACKS   the same, once begun in vain, or large  tracks    resumable: each track as an object, then MUX
             SPOOL    everything else                         spooling  through yt-dlp and the scratch folder

Before an object is completed: every track delivered exactly the bytes announced, by one and the same file; ffmpeg ended
well and in silence; the output is about as big as its inputs; every part was acknowledged; afterwards the storage holds
exactly that size. Anything else raises and leaves no object behind.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from threading import Event
from typing import Any

from django.conf import settings

from ingestion.extraction import Extraction, MediaFormat, MediaSource, Progress
from ingestion.store import OnState, Store
from ingestion.streams.addresses import Addresses, Renew
from ingestion.streams.copying import copy
from ingestion.streams.ffmpeg import ffmpeg_path
from ingestion.streams.job import Job, Transferred, Unstreamable
from ingestion.streams.muxing import mux
from ingestion.streams.recipes import codecs_after, needs_ffmpeg
from ingestion.streams.spooling import spool
from ingestion.streams.tracks import LARGE, store_tracks

__all__ = ["Transferred", "codecs_after", "ffmpeg_path", "plan", "transfer"]

WAYS = {"copy": copy, "mux": mux, "convert": mux, "tracks": store_tracks, "spool": spool}


def plan(extraction: Extraction, *, container: str = "mp4", convert: str = "none", begun_before: bool = False) -> str:
    """The name of a way. `begun_before`: an earlier attempt has fetched some of it in vain."""
    formats = extraction.formats
    if not (all(_is_ranged(media) for media in formats) and _go_together(formats)):
        return "spool"
    if not needs_ffmpeg(extraction, container, convert):
        return "copy"
    if begun_before or sum(media.size for media in formats) >= LARGE:
        return "tracks"
    return "mux" if convert == "none" else "convert"


def transfer(
    extraction: Extraction,
    *,
    source: MediaSource,
    store: Store,
    key_stem: str,
    progress: Progress,
    metadata: Mapping[str, str],
    state: Mapping[str, Any] | None = None,
    on_state: OnState | None = None,
    part_size: int | None = None,
    container: str = "mp4",
    convert: str = "none",
    audio_bitrate: int | None = None,
    renew: Renew | None = None,
    begun_before: bool = False,
) -> Transferred:
    """Store the video under `key_stem` and the extension of what it became.

    `state` is what an earlier transfer last gave to its `on_state`: a COPY and the tracks of the same files go on from
    there, under the keys they have begun with; anything else is removed first. `on_state` hears of the upload as soon as
    there is one, after each part, and with None when it was aborted; without it nothing is resumable. `begun_before` says
    that an earlier attempt had fetched some of the video in vain.

    An address that is refused on the way is asked for anew by `renew`, and the reading goes on at the same byte.

    `progress` and `on_state` are called by the calling thread only, progress about every 0.2 s whether or not bytes
    came in, and both may raise to stop. That aborts the upload, but for a COPY or a track stopped by an exception with
    `keep_upload = True` or by an ArchiveError that casts no doubt on what is stored so far.

    Raises TransientError and SetupError, what `source` raises, and what `progress` and `on_state` raise.
    """
    job = Job(
        extraction,
        source,
        store,
        key_stem,
        progress,
        metadata,
        settings.PARTS_IN_FLIGHT,
        state=state,
        on_state=on_state,
        part_size=part_size,
        container=container,
        convert=convert,
        audio_bitrate=audio_bitrate,
        addresses=Addresses(extraction.formats, renew),
    )
    way = plan(extraction, container=container, convert=convert, begun_before=begun_before and on_state is not None)
    try:
        return WAYS[way](job)
    except Unstreamable:
        return spool(replace(job, state=None, cancel=Event()))


def _go_together(formats: Sequence[MediaFormat]) -> bool:
    """One format, or picture and sound."""
    return len(formats) == 1 or (len(formats) == 2 and bool(formats[0].vcodec and formats[1].acodec))


def _is_ranged(media: MediaFormat) -> bool:
    return media.protocol in ("https", "http") and bool(media.size)
