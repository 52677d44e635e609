"""The choice of formats, on lists as yt-dlp gives them: from worst to best."""

import pytest

from ingestion.options import QUALITIES
from ingestion.youtube.formats import choose, media_format


def picture(format_id: str, width: int, height: int, vcodec: str = "avc1.64001f", **over) -> dict:
    ext = "mp4" if vcodec.startswith(("avc1", "av01")) else "webm"
    return raw(format_id, ext=ext, vcodec=vcodec, acodec="none", width=width, height=height, **over)


def sound(format_id: str, acodec: str = "mp4a.40.2", **over) -> dict:
    return raw(format_id, ext="m4a" if acodec.startswith("mp4a") else "webm", vcodec="none", acodec=acodec, **over)


def raw(format_id: str, **over) -> dict:
    return {"format_id": format_id, "url": f"https://media.example/{format_id}", "protocol": "https", **over}


M4A, OPUS, LOW_OPUS = sound("140"), sound("251", "opus"), sound("249", "opus")
P144, P360, P720, P1080 = picture("160", 256, 144), picture("134", 640, 360), picture("136", 1280, 720), picture("137", 1920, 1080)
V720, V1080, V1440, V2160 = (
    picture("247", 1280, 720, "vp9"),
    picture("248", 1920, 1080, "vp9"),
    picture("271", 2560, 1440, "vp9"),
    picture("313", 3840, 2160, "vp9"),
)
A1080 = picture("399", 1920, 1080, "av01.0.08M.08")
BOTH18 = raw("18", ext="mp4", vcodec="avc1.42001E", acodec="mp4a.40.2", width=640, height=360)
HLS720 = raw("95", ext="mp4", vcodec="avc1.4d401f", acodec="mp4a.40.2", width=1280, height=720, protocol="m3u8_native")
HLS1080 = picture("614", 1920, 1080, "vp9", protocol="m3u8_native")
SHEET = raw("sb0", ext="mhtml", vcodec="none", acodec="none", width=160, height=90, protocol="mhtml")
USUAL = [SHEET, LOW_OPUS, M4A, OPUS, P144, P360, V720, P720, V1080, P1080, A1080, V1440, V2160]


@pytest.mark.parametrize(
    ("quality", "ids"),
    [
        ("best", ["313", "251"]),
        ("2160p", ["313", "251"]),
        ("1440p", ["271", "251"]),
        ("1080p", ["137", "140"]),
        ("720p", ["136", "140"]),
        ("480p", ["134", "140"]),
        ("360p", ["134", "140"]),
        ("audio", ["140"]),
    ],
)
def test_the_usual_offer(quality: str, ids: list[str]):
    assert [chosen["format_id"] for chosen in choose(USUAL, quality)] == ids


def test_every_quality_is_understood():
    assert all(choose(USUAL, quality) for quality in QUALITIES)


CASES = {
    "best of any codec: yt-dlp's order": ("best", [M4A, OPUS, V1080, P1080, A1080], ["399", "251"]),
    "h264 for best goes with its like": ("best", [OPUS, M4A, P720], ["136", "140"]),
    "a height that is missing: the best below": ("1080p", [M4A, P360, P720, V1440], ["136", "140"]),
    "nothing below: the smallest above": ("360p", [M4A, P720, P1080], ["136", "140"]),
    "the height counts more than the codec": ("1080p", [M4A, P360, V1080], ["248", "140"]),
    "near heights are equal, h264 wins": ("1080p", [M4A, picture("h", 1920, 1036), V1080], ["h", "140"]),
    "among equals the larger": ("1080p", [M4A, picture("h", 1920, 1036), P1080], ["137", "140"]),
    "upright: the short side counts": ("720p", [M4A, picture("up", 720, 1280), picture("big", 1080, 1920)], ["up", "140"]),
    "wide: the short side counts": ("1080p", [M4A, P720, picture("wide", 1920, 804)], ["wide", "140"]),
    "https before fragments at about that height": ("1080p", [M4A, P1080, HLS1080], ["137", "140"]),
    "fragments when https is far lower": ("1080p", [M4A, P360, HLS1080], ["614", "140"]),
    "fragments when there is nothing else": ("1080p", [HLS720], ["95"]),
    "both in one when there is no pair": ("360p", [BOTH18], ["18"]),
    "a pair before both in one": ("360p", [BOTH18, M4A, P360], ["134", "140"]),
    "both in one before a pair of fragments": ("360p", [M4A, picture("93", 640, 360, protocol="m3u8_native"), BOTH18], ["18"]),
    "a silent film": ("720p", [P720], ["136"]),
    "sound without a picture": ("720p", [M4A], ["140"]),
    "audio: any when there is no m4a": ("audio", [LOW_OPUS, OPUS, P720], ["251"]),
    "audio: the smallest film when there is no sound alone": ("audio", [BOTH18, HLS720], ["18"]),
    "the original before a dub": (
        "720p",
        [P720, sound("140-0", language_preference=10), sound("140-1", language_preference=-1)],
        ["136", "140-0"],
    ),
    "the original before AAC": (
        "720p",
        [P720, sound("251-0", "opus", language_preference=10), sound("140-1", language_preference=-1)],
        ["136", "251-0"],
    ),
    "the range as it was recorded": ("audio", [M4A, sound("140-drc")], ["140"]),
    "not what machines made larger": ("1080p", [M4A, P1080, picture("137-sr", 1920, 1080)], ["137", "140"]),
    "more pictures a second": ("720p", [M4A, P720, picture("298", 1280, 720, fps=60)], ["298", "140"]),
    "locked formats are none": ("720p", [M4A, P360, {**P720, "has_drm": True}], ["134", "140"]),
    "perhaps locked is tried": ("720p", [M4A, P360, {**P720, "has_drm": "maybe"}], ["136", "140"]),
    "size unknown": ("720p", [M4A, raw("x", ext="mp4", vcodec="avc1", acodec="none")], ["x", "140"]),
    "nothing": ("720p", [], []),
    "pictures of the seek bar only": ("720p", [SHEET], []),
}


@pytest.mark.parametrize(("quality", "offered", "ids"), CASES.values(), ids=CASES)
def test_the_choice(quality: str, offered: list[dict], ids: list[str]):
    assert [chosen["format_id"] for chosen in choose(offered, quality)] == ids


def test_our_row_tells_picture_from_sound_and_keeps_what_is_unknown_apart():
    row = media_format({**P720, "filesize": 7, "http_headers": {"User-Agent": "x"}, "acodec": None})
    assert (row.vcodec, row.acodec, row.size, row.headers) == ("avc1.64001f", "unknown", 7, {"User-Agent": "x"})
    assert media_format(M4A).vcodec is None
    assert media_format(M4A).size is None
