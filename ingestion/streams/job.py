"""What every way of moving a video shares: its collaborators, its upload and how an interrupted one is left."""

import logging
import mimetypes
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from django.db import Error as DatabaseError

from ingestion.errors import ArchiveError, PermanentError, TransientError
from ingestion.extraction import Extraction, MediaFormat, MediaSource, Progress
from ingestion.store import OnState, Store, Stored, Upload
from ingestion.streams.addresses import Addresses
from ingestion.streams.crew import Crew
from ingestion.streams.ranges import UNSEEN, Meter, Track
from ingestion.uploads import uploads_in

logger = logging.getLogger(__name__)

NOT_TO_RESUME = ("incomplete", "media")
"""Kinds that put in doubt what was stored so far."""
CONTENT_TYPES = {
    "mp4": "video/mp4",
    "m4a": "audio/mp4",
    "mp3": "audio/mpeg",
    "opus": "audio/ogg",
    "webm": "video/webm",
    "mkv": "video/x-matroska",
    "ts": "video/mp2t",
}
TOLERANCE = 0.03
FIXED_TOLERANCE = 256 << 10


class Unstreamable(Exception):
    """The bytes are not what the plan took them for: another way must be taken."""


@dataclass(frozen=True)
class Transferred:
    """A stored video: the way it took, the file's kind (`mp4`, `m4a`, `webm`...) and the bytes fetched for it this time.

    `leftovers` are keys of objects that it was made from; they are to be deleted when the video is on record.
    """

    stored: Stored
    way: str
    container: str
    bytes_fetched: int
    leftovers: tuple[str, ...] = ()


@dataclass(frozen=True)
class Job:
    """One transfer. `state` is what an earlier one left (see `ingestion.uploads`); `part_size` None lets the size decide;
    `container`, `convert` and
    `audio_bitrate` are those of `ingestion.options`."""

    extraction: Extraction
    source: MediaSource
    store: Store
    key_stem: str
    progress: Progress
    metadata: Mapping[str, str]
    parts_in_flight: int
    state: Mapping[str, Any] | None = None
    on_state: OnState | None = None
    part_size: int | None = None
    container: str = "mp4"
    convert: str = "none"
    audio_bitrate: int | None = None
    addresses: Addresses | None = None
    cancel: threading.Event = field(default_factory=threading.Event)

    def clear_away(self) -> None:
        """Remove all that an earlier transfer left. Raises what the storage raises."""
        for state in uploads_in(self.state):
            clear_away(self.store, state)

    def begin(self, ext: str, expected_size: int, **options: Any) -> Upload:
        """An upload under the video's key, `ext` put behind it: `mp4`, or `picture.mp4` for something beside the video."""
        return self.store.begin(
            f"{self.key_stem}.{ext}",
            content_type=content_type(ext.rpartition(".")[2]),
            metadata=self.metadata,
            expected_size=expected_size,
            part_size=self.part_size,
            on_state=self.on_state,
            **options,
        )

    def track(self, media: MediaFormat, meter: Meter, *, validator: object = UNSEEN) -> Track:
        addresses = self.addresses or Addresses(self.extraction.formats)
        return Track(self.source, media, addresses=addresses, meter=meter, cancel=self.cancel, validator=validator)

    def crew(self, upload: Upload, pulse: Callable[[], None], *, size: int | None = None) -> Crew:
        """Threads for the upload's parts; `pulse` is followed by keeping its state."""

        def beat() -> None:
            pulse()
            upload.keep_state()

        def stop() -> None:
            self.cancel.set()
            upload.leave()

        return Crew(size or self.parts_in_flight, pulse=beat, stop=stop)

    @contextmanager
    def upload_or_nothing(self, upload: Upload, *, resumable: bool = False) -> Iterator[Upload]:
        """An exception aborts the upload, unless it is `resumable` and the exception is one to go on after."""
        try:
            yield upload
        except BaseException as exc:
            upload.leave()
            if resumable and self._worth_keeping(exc):
                upload.keep_state()
            else:
                abort_quietly(upload)
            raise

    def _worth_keeping(self, exc: BaseException) -> bool:
        """After refusals and outages of all sorts, of YouTube, the storage or the database, and after a stop."""
        if isinstance(exc, ArchiveError):
            keep = not isinstance(exc, PermanentError) and exc.kind not in NOT_TO_RESUME
        else:
            keep = isinstance(exc, DatabaseError) or getattr(exc, "keep_upload", False)
        return self.on_state is not None and keep


def clear_away(store: Store, state: Mapping[str, Any]) -> None:
    """Remove an upload that is remembered, and the object that it may have become."""
    if "upload_id" in state:
        store.abort(state)
    if store.size(state["key"]) is not None:  # on some servers a DELETE of a key breaks the upload under it that is still open
        store.delete(state["key"])


def abort_quietly(upload: Upload) -> None:
    """Leave nothing behind, if the storage lets us: what went wrong before matters more."""
    try:
        upload.abort()
    except (ArchiveError, DatabaseError) as exc:
        logger.warning("an unfinished upload could not be removed: %s", exc, extra={"key": upload.key})


def content_type(container: str) -> str:
    return CONTENT_TYPES.get(container) or mimetypes.guess_type(f"x.{container}")[0] or "application/octet-stream"


def compare_sizes(output: int, inputs: int, *, index: int = 0) -> None:
    """Raises TransientError (`media`) unless what came out is about as big as what went in; `index` may come on top."""
    allowed = TOLERANCE * inputs + FIXED_TOLERANCE
    if not inputs - allowed - index <= output <= inputs + allowed + index:
        raise TransientError("media", f"{output} bytes made of {inputs}: too far apart")
