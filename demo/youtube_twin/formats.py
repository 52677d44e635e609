"""The formats YouTube offers, by itag, and which of them a video has."""

from dataclasses import dataclass

from demo.youtube_twin.catalogue import Video


@dataclass(frozen=True)
class Format:
    """One track, or both in one file. `bits_per_second` is the rate our media aim at (YouTube's are heavier)."""

    itag: int
    container: str
    codecs: str
    bits_per_second: int
    quality: str = "tiny"
    width: int = 0
    height: int = 0
    frames_per_second: int = 25

    @property
    def is_audio(self) -> bool:
        return not self.height

    @property
    def mime_type(self) -> str:
        return f"{'audio' if self.is_audio else 'video'}/{self.container}"


FORMATS = {
    known.itag: known
    for known in (
        Format(313, "webm", "vp9", 1_500_000, "hd2160", 3840, 2160, 10),
        Format(137, "mp4", "avc1.640028", 600_000, "hd1080", 1920, 1080),
        Format(248, "webm", "vp9", 500_000, "hd1080", 1920, 1080),
        Format(136, "mp4", "avc1.64001f", 300_000, "hd720", 1280, 720),
        Format(247, "webm", "vp9", 250_000, "hd720", 1280, 720),
        Format(135, "mp4", "avc1.4d401f", 150_000, "large", 854, 480),
        Format(134, "mp4", "avc1.4d401e", 100_000, "medium", 640, 360),
        Format(160, "mp4", "avc1.4d400c", 40_000, "tiny", 256, 144),
        Format(140, "mp4", "mp4a.40.2", 128_000),
        Format(251, "webm", "opus", 128_000),
        Format(18, "mp4", "avc1.42001E, mp4a.40.2", 228_000, "medium", 640, 360),
        Format(22, "mp4", "avc1.64001F, mp4a.40.2", 428_000, "hd720", 1280, 720),
    )
}

H264 = (137, 136, 135, 134, 140)
VP9 = (248, 247, 251)
SECONDS_WITH_VP9 = (12,)

# Picture and sound in one file -> the tracks it is made of
JOINED = {18: (134, 140), 22: (136, 140)}

# HLS variant -> the tracks its segments are made of
HLS_TRACKS = {95: (136, 140), 93: (134, 140), 602: (160,)}


def adaptive_itags(video: Video) -> tuple[int, ...]:
    """The formats of one track each."""
    if video.special in ("progressive", "hls_only", "live_now"):
        return ()
    if video.special == "uhd":
        return (313, *VP9, *H264)
    if video.grade == "tiny":
        return (134, 140)
    if video.grade == "heavy":
        return (136, 140)
    return (*VP9, *H264) if video.seconds in SECONDS_WITH_VP9 else H264


def progressive_itags(video: Video) -> tuple[int, ...]:
    """The formats with picture and sound in one file."""
    if video.special not in ("progressive", "degraded", "manifest"):
        return ()
    return (22,) if video.grade == "heavy" else (18,)


def hls_itags(video: Video) -> tuple[int, ...]:
    """The variants of its HLS manifest; () when it has none. An ordinary video's only shows a stamp-sized picture."""
    if video.special in ("sabr_only", "n_challenge", "sig_cipher", "progressive", "degraded"):
        return ()
    if video.special == "live_now":
        return (95,)
    return (95, 93) if video.special in ("hls_only", "manifest") else (602,)
