"""MUX: a video's formats flow through ffmpeg into one file in the storage; neither is ever whole in memory or on disk.

ffmpeg writes into a memory file, after one of the `recipes`. What is known last, the index, belongs in front, so that
players begin at once: the first parts of the file are sent last, all others as soon as they are written.

CONVERT is the same with a recipe that encodes, or keeps the sound alone. A kind of file that does not take the codecs of a
video is replaced by mkv, which takes all of them.
"""

import logging
import os
import select
import subprocess
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from ingestion.errors import TransientError
from ingestion.extraction import MediaFormat
from ingestion.store import FilePiece, Stored, Upload
from ingestion.streams import gate, recipes
from ingestion.streams.crew import PULSE_SECONDS, Crew
from ingestion.streams.feeding import Mux
from ingestion.streams.ffmpeg import IndexTooSmallError, UnfitError
from ingestion.streams.index import FragmentIndex
from ingestion.streams.job import Job, Transferred, compare_sizes
from ingestion.streams.memory import MemoryFile
from ingestion.streams.ranges import MIB, Meter, Track, Window
from ingestion.streams.recipes import Recipe, make_recipe

logger = logging.getLogger(__name__)

PICTURE_WINDOW = Window(ranges=6, range_size=2 * MIB)
SOUND_WINDOW = Window(ranges=2, range_size=MIB // 2)
BACKLOG_LIMIT = 16 * MIB  # of the memory file, besides its head: parts in flight and what is to become parts
TRANSPORT_STREAM_OVERHEAD = 0.25
BOXES_BESIDE_INDEX = 4096  # ftyp before it, the head of mdat behind it
CUES = bytes.fromhex("1c53bb6b")  # the element of Matroska that holds its index
MORE_ROOM = 4  # times what there was
TRIES = 3  # another kind of file, more room for its index
POLL_SECONDS = 0.02  # a part that waits for us is a part less in the memory file


@dataclass(frozen=True)
class Inputs:
    """What ffmpeg reads: the formats of the recipe over https, or one file on disk, which may be an MPEG transport stream.
    `meter` counts over all tries."""

    path: Path | None = None
    is_transport_stream: bool = False
    meter: Meter = field(default_factory=Meter)

    def size(self, recipe: Recipe) -> int:
        return self.path.stat().st_size if self.path else sum(media.size for media in recipe.formats)

    def slack(self, recipe: Recipe) -> int:
        """Bytes by which the output may be smaller for no bad reason."""
        return int(TRANSPORT_STREAM_OVERHEAD * self.size(recipe)) if self.is_transport_stream else 0

    def tracks(self, job: Job, recipe: Recipe) -> Sequence[tuple[Track, Window]]:
        formats = () if self.path else recipe.formats
        return [(job.track(media, self.meter), _window(media)) for media in formats]

    def streams(self, recipe: Recipe) -> list[str]:
        """Which streams of which inputs are kept, in the words of ffmpeg."""
        if self.path:
            adts = self.is_transport_stream and recipe.copies_aac
            kept = ["-map", "0:a:0"] if recipe.drops_picture else ["-map", "0:v:0?", "-map", "0:a:0?"]
            return [*kept, *(("-bsf:a", "aac_adtstoasc") if adts else ())]
        kept = []
        for number, media in enumerate(recipe.formats):
            kept += ["-map", f"{number}:v:0"] if media.vcodec and not recipe.drops_picture else []
            kept += ["-map", f"{number}:a:0"] if media.acodec else []
        return kept

    def progress(self, job: Job, recipe: Recipe) -> Callable[[], None]:
        """Bytes of earlier tries count on both sides: what is done never gets less."""
        before, size = self.meter.done, self.size(recipe)
        if self.path:
            return lambda: job.progress(size, size)
        return lambda: job.progress(self.meter.done, before + size)


def mux(job: Job) -> Transferred:
    """Begins anew whatever `job.state` says. Raises Unstreamable for formats that ffmpeg cannot read from a pipe."""
    job.clear_away()
    inputs, way = Inputs(), "mux" if job.convert == "none" else "convert"
    stored, recipe = produce(job, inputs, way=way)
    return Transferred(stored, way, recipe.extension, inputs.meter.fetched)


def produce(job: Job, inputs: Inputs, *, way: str) -> tuple[Stored, Recipe]:
    """Make the file that the job asks for and store it; done again with more room for its index when that was too small,
    and as mkv when its codecs do not go into the container asked for."""
    recipe = make_recipe(job.extraction, job.container, job.convert, in_order=job.store.in_order)
    for _ in range(TRIES):
        try:
            return _produce(job, recipe, inputs, way), recipe
        except IndexTooSmallError as exc:
            more = exc.missing + recipes.INDEX_FIXED if exc.missing else (MORE_ROOM - 1) * recipe.room
            recipe = replace(recipe, room=recipe.room + more)
            failure = f"the index needs more than {recipe.room - more} bytes"
        except UnfitError as exc:
            failure = str(exc)
            if recipe.extension == "mkv" or not recipe.has_picture:
                break
            logger.info(
                "%s does not take the codecs of this video: it becomes mkv",
                recipe.extension,
                extra={"youtube_id": job.extraction.external_id, "raw": failure},
            )
            recipe = make_recipe(job.extraction, "mkv", job.convert, in_order=job.store.in_order)
        job.cancel.clear()
    raise TransientError("media", failure)


def _produce(job: Job, recipe: Recipe, inputs: Inputs, way: str) -> Stored:
    size, pulse = inputs.size(recipe), inputs.progress(job, recipe)
    upload = job.begin(recipe.extension, size + recipe.room, facts={"way": way})
    upload.goes_on = False
    with job.upload_or_nothing(upload), MemoryFile("massdl-mux") as memory:
        if recipe.layout == "in order":
            with job.crew(upload, pulse, size=1) as crew:
                whole = _run_in_order(job, recipe, inputs, memory, upload, crew)
        else:
            with job.crew(upload, pulse) as crew:
                whole = _run(job, recipe, inputs, memory, upload, crew)
        return upload.complete(whole)


def _run(job: Job, recipe: Recipe, inputs: Inputs, memory: MemoryFile, upload: Upload, crew: Crew) -> int:
    """Returns the size of the file."""
    output = _Output(memory, upload, recipe)
    arguments = recipe.arguments(inputs.streams(recipe), output.words)
    tracks = inputs.tracks(job, recipe)
    with Mux(tracks, arguments, path=inputs.path, cancel=job.cancel, full=output.is_full, pass_fds=[memory.fd]) as process:
        ended = False
        while not ended:
            ended = process.ended(wait=POLL_SECONDS)
            crew.look()
            for number, piece in output.parts(last=ended):
                crew.submit(_move, memory, piece, upload, number)
        seconds = process.judge()
    output.finish(recipe)
    _compare(job, recipe, inputs, memory.size, seconds)
    with memory.view(output.head_size) as head:
        if recipe.extension not in ("mp3", "opus"):  # of these, ffmpeg's word is all there is
            gate.check_head(head, job.extraction, has_picture=recipe.has_picture)
    for number, piece in output.head():
        crew.submit(_move, memory, piece, upload, number)
    crew.drain()
    return memory.size


def _run_in_order(job: Job, recipe: Recipe, inputs: Inputs, memory: MemoryFile, upload: Upload, crew: Crew) -> int:
    arguments = recipe.arguments(inputs.streams(recipe), ["pipe:1"])
    size, number = 0, 1
    with Mux(inputs.tracks(job, recipe), arguments, path=inputs.path, cancel=job.cancel, stdout=subprocess.PIPE) as process:
        while length := _take_part(process, memory, size, upload.part_size, crew.look):
            crew.submit(_move, memory, memory.piece(size, length), upload, number)
            size, number = size + length, number + 1
        seconds = process.judge()
    _compare(job, recipe, inputs, size, seconds)
    crew.drain()
    return size


def _compare(job: Job, recipe: Recipe, inputs: Inputs, size: int, seconds: float | None) -> None:
    """Raises TransientError unless what came out is about as big as what went in, and as long as announced."""
    if recipe.compares_sizes:
        index = max(recipe.room, recipes.index_size(job.extraction))
        compare_sizes(size, inputs.size(recipe), index=index + inputs.slack(recipe))
    gate.check_duration(seconds, job.extraction, "file")


def _move(memory: MemoryFile, piece: FilePiece, upload: Upload, number: int) -> None:
    """A part leaves memory when the storage has it."""
    upload.put_part(number, piece)
    memory.free(piece)


class _Output:
    """The memory file cut into parts; those that hold its head are held back. `words` are what ffmpeg calls it."""

    def __init__(self, memory: MemoryFile, upload: Upload, recipe: Recipe):
        self._memory = memory
        self._part_size = upload.part_size
        self._head_parts = -(-(recipe.room + BOXES_BESIDE_INDEX) // upload.part_size)
        self._taken = self._head_parts  # parts
        self._index = None
        self.words = ("-fd", str(memory.fd), "fd:")
        if recipe.layout == "fragments":
            self._index = FragmentIndex(memory)
            os.lseek(memory.fd, recipe.room, os.SEEK_SET)
            self.words = (f"pipe:{memory.fd}",)  # ffmpeg does not seek in it

    @property
    def head_size(self) -> int:
        return self._head_parts * self._part_size

    def is_full(self) -> bool:
        """More is held than there is room for. A whole part beside the head is on its way then, and will make room."""
        return self._memory.held > self.head_size + max(BACKLOG_LIMIT, 2 * self._part_size)

    def parts(self, *, last: bool) -> Iterator[tuple[int, FilePiece]]:
        """The parts behind the head that are written by now; at the `last` call also the shorter one at the end."""
        size = self._memory.size
        seen = self._index.follow() if self._index else size
        while (offset := self._taken * self._part_size) < size:
            length = min(self._part_size, size - offset)
            if not last and (length < self._part_size or offset + length > seen):
                return
            self._taken += 1
            yield self._taken, self._memory.piece(offset, length)

    def finish(self, recipe: Recipe) -> None:
        """Complete the head, or see that ffmpeg did. Raises IndexTooSmallError."""
        if self._index:
            self._index.write()
        if recipe.layout == "cues":  # releases before 9 leave the index out and end well
            with self._memory.view(self.head_size) as head:
                if head.find(CUES) < 0:
                    raise IndexTooSmallError(None)

    def head(self) -> Iterator[tuple[int, FilePiece]]:
        size = self._memory.size
        for number in range(1, self._head_parts + 1):
            offset = (number - 1) * self._part_size
            if offset < size:
                yield number, self._memory.piece(offset, min(self._part_size, size - offset))


def _take_part(process: Mux, memory: MemoryFile, offset: int, size: int, pulse: Callable[[], None]) -> int:
    """Move the next `size` bytes of ffmpeg's stdout, fewer at its end, into the memory file; returns how many."""
    got = 0
    pipe = process.process.stdout.fileno()
    while got < size:
        pulse()
        if select.select([pipe], [], [], PULSE_SECONDS)[0]:
            count = os.splice(pipe, memory.fd, size - got, offset_dst=offset + got)
            if not count:
                break
            got += count
    return got


def _window(media: MediaFormat) -> Window:
    return PICTURE_WINDOW if media.vcodec else SOUND_WINDOW
