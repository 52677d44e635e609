"""ffmpeg with tracks flowing into it: a pipe and a feeding thread for each, and a verdict at the end."""

import fcntl
import os
import select
import subprocess
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import closing, contextmanager, suppress
from pathlib import Path

from ingestion.errors import TransientError
from ingestion.streams import ffmpeg
from ingestion.streams.crew import PULSE_SECONDS
from ingestion.streams.ranges import Cancelled, Track, Window

Look = Callable[[Track, memoryview], None]

PIPE_SIZE = 1 << 20
WAIT_SECONDS = 0.01
REPORT_SECONDS = "30"  # between two words of ffmpeg on how far it is


class PipeClosedError(TransientError):
    """ffmpeg wanted no more of a track; it says why on stderr."""


class Mux:
    """A context: ffmpeg over tracks, or over one file on disk. Leaving it ends ffmpeg and every thread, whatever happened.

    `arguments` are ffmpeg's after its inputs. `cancel` is the transfer's; it is set when a track fails. `full` says that the
    output is not taken away fast enough: the tracks wait as long. `look` gets the first bytes of each track before ffmpeg
    does, and may raise. `measured` are streams, as arguments, whose ends are to be found by all of their packets.
    """

    def __init__(
        self,
        tracks: Sequence[tuple[Track, Window]],
        arguments: Sequence[str],
        *,
        cancel: threading.Event,
        path: Path | None = None,
        full: Callable[[], bool] = lambda: False,
        look: Look = lambda track, head: None,
        measured: Sequence[str] = (),
        pass_fds: Sequence[int] = (),
        stdout: int = subprocess.DEVNULL,
    ):
        self._cancel = cancel
        self._full = full
        self._look = look
        self._tracks = [track for track, _ in tracks]
        (report, reported), (packets, listed), *pipes = (os.pipe() for _ in range(2 + len(tracks)))
        readers, writers = [reader for reader, _ in pipes], [writer for _, writer in pipes]
        command = [*_reporting(reported), *_inputs(readers, path), *arguments, *(_listing(measured, listed) if measured else ())]
        with _given_away([reported, listed, *readers], kept=[report, packets, *writers]) as given:
            self.process = ffmpeg.start(command, pass_fds=[*given, *pass_fds], stdout=stdout)
        self._ending = os.pidfd_open(self.process.pid)  # readable once ffmpeg is through
        self._threads = ThreadPoolExecutor(len(tracks) + 3, thread_name_prefix="feed")
        self._words = self._threads.submit(ffmpeg.last_words, self.process.stderr)
        self._seconds = self._threads.submit(ffmpeg.seconds_written, report)
        self._ends = self._threads.submit(ffmpeg.track_ends, packets)
        self._feeds = [
            self._threads.submit(self._feed, track, window, writer) for (track, window), writer in zip(tracks, writers, strict=True)
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

    def judge(self, pulse: Callable[[], None] = lambda: None) -> dict[str, float]:
        """After ffmpeg's end: raises unless every track went in whole and ffmpeg had nothing to say. Returns the seconds that
        the `file` lasts, when it said so, and those of the `picture` and the `sound` that were measured.

        `pulse` is called while threads end, and may raise. A track's own error comes first: ffmpeg's complaint would only be
        its echo.
        """
        while not self.ended(wait=PULSE_SECONDS):
            pulse()
        if self.process.returncode:
            self._cancel.set()  # nobody needs what is still being fetched
        while wait([self._words, self._seconds, self._ends, *self._feeds], PULSE_SECONDS).not_done:
            pulse()
        errors = sorted((error for feed in self._feeds if (error := feed.exception())), key=_is_echo)
        for error in errors:
            if not _is_echo(error):
                raise error
        ffmpeg.judge(self.process.returncode, self._words.result())
        for error in errors:
            raise error
        for track, feed in zip(self._tracks, self._feeds, strict=True):
            _compare(track, feed)
        seconds = self._seconds.result()
        return ({"file": seconds} if seconds else {}) | self._ends.result()

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
                        self._look(track, block)
                    self._wait_for_room()
                    written += _write(writer, block)
            return written
        except BrokenPipeError as exc:
            raise PipeClosedError("media", f"ffmpeg stopped reading format {track.media.format_id}") from exc
        except Cancelled:  # ffmpeg is killed by whoever has cancelled, or about to say why it reads no more
            raise
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


@contextmanager
def _given_away(handles: Sequence[int], *, kept: Sequence[int]) -> Iterator[Sequence[int]]:
    """Handles of a child that is started inside, closed here afterwards; those that are `kept` only when it was not started."""
    try:
        yield handles
    except BaseException:
        for handle in kept:
            os.close(handle)
        raise
    finally:
        for handle in handles:
            os.close(handle)


def _reporting(pipe: int) -> list[str]:
    return ["-progress", f"pipe:{pipe}", "-stats_period", REPORT_SECONDS]


def _listing(measured: Sequence[str], pipe: int) -> list[str]:
    return [*measured, "-c", "copy", "-flush_packets", "0", "-f", "framecrc", f"pipe:{pipe}"]


def _inputs(readers: Sequence[int], path: Path | None) -> list[str]:
    pipes = [word for reader in readers for word in ("-protocol_whitelist", "pipe", "-i", f"pipe:{reader}")]
    return [*pipes, *(("-protocol_whitelist", "file", "-i", f"file:{path}") if path else ())]


def _is_echo(error: BaseException) -> int:
    """0 for what went wrong with a track itself, more for what only follows from something else."""
    return 2 * isinstance(error, Cancelled) or int(isinstance(error, PipeClosedError))


def _write(writer: int, block: memoryview) -> int:
    written = 0
    while written < len(block):
        written += os.write(writer, block[written:])
    return written


def _compare(track: Track, feed: Future[int]) -> None:
    if feed.result() != track.size:
        raise TransientError("incomplete", f"format {track.media.format_id}: {feed.result()} bytes of {track.size}")
