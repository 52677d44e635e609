import gc
from collections import Counter
from collections.abc import Callable
from datetime import date
from itertools import islice
from types import SimpleNamespace

import pytest

from demo.youtube_twin import Twin
from ingestion.errors import ArchiveError, FleetError, TransientError
from ingestion.youtube import Entry, YouTube
from ingestion.youtube.listing import entry_of
from tests.ingestion.test_youtube.conftest import asked_site

SITE = "https://www.youtube.com"
DEMO_ID = "UCdemo__________________"


@pytest.mark.parametrize("path", ["/@demo", f"/channel/{DEMO_ID}", "/c/demo", "/user/demo", "/demo", "/@demo/shorts", "/@demo/featured"])
def test_every_spelling_of_a_channel_gives_all_of_its_tabs(youtube: YouTube, path: str):
    listing = youtube.list_channel(SITE + path)
    tabs = Counter(entry.tab for entry in listing)
    assert tabs == {"videos": 75, "shorts": 50, "streams": 5}
    assert (listing.external_id, listing.title, listing.handle) == (DEMO_ID, "Twin demo", "@demo")
    assert listing.complete


def test_the_first_entry_costs_one_request_and_each_page_one_more(twin: Twin, youtube: YouTube):
    listing = youtube.list_channel(f"{SITE}/@big1000")
    assert asked_site(twin) == []
    next(iter(listing))
    assert len(asked_site(twin)) == 1
    assert listing.external_id.startswith("UCbig1000")
    assert not listing.complete
    assert sum(1 for _ in listing) == 999
    assert len(asked_site(twin)) == 34  # 30 a page


def test_a_tab_is_asked_for_only_when_its_turn_comes_and_only_when_it_exists(twin: Twin, youtube: YouTube):
    list(islice(youtube.list_channel(f"{SITE}/@demo"), 75))
    assert [line for line in asked_site(twin) if line.startswith("GET")] == ["GET /@demo/videos"]
    twin.clear_log()
    list(youtube.list_channel(f"{SITE}/@shortsonly"))
    assert asked_site(twin) == ["GET /@shortsonly/videos", "GET /@shortsonly/shorts"]


def test_leaving_a_tab_goes_on_with_the_next_one(youtube: YouTube):
    listing = youtube.list_channel(f"{SITE}/@demo")
    seen: Counter[str] = Counter()
    for entry in listing:
        seen[entry.tab] += 1
        if entry.tab == "videos":
            listing.leave_tab()
    assert seen == {"videos": 1, "streams": 5, "shorts": 50}
    assert not listing.complete


def test_an_entry_tells_what_the_page_shows(youtube: YouTube):
    entries = {entry.external_id: entry for entry in youtube.list_channel(f"{SITE}/@demo")}
    ordinary = entries["demv0000050"]
    assert ordinary.title == 'Video demv0000050 \u2013 title & "quotes"'
    assert (ordinary.duration, ordinary.view_count, ordinary.tab) == (12, 1050, "videos")
    assert isinstance(ordinary.upload_date, date)
    assert entries["MEMBERS____"].availability == "subscriber_only"
    assert entries["LIVENOW____"].live_status == "is_live"
    assert entries["UPCOMING___"].live_status == "is_upcoming"


@pytest.mark.parametrize("shape", ["lockup", "renderer"])
def test_both_shapes_of_pages_give_the_same_ids(twin: Twin, youtube: YouTube, shape: str):
    twin.configure(shape=shape)
    assert len({entry.external_id for entry in youtube.list_channel(f"{SITE}/@demo")}) == 130


def test_a_playlist_is_listed_under_its_own_id(twin: Twin, youtube: YouTube):
    listing = youtube.list_channel(f"{SITE}/playlist?list=PLtwin250xxxxx", "playlist")
    entries = list(listing)
    assert (len(entries), {entry.tab for entry in entries}) == (250, {"playlist"})
    assert (listing.external_id, listing.complete) == ("PLtwin250xxxxx", True)
    assert listing.title == "Uploads from Twin big250"


@pytest.mark.parametrize("path", ["/watch?v=demv0000050", "/watch?v=demv0000050&t=7", "/shorts/demv0000050", "/live/demv0000050"])
def test_a_single_video_costs_no_request(twin: Twin, youtube: YouTube, path: str):
    listing = youtube.list_channel(SITE + path, "video")
    assert list(listing) == [Entry("demv0000050")]
    assert (listing.external_id, listing.complete, asked_site(twin)) == ("demv0000050", True, [])


@pytest.mark.parametrize("path", ["/@empty", "/channel/UCempty_________________"])
def test_a_channel_without_entries_is_told_by_the_absence_of_entries(twin: Twin, youtube: YouTube, path: str):
    listing = youtube.list_channel(SITE + path)
    assert list(listing) == []
    assert listing.complete
    assert listing.external_id.startswith("UC")
    assert "GET /playlist?list=UU" in " ".join(asked_site(twin)), "its uploads were looked for as well"


def test_a_channel_behind_an_age_gate_is_not_an_empty_one(twin: Twin, youtube: YouTube):
    with pytest.raises(ArchiveError) as raised:
        list(youtube.list_channel(f"{SITE}/@agegated"))
    assert raised.value.kind == "age_restricted"


def test_a_failing_request_for_the_uploads_is_not_an_empty_channel(twin: Twin, youtube: YouTube):
    twin.faults([{"match": r"/playlist\?list=UU|/browse", "status": 503}])
    with pytest.raises(ArchiveError) as raised:
        list(youtube.list_channel(f"{SITE}/channel/UCempty_________________"))
    assert raised.value.kind == "network"


