"""SPOOL: what cannot be streamed is made on disk by yt-dlp's own downloader, then stored; the few formats that need it."""

import fcntl
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path

from django.conf import settings

from ingestion.errors import SetupError, TransientError
from ingestion.store import FilePiece, Upload
from ingestion.streams import ffmpeg
from ingestion.streams.boxes import MP4_EXTENSIONS, is_transport_stream, wants_remux
from ingestion.streams.crew import PULSE_SECONDS
from ingestion.streams.job import Job, Transferred, compare_sizes

GIB = 1 << 30
LOCK = ".lock"
LOOK_EVERY = 64 << 20  # bytes between two looks at the folder's size
TRANSPORT_STREAM_OVERHEAD = 0.25


def spool(job: Job) -> Transferred:
    """Begins anew whatever `job.state` says. During the upload progress stays at the whole: the watch goes by time."""
    if job.state:
        job.store.abort(job.state)
    try:
        with scratch_folder(settings.SCRATCH_DIR) as folder:
            return _spool(job, folder)
    except OSError as exc:
        raise TransientError("storage", f"scratch folder: {exc}") from exc


def _spool(job: Job, folder: Path) -> Transferred:
    quota = _Quota(folder, int(settings.SCRATCH_LIMIT_GB * GIB), job.progress)
    made = job.source.download_to(job.extraction, folder, quota)
    fetched = made.stat().st_size
    path = _remux(made, quota) if wants_remux(made) else made
    container = path.suffix.lstrip(".").lower()
    return Transferred(_upload(job, path, container), "spool", container, fetched)


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
        if max(done, total or 0) > self._limit:
            self._refuse()

    def look(self) -> None:
        used = 0
        for path in self._folder.rglob("*"):
            with suppress(FileNotFoundError):  # yt-dlp renames and removes
                used += path.lstat().st_size
        if used > self._limit:
            self._refuse()

    def _refuse(self) -> None:
        raise TransientError("storage", f"the video needs more than the {settings.SCRATCH_LIMIT_GB} GB of MASSDL_SCRATCH_LIMIT_GB")


def _remux(made: Path, quota: _Quota) -> Path:
    """A plain MP4 with its index first, beside the file it is made from, which is removed."""
    whole = made.stat().st_size
    path = made.with_name(f"index-first{made.suffix if made.suffix.lstrip('.') in MP4_EXTENSIONS else '.mp4'}")
    arguments = ["-i", str(made), "-map", "0:v?", "-map", "0:a?", "-c", "copy", "-movflags", "+faststart", "-f", "mp4", str(path)]
    _run_ffmpeg(arguments, lambda: quota(whole, whole))
    compare_sizes(path.stat().st_size, whole, index=int(TRANSPORT_STREAM_OVERHEAD * whole) if is_transport_stream(made) else 0)
    made.unlink()
    return path


def _run_ffmpeg(arguments: list[str], pulse: Callable[[], None]) -> None:
    process = ffmpeg.start(arguments)
    with ThreadPoolExecutor(1, thread_name_prefix="ffmpeg") as thread:
        words = thread.submit(ffmpeg.last_words, process.stderr)
        try:
            while process.poll() is None:
                with suppress(subprocess.TimeoutExpired):
                    process.wait(PULSE_SECONDS)
                pulse()
        finally:
            process.kill()
            code = process.wait()
    ffmpeg.judge(code, words.result())


def _upload(job: Job, path: Path, container: str):
    size = path.stat().st_size
    upload = job.begin(container, size, facts={"way": "spool"})
    with job.upload_or_nothing(upload), path.open("rb") as file:
        with job.crew(upload, lambda: job.progress(size, size)) as crew:
            for number in range(1, -(-size // upload.part_size) + 1):
                crew.submit(_upload_part, upload, file.fileno(), size, number)
            crew.drain()
        return upload.complete(size)


def _upload_part(upload: Upload, file: int, size: int, number: int) -> None:
    first = (number - 1) * upload.part_size
    upload.put_part(number, FilePiece(file, first, min(upload.part_size, size - first)))
