import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from people.channel_urls import ChannelUrl, ChannelUrlError, parse_channel_url

UC = "UCabcDEF_-0123456789abcd"
PL = "PLabcDEF_-0123456789abcdefghijkl01"
VIDEO = "dQw4w9WgXcQ"
SITE = "https://www.youtube.com"
HANDLE = ChannelUrl(f"{SITE}/@name", "channel", "")
CHANNEL = ChannelUrl(f"{SITE}/channel/{UC}", "channel", UC)
NAMED = ChannelUrl(f"{SITE}/c/name", "channel", "")
LIST = ChannelUrl(f"{SITE}/playlist?list={PL}", "playlist", PL)
ONE = ChannelUrl(f"{SITE}/watch?v={VIDEO}", "video", VIDEO)

UNDERSTOOD = {
    "@name": HANDLE,
    "@Name": HANDLE,
    "@name/videos": HANDLE,
    "https://www.youtube.com/@name": HANDLE,
    "HTTPS://WWW.YOUTUBE.COM/@NAME": HANDLE,
    "http://youtube.com/@name/": HANDLE,
    "youtube.com/@name": HANDLE,
    "//youtube.com/@name": HANDLE,
    "www.youtube.com./@name": HANDLE,
    "youtube.com:443/@name": HANDLE,
    "m.youtube.com/@name/shorts?app=desktop#x": HANDLE,
    "music.youtube.com/@name": HANDLE,
    "youtube.com//@name//streams/": HANDLE,
    "youtube.com/%40name": HANDLE,
    "  <https://www.youtube.com/@name>,  ": HANDLE,
    "“https://www.youtube.com/@name”": HANDLE,
    "'\"@name\"'": HANDLE,
    "\ufeff@name\u200b": HANDLE,
    "@name-of.some_one·1": ChannelUrl(f"{SITE}/@name-of.some_one·1", "channel"),
    "youtube.com/@h%C3%A4ndel": ChannelUrl(f"{SITE}/@händel", "channel"),
    "@HÄNDEL": ChannelUrl(f"{SITE}/@händel", "channel"),
    "@ha\u0308ndel": ChannelUrl(f"{SITE}/@händel", "channel"),
    "https://www.youtube.com/@日本語": ChannelUrl(f"{SITE}/@日本語", "channel"),
    UC: CHANNEL,
    f"https://www.youtube.com/channel/{UC}": CHANNEL,
    f"youtube.com/CHANNEL/{UC}/videos?view=0": CHANNEL,
    f"https://music.youtube.com/channel/{UC}": CHANNEL,
    f"https://music.youtube.com/browse/{UC}": CHANNEL,
    f"https://studio.youtube.com/channel/{UC}/videos": CHANNEL,
    f"https://www.youtube.com/playlist?list=UU{UC[2:]}": CHANNEL,
    f"https://www.youtube.com/embed/live_stream?channel={UC}": CHANNEL,
    f"youtube.com/{UC}": CHANNEL,
    "https://www.youtube.com/c/Name/about": NAMED,
    "https://www.youtube.com/Name": NAMED,
    "youtube.com/name/videos": NAMED,
    "https://www.youtube.com/user/Name/featured": ChannelUrl(f"{SITE}/user/name", "channel"),
    f"https://www.youtube.com/playlist?list={PL}": LIST,
    f"https://www.youtube.com/playlist?list={PL}&si=x&index=2": LIST,
    f"https://music.youtube.com/browse/VL{PL}": LIST,
    f"https://www.youtube.com/embed/videoseries?list={PL}": LIST,
    f"https://www.youtube.com/watch?list={PL}": LIST,
    "https://www.youtube.com/playlist?list=OLAK5uy_abcdefghijk": ChannelUrl(
        f"{SITE}/playlist?list=OLAK5uy_abcdefghijk", "playlist", "OLAK5uy_abcdefghijk"
    ),
    f"https://www.youtube.com/watch?v={VIDEO}": ONE,
    f"https://www.youtube.com/watch?v={VIDEO}&list={PL}&t=10s": ONE,
    f"https://www.youtube.com/watch?list=RDx&v={VIDEO}": ONE,
    f"https://music.youtube.com/watch?v={VIDEO}": ONE,
    f"https://youtu.be/{VIDEO}": ONE,
    f"youtu.be/{VIDEO}?si=abc&t=3": ONE,
    f"https://youtu.be/{VIDEO}?list={PL}": ONE,
    f"https://www.youtube.com/shorts/{VIDEO}": ONE,
    f"https://www.youtube.com/live/{VIDEO}?feature=share": ONE,
    f"https://www.youtube.com/embed/{VIDEO}": ONE,
    f"https://www.youtube-nocookie.com/embed/{VIDEO}": ONE,
    f"https://www.youtube.com/v/{VIDEO}": ONE,
}

