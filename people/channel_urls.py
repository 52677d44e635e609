"""Every way people write a YouTube address, turned into one canonical URL. Pure: no network, no database."""

import re
import unicodedata
from dataclasses import dataclass
from typing import Literal, NoReturn
from urllib.parse import SplitResult, parse_qs, unquote, urlsplit

Kind = Literal["channel", "playlist", "video"]

MAX_LENGTH = 500
SITE = "https://www.youtube.com"
HOSTS = {"youtube.com", "www.youtube.com", "m.youtube.com", "music.youtube.com", "gaming.youtube.com", "studio.youtube.com"}
EMBED_HOSTS = {"youtube-nocookie.com", "www.youtube-nocookie.com"}
SHORT_HOSTS = {"youtu.be", "www.youtu.be"}
ADVICE = "Give a channel, playlist or video, such as https://www.youtube.com/@name."

# What copying from a mail, a chat or a spreadsheet leaves around an address
WRAPPING = "<>\"'`\u201c\u201d\u201e\u2018\u2019\u00ab\u00bb()[]{},;\u200b\u200e\u200f\u2060\ufeff"
VIDEO_FOLDERS = {"shorts", "live", "embed", "v", "e", "watch", "w"}
TABS = {
    *("videos", "shorts", "streams", "live", "featured", "about", "playlists", "community", "posts", "podcasts", "releases"),
    *("channels", "store", "courses", "membership", "search", "discussion", "join"),
}
# First words of a path that are pages of YouTube's own, never somebody's name
PAGES = {
    *("about", "account", "ads", "api", "attribution_link", "clip", "creators", "embed", "error", "explore", "feeds", "gaming"),
    *("get_video_info", "howyoutubeworks", "iframe_api", "index", "intl", "jobs", "kids", "live_chat", "login", "logout", "movies"),
    *("music", "my_videos", "new", "oembed", "oops", "playables", "post", "premium", "redirect", "s", "shared", "signin", "source"),
    *("storefront", "supported_browsers", "t", "trending", "tv", "upload", "verify", "vi", "watch_videos", "youtubei", "yt"),
}

_CHANNEL_ID = re.compile(r"UC[\w-]{22}", re.ASCII)
_VIDEO_ID = re.compile(r"[\w-]{11}", re.ASCII)
_UPLOADS_ID = re.compile(r"UU[\w-]{22}", re.ASCII)
_PLAYLIST_ID = re.compile(r"(PL|EC|UU|FL|PU|OLAK5uy_)[\w-]{10,50}", re.ASCII)
_PLAIN_NAME = re.compile(r"[\w.-]+", re.ASCII)
_SCHEME = re.compile(r"([a-z][a-z0-9+.-]*)://", re.IGNORECASE)
_OWN_SCHEME = re.compile(r"^(https?:)?//", re.IGNORECASE)
_HANDLE = re.compile(r"(?:(?:https?://)?(?:www\.|m\.)?youtube\.com/)?@([\w.-]+)", re.ASCII)
"""Most of a sheet: what nothing has to be taken apart for."""


class ChannelUrlError(ValueError):
    """The text names no channel, playlist or video; the message is a sentence for staff."""


@dataclass(frozen=True)
class ChannelUrl:
    """Where a person publishes. `external_id` is YouTube's own id, "" when the address does not carry it."""

    canonical: str
    kind: Kind
    external_id: str = ""

    @property
    def label(self) -> str:
        """What to call it while nothing better is known: @handle, c/name, user/name or the id."""
        return self.external_id or self.canonical.removeprefix(f"{SITE}/")


