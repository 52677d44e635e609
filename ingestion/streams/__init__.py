"""A video's bytes from YouTube into the store, in bounded memory; the object appears only when whole and checked.

    plan()   COPY   one https format of known size          copying   resumable: part i is byte range i
             MUX    picture and sound, https, known sizes   muxing    through ffmpeg, in memory
             SPOOL  everything else                         spooling  through yt-dlp and the scratch folder

Before an object is completed: every track delivered exactly the bytes announced, by one and the same file; ffmpeg ended
well and in silence; the output is about as big as its inputs; every part was acknowledged; afterwards the storage holds
exactly that size. Anything else raises and leaves no object behind.
"""

from collections.abc import Mapping
from dataclasses import replace
from threading import Event
from typing import Any

from django.conf import settings

from ingestion.extraction import Extraction, MediaFormat, MediaSource, Progress
from ingestion.store import OnState, Store
from ingestion.streams.copying import copy
from ingestion.streams.ffmpeg import ffmpeg_path
from ingestion.streams.job import Job, Transferred, Unstreamable
from ingestion.streams.muxing import mux
from ingestion.streams.spooling import spool

__all__ = ["Transferred", "ffmpeg_path", "plan", "transfer"]

WAYS = {"copy": copy, "mux": mux, "spool": spool}


def plan(extraction: Extraction) -> str:
    """`copy`, `mux` or `spool`."""
    formats = extraction.formats
    if not all(_is_ranged(media) for media in formats):
        return "spool"
    if len(formats) == 1:
        return "copy"
    if len(formats) == 2 and formats[0].vcodec and formats[1].acodec:
        return "mux"
    return "spool"


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
) -> Transferred:
    """Store the video under `key_stem` and the extension of what it became.

    `state` is what an earlier transfer last gave to its `on_state`: a COPY of the same file goes on from there, under
    the key it has begun with; any other is aborted first. `on_state` hears of the upload as soon as there is one, after
    each part, and with None when it was aborted; without it nothing is resumable.

    `progress` and `on_state` are called by the calling thread only, progress about every 0.2 s whether or not bytes
    came in, and both may raise to stop. That aborts the upload, but for a COPY stopped by an exception with
    `keep_upload = True` or by one of YouTube's network, a refused media URL or the storage.

    Raises TransientError and SetupError, what `source` raises, and what `progress` and `on_state` raise.
    """
    job = Job(extraction, source, store, key_stem, progress, metadata, settings.PARTS_IN_FLIGHT, state, on_state, part_size)
    way = plan(extraction)
    try:
        return WAYS[way](job)
    except Unstreamable:
        return spool(replace(job, state=None, cancel=Event()))


def _is_ranged(media: MediaFormat) -> bool:
    return media.protocol in ("https", "http") and bool(media.size)
