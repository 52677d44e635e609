"""MUX: a video's formats flow through ffmpeg into one file in the storage; neither is ever whole in memory or on disk.

ffmpeg writes into a memory file, after one of the `recipes`. What is known last, the index, belongs in front, so that
players begin at once: the first parts of the file are sent last, all others as soon as they are written.

CONVERT is the same with a recipe that encodes, or keeps the sound alone. A kind of file that does not take the codecs of a
video is replaced by mkv, which takes all of them.
"""

import logging
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from ingestion.errors import TransientError
from ingestion.store import FilePiece, Stored, Upload
from ingestion.streams import gate, recipes
from ingestion.streams.crew import Crew
from ingestion.streams.cutting import Output, take_part
from ingestion.streams.feeding import Mux
from ingestion.streams.ffmpeg import BlamelessError, IndexTooSmallError, UnfitError
from ingestion.streams.inputs import Inputs, UntoldEndError
from ingestion.streams.job import Job, Transferred, compare_sizes
from ingestion.streams.memory import MemoryFile
from ingestion.streams.recipes import Recipe, make_recipe

logger = logging.getLogger(__name__)

MORE_ROOM = 4  # times what there was
TRIES = 4  # measured, as another kind of file, with more room for its index
POLL_SECONDS = 0.02  # a part that waits for us is a part less in the memory file


def mux(job: Job) -> Transferred:
    """Begins anew whatever `job.state` says. Raises Unstreamable for formats that ffmpeg cannot read from a pipe."""
    job.clear_away()
    inputs, way = Inputs(), "mux" if job.convert == "none" else "convert"
    stored, recipe = produce(job, inputs, way=way)
    return Transferred(stored, way, recipe.extension, inputs.meter.fetched)


def produce(job: Job, inputs: Inputs, *, way: str) -> tuple[Stored, Recipe]:
    """Make the file that the job asks for and store it; done again with more room for its index when that was too small, as
    mkv when its codecs do not go into the container asked for, and with all packets looked at where only they tell when a
    track ends. Raises BlamelessError when no room was enough."""
    recipe = make_recipe(job.extraction, job.container, job.convert, in_order=job.store.in_order, most_kbits=job.audio_bitrate)
    measures = not inputs.tell_their_ends(job, recipe)
    for _ in range(TRIES):
        recipe = replace(recipe, measures=measures)
        try:
            return _produce(job, recipe, inputs, way), recipe
        except UntoldEndError:
            measures = True
        except IndexTooSmallError as exc:
            more = exc.missing + recipes.INDEX_FIXED if exc.missing else (MORE_ROOM - 1) * recipe.room
            recipe = replace(recipe, room=recipe.room + more)
            failure = BlamelessError("media", f"the index needs more than {recipe.room - more} bytes")
        except UnfitError as exc:
            failure = TransientError("media", str(exc))
            if recipe.extension == "mkv" or not recipe.has_picture:
                break
            _log_replacement(job, recipe, str(exc))
            recipe = make_recipe(job.extraction, "mkv", job.convert, in_order=job.store.in_order, most_kbits=job.audio_bitrate)
        job.cancel.clear()
    raise failure


def _log_replacement(job: Job, recipe: Recipe, said: str) -> None:
    logger.info(
        "%s does not take the codecs of this video: it becomes mkv",
        recipe.extension,
        extra={"youtube_id": job.extraction.external_id, "raw": said},
    )


def _produce(job: Job, recipe: Recipe, inputs: Inputs, way: str) -> Stored:
    upload = job.begin(recipe.extension, inputs.size(recipe) + recipe.room, facts={"way": way})
    upload.goes_on = False
    with job.upload_or_nothing(upload), MemoryFile("massdl-mux") as memory:
        pulse = inputs.progress(job, recipe, memory)
        if recipe.layout == "in order":
            with job.crew(upload, pulse, size=1) as crew:
                whole = _run_in_order(job, recipe, inputs, memory, upload, crew)
        else:
            with job.crew(upload, pulse) as crew:
                whole = _run(job, recipe, inputs, memory, upload, crew)
        return upload.complete(whole)


def _start(job: Job, recipe: Recipe, inputs: Inputs, output: Sequence[str], **more: Any) -> Mux:
    streams = inputs.streams(recipe)
    return Mux(
        inputs.tracks(job, recipe),
        recipe.arguments([*streams, *inputs.filters(recipe)], output),
        path=inputs.path,
        cancel=job.cancel,
        look=inputs.look(job, recipe),
        measured=streams if recipe.measures else (),
        **more,
    )


def _run(job: Job, recipe: Recipe, inputs: Inputs, memory: MemoryFile, upload: Upload, crew: Crew) -> int:
    """Returns the size of the file."""
    output = Output(memory, upload, recipe)
    with _start(job, recipe, inputs, output.words, full=output.is_full, pass_fds=[memory.fd]) as process:
        ended = False
        while not ended:
            ended = process.ended(wait=POLL_SECONDS)
            crew.look()
            for number, piece in output.parts(last=ended):
                crew.submit(_move, memory, piece, upload, number)
        ends = process.judge(crew.look)
    output.finish(recipe)
    _compare(job, recipe, inputs, memory.size, ends)
    with memory.view(output.head_size) as head:
        if recipe.extension not in ("mp3", "opus"):  # of these, ffmpeg's word is all there is
            gate.check_head(head, job.extraction, has_picture=recipe.has_picture)
    for number, piece in output.head():
        crew.submit(_move, memory, piece, upload, number)
    crew.drain()
    return memory.size


def _run_in_order(job: Job, recipe: Recipe, inputs: Inputs, memory: MemoryFile, upload: Upload, crew: Crew) -> int:
    size, number = 0, 1
    with _start(job, recipe, inputs, ["pipe:1"], stdout=subprocess.PIPE) as process:
        while length := take_part(process, memory, size, upload.part_size, crew.look):
            crew.submit(_move, memory, memory.piece(size, length), upload, number)
            size, number = size + length, number + 1
        ends = process.judge(crew.look)
    _compare(job, recipe, inputs, size, ends)
    crew.drain()
    return size


def _compare(job: Job, recipe: Recipe, inputs: Inputs, size: int, ends: Mapping[str, float]) -> None:
    """Raises TransientError unless what came out is about as big as what went in, and all of it as long as announced."""
    if recipe.compares_sizes:
        index = max(recipe.room, recipes.index_size(job.extraction))
        compare_sizes(size, inputs.size(recipe), index=index + inputs.slack(recipe))
    for what, seconds in ends.items():
        gate.check_duration(seconds, job.extraction, what)


def _move(memory: MemoryFile, piece: FilePiece, upload: Upload, number: int) -> None:
    """A part leaves memory when the storage has it."""
    upload.put_part(number, piece)
    memory.free(piece)