def parse_channel_url(text: str) -> ChannelUrl:
    """Read an address, an @handle or a channel id. Raises `ChannelUrlError`."""
    text = _unwrap(text)
    if handle := _HANDLE.fullmatch(text):
        return _named("@", handle[1])
    if _CHANNEL_ID.fullmatch(text):
        return _channel_by_id(text)
    if text.startswith("@"):
        text = f"{SITE}/{text}"
    parts = _split(text)
    segments = [_decode(segment) for segment in parts.path.split("/") if segment]
    query = {key: values[0].strip() for key, values in parse_qs(parts.query).items()}
    if parts.hostname.rstrip(".") in SHORT_HOSTS:
        return _video(segments[0] if segments else query.get("v", ""))
    return _parse_path(segments, query)


def _unwrap(text: str) -> str:
    """The address without what surrounds it; refuses what is empty, over-long or broken by spaces."""
    previous = None
    while text != previous:
        previous, text = text, text.strip().strip(WRAPPING)
    if not text:
        _refuse("There is no address.")
    if len(text) > MAX_LENGTH:
        _refuse(f"The address is {len(text)} characters long; the limit is {MAX_LENGTH}.")
    is_plain = text.isprintable() and " " not in text
    if "\\" in text or not (is_plain or all(_may_stand_inside(character) for character in text)):
        _refuse("The address has a space or another character inside that no address has.")
    return text


def _may_stand_inside(character: str) -> bool:
    return not character.isspace() and unicodedata.category(character)[0] != "C"


def _split(text: str) -> SplitResult:
    """The parts of an address on one of YouTube's hosts; anything that only looks like one is refused."""
    scheme = _SCHEME.match(text)
    if scheme and scheme[1].lower() not in ("http", "https"):
        _refuse(f"The address begins with {scheme[1]}://, where https:// is wanted.")
    bare = _OWN_SCHEME.sub("", text, count=1)
    if "." not in re.split(r"[/?#]", bare, maxsplit=1)[0]:
        _refuse("This is not the address of anything on YouTube.")
    try:
        parts = urlsplit(f"https://{bare}")
        host, port = (parts.hostname or "").rstrip("."), parts.port
    except ValueError:
        _refuse("The address is malformed.")
    if "@" in parts.netloc:
        _refuse("The address carries a user name before its host, as forged addresses do.")
    if host not in HOSTS | EMBED_HOSTS | SHORT_HOSTS:
        _refuse(f"The address is on {_shorten(host or bare)}, which is not YouTube.")
    if port not in (None, 80, 443):
        _refuse(f"The address names port {port}, which YouTube does not use.")
    return parts


def _decode(segment: str) -> str:
    try:
        return unicodedata.normalize("NFC", unquote(segment, errors="strict"))
    except UnicodeDecodeError:
        _refuse("The address has a percent sign where none belongs.")


def _parse_path(segments: list[str], query: dict[str, str]) -> ChannelUrl:
    if not segments:
        _refuse("This is YouTube's front page.")
    head, rest = segments[0], segments[1:]
    if head.startswith("@"):
        return _named("@", head[1:])
    if _CHANNEL_ID.fullmatch(head):
        return _channel_by_id(head)
    head = head.lower()
    for folders, parse in _PARSERS:
        if head in folders:
            return parse(head, rest, query)
    if head in PAGES or (rest and rest[0].lower() not in TABS):
        _refuse(f"The page /{_shorten('/'.join(segments))} is neither a channel nor a playlist nor a video.")
    return _named("c/", head)


def _parse_channel(_head: str, rest: list[str], _query: dict[str, str]) -> ChannelUrl:
    return _channel_by_id(rest[0] if rest else "")


def _parse_name(head: str, rest: list[str], _query: dict[str, str]) -> ChannelUrl:
    return _named(f"{head}/", rest[0] if rest else "")


def _parse_playlist(_head: str, _rest: list[str], query: dict[str, str]) -> ChannelUrl:
    return _playlist(query.get("list", ""))


def _parse_video(_head: str, rest: list[str], query: dict[str, str]) -> ChannelUrl:
    """A video by path or by v=; a player that names a list or a channel instead counts as that."""
    if rest[:1] == ["live_stream"] and "channel" in query:
        return _channel_by_id(query["channel"])
    if (not rest or rest == ["videoseries"]) and "v" not in query and "list" in query:
        return _playlist(query["list"])
    video = rest[0] if rest else query.get("v", "")
    if not video:
        _refuse("The address of a video lacks its id (watch?v=...).")
    return _video(video)


