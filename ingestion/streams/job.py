"""What every way of moving a video shares: its collaborators, its upload and how an interrupted one is left."""

import logging
import mimetypes
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from django.db import Error as DatabaseError

from ingestion.errors import ArchiveError, TransientError
from ingestion.extraction import Extraction, MediaFormat, MediaSource, Progress
from ingestion.store import OnState, Store, Stored, Upload
from ingestion.streams.crew import Crew
from ingestion.streams.ranges import UNSEEN, Meter, Track

logger = logging.getLogger(__name__)

RESUMABLE_KINDS = ("network", "forbidden", "storage")
CONTENT_TYPES = {"mp4": "video/mp4", "m4a": "audio/mp4", "webm": "video/webm", "mkv": "video/x-matroska", "ts": "video/mp2t"}
TOLERANCE = 0.03
FIXED_TOLERANCE = 256 << 10


class Unstreamable(Exception):
    """The bytes are not what the plan took them for: another way must be taken."""


@dataclass(frozen=True)
class Transferred:
    """A stored video: the way it took, the file's kind (`mp4`, `m4a`, `webm`...) and the bytes fetched for it this time."""

    stored: Stored
    way: str
    container: str
    bytes_fetched: int


@dataclass(frozen=True)
class Job:
    """One transfer. `state` is what an earlier one left; `part_size` None lets the size decide."""

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
    cancel: threading.Event = field(default_factory=threading.Event)

    def begin(self, container: str, expected_size: int, **options: Any) -> Upload:
        return self.store.begin(
            f"{self.key_stem}.{container}",
            content_type=content_type(container),
            metadata=self.metadata,
            expected_size=expected_size,
            part_size=self.part_size,
            on_state=self.on_state,
            **options,
        )

    def track(self, media: MediaFormat, meter: Meter, *, validator: object = UNSEEN) -> Track:
        return Track(self.source, media, meter=meter, cancel=self.cancel, validator=validator)

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
        broken = isinstance(exc, TransientError) and exc.kind in RESUMABLE_KINDS
        return self.on_state is not None and (broken or getattr(exc, "keep_upload", False))


def abort_quietly(upload: Upload) -> None:
    """Leave nothing behind, if the storage lets us: what went wrong before matters more."""
    try:
        upload.abort()
    except (ArchiveError, DatabaseError):
        logger.exception("an unfinished upload could not be removed", extra={"key": upload.key})


def content_type(container: str) -> str:
    return CONTENT_TYPES.get(container) or mimetypes.guess_type(f"x.{container}")[0] or "application/octet-stream"


def compare_sizes(output: int, inputs: int, *, index: int = 0) -> None:
    """Raises TransientError (`media`) unless what came out is about as big as what went in; `index` may come on top."""
    allowed = TOLERANCE * inputs + FIXED_TOLERANCE
    if not inputs - allowed - index <= output <= inputs + allowed + index:
        raise TransientError("media", f"{output} bytes made of {inputs}: too far apart")
