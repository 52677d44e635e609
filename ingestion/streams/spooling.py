"""SPOOL: what cannot be streamed is made on disk by yt-dlp's own downloader, then stored; the few formats that need it.

What has to become another kind of file flows from the disk through ffmpeg into the storage, as a MUX does: nothing is on
the disk twice.
"""

import errno
import fcntl
import mmap
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path

from django.conf import settings

from ingestion.errors import ArchiveError, PermanentError, SetupError, TransientError
from ingestion.extraction import Extraction
from ingestion.store import FilePiece, Stored, Upload
from ingestion.streams.boxes import is_transport_stream, wants_remux
from ingestion.streams.gate import check_head
from ingestion.streams.inputs import Inputs
from ingestion.streams.job import Job, Transferred
from ingestion.streams.muxing import produce
from ingestion.streams.recipes import needs_ffmpeg

GIB = 1 << 30
LOCK = ".lock"
LOOK_EVERY = 64 << 20  # bytes between two looks at the folder's size
LEAST_FREE = 4 << 20  # bytes; with less left on the disk, whatever failed there failed for want of them


def spool(job: Job) -> Transferred:
    """Begins anew whatever `job.state` says. Half of the progress is what yt-dlp does, the other half what follows."""
    job.clear_away()
    try:
        with scratch_folder(settings.SCRATCH_DIR) as folder:
            return _spool(job, folder)
    except OSError as exc:
        raise _disk_error(exc) from exc


def _spool(job: Job, folder: Path) -> Transferred:
    limit = int(settings.SCRATCH_LIMIT_GB * GIB)
    quota = _Quota(folder, limit, lambda done, total: job.progress(done, total and 2 * total))
    if all(sizes := [media.size for media in job.extraction.formats]) and sum(sizes) > limit:
        quota.refuse()
    made = _download(job, folder, quota)
    fetched = made.stat().st_size
    job = replace(job, extraction=_of_file(job.extraction, made))
    if wants_remux(made) or needs_ffmpeg(job.extraction, job.container, job.convert):
        stored, recipe = produce(job, Inputs(path=made, is_transport_stream=is_transport_stream(made)), way="spool")
        return Transferred(stored, "spool", recipe.extension, fetched)
    return Transferred(_upload(job, made), "spool", _kind(made), fetched)


def _download(job: Job, folder: Path, quota: "_Quota") -> Path:
    """Let yt-dlp make the file. On a full disk its ffmpeg may fail with words that do not tell."""
    try:
        return job.source.download_to(job.extraction, folder, quota)
    except ArchiveError as exc:
        if exc.kind == "scratch_full" or (isinstance(exc, TransientError) and shutil.disk_usage(folder).free < LEAST_FREE):
            raise _full(exc.message) from exc
        raise


def _disk_error(exc: OSError) -> ArchiveError:
    """Of the disk of the scratch folder."""
    if exc.errno in (errno.ENOSPC, errno.EDQUOT):
        return _full(str(exc))
    return TransientError("media", f"scratch folder: {exc}")


def _full(message: str) -> SetupError:
    return SetupError(
        "scratch_full", f"The disk of {settings.SCRATCH_DIR} is full: make room there, or correct MASSDL_SCRATCH_DIR. ({message})"
    )


def _of_file(extraction: Extraction, made: Path) -> Extraction:
    """The same video, with the one file that was made of its formats as its only format."""
    formats = extraction.formats
    picture, sound = (next(filter(None, codecs), None) for codecs in ([m.vcodec for m in formats], [m.acodec for m in formats]))
    merged = replace(formats[0], ext=_kind(made), size=made.stat().st_size, vcodec=picture, acodec=sound)
    return replace(extraction, formats=(merged,))


def _kind(made: Path) -> str:
    return made.suffix.lstrip(".").lower()


@contextmanager
def scratch_folder(parent: Path) -> Iterator[Path]:
    """An empty folder that is removed at the end; those of processes that were killed are removed on the way."""
    try:
        parent.mkdir(parents=True, exist_ok=True)
        with (parent / LOCK).open("a") as mutex:
            fcntl.flock(mutex, fcntl.LOCK_EX)
            _sweep(parent)
            folder = Path(tempfile.mkdtemp(prefix="video-", dir=parent))
            lock = _lock(folder)
    except OSError as exc:
        if exc.errno in (errno.ENOSPC, errno.EDQUOT):
            raise _disk_error(exc) from exc
        raise SetupError("misconfigured", f"The scratch folder cannot be used: correct MASSDL_SCRATCH_DIR. {exc}") from exc
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(lock)


def _lock(folder: Path) -> int:
    """A lock on the folder; the kernel drops it when the process dies, which tells others that nobody needs it."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(handle)
        raise
    return handle


def _sweep(parent: Path) -> None:
    for folder in parent.glob("video-*"):
        with suppress(FileNotFoundError, BlockingIOError):
            os.close(_lock(folder))
            shutil.rmtree(folder, ignore_errors=True)


class _Quota:
    """The job's progress, which also watches how full the scratch folder gets."""

    def __init__(self, folder: Path, limit: int, progress: Callable[[int, int | None], None]):
        self._folder = folder
        self._limit = limit
        self._progress = progress
        self._looked_at = 0

    def __call__(self, done: int, total: int | None) -> None:
        self._progress(done, total)
        if done >= self._looked_at + LOOK_EVERY or done < self._looked_at:
            self._looked_at = done
            self.look()
        if done > self._limit:  # `total` may be a guess by the first fragment
            self.refuse()

    def look(self) -> None:
        used = 0
        for path in self._folder.rglob("*"):
            with suppress(FileNotFoundError):  # yt-dlp renames and removes
                used += path.lstat().st_size
        if used > self._limit:
            self.refuse()

    def refuse(self) -> None:
        raise PermanentError("scratch_limit", f"the video needs more than the {settings.SCRATCH_LIMIT_GB} GB of MASSDL_SCRATCH_LIMIT_GB")


def _upload(job: Job, path: Path) -> Stored:
    size = path.stat().st_size
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as head:
        check_head(head, job.extraction)
    upload = job.begin(_kind(path), size, facts={"way": "spool"})
    with job.upload_or_nothing(upload), path.open("rb") as file:
        with job.crew(upload, lambda: job.progress(size + _stored(upload), 2 * size)) as crew:
            for number in range(1, -(-size // upload.part_size) + 1):
                crew.submit(_upload_part, upload, file.fileno(), size, number)
            crew.drain()
        return upload.complete(size)


def _upload_part(upload: Upload, file: int, size: int, number: int) -> None:
    first = (number - 1) * upload.part_size
    upload.put_part(number, FilePiece(file, first, min(upload.part_size, size - first)))


def _stored(upload: Upload) -> int:
    return sum(part.size for part in upload.parts.values())
