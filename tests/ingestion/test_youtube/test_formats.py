"""The choice of formats, on lists as yt-dlp gives them: from worst to best."""

import pytest

from ingestion.options import CODECS, CONTAINERS, QUALITIES, Choice
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
H720, H2160 = (picture(f"h{p['format_id']}", p["width"], p["height"], "vp9.2", dynamic_range="HDR10") for p in (V720, V2160))
A2160 = picture("401", 3840, 2160, "av01.0.12M.08", dynamic_range="SDR")
AH2160 = picture("701", 3840, 2160, "av01.0.13M.10", dynamic_range="HDR10")
R48, R129 = sound("139", "mp4a.40.5", abr=48.8), sound("140", abr=129.5, tbr=129.5)
R50, R70, R135 = sound("249", "opus", tbr=50.1), sound("250", "opus", tbr=70.0), sound("251", "opus", tbr=135.0)
RATES = [R48, R50, R70, R129, R135]
USUAL = [SHEET, LOW_OPUS, M4A, OPUS, P144, P360, V720, P720, V1080, P1080, A1080, V1440, V2160]
WHOLE = [*USUAL, *RATES, H720, H2160, A2160, AH2160, BOTH18, HLS720, HLS1080]


def ids_of(offered: list[dict], choice: Choice) -> list[str]:
    return [chosen["format_id"] for chosen in choose(offered, choice)]


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
    assert ids_of(USUAL, Choice(quality)) == ids


@pytest.mark.parametrize("container", [*CONTAINERS, "m4a", "mp3", "opus"])
@pytest.mark.parametrize("codec", CODECS)
@pytest.mark.parametrize("quality", QUALITIES)
def test_every_choice_is_understood_and_costs_no_height(quality: str, codec: str, container: str):
    for hdr, audio_bitrate in ((False, None), (True, 1), (True, 1000)):
        chosen = choose(WHOLE, Choice(quality, codec, hdr, audio_bitrate, container))
        plain = choose(WHOLE, Choice(quality))
        assert len(chosen) == len(plain)
        assert chosen[0].get("height") == plain[0].get("height")


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
    "a pair before both in one that comes later": ("360p", [M4A, P360, BOTH18], ["134", "140"]),
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
    assert ids_of(offered, Choice(quality)) == ids


