"""Channel tabs and playlists as innertube JSON, a page at a time."""

import base64
import binascii
import json
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from demo.youtube_twin.catalogue import Channel, Playlist, Video
from demo.youtube_twin.specials import UPCOMING

Json = dict[str, Any]
VISITOR = "CgtUd2luVmlzaXRvcg%3D%3D"
PAGE_SIZES = {"videos": 30, "shorts": 48, "streams": 30, "playlist": 100}
TAB_TITLES = {"featured": "Home", "videos": "Videos", "shorts": "Shorts", "streams": "Live"}
TERMINATED = "This account has been terminated for a violation of YouTube's Terms of Service."
AGE_GATED = "This channel may contain content that's inappropriate for some users. To view it, sign in and confirm your age."


def text(content: str) -> Json:
    return {"simpleText": content}


def runs(content: str, endpoint: Json | None = None) -> Json:
    return {"runs": [{"text": content, **({"navigationEndpoint": endpoint} if endpoint else {})}]}


def alert(message: str) -> Json:
    return {"responseContext": {"visitorData": VISITOR}, "alerts": [{"alertRenderer": {"type": "ERROR", "text": text(message)}}]}


def owner_endpoint(channel: Channel) -> Json:
    return {"browseEndpoint": {"browseId": channel.id, "canonicalBaseUrl": f"/{channel.handle}"}}


def thumbnails(video: Video) -> list[Json]:
    return [{"url": f"https://i.ytimg.com/vi/{video.id}/hqdefault.jpg", "width": 480, "height": 360}]


# --- one listed video -------------------------------------------------------------------------------------------------


def clock(seconds: int) -> str:
    """As on a thumbnail: 0:07, 12:30, 1:02:03."""
    minutes, rest = divmod(seconds, 60)
    return f"{minutes // 60}:{minutes % 60:02}:{rest:02}" if minutes >= 60 else f"{minutes}:{rest:02}"


def time_ago(published: datetime, now: datetime) -> str:
    """As under a title: '3 weeks ago'."""
    days = (now - published).days
    for unit, length in (("year", 365), ("month", 30), ("week", 7), ("day", 1)):
        if days >= length:
            count = days // length
            return f"{count} {unit}{'s' if count > 1 else ''} ago"
    return "1 hour ago"


def caption(video: Video, tab: str) -> tuple[str, str]:
    """What a listing says of a video's length and date."""
    now = datetime.now(UTC)
    if video.special in UPCOMING:
        return "Upcoming", f"Scheduled for {now + timedelta(hours=3):%m/%d/%y, %I:%M %p}"
    ago = time_ago(video.published, now)
    if video.special == "live_now":
        return "LIVE", ago
    return clock(video.seconds), f"Streamed {ago}" if tab == "streams" else ago


def make_lockup(video: Video, tab: str, pad: int) -> Json:
    """As YouTube lists videos today."""
    length, date = caption(video, tab)
    style = "THUMBNAIL_OVERLAY_BADGE_STYLE_" + ("LIVE" if length == "LIVE" else "DEFAULT")
    badge = {"thumbnailBadgeViewModel": {"text": length, "badgeStyle": style}}
    rows: list[Json] = [
        {"metadataParts": [{"text": {"content": f"{video.views:,} views"}}, {"text": {"content": date}, "accessibilityLabel": date}]}
    ]
    if video.special == "members":
        rows.append({"badges": [{"badgeViewModel": {"badgeText": "Members only", "badgeStyle": "BADGE_MEMBERS_ONLY"}}]})
    metadata = {"title": {"content": video.title}, "metadata": {"contentMetadataViewModel": {"metadataRows": rows}}}
    image = {"image": {"sources": thumbnails(video)}, "overlays": [{"thumbnailBottomOverlayViewModel": {"badges": [badge]}}]}
    lockup = {
        "contentId": video.id,
        "contentType": "LOCKUP_CONTENT_TYPE_VIDEO",
        "contentImage": {"thumbnailViewModel": image},
        "metadata": {"lockupMetadataViewModel": metadata},
    }
    return {"lockupViewModel": {**lockup, "rendererContext": "x" * pad} if pad else lockup}


def make_short(video: Video, tab: str, pad: int) -> Json:
    """A short carries neither length nor date."""
    short = {
        "entityId": f"shorts-shelf-item-{video.id}",
        "accessibilityText": f"{video.title}, 1 thousand views \u2013 play Short",
        "onTap": {"innertubeCommand": {"reelWatchEndpoint": {"videoId": video.id}}},
        "overlayMetadata": {"primaryText": {"content": video.title}, "secondaryText": {"content": f"{video.views:,} views"}},
        "thumbnailViewModel": {"thumbnailViewModel": {"image": {"sources": thumbnails(video)}}},
    }
    return {"shortsLockupViewModel": {**short, "loggingDirectives": "x" * pad} if pad else short}


def make_renderer(video: Video, tab: str, pad: int) -> Json:
    """As YouTube listed videos until 2025, and still does here and there."""
    length, date = caption(video, tab)
    renderer: Json = {
        "videoId": video.id,
        "title": runs(video.title),
        "lengthText": text(length),
        "publishedTimeText": text(date),
        "viewCountText": text(f"{video.views:,} views"),
        "thumbnail": {"thumbnails": thumbnails(video)},
        "descriptionSnippet": runs(video.description[:40]),
    }
    if video.special == "members":
        renderer["badges"] = [{"metadataBadgeRenderer": {"style": "BADGE_STYLE_TYPE_MEMBERS_ONLY", "label": "Members only"}}]
    if video.special == "live_now":
        renderer["badges"] = [{"metadataBadgeRenderer": {"style": "BADGE_STYLE_TYPE_LIVE_NOW", "label": "LIVE"}}]
    if video.special in UPCOMING:
        renderer["upcomingEventData"] = {"startTime": str(int(datetime.now(UTC).timestamp()) + 10800)}
    return {"videoRenderer": {**renderer, "trackingParams": "x" * pad} if pad else renderer}


