from collections.abc import Callable
from typing import Any

import pytest
from yt_dlp.utils import DownloadError

from demo.youtube_twin import Twin
from demo.youtube_twin.specials import SPECIAL_IDS

WEB = "https://www.youtube.com/"
ListIds = Callable[[str], list[str]]
Extract = Callable[..., dict[str, Any]]


@pytest.mark.parametrize(
    "url",
    [
        WEB + "@old-engines/videos",
        WEB + "@Old-Engines/videos",
        WEB + "channel/UCold-engines___________/videos",
        WEB + "c/OldEngines/videos",
        WEB + "user/oldengines/videos",
        WEB + "OldEngines/videos",
        "https://m.youtube.com/@old-engines/videos",
    ],
)
def test_every_spelling_of_a_channel_leads_to_the_same_one(url: str, extract: Extract):
    found = extract(url, extract_flat=True)
    assert (found["channel_id"], found["channel"], found["uploader_id"]) == ("UCold-engines___________", "Old Engines", "@old-engines")
    assert len(list(found["entries"])) == 12


def test_a_bare_channel_lists_all_its_tabs(list_ids: ListIds):
    assert len(set(list_ids(WEB + "@demo"))) == 75 + 50 + 5


def test_each_special_video_is_in_the_demo_channels_listing(list_ids: ListIds):
    assert set(list_ids(WEB + "@demo/videos")) >= set(SPECIAL_IDS)


@pytest.mark.parametrize(
    ("url", "count", "continuations"),
    [
        pytest.param(WEB + "@big30/videos", 30, 0, id="one full page of videos"),
        pytest.param(WEB + "@big31/videos", 31, 1, id="one video more than a page"),
        pytest.param(WEB + "@big100/videos", 100, 3, id="pages of 30"),
        pytest.param(WEB + "@demo/shorts", 50, 1, id="pages of 48 shorts"),
        pytest.param(WEB + "playlist?list=PLtwin250xxxxx", 250, 2, id="pages of 100 in a playlist"),
    ],
)
def test_long_listings_go_on_page_by_page(url: str, count: int, continuations: int, list_ids: ListIds, fresh_twin: Twin):
    assert len(set(list_ids(url))) == count
    assert sum("continuation" in entry for entry in fresh_twin.log()) == continuations


@pytest.mark.parametrize("shape", ["lockup", "renderer"])
def test_a_listed_video_brings_what_youtube_lists(shape: str, extract: Extract, fresh_twin: Twin):
    fresh_twin.configure(shape=shape)
    entries = {entry["id"]: entry for entry in extract(WEB + "@demo/videos", extract_flat=True)["entries"]}
    normal = entries["demv0000040"]
    assert (normal["title"], normal["duration"], normal["view_count"]) == ('Video demv0000040 \u2013 title & "quotes"', 7, 1040)
    assert entries["MEMBERS____"]["availability"] == "subscriber_only"
    assert entries["UPCOMING___"]["live_status"] == "is_upcoming"


def test_a_listed_length_is_the_one_of_the_video(extract: Extract):
    entry = next(iter(extract(WEB + "@maps-and-mountains/videos", extract_flat=True)["entries"]))
    assert extract(entry["url"])["duration"] == entry["duration"]


@pytest.mark.parametrize(
    ("playlist", "first", "count"),
    [
        pytest.param("PLtwin25xxxxx", "b0000p00000", 25, id="any length"),
        pytest.param("UUdemo__________________", "PRIVATE____", 75, id="uploads of a channel"),
        pytest.param("PLold-engines_____________________", None, 6, id="an owner's choice"),
    ],
)
def test_playlists(playlist: str, first: str | None, count: int, list_ids: ListIds):
    ids = list_ids(WEB + "playlist?list=" + playlist)
    assert len(ids) == count
    assert first in (None, ids[0])


def test_a_watch_address_with_a_list_leads_to_the_playlist(extract: Extract):
    found = extract(WEB + "watch?v=demv0000040&list=PLtwin25xxxxx", extract_flat=True)
    assert found["url"] == WEB + "playlist?list=PLtwin25xxxxx"


@pytest.mark.parametrize(
    ("url", "words"),
    [
        (WEB + "@nobody-at-all", "HTTP Error 404"),
        (WEB + "@terminated", "This account has been terminated"),
        (WEB + "playlist?list=PLnobodyknowsthis", "The playlist does not exist"),
        (WEB + "@shortsonly/streams", "does not have a streams tab"),
    ],
)
def test_what_cannot_be_listed_says_why(url: str, words: str, extract: Extract):
    with pytest.raises(DownloadError, match=words):
        extract(url, extract_flat=True)


@pytest.mark.parametrize("handle", ["@empty", "@agegated"])
def test_a_channel_that_shows_nothing_is_no_error(handle: str, list_ids: ListIds):
    assert list_ids(WEB + handle) == []


def test_a_channel_may_have_shorts_only(list_ids: ListIds):
    assert len(list_ids(WEB + "@shortsonly")) == 12


def test_a_thousand_videos_have_ids_of_their_own(list_ids: ListIds):
    assert len(set(list_ids(WEB + "playlist?list=PLtwin1000xxxxx"))) == 1000
