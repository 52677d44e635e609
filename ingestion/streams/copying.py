"""COPY: one format goes into the object as it is; part i of the upload is byte range i of the format.

One part at a time is fetched, by several connections together, and then stored: a worker that is killed at any moment has
fetched and sent no more than that one part in vain. What is stored is in the bucket and in the attempt's row.
"""

from collections.abc import Callable, Mapping
from contextlib import closing, suppress
from typing import Any

from ingestion.extraction import MediaFormat
from ingestion.store import Part, Stored, Upload
from ingestion.streams.boxes import MP4_EXTENSIONS, index_is_first
from ingestion.streams.crew import Crew
from ingestion.streams.gate import check_head
from ingestion.streams.job import Job, Transferred, Unstreamable
from ingestion.streams.ranges import MIB, UNSEEN, Meter, SourceChangedError, Track

Check = Callable[[memoryview], object]

SLICES = 4
SMALLEST_SLICE = MIB


def copy(job: Job) -> Transferred:
    """Goes on from `job.state` when the format is still the same file. Raises Unstreamable when its index comes last."""
    (media,) = job.extraction.formats
    meter = Meter()
    stored = store_format(job, media, media.ext, meter, check=lambda head: check_head(head, job.extraction))
    return Transferred(stored, "copy", media.ext, meter.fetched)


def store_format(job: Job, media: MediaFormat, ext: str, meter: Meter, *, check: Check = lambda head: None) -> Stored:
    """Make one format an object under the job's key and `ext`, going on from `job.state` when that is of the same file.

    `check` gets the first part before it is stored, and raises when it is not what was expected.
    """
    state = job.state
    if state and not fits(state, media):
        job.clear_away()
        state = None
    if state and (stored := _finished(job, state, media)):
        return stored
    if state:
        with suppress(SourceChangedError):
            return _store_format(job, media, ext, meter, check, state)
        job.cancel.clear()  # the upload was aborted; once more from the beginning
    return _store_format(job, media, ext, meter, check, None)


def fits(state: Mapping[str, Any], media: MediaFormat) -> bool:
    """Whether what is remembered of an upload is about this very file."""
    facts = state.get("facts") or {}
    return (facts.get("format_id"), facts.get("size")) == (media.format_id, media.size)


def _finished(job: Job, state: Mapping[str, Any], media: MediaFormat) -> Stored | None:
    """The object, when the last transfer was cut off after it was whole and before anybody wrote that down."""
    parts = [Part(**state["parts"][number]) for number in sorted(state.get("parts") or {}, key=int)]
    if sum(part.size for part in parts) != media.size or job.store.size(state["key"]) != media.size:
        return None
    if job.on_state:
        job.on_state(dict(state))
    return Stored.of(state["key"], parts, state["part_size"])


def _store_format(job: Job, media: MediaFormat, ext: str, meter: Meter, check: Check, state: Mapping[str, Any] | None) -> Stored:
    upload = job.begin(ext, media.size, facts={"format_id": media.format_id, "size": media.size}, state=state)
    meter.start_at(sum(part.size for part in upload.parts.values()))
    track = job.track(media, meter, validator=upload.facts.get("validator", UNSEEN))

    def pulse() -> None:
        if track.validator is not UNSEEN:
            upload.facts["validator"] = track.validator
        job.progress(meter.done, media.size)

    with job.upload_or_nothing(upload, resumable=True):
        with job.crew(upload, pulse, size=SLICES) as crew:
            for number in sorted(set(range(1, -(-media.size // upload.part_size) + 1)) - set(upload.parts)):
                _store_part(crew, track, upload, number, check)
        return upload.complete(media.size)


def _store_part(crew: Crew, track: Track, upload: Upload, number: int, check: Check) -> None:
    first = (number - 1) * upload.part_size
    buffer = bytearray(min(upload.part_size, track.size - first))
    step = max(-(-len(buffer) // SLICES), SMALLEST_SLICE)
    for start in range(0, len(buffer), step):
        crew.submit(_fill, track, memoryview(buffer)[start : start + step], first + start)
    crew.drain()
    if number == 1:
        check(memoryview(buffer))
    crew.submit(upload.put_part, number, buffer)
    crew.drain()


def _fill(track: Track, piece: memoryview, first: int) -> None:
    """Fetch a piece; the first one of a file is looked at as it arrives."""
    unsure = first == 0 and track.media.ext in MP4_EXTENSIONS
    with closing(track.fill(piece, first)) as filling:
        for filled in filling:
            if unsure and (seen := index_is_first(piece[:filled])) is not None:
                unsure = False
                if not seen:
                    raise Unstreamable(f"format {track.media.format_id} has its index behind the media")
    if unsure:
        raise Unstreamable(f"format {track.media.format_id} does not look like MP4")
