"""Tracks on their way into ffmpeg, and how quickly all of it ends when something fails."""

import threading

import pytest

from ingestion.errors import ArchiveError, error
from ingestion.streams.addresses import Addresses
from ingestion.streams.feeding import Mux
from ingestion.streams.ranges import Meter, Track, Window
from tests.ingestion.test_streams.transfers import make_format

PATIENCE_SECONDS = 5
RANGE = 64 << 10


class SlowSource:
    """The first range comes at once, or fails; of all others a little, and no more before the transfer is cancelled."""

    def __init__(self, content: bytes, cancel: threading.Event, failure: ArchiveError | None = None):
        self.content, self.cancel, self.failure = content, cancel, failure
        self.others_began, self.waited_in_vain = threading.Event(), False

    def wait_for_cancel(self) -> None:
        if not self.cancel.wait(PATIENCE_SECONDS):
            self.waited_in_vain = True
            raise error("incomplete", "nobody has cancelled")

    def open_range(self, media, first, last):
        return SlowAnswer(self, first, last)


class SlowAnswer:
    validator = "v"

    def __init__(self, source, first, last):
        self.source, self.first, self.last, self.total = source, first, last, len(source.content)
        self._place = first

    def readinto(self, buffer: memoryview) -> int:
        size = len(buffer)
        if self.first == 0:
            if self.source.failure:
                self.source.others_began.wait(PATIENCE_SECONDS)
                raise self.source.failure
        else:
            size = 1
            if self._place > self.first:
                self.source.others_began.set()
                self.source.wait_for_cancel()
        block = self.source.content[self._place : self._place + size]
        self._place += size
        buffer[: len(block)] = block
        return len(block)

    def close(self) -> None:
        pass


@pytest.fixture
def make_track(origin):
    def make(failure: ArchiveError | None = None) -> tuple[Track, SlowSource]:
        media, cancel = make_format(origin, "picture.mp4"), threading.Event()
        source = SlowSource(origin.files["picture.mp4"], cancel, failure)
        return Track(source, media, addresses=Addresses([media]), meter=Meter(), cancel=cancel), source

    return make


def test_a_reader_that_goes_away_cancels_the_ranges_under_way(make_track):
    track, source = make_track()
    stream = track.stream(Window(3, RANGE))
    assert len(next(stream)) == RANGE
    source.others_began.wait(PATIENCE_SECONDS)
    stream.close()
    assert (source.cancel.is_set(), source.waited_in_vain) == (True, False)
    assert track._meter.fetched < RANGE + 10


def test_a_range_that_fails_cancels_those_under_way(make_track):
    track, source = make_track(error("forbidden"))
    with pytest.raises(ArchiveError):
        next(track.stream(Window(3, RANGE)))
    assert (source.cancel.is_set(), source.waited_in_vain) == (True, False)


def test_after_the_death_of_ffmpeg_nothing_more_is_fetched(make_track):
    track, source = make_track()
    with Mux([(track, Window(1, RANGE))], ["-f", "null", "-"], cancel=source.cancel) as process:
        source.others_began.wait(PATIENCE_SECONDS)  # what was there is in the pipe: nobody notices that its reader is gone
        process.process.kill()
        with pytest.raises(ArchiveError, match="ended from outside"):
            process.judge()
    assert not source.waited_in_vain


def test_whoever_waits_for_ffmpeg_is_asked_whether_to_go_on(make_track):
    class Stopped(Exception):
        pass

    def pulse() -> None:
        raise Stopped

    track, source = make_track()
    with pytest.raises(Stopped), Mux([(track, Window(3, RANGE))], ["-f", "null", "-"], cancel=source.cancel) as process:
        process.judge(pulse)
    assert not source.waited_in_vain
