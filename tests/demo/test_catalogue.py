import csv
import json
import re
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from demo.youtube_twin.catalogue import Catalogue, Channel
from demo.youtube_twin.showcase import SHOWCASE
from demo.youtube_twin.site import make_catalogue

SHEETS = Path(__file__).resolve().parents[2] / "demo" / "sheets"


@pytest.fixture(scope="module")
def catalogue() -> Catalogue:
    return make_catalogue()


@pytest.mark.parametrize("handle", ["demo", "shortsonly", "big250", "tiny99", *SHOWCASE])
def test_a_video_belongs_to_the_channel_that_lists_it(handle: str, catalogue: Catalogue):
    channel = catalogue.channel(handle)
    for video in channel.videos():
        assert catalogue.find(video.id) == (channel, video)
        assert re.fullmatch(r"[\w-]{11}", video.id)


def test_ids_are_unique_over_all_channels(catalogue: Catalogue):
    channels = [*catalogue.channels.values(), catalogue.channel("big1000"), catalogue.channel("big1001"), catalogue.channel("tiny50")]
    ids = [video.id for channel in channels for video in channel.videos()]
    assert len(ids) == len(set(ids))


@pytest.mark.parametrize("name", ["big0", "bigx", "tiny", "nobody", "", "UCnobody________________"])
def test_what_does_not_exist_is_none(name: str, catalogue: Catalogue):
    assert catalogue.channel(name) is None


def test_videos_are_listed_newest_first(catalogue: Catalogue):
    for channel in (catalogue.channel("big10000"), catalogue.channel("old-engines"), catalogue.channel("demo")):
        dates = [video.published for video in channel.tabs["videos"]]
        assert dates == sorted(dates, reverse=True)
        assert dates[-1].year > 2010


def test_nearly_all_of_the_showcase_can_be_watched(catalogue: Catalogue):
    videos = [video for handle in SHOWCASE for video in catalogue.channel(handle).videos()]
    assert 60 <= len(videos) <= 95
    assert sum(video.refusal is not None for video in videos) == 4


def channel_of(url: str, catalogue: Catalogue) -> Channel | None:
    words = urlsplit(url if "://" in url else f"https://{url}").path.strip("/").split("/")
    return catalogue.channel(words[1] if words[0] in ("c", "user", "channel") else words[0])


def sheet_urls(name: str) -> list[str]:
    text = (SHEETS / name).read_text(encoding="utf-8")
    if name.endswith(".csv"):
        return [row["channel_url"] for row in csv.DictReader(text.splitlines())]
    if name.endswith(".json"):
        return [row["channel_url"] for row in json.loads(text)["channels"]]
    return [line.split("#")[0].strip() for line in text.splitlines() if line.split("#")[0].strip()]


@pytest.mark.parametrize("name", ["people.csv", "channels.json", "channels.txt"])
def test_the_example_sheets_name_the_channels_of_the_showcase(name: str, catalogue: Catalogue):
    assert {channel_of(url, catalogue).key for url in sheet_urls(name)} == set(SHOWCASE)