@pytest.mark.parametrize(
    ("path", "kind", "slug", "requests"),
    [
        ("/@nosuchchannel", "channel", "channel_missing", 2),
        ("/channel/UCnosuchchannel_________", "channel", "channel_missing", 2),
        ("/@terminated", "channel", "terminated", 1),
        ("/playlist?list=PLnosuchplaylist", "playlist", "channel_missing", 1),
    ],
)
def test_what_is_not_there_is_told_after_few_requests(twin: Twin, make_youtube, path: str, kind: str, slug: str, requests: int):
    youtube = make_youtube(extractor_retries=3)
    with pytest.raises(ArchiveError) as raised:
        list(youtube.list_channel(SITE + path, kind))
    assert raised.value.kind == slug
    assert len(asked_site(twin)) == requests


def test_a_page_that_is_missing_once_is_asked_for_again(twin: Twin, youtube: YouTube):
    twin.faults([{"match": "GET www.youtube.com/@demo", "status": 404, "times": 1}])
    assert len(list(youtube.list_channel(f"{SITE}/@demo"))) == 130


def test_a_junk_answer_half_way_raises_instead_of_ending_the_listing(twin: Twin, youtube: YouTube):
    twin.faults([{"match": "/youtubei/v1/browse", "junk": "incomplete"}])
    listing = youtube.list_channel(f"{SITE}/@big1000")
    seen = []
    with pytest.raises(ArchiveError) as raised:
        seen.extend(entry.external_id for entry in listing)
    assert raised.value.kind == "incomplete"
    assert not listing.complete


@pytest.mark.parametrize("match", ["/youtubei/v1/browse", "GET www.youtube.com/@demo/streams"])
def test_a_page_missing_half_way_does_not_make_the_channel_missing(twin: Twin, youtube: YouTube, match: str):
    twin.faults([{"match": match + "|resolve_url", "status": 404}])
    with pytest.raises(TransientError):
        list(youtube.list_channel(f"{SITE}/@demo"))


def test_a_server_error_half_way_is_retried(twin: Twin, youtube: YouTube):
    twin.faults([{"match": "/youtubei/v1/browse", "status": 503, "times": 1}])
    assert sum(1 for _ in youtube.list_channel(f"{SITE}/@big100")) == 100


@pytest.mark.parametrize("match", ["GET www.youtube.com/@demo", "/youtubei/v1/browse"])
def test_too_many_requests_stops_at_the_first_sign(twin: Twin, make_youtube, match: str):
    twin.faults([{"match": match, "status": 429}])
    with pytest.raises(FleetError) as raised:
        list(make_youtube(extractor_retries=3).list_channel(f"{SITE}/@demo"))
    assert raised.value.kind == "rate_limited"
    assert [seen["status"] for seen in twin.log()].count(429) == 1


def test_a_listing_and_looks_at_videos_may_alternate(youtube: YouTube):
    listing = iter(youtube.list_channel(f"{SITE}/@demo"))
    first = next(listing)
    with pytest.raises(ArchiveError, match="private"):
        youtube.extract(first.external_id)
    assert len(list(listing)) == 129


def test_nothing_is_kept_of_what_was_given(youtube: YouTube):
    def things() -> int:
        gc.collect()
        return len(gc.get_objects())

    listing = youtube.list_channel(f"{SITE}/@big600")
    list(islice(listing, 210))
    early = things()
    list(islice(listing, 300))
    assert things() - early < 300


@pytest.mark.parametrize(
    ("url", "kind"),
    [
        ("https://evil.example/@demo", "channel"),
        ("https://www.youtube.com.evil.example/@demo", "channel"),
        ("https://www.youtube.com@evil.example/", "channel"),
        ("http://www.youtube.com/@demo", "channel"),
        ("https://www.youtube.com/redirect/a/b?q=https://evil.example", "channel"),
        ("file:///etc/passwd", "channel"),
        ("https://www.youtube.com/", "channel"),
        ("https://www.youtube.com/watch?v=short", "video"),
        ("https://www.youtube.com/@demo", "playlist"),
        ("https://www.youtube.com/@demo", "person"),
    ],
)
def test_any_other_address_is_refused_before_anything_is_asked(twin: Twin, youtube: YouTube, url: str, kind: str):
    with pytest.raises(ValueError, match=r"not the address|not an address|neither channel"):
        youtube.list_channel(url, kind)
    assert twin.log() == []


@pytest.mark.parametrize(
    "raw",
    [
        None,
        {"_type": "url", "ie_key": "YoutubeTab", "id": "PLplaylistx", "url": f"{SITE}/playlist?list=PLplaylistx"},
        {"_type": "url", "ie_key": "Youtube", "id": None},
        {"_type": "url", "ie_key": "Youtube", "id": "../../etc/p"},
        {"_type": "playlist", "entries": []},
    ],
    ids=["gap", "playlist on a shelf", "without id", "no id", "nested"],
)
def test_what_is_no_video_is_no_entry(raw):
    assert entry_of(raw, "videos") is None


def test_a_listing_that_yt_dlp_gave_up_as_looping_is_not_complete(youtube: YouTube, monkeypatch: pytest.MonkeyPatch):
    listing = youtube.list_channel(f"{SITE}/@shortsonly")
    for _ in islice(listing, 1):
        youtube._client.write_debug("[youtube:tab] Detected YouTube feed looping - assuming end of feed.")
    list(listing)
    assert not listing.complete


def test_what_spend_raises_ends_the_listing(make_youtube: Callable[..., YouTube]):
    class Stopped(Exception):
        pass

    budget = SimpleNamespace(left=2)

    def spend():
        budget.left -= 1
        if budget.left < 0:
            raise Stopped

    listing = make_youtube(spend=spend).list_channel(f"{SITE}/@big1000")
    with pytest.raises(Stopped):
        list(listing)
