"""What is made of a video's formats: the kind of file, the words for ffmpeg, and what has to be true of the result.

    container   mp4, mkv or webm, for what has a picture; formats with sound only stay what they are: m4a, webm
    convert     none         every packet as it came
                m4a mp3 opus the sound alone; as it came where it is of that kind already, else encoded
                h264 hevc    the picture encoded anew unless it is of that kind already: costly; the sound as it came

How the file is laid out follows from where it goes, and how long it is:

    moov        an ordinary MP4, its index in front: ffmpeg holds the index in memory until the end
    fragments   an MP4 whose index would outgrow INDEX_MEMORY_LIMIT: fragments, and a table of them in front (`index`)
    cues        mkv and webm, their index in front
    plain       mp3 and opus: no index, at most some numbers in front
    in order    what a storage needs that takes parts in order only: nothing can be put in front afterwards. An MP4 is in
                fragments of half a minute then: players ask many times before they know its length and can seek. mkv and
                webm are without length and index: players seek by guessing. mp3 is without length: players estimate it.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from ingestion.errors import TransientError
from ingestion.extraction import Extraction, MediaFormat
from ingestion.options import WEBM_CODECS
from ingestion.streams import index

MIB = 1 << 20
INDEX_MEMORY_LIMIT = 48 * MIB
INDEX_MEMORY_PER_PACKET = 75  # bytes that ffmpeg 9 takes, measured; 28 MiB for an hour of 60 pictures and 50 pieces of sound a second
INDEX_FIXED = 128 << 10
INDEX_PER_PACKET = 24  # bytes: size, two times, place
CUES_FIXED, CUES_PER_SECOND = 64 << 10, 24  # bytes: a picture to begin with each second
PLAIN_ROOM = 4096
SOUND_PACKETS_PER_SECOND = 50
USUAL_FPS = 60
SLOWEST_BYTES_PER_SECOND = 25_000  # where the duration is unknown

FRAGMENT_SECONDS, FRAGMENT_SECONDS_IN_ORDER = 5, 30
FRAGMENTED = "delay_moov+default_base_moof+skip_trailer"

MUXERS = {"mp4": "mp4", "m4a": "ipod", "mkv": "matroska", "webm": "webm", "mp3": "mp3", "opus": "opus"}
MP4_KINDS, MATROSKA_KINDS = ("mp4", "m4a"), ("mkv", "webm")
SOUND_ENCODERS = {"m4a": ("mp4a", "aac"), "mp3": ("mp3", "libmp3lame"), "opus": ("opus", "libopus")}  # the codec that fits; who makes it
PICTURE_ENCODERS = {
    "h264": (("avc1", "h264"), ("libx264", "-preset", "fast", "-crf", "20", "-pix_fmt", "yuv420p")),
    "hevc": (("hev1", "hvc1", "hevc"), ("libx265", "-preset", "fast", "-crf", "24", "-x265-params", "log-level=error")),
}
SOUND_RATES = (64, 96, 128, 160, 192, 256, 320)  # kbit/s
USUAL_SOUND_RATE = 160


@dataclass(frozen=True)
class Recipe:
    """`extension` is the kind of file, `codecs` the words for ffmpeg, `room` the bytes kept in front for what is known last.

    `formats` are those of the extraction that are read; `drops_picture` says that not all of them is kept. `measures`: the
    packets tell when picture and sound end, not the heads of the formats. It costs ffmpeg half as much again.
    """

    extension: str
    formats: tuple[MediaFormat, ...]
    codecs: tuple[str, ...] = ("-c", "copy")
    layout: str = "plain"
    room: int = PLAIN_ROOM
    drops_picture: bool = False
    encodes: bool = False
    measures: bool = False

    @property
    def compares_sizes(self) -> bool:
        """The output is about as big as what is read."""
        return not (self.encodes or self.drops_picture)

    @property
    def has_picture(self) -> bool:
        return not self.drops_picture and any(media.vcodec for media in self.formats)

    @property
    def copies_aac(self) -> bool:
        return self.codecs[-1] == "copy" and any(_fits(media.acodec, ("mp4a", "aac")) for media in self.formats)

    def arguments(self, streams: Sequence[str], output: Sequence[str]) -> list[str]:
        """ffmpeg's, after its inputs."""
        layout = {
            "moov": ("-moov_size", str(self.room), "-flush_packets", "0"),  # else a system call for each packet
            "cues": ("-reserve_index_space", str(self.room)),
            "fragments": self._fragments(FRAGMENT_SECONDS),
            "in order": self._fragments(FRAGMENT_SECONDS_IN_ORDER) if self.extension in MP4_KINDS else (),
            "plain": (),
        }
        unseekable = ("-write_xing", "0") if (self.extension, self.layout) == ("mp3", "in order") else ()
        return [*streams, *self.codecs, *layout[self.layout], *unseekable, "-f", MUXERS[self.extension], *output]

    def _fragments(self, seconds: int) -> tuple[str, ...]:
        if self.has_picture:
            return ("-movflags", f"frag_keyframe+{FRAGMENTED}", "-min_frag_duration", f"{seconds}000000")
        return ("-movflags", FRAGMENTED, "-frag_duration", f"{seconds}000000")


