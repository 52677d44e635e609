"""Whether what YouTube gives falls short of what it names, on rows as its answers have them."""

import pytest

from ingestion.options import Choice
from ingestion.youtube.offers import Named, named, shortfall

P360, P720, P1080, UPRIGHT = (
    {"vcodec": "avc1", "acodec": "none", "width": w, "height": h} for w, h in ((640, 360), (1280, 720), (1920, 1080), (360, 640))
)
UNKNOWN = {"vcodec": "avc1", "acodec": "none"}
SOUND = {"vcodec": "none", "acodec": "mp4a.40.2"}
BOTH = {**P360, "acodec": "mp4a.40.2"}
HD, UHD, SMALL = Named(1080, True), Named(2160, True), Named(240, True)
SABR = "[youtube] x: Some tv client https formats have been skipped as they are missing a URL. See ..."
TOKEN = "[youtube] x: ios client https formats require a GVS PO Token which was not provided."

FALLS_SHORT = {
    "a third": ("1080p", (P360, SOUND), HD),
    "the half": ("720p", (BOTH,), HD),
    "best": ("best", (P720, SOUND), UHD),
    "upright": ("1080p", (UPRIGHT, SOUND), HD),
    "sound alone": ("720p", (SOUND,), HD),
    "a picture alone": ("720p", (P720,), HD),
}
SUFFICES = {
    "all there is": ("1080p", ({**P360, "width": 426, "height": 240}, SOUND), SMALL),
    "as asked": ("360p", (BOTH,), HD),
    "two thirds": ("1080p", (P720, SOUND), HD),
    "more than asked": ("360p", (P720, SOUND), HD),
    "1080p of 2160p": ("best", (P1080, SOUND), UHD),
    "a height nobody knows": ("1080p", (UNKNOWN, SOUND), HD),
    "sound that was asked for": ("audio", (SOUND,), HD),
    "a silent film": ("720p", (P720,), Named(720, False)),
    "a song without a picture": ("720p", (SOUND,), Named(0, True)),
    "nothing at all": ("720p", (), HD),
}


@pytest.mark.parametrize(("quality", "chosen", "names"), FALLS_SHORT.values(), ids=FALLS_SHORT)
def test_what_falls_short(quality: str, chosen: tuple, names: Named):
    assert shortfall(chosen, Choice(quality), names).endswith("was offered.")


@pytest.mark.parametrize(("quality", "chosen", "names"), SUFFICES.values(), ids=SUFFICES)
def test_what_suffices(quality: str, chosen: tuple, names: Named):
    assert shortfall(chosen, Choice(quality), names, [SABR]) == ""


@pytest.mark.parametrize(("said", "falls_short"), [([], False), (["Video is long"], False), ([SABR], True), ([TOKEN], True)])
def test_without_names_a_warning_tells(said: list[str], falls_short: bool):
    assert bool(shortfall((BOTH,), Choice("1080p"), None, said)) == falls_short
    assert bool(shortfall((P720,), Choice("1080p"), None, said)) == falls_short, "no sound"
    assert shortfall((P720, SOUND), Choice("1080p"), None, said) == ""


def test_the_largest_picture_is_named_with_or_without_an_address():
    rows = [{"width": 640, "height": 360, "url": "https://x"}, {"width": 1080, "height": 1920}, {"audioQuality": "AUDIO_QUALITY_LOW"}]
    assert named(rows) == Named(1080, True)
    assert named(rows[:2]) == Named(1080, False)
    assert named([]) == Named(0, False)


@pytest.mark.parametrize(
    "not_to_be_had",
    [{"drmFamilies": ["WIDEVINE"]}, {"xtags": "CgcKAnNyEgEx"}],
    ids=["locked", "made larger by machines: sr=1"],
)
def test_what_cannot_be_had_is_not_named(not_to_be_had: dict):
    assert named([{"width": 1920, "height": 1080, **not_to_be_had}, {"width": 640, "height": 360}]) == Named(360, False)


@pytest.mark.parametrize("tags", ["CggKA2RyYxIBMQ", "not base64!", "é", 7], ids=["drc=1", "junk", "not ASCII", "a number"])
def test_other_tags_mean_nothing(tags: object):
    assert named([{"width": 1920, "height": 1080, "xtags": tags}]) == Named(1080, False)
