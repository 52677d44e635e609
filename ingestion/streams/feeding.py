"""ffmpeg with tracks flowing into it: a pipe and a feeding thread for each, and a verdict at the end."""

import fcntl
import os
import select
import subprocess
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing, suppress
from pathlib import Path

from ingestion.errors import TransientError
from ingestion.streams import ffmpeg
from ingestion.streams.boxes import MP4_EXTENSIONS, index_is_first
from ingestion.streams.job import Unstreamable
from ingestion.streams.ranges import Cancelled, Track, Window

PIPE_SIZE = 1 << 20
WAIT_SECONDS = 0.01
REPORT_SECONDS = "30"  # between two words of ffmpeg on how far it is


class PipeClosedError(TransientError):
    """ffmpeg wanted no more of a track; it says why on stderr."""


class Mux:
    """A context: ffmpeg over tracks, or over one file on disk. Leaving it ends ffmpeg and every thread, whatever happened.

    `arguments` are ffmpeg's after its inputs. `cancel` is the transfer's; it is set when a track fails. `full` says that the
    output is not taken away fast enough: the tracks wait as long.
    """

    def __init__(
        self,
        tracks: Sequence[tuple[Track, Window]],
        arguments: Sequence[str],
        *,
        cancel: threading.Event,
        path: Path | None = None,
        full: Callable[[], bool] = lambda: False,
        pass_fds: Sequence[int] = (),
        stdout: int = subprocess.DEVNULL,
    ):
        self._cancel = cancel
        self._full = full
        self._tracks = [track for track, _ in tracks]
        report, reported = os.pipe()
        pipes = [os.pipe() for _ in tracks]
        readers = [reader for reader, _ in pipes]
        command = ["-progress", f"pipe:{reported}", "-stats_period", REPORT_SECONDS, *_inputs(readers, path), *arguments]
        try:
            self.process = ffmpeg.start(command, pass_fds=[reported, *readers, *pass_fds], stdout=stdout)
        except BaseException:
            for handle in (report, *(writer for _, writer in pipes)):
                os.close(handle)
            raise
        finally:
            for handle in (reported, *readers):
                os.close(handle)
        self._ending = os.pidfd_open(self.process.pid)  # readable once ffmpeg is through
        self._threads = ThreadPoolExecutor(len(tracks) + 2, thread_name_prefix="feed")
        self._words = self._threads.submit(ffmpeg.last_words, self.process.stderr)
        self._seconds = self._threads.submit(ffmpeg.seconds_written, report)
        self._feeds = [
            self._threads.submit(self._feed, track, window, writer) for (track, window), (_, writer) in zip(tracks, pipes, strict=True)
        ]

    def __enter__(self) -> "Mux":
        return self

    def __exit__(self, exc_type, exc, traceback) -> None:
        if exc is not None:
            self._cancel.set()
        self.process.kill()
        self._threads.shutdown(wait=True)
        self.process.wait()
        os.close(self._ending)
        if self.process.stdout:
            self.process.stdout.close()

    def ended(self, *, wait: float) -> bool:
        """Whether ffmpeg is through, after at most `wait` seconds."""
        select.select([self._ending], [], [], wait)  # Popen.wait would look at ever longer intervals
        return self.process.poll() is not None

    def judge(self) -> float | None:
        """After ffmpeg's end: raises unless every track went in whole and ffmpeg had nothing to say. Returns the seconds of
        film that it wrote, None when it did not say.

        A track's own error comes first: ffmpeg's complaint would only be its echo.
        """
        words = self._words.result()
        errors = [error for feed in self._feeds if (error := feed.exception())]
        for error in errors:
            if not isinstance(error, (PipeClosedError, Cancelled)):
                raise error
        ffmpeg.judge(self.process.wait(), words)
        for error in errors:
            raise error
        for track, feed in zip(self._tracks, self._feeds, strict=True):
            _compare(track, feed)
        return self._seconds.result()

    def _feed(self, track: Track, window: Window, writer: int) -> int:
        """All of a track into its pipe; the bytes that went in. On an error ffmpeg is killed before it could take the
        closed pipe for the end of the track."""
        try:
            with suppress(OSError):
                fcntl.fcntl(writer, fcntl.F_SETPIPE_SZ, PIPE_SIZE)  # pipes of a machine have a common limit
            written = 0
            with closing(track.stream(window)) as blocks:
                for block in blocks:
                    if not written:
                        _refuse_late_index(track, block)
                    self._wait_for_room()
                    written += _write(writer, block)
            return written
        except BrokenPipeError as exc:
            self._cancel.set()
            raise PipeClosedError("media", f"ffmpeg stopped reading format {track.media.format_id}") from exc
        except BaseException:
            self._cancel.set()
            self.process.kill()
            raise
        finally:
            os.close(writer)

    def _wait_for_room(self) -> None:
        while self._full():
            if self._cancel.wait(WAIT_SECONDS):
                raise Cancelled


def _inputs(readers: Sequence[int], path: Path | None) -> list[str]:
    pipes = [word for reader in readers for word in ("-protocol_whitelist", "pipe", "-i", f"pipe:{reader}")]
    return [*pipes, *(("-protocol_whitelist", "file", "-i", f"file:{path}") if path else ())]


def _refuse_late_index(track: Track, head: memoryview) -> None:
    """Raises Unstreamable for an MP4 that ffmpeg cannot read from a pipe."""
    if track.media.ext in MP4_EXTENSIONS and index_is_first(head) is False:
        raise Unstreamable(f"format {track.media.format_id} has its index behind the media")


def _write(writer: int, block: memoryview) -> int:
    written = 0
    while written < len(block):
        written += os.write(writer, block[written:])
    return written


def _compare(track: Track, feed: Future[int]) -> None:
    if feed.result() != track.size:
        raise TransientError("incomplete", f"format {track.media.format_id}: {feed.result()} bytes of {track.size}")
