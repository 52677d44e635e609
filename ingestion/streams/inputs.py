"""What ffmpeg reads for a video: its formats over https, or one file on disk; and how far it is with them."""

import mmap
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ingestion.streams import gate
from ingestion.streams.boxes import MP4_EXTENSIONS, index_is_first
from ingestion.streams.feeding import Look
from ingestion.streams.job import Job, Unstreamable
from ingestion.streams.memory import MemoryFile
from ingestion.streams.ranges import MIB, Meter, Track, Window
from ingestion.streams.recipes import Recipe

PICTURE_WINDOW = Window(ranges=4, range_size=2 * MIB)
SOUND_WINDOW = Window(ranges=2, range_size=MIB // 2)
TRANSPORT_STREAM_OVERHEAD = 0.25


class UntoldEndError(Exception):
    """The head of a track does not tell when it ends: its packets have to."""


@dataclass
class Inputs:
    """The formats of a recipe over https, or one file on disk, which may be an MPEG transport stream.

    `meter` counts what is fetched, `made` what is made and stored of it, over all tries.
    """

    path: Path | None = None
    is_transport_stream: bool = False
    meter: Meter = field(default_factory=Meter)
    made: int = 0

    def size(self, recipe: Recipe) -> int:
        return self.path.stat().st_size if self.path else sum(media.size for media in recipe.formats)

    def slack(self, recipe: Recipe) -> int:
        """Bytes by which the output may be smaller for no bad reason."""
        return int(TRANSPORT_STREAM_OVERHEAD * self.size(recipe)) if self.is_transport_stream else 0

    def tracks(self, job: Job, recipe: Recipe) -> Sequence[tuple[Track, Window]]:
        formats = () if self.path else recipe.formats
        return [(job.track(media, self.meter), PICTURE_WINDOW if media.vcodec else SOUND_WINDOW) for media in formats]

    def streams(self, recipe: Recipe) -> list[str]:
        """Which streams of which inputs are kept, in the words of ffmpeg."""
        if self.path:
            return ["-map", "0:a:0"] if recipe.drops_picture else ["-map", "0:v:0?", "-map", "0:a:0?"]
        kept = []
        for number, media in enumerate(recipe.formats):
            kept += ["-map", f"{number}:v:0"] if media.vcodec and not recipe.drops_picture else []
            kept += ["-map", f"{number}:a:0"] if media.acodec else []
        return kept

    def filters(self, recipe: Recipe) -> list[str]:
        return ["-bsf:a", "aac_adtstoasc"] if self.is_transport_stream and recipe.copies_aac else []

    def tell_their_ends(self, job: Job, recipe: Recipe) -> bool:
        """Whether heads may do to know when each track ends. Of a file on disk, its head is looked at here: raises what
        `gate.check_track` does."""
        if not self.path:
            return not any(media.vcodec and media.acodec for media in recipe.formats)
        with self.path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as head:
            return gate.check_track(head, job.extraction.formats[0], job.extraction)

    def look(self, job: Job, recipe: Recipe) -> Look:
        """Judges a track by its first bytes: raises Unstreamable for an MP4 that ffmpeg cannot read from a pipe, TransientError
        for another film than was announced, UntoldEndError where the end would have to be measured and is not."""

        def look(track: Track, head: memoryview) -> None:
            if track.media.ext in MP4_EXTENSIONS and index_is_first(head) is False:
                raise Unstreamable(f"format {track.media.format_id} has its index behind the media")
            if not gate.check_track(head, track.media, job.extraction) and not recipe.measures:
                raise UntoldEndError(track.media.format_id)

        return look

    def progress(self, job: Job, recipe: Recipe, memory: MemoryFile) -> Callable[[], None]:
        """Bytes of earlier tries count on both sides: what is done never gets less.

        Packets that only pass through are made as fast as they are fetched. What is encoded, and what is on disk already, goes
        its way at its own pace: half of the bar is the making and storing of it, and lengthens when it gets larger than
        its inputs.
        """
        fetched_before, made_before, size = self.meter.done, self.made, self.size(recipe)
        if not (self.path or recipe.encodes):
            return lambda: job.progress(self.meter.done, fetched_before + size)

        def progress() -> None:
            made = memory.size - memory.held // 2  # what is written, and what of it is stored, count half each
            self.made = made_before + made
            fetched = size if self.path else self.meter.done
            to_fetch = size if self.path else fetched_before + size
            job.progress(fetched + self.made, to_fetch + made_before + max(size, made))

        return progress