def _parse_browse(_head: str, rest: list[str], _query: dict[str, str]) -> ChannelUrl:
    browse_id = rest[0] if rest else ""
    if browse_id.startswith("VL"):
        return _playlist(browse_id.removeprefix("VL"))
    if not browse_id.startswith("UC"):
        _refuse("This page of YouTube Music is neither a channel nor a playlist.")
    return _channel_by_id(browse_id)


def _parse_search(_head: str, _rest: list[str], _query: dict[str, str]) -> ChannelUrl:
    _refuse("This is a page of search results.")


def _parse_feed(_head: str, _rest: list[str], _query: dict[str, str]) -> ChannelUrl:
    _refuse("This page (feed or hashtag) shows every visitor something else.")


_PARSERS = (
    ({"channel"}, _parse_channel),
    ({"c", "user"}, _parse_name),
    ({"playlist"}, _parse_playlist),
    (VIDEO_FOLDERS | {"watch_popup"}, _parse_video),
    ({"browse"}, _parse_browse),
    ({"results", "search"}, _parse_search),
    ({"feed", "hashtag"}, _parse_feed),
)


def _channel_by_id(channel_id: str) -> ChannelUrl:
    if not _CHANNEL_ID.fullmatch(channel_id):
        _refuse(f"{_quoted(channel_id)} is not the id of a channel: UC and 22 more letters, digits, - or _.")
    return ChannelUrl(f"{SITE}/channel/{channel_id}", "channel", channel_id)


def _named(prefix: str, name: str) -> ChannelUrl:
    """A channel by handle or name; YouTube does not tell upper from lower case there."""
    name = unicodedata.normalize("NFC", name.lower())
    allowed = _PLAIN_NAME.fullmatch(name) or all(character in "_-.·・" or unicodedata.category(character)[0] in "LMN" for character in name)
    if not allowed or len(name) > 100 or not any(character.isalnum() for character in name):
        _refuse(f"{_quoted(name)} is not the {'handle' if prefix == '@' else 'name'} of a channel.")
    return ChannelUrl(f"{SITE}/{prefix}{name}", "channel")


def _playlist(playlist_id: str) -> ChannelUrl:
    if not playlist_id:
        _refuse("The address of a playlist lacks its id (playlist?list=...).")
    if playlist_id in ("WL", "LL", "LM"):
        _refuse(f"The list {playlist_id} (watch later, liked) is private to whoever is signed in.")
    if playlist_id.startswith(("RD", "UL", "TL")):
        _refuse("This is a mix or radio that YouTube makes anew for every visitor.")
    if _UPLOADS_ID.fullmatch(playlist_id):
        return _channel_by_id(f"UC{playlist_id[2:]}")
    if not _PLAYLIST_ID.fullmatch(playlist_id):
        _refuse(f"{_quoted(playlist_id)} is not the id of a playlist.")
    return ChannelUrl(f"{SITE}/playlist?list={playlist_id}", "playlist", playlist_id)


def _video(video_id: str) -> ChannelUrl:
    if not _VIDEO_ID.fullmatch(video_id):
        _refuse(f"{_quoted(video_id)} is not the id of a video: 11 letters, digits, - or _.")
    return ChannelUrl(f"{SITE}/watch?v={video_id}", "video", video_id)


def _refuse(reason: str) -> NoReturn:
    raise ChannelUrlError(f"{reason} {ADVICE}")


def _quoted(text: str) -> str:
    return f"“{_shorten(text)}”"


def _shorten(text: str) -> str:
    shown = "".join(character if character.isprintable() else "\ufffd" for character in text[:60])
    return shown if len(text) <= 60 else f"{shown}…"