WISHES = {
    "a codec within the cap": (Choice("1080p", codec="vp9"), USUAL, ["248", "251"]),
    "another codec": (Choice("1080p", codec="av1"), USUAL, ["399", "251"]),
    "vp9 by its other name": (Choice("720p", codec="vp9"), [M4A, picture("v", 1280, 720, "vp09.00.31.08"), P720], ["v", "140"]),
    "h264 above 1080p: the height counts more": (Choice("2160p", codec="h264"), USUAL, ["313", "251"]),
    "h264 of the best height": (Choice("best", codec="h264"), [M4A, OPUS, P1080, A1080], ["137", "140"]),
    "a codec that is not offered costs nothing": (Choice("720p", codec="av1"), [M4A, P360, P720], ["136", "140"]),
    "a codec that is not offered leaves all as it is": (Choice("1080p", codec="av1"), [M4A, OPUS, P1080, V1080], ["137", "140"]),
    "webm in Opus, though AAC is held for better": (Choice("1080p", container="webm"), [OPUS, M4A, V1080, P1080], ["248", "251"]),
    "a codec at nearly that height": (Choice("1080p", codec="av1"), [M4A, P1080, picture("a", 1920, 1036, "av01")], ["a", "140"]),
    "not a codec far below": (Choice("1080p", codec="vp9"), [M4A, V720, P1080], ["137", "140"]),
    "a codec before an address to be read in ranges": (Choice("1080p", codec="vp9"), [M4A, P1080, HLS1080], ["614", "140"]),
    "the original language before a codec": (
        Choice("720p", codec="vp9"),
        [{**V720, "acodec": "opus", "language_preference": -1}, P720, sound("140-0", language_preference=10)],
        ["136", "140-0"],
    ),
    "SDR before HDR": (Choice("best"), [OPUS, V2160, H2160], ["313", "251"]),
    "SDR before HDR, though below 1080p": (Choice("720p"), [M4A, V720, H720], ["247", "140"]),
    "HDR when there is nothing else": (Choice("best"), [OPUS, P1080, H2160], ["h313", "251"]),
    "HDR that was asked for": (Choice("best", hdr=True), [OPUS, H2160, V2160], ["h313", "251"]),
    "HDR before h264": (Choice("720p", hdr=True), [M4A, H720, P720], ["h247", "140"]),
    "HDR that is not offered costs nothing": (Choice("720p", hdr=True), [M4A, V720, P720], ["136", "140"]),
    "not HDR far below": (Choice("2160p", hdr=True), [OPUS, H720, V2160], ["313", "251"]),
    "HDR before a codec, then the codec": (Choice("best", codec="av1", hdr=True), [OPUS, A2160, AH2160, H2160], ["701", "251"]),
    "HDR in another codec": (Choice("best", codec="av1", hdr=True), [OPUS, A2160, H2160], ["h313", "251"]),
    "a tone scale of another name": (Choice("best", hdr=True), [OPUS, V2160, {**H2160, "dynamic_range": "HLG"}], ["h313", "251"]),
    "sound up to a bit rate: AAC of nearly that": (Choice("720p", audio_bitrate=140), [P720, *RATES], ["136", "140"]),
    "sound called 128 measures more": (Choice("audio", audio_bitrate=128), RATES, ["140"]),
    "sound far better than AAC of that bit rate": (Choice("720p", audio_bitrate=100), [P720, *RATES], ["136", "250"]),
    "AAC among small ones": (Choice("720p", audio_bitrate=60), [P720, *RATES], ["136", "139"]),
    "all above: the smallest": (Choice("720p", audio_bitrate=16), [P720, *RATES], ["136", "139"]),
    "the smallest, whatever its codec": (Choice("audio", audio_bitrate=16), [R129, R135, R70], ["250"]),
    "bit rates unknown": (Choice("audio", audio_bitrate=16), [LOW_OPUS, M4A, OPUS], ["140"]),
    "known before unknown": (Choice("audio", audio_bitrate=128), [M4A, R70], ["250"]),
    "the original before a bit rate": (
        Choice("audio", audio_bitrate=64),
        [{**R129, "language_preference": 10}, {**R48, "language_preference": -1}],
        ["140"],
    ),
    "both in one has the sound it has": (Choice("360p", audio_bitrate=16), [{**BOTH18, "abr": 96}], ["18"]),
    "webm": (Choice("1080p", container="webm"), USUAL, ["399", "251"]),
    "webm in vp9": (Choice("1080p", codec="vp9", container="webm"), USUAL, ["248", "251"]),
    "webm above 1080p": (Choice("2160p", container="webm"), [M4A, OPUS, V2160], ["313", "251"]),
    "webm before an address to be read in ranges": (Choice("1080p", container="webm"), [OPUS, P1080, HLS1080], ["614", "251"]),
    "webm: the height counts more": (Choice("1080p", container="webm"), [M4A, OPUS, V720, P1080], ["137", "140"]),
    "webm that cannot be": (Choice("720p", container="webm"), [M4A, P720], ["136", "140"]),
    "webm of sound alone": (Choice("audio", container="webm"), USUAL, ["251"]),
    "mkv takes all": (Choice("1080p", container="mkv"), USUAL, ["137", "140"]),
    "m4a is AAC": (Choice("audio", container="m4a"), [R129, R135], ["140"]),
    "opus is Opus": (Choice("audio", container="opus"), [R129, R135, R48], ["251"]),
    "opus of something else": (Choice("audio", container="opus"), [R48, R129], ["140"]),
    "mp3 is made of the best": (Choice("audio", container="mp3"), [R129, R135], ["251"]),
    "larger by machines only, and a smaller one as recorded": (Choice("1080p"), [M4A, P360, picture("137-sr", 1920, 1080)], ["134", "140"]),
    "larger by machines only": (Choice("1080p"), [M4A, picture("137-sr", 1920, 1080)], ["137-sr", "140"]),
    "voices as they were recorded": (Choice("audio"), [M4A, sound("140-vb")], ["140"]),
}


@pytest.mark.parametrize(("choice", "offered", "ids"), WISHES.values(), ids=WISHES)
def test_a_wish_is_met_where_it_can_be(choice: Choice, offered: list[dict], ids: list[str]):
    assert ids_of(offered, choice) == ids


def test_our_row_tells_picture_from_sound_and_keeps_what_is_unknown_apart():
    row = media_format({**P720, "filesize": 7, "http_headers": {"User-Agent": "x"}, "acodec": None})
    assert (row.vcodec, row.acodec, row.size, row.headers) == ("avc1.64001f", "unknown", 7, {"User-Agent": "x"})
    assert media_format(M4A).vcodec is None
    assert (media_format(R129).abr, media_format(R129).tbr, media_format(R129).dynamic_range) == (129.5, 129.5, "")
    assert media_format(H720).dynamic_range == "HDR10"
    assert media_format(M4A).size is None