REFUSED = {
    "": "no address",
    "  <> ": "no address",
    "name": "not the address",
    "Some Name": "a space",
    "https://www.youtube.com": "front page",
    "youtube.com/?x=1": "front page",
    "https://youtu.be/": "id of a video",
    "https://example.org/@name": "example.org, which is not YouTube",
    "https://youtube.com.evil.org/@name": "not YouTube",
    "https://evilyoutube.com/@name": "not YouTube",
    "https://www.youtube.com@evil.org/@name": "user name",
    "user@youtube.com": "user name",
    "http://youtube.com:1234@evil": "user name",
    "https://youtube.com\\@evil.org/@name": "another character",
    "https://evil.org/https://youtube.com/@name": "not YouTube",
    "https://evil.org#youtube.com/@name": "not YouTube",
    "https://youtube.com:8080/@name": "port 8080",
    "https://youtube.com:99999999/@name": "malformed",
    "http://[youtube.com/@name": "malformed",
    "ftp://youtube.com/@name": "ftp://",
    "javascript://youtube.com/@name": "javascript://",
    "javascript:alert(1)": "not the address",
    "https://youtube.com/@na me": "a space",
    "https://youtube.com/@na%20me": "handle",
    "https://youtube.com/@na%2Fme": "handle",
    "https://youtube.com/@na%00me": "handle",
    "https://youtube.com/@na%ffme": "percent",
    "@": "handle",
    "@..": "handle",
    "youtube.com/..": "name",
    "https://www.youtube.com/results?search_query=x": "search results",
    "https://www.youtube.com/feed/subscriptions": "every visitor",
    "https://www.youtube.com/hashtag/cats": "every visitor",
    "https://www.youtube.com/watch": "lacks its id",
    "https://www.youtube.com/watch?v=": "lacks its id",
    f"https://www.youtube.com/watch?v={VIDEO}x": "id of a video",
    "https://www.youtube.com/shorts/abc": "id of a video",
    "https://www.youtube.com/channel/UC123": "id of a channel",
    "https://www.youtube.com/channel/": "id of a channel",
    f"https://www.youtube.com/channel/{UC.lower()}": "id of a channel",
    "https://www.youtube.com/c/": "name",
    "https://www.youtube.com/playlist": "lacks its id",
    "https://www.youtube.com/playlist?list=abc": "id of a playlist",
    f"https://www.youtube.com/playlist?list=RD{VIDEO}": "mix or radio",
    "https://www.youtube.com/playlist?list=RDCLAK5uy_abcdefghijkl": "mix or radio",
    "https://www.youtube.com/playlist?list=WL": "private",
    "https://www.youtube.com/playlist?list=LL": "private",
    "https://music.youtube.com/browse/MPREb_abcdefghijk": "YouTube Music",
    "https://www.youtube.com/clip/abc": "neither a channel",
    "https://www.youtube.com/premium": "neither a channel",
    "https://www.youtube.com/name/nothing": "neither a channel",
    "https://www.youtube.com/@" + "a" * 500: "limit is 500",
    "@" + "a" * 101: "handle",
}


@pytest.mark.parametrize(("text", "expected"), UNDERSTOOD.items(), ids=UNDERSTOOD)
def test_every_way_to_write_an_address_is_understood(text, expected):
    assert parse_channel_url(text) == expected


@pytest.mark.parametrize(("text", "reason"), REFUSED.items(), ids=[text[:60] for text in REFUSED])
def test_what_is_no_channel_is_refused_in_words(text, reason):
    with pytest.raises(ChannelUrlError, match="(?i)" + reason.replace("//", "//")) as refusal:
        parse_channel_url(text)
    assert str(refusal.value).endswith("such as https://www.youtube.com/@name.")


@pytest.mark.parametrize("url", {url.canonical: url for url in UNDERSTOOD.values()}.values(), ids=lambda url: url.canonical)
def test_a_canonical_url_is_its_own_canonical_url(url):
    assert parse_channel_url(url.canonical) == url


@pytest.mark.parametrize(("text", "label"), [("@Name", "@name"), ("youtube.com/Name", "c/name"), (UC, UC), (f"youtu.be/{VIDEO}", VIDEO)])
def test_a_channel_has_something_to_be_called_by(text, label):
    assert parse_channel_url(text).label == label


@settings(max_examples=300, deadline=None)
@given(
    st.one_of(
        st.text(),
        st.builds("{}{}{}".format, st.sampled_from(["@", "youtube.com/", "https://www.youtube.com/@", "youtu.be/"]), st.text(), st.text()),
        st.from_regex(r"(https?://)?([a-z.]+\.)?youtube\.com(:\d+)?/[^ ]{0,40}", fullmatch=True),
    )
)
def test_any_text_is_understood_for_good_or_refused_in_words(text):
    try:
        url = parse_channel_url(text)
    except ChannelUrlError as refusal:
        assert all(character.isprintable() for character in str(refusal))
    else:
        assert url.canonical.startswith(f"{SITE}/")
        assert parse_channel_url(url.canonical) == url


@given(st.text(alphabet="aZ0_.-", min_size=1, max_size=12))
def test_a_plain_handle_is_read_as_one_that_has_to_be_taken_apart(name):
    """`//youtube.com` in front and a folder behind go the long way."""

    def read(text: str) -> ChannelUrl | str:
        try:
            return parse_channel_url(text)
        except ChannelUrlError as exc:
            return str(exc)

    long_way = read(f"//youtube.com/@{name}/videos")
    short_ways = (f"@{name}", f"youtube.com/@{name}", f"http://m.youtube.com/@{name}", f"https://www.youtube.com/@{name}")
    assert {read(text) for text in short_ways} == {long_way}
