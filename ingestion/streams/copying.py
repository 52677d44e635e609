"""COPY: one format goes into the object as it is; part i of the upload is byte range i of the format."""

from collections.abc import Mapping
from contextlib import closing, suppress
from typing import Any

from ingestion.extraction import MediaFormat
from ingestion.store import Upload
from ingestion.streams.boxes import MP4_EXTENSIONS, index_is_first
from ingestion.streams.job import Job, Transferred, Unstreamable
from ingestion.streams.ranges import UNSEEN, Meter, SourceChangedError, Track


def copy(job: Job) -> Transferred:
    """Goes on from `job.state` when the format is still the same file. Raises Unstreamable when its index comes last."""
    (media,) = job.extraction.formats
    state = job.state
    if state and not _fits(state, media):
        job.store.abort(state)
        state = None
    if state:
        with suppress(SourceChangedError):
            return _copy(job, media, state)
        job.cancel.clear()  # the upload was aborted; once more from the beginning
    return _copy(job, media, None)


def _fits(state: Mapping[str, Any], media: MediaFormat) -> bool:
    facts = state.get("facts") or {}
    return (facts.get("format_id"), facts.get("size")) == (media.format_id, media.size)


def _copy(job: Job, media: MediaFormat, state: Mapping[str, Any] | None) -> Transferred:
    upload = job.begin(media.ext, media.size, facts={"format_id": media.format_id, "size": media.size}, state=state)
    meter = Meter(sum(part.size for part in upload.parts.values()))
    track = job.track(media, meter, validator=upload.facts.get("validator", UNSEEN))

    def pulse() -> None:
        if track.validator is not UNSEEN:
            upload.facts["validator"] = track.validator
        job.progress(meter.done, media.size)

    with job.upload_or_nothing(upload, resumable=True):
        with job.crew(upload, pulse) as crew:
            for number in sorted(set(range(1, -(-media.size // upload.part_size) + 1)) - set(upload.parts)):
                crew.submit(_copy_part, track, upload, number)
            crew.drain()
        stored = upload.complete(media.size)
    return Transferred(stored, "copy", media.ext, meter.fetched)


def _copy_part(track: Track, upload: Upload, number: int) -> None:
    first = (number - 1) * upload.part_size
    buffer = bytearray(min(upload.part_size, track.size - first))
    unsure = number == 1 and track.media.ext in MP4_EXTENSIONS
    with closing(track.fill(buffer, first)) as filling:
        for filled in filling:
            if unsure and (seen := index_is_first(memoryview(buffer)[:filled])) is not None:
                unsure = False
                if not seen:
                    raise Unstreamable(f"format {track.media.format_id} has its index behind the media")
    if unsure:
        raise Unstreamable(f"format {track.media.format_id} does not look like MP4")
    upload.put_part(number, buffer)