def make_playlist_row(video: Video, channel: Channel) -> Json:
    row = {
        "videoId": video.id,
        "title": runs(video.title),
        "lengthSeconds": str(video.seconds),
        "isPlayable": True,
        "shortBylineText": runs(channel.title, owner_endpoint(channel)),
        "videoInfo": runs(f"{video.views} views \u2022 {time_ago(video.published, datetime.now(UTC))}"),
    }
    return {"playlistVideoRenderer": row}


# --- pages ------------------------------------------------------------------------------------------------------------


def write_token(**place: Any) -> str:
    return base64.urlsafe_b64encode(json.dumps(place).encode()).decode()


def read_token(token: str) -> Json | None:
    """Where a continuation goes on; None when the token is not ours."""
    try:
        return json.loads(base64.urlsafe_b64decode(token.replace("%3D", "=")))
    except (binascii.Error, ValueError):
        return None


def cut_page(videos: Sequence[Video], kind: str, source: str, start: int, show: Callable[[Video], Json]) -> list[Json]:
    """The items from `start` on, and a continuation when there are more. `source` names the channel or playlist."""
    end = start + PAGE_SIZES[kind]
    items = [show(video) for video in videos[start:end]]
    if end < len(videos):
        command = {"continuationCommand": {"token": write_token(kind=kind, source=source, start=end)}}
        items.append({"continuationItemRenderer": {"continuationEndpoint": command}})
    return items


def tab_items(channel: Channel, tab: str, start: int, *, shape: str, pad: int) -> list[Json]:
    make = make_short if tab == "shorts" else make_lockup if shape == "lockup" else make_renderer

    def show(video: Video) -> Json:
        return {"richItemRenderer": {"content": make(video, tab, pad)}}

    return cut_page(channel.tabs.get(tab, ()), tab, channel.key, start, show)


def playlist_items(playlist: Playlist, start: int) -> list[Json]:
    return cut_page(playlist.videos, "playlist", playlist.id, start, lambda video: make_playlist_row(video, playlist.channel))


def channel_page(channel: Channel, tab: str, *, shape: str, pad: int) -> Json:
    """A channel's page with that tab open, or Home when it has no such tab."""
    if channel.closed == "terminated":
        return alert(TERMINATED)
    if channel.closed == "age_gated":
        tabs = [age_gate_tab(channel)]
    else:
        opened = tab if tab in channel.tabs else "featured"
        items = [] if opened == "featured" else tab_items(channel, opened, 0, shape=shape, pad=pad)
        tabs = [make_tab(channel, name, opened, items) for name in ("featured", *channel.tabs)]
    return {"contents": {"twoColumnBrowseResultsRenderer": {"tabs": tabs}}, **channel_frame(channel)}


def make_tab(channel: Channel, name: str, opened: str, items: list[Json]) -> Json:
    address = {"commandMetadata": {"webCommandMetadata": {"url": f"/{channel.handle}/{name}"}}}
    tab: Json = {"title": TAB_TITLES[name], "endpoint": address}
    if name == opened:
        tab |= {"selected": True, "content": {"richGridRenderer": {"contents": items}} if items else {}}
    return {"tabRenderer": tab}


def age_gate_tab(channel: Channel) -> Json:
    """What stands in the place of all tabs for those who are not signed in; yt-dlp finds no videos, and no error."""
    gate = {"channelAgeGateRenderer": {"channelTitle": channel.title, "mainText": text(AGE_GATED)}}
    return {"tabRenderer": {"selected": True, "content": {"sectionListRenderer": {"contents": [gate]}}}}


def channel_frame(channel: Channel) -> Json:
    """What is the same on each tab."""
    subscribers = {"metadataParts": [{"text": {"content": "1.5K subscribers"}}]}
    header = {"pageHeaderViewModel": {"metadata": {"contentMetadataViewModel": {"metadataRows": [subscribers]}}}}
    metadata = {
        "title": channel.title,
        "description": channel.description,
        "externalId": channel.id,
        "vanityChannelUrl": f"http://www.youtube.com/{channel.handle}",
        "channelUrl": f"https://www.youtube.com/channel/{channel.id}",
    }
    return {
        "responseContext": {"visitorData": VISITOR},
        "metadata": {"channelMetadataRenderer": metadata},
        "microformat": {"microformatDataRenderer": {"noindex": False, "unlisted": False}},
        "header": {"pageHeaderRenderer": {"content": header}},
    }


def playlist_page(playlist: Playlist | None) -> Json:
    if playlist is None:
        return alert("The playlist does not exist.")
    videos = {"playlistVideoListRenderer": {"playlistId": playlist.id, "contents": playlist_items(playlist, 0)}}
    content = {"sectionListRenderer": {"contents": [{"itemSectionRenderer": {"contents": [videos]}}]}}
    return {
        "contents": {"twoColumnBrowseResultsRenderer": {"tabs": [{"tabRenderer": {"selected": True, "content": content}}]}},
        "metadata": {"playlistMetadataRenderer": {"title": playlist.title, "description": ""}},
        "microformat": {"microformatDataRenderer": {"noindex": False, "unlisted": False}},
    }


def continuation_page(items: list[Json]) -> Json:
    return {"onResponseReceivedActions": [{"appendContinuationItemsAction": {"continuationItems": items}}]}