def needs_ffmpeg(extraction: Extraction, container: str = "mp4", convert: str = "none") -> bool:
    """False when the one format there is can be stored as it came."""
    if len(extraction.formats) != 1:
        return True
    (media,) = extraction.formats
    if convert in SOUND_ENCODERS:
        return bool(media.vcodec) or media.ext != convert
    if not media.vcodec:
        return False
    return media.ext != container or (convert in PICTURE_ENCODERS and not _fits(media.vcodec, PICTURE_ENCODERS[convert][0]))


def make_recipe(extraction: Extraction, container: str, convert: str, *, in_order: bool, most_kbits: int | None = None) -> Recipe:
    """`most_kbits` bounds the sound that is encoded, None for as good as it came. Raises TransientError (`no_formats`) for sound
    that is wanted of a video that has none."""
    recipe = _sound(extraction, convert, most_kbits) if convert in SOUND_ENCODERS else _picture(extraction, container, convert)
    layout, room = ("in order", 0) if in_order else _layout(extraction, recipe)
    return replace(recipe, layout=layout, room=room)


def codecs_after(extraction: Extraction, convert: str) -> tuple[str, str]:
    """Picture and sound of the stored file, "" for none: what YouTube calls them, or what they were converted to."""
    picture, sound = extraction.formats[0].vcodec or "", extraction.formats[-1].acodec or ""
    if convert in SOUND_ENCODERS:
        return "", sound if _fits(sound, SOUND_ENCODERS[convert][:1]) else convert
    if convert in PICTURE_ENCODERS and picture:
        return picture if _fits(picture, PICTURE_ENCODERS[convert][0]) else convert, sound
    return picture, sound


def index_size(extraction: Extraction) -> int:
    """Bytes that the index of the finished MP4 is expected to need."""
    return INDEX_FIXED + INDEX_PER_PACKET * packets(extraction)


def packets(extraction: Extraction) -> int:
    """About how many pictures and pieces of sound a video has."""
    pictures = (extraction.formats[0].fps or USUAL_FPS) if extraction.formats[0].vcodec else 0
    return int(_seconds(extraction) * (pictures + SOUND_PACKETS_PER_SECOND))


def _seconds(extraction: Extraction) -> float:
    return extraction.duration or sum(media.size or 0 for media in extraction.formats) / SLOWEST_BYTES_PER_SECOND


def _picture(extraction: Extraction, container: str, convert: str) -> Recipe:
    formats = extraction.formats
    if not any(media.vcodec for media in formats):
        (media,) = formats
        return Recipe(media.ext if media.ext in MUXERS else "m4a" if _fits(media.acodec, ("mp4a",)) else "mkv", formats)
    own, encoder = PICTURE_ENCODERS.get(convert, ((), ()))
    if container == "webm" and not _fit_webm(codecs_after(extraction, convert)):
        container = "mkv"
    if convert == "none" or _fits(formats[0].vcodec, own):
        return Recipe(container, formats)
    tag = ("-tag:v", "hvc1") if (convert, container) == ("hevc", "mp4") else ()  # the name by which Apple's players know it
    return Recipe(container, formats, ("-c:v", *encoder, *tag, "-c:a", "copy"), encodes=True)


def _fit_webm(codecs: Sequence[str]) -> bool:
    """False only where that is known before anything is fetched."""
    return all(not codec or _fits(codec, WEBM_CODECS) for codec in codecs)


def _sound(extraction: Extraction, kind: str, most_kbits: int | None) -> Recipe:
    media = next((media for media in reversed(extraction.formats) if media.acodec), None)
    if media is None:
        raise TransientError("no_formats", f"the video has no sound that could become {kind}")
    own, encoder = SOUND_ENCODERS[kind]
    drops = bool(media.vcodec)
    if _fits(media.acodec, (own,)):
        return Recipe(kind, (media,), drops_picture=drops)
    rate = min(_sound_rate(media, extraction.duration), most_kbits or SOUND_RATES[-1])
    return Recipe(kind, (media,), ("-c:a", encoder, "-b:a", f"{rate}k"), drops_picture=drops, encodes=True)


def _fits(codec: str | None, names: Sequence[str]) -> bool:
    return (codec or "").lower().startswith(tuple(names))


def _sound_rate(media: MediaFormat, duration: float | None) -> int:
    """The next usual rate above the source's own, in kbit/s."""
    if media.abr:
        own = media.abr
    elif media.vcodec or not (media.size and duration):
        own = USUAL_SOUND_RATE
    else:
        own = media.size * 8 / duration / 1000
    return next((rate for rate in SOUND_RATES if rate >= round(own)), SOUND_RATES[-1])


def _layout(extraction: Extraction, recipe: Recipe) -> tuple[str, int]:
    if recipe.extension in MATROSKA_KINDS:
        return "cues", CUES_FIXED + int(CUES_PER_SECOND * _seconds(extraction))
    if recipe.extension not in MP4_KINDS:
        return "plain", PLAIN_ROOM
    if packets(extraction) * INDEX_MEMORY_PER_PACKET > INDEX_MEMORY_LIMIT:
        return "fragments", index.ROOM
    return "moov", index_size(extraction)
