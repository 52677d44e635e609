"""Whether a video may be watched, what it is, and the addresses of its formats: the answer of innertube's `player`."""

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlencode

from demo.youtube_twin import captions
from demo.youtube_twin.catalogue import Channel, Playlist, Video
from demo.youtube_twin.formats import FORMATS, HLS_TRACKS, JOINED, Format, adaptive_itags, hls_itags, progressive_itags
from demo.youtube_twin.listings import VISITOR, Json, owner_endpoint, runs, text, thumbnails
from demo.youtube_twin.specials import REFUSALS, UPCOMING, Refusal

MEDIA_HOST = "rr1---sn-twin.googlevideo.com"
MANIFEST_HOST = "manifest.googlevideo.com"
LIVE_SPECIALS = ("live_now", "was_live", "live_soon")


def unknown_answer(video_id: str) -> Json:
    """For an id that is no video's."""
    refusal = REFUSALS["missing"]
    return {
        "responseContext": {"visitorData": VISITOR},
        "playabilityStatus": playability(refusal),
        "videoDetails": {"videoId": video_id},
    }


def player_answer(
    channel: Channel, video: Video, client: str | None, *, refusal: Refusal | None, ttl: int, size_of: Callable[[int], int]
) -> Json:
    """`client` WEB gets details but no addresses, as today. `size_of(itag)` is only called when the video may be watched."""
    answer: Json = {
        "responseContext": {"visitorData": VISITOR},
        "playabilityStatus": playability(refusal),
        "videoDetails": {"videoId": "other000000" if video.special == "wrong_video" else video.id},
    }
    if refusal is None or not refusal.hides_details:
        answer["videoDetails"] |= details(channel, video)
        if client == "WEB":
            answer["microformat"] = {"playerMicroformatRenderer": microformat(channel, video)}
    if refusal is None:
        expire = int(time.time()) + ttl
        answer["streamingData"] = streaming_data(video, client, expire=expire, ttl=ttl, size_of=size_of)
        if offered := captions.renderer(video, client, expire):
            answer["captions"] = offered
    return answer


def playability(refusal: Refusal | None) -> Json:
    if refusal is None:
        return {"status": "OK", "playableInEmbed": True}
    message = {"reason": text(refusal.reason), **({"subreason": text(refusal.subreason)} if refusal.subreason else {})}
    return {
        "status": refusal.status,
        "playableInEmbed": True,
        "reason": refusal.reason,
        "errorScreen": {"playerErrorMessageRenderer": message},
        **refusal.extra,
    }


def details(channel: Channel, video: Video) -> Json:
    has_no_length = video.special == "live_now" or video.special in UPCOMING
    found = {
        "title": video.title,
        "lengthSeconds": "0" if has_no_length else str(video.seconds),
        "channelId": channel.id,
        "author": channel.title,
        "shortDescription": video.description,
        "viewCount": str(video.views),
        "isPrivate": False,
        "keywords": ["twin"],
        "isLiveContent": video.special in LIVE_SPECIALS,
        "thumbnail": {"thumbnails": thumbnails(video)},
    }
    if video.special == "live_now":
        found["isLive"] = True
    if video.special in UPCOMING:
        found["isUpcoming"] = True
    return found


def microformat(channel: Channel, video: Video) -> Json:
    published = video.published.isoformat(timespec="seconds")
    found = {
        "title": text(video.title),
        "lengthSeconds": str(video.seconds),
        "ownerProfileUrl": f"http://www.youtube.com/{channel.handle}",
        "externalChannelId": channel.id,
        "isFamilySafe": video.special != "age",
        "availableCountries": ["DE", "FR"],
        "isUnlisted": False,
        "category": "Education",
        "viewCount": str(video.views),
        "publishDate": published,
        "uploadDate": published,
    }
    if broadcast := broadcast_times(video):
        found["liveBroadcastDetails"] = broadcast
    return found


def broadcast_times(video: Video) -> Json | None:
    """When a broadcast began, or will; None for what was not broadcast."""
    if video.special in UPCOMING:
        start = datetime.now(UTC) + timedelta(hours=3)
        return {"isLiveNow": False, "startTimestamp": start.isoformat(timespec="seconds")}
    if video.special not in LIVE_SPECIALS:
        return None
    times = {"isLiveNow": video.special == "live_now", "startTimestamp": video.published.isoformat(timespec="seconds")}
    if video.special == "was_live":
        times["endTimestamp"] = (video.published + timedelta(seconds=video.seconds)).isoformat(timespec="seconds")
    return times


# --- formats ----------------------------------------------------------------------------------------------------------


def streaming_data(video: Video, client: str | None, *, expire: int, ttl: int, size_of: Callable[[int], int]) -> Json:
    data: Json = {"expiresInSeconds": str(ttl), "adaptiveFormats": []}
    if client != "WEB" and hls_itags(video):
        data["hlsManifestUrl"] = f"https://{MANIFEST_HOST}/api/manifest/hls_variant/expire/{expire}/id/{video.id}/file/index.m3u8"
    addressed = addressed_itags(video, client)
    if client == "WEB" or not addressed.issuperset(adaptive_itags(video)):
        data["serverAbrStreamingUrl"] = f"https://{MEDIA_HOST}/videoplayback?expire={expire}&sabr=1"

    def offer(itag: int) -> Json:
        offered = describe(FORMATS[itag], size_of(itag), video.seconds)
        return {**offered, **locate(video, itag, offered, client, expire)} if itag in addressed else offered

    data["adaptiveFormats"] = [offer(itag) for itag in adaptive_itags(video)]
    if itags := progressive_itags(video):
        data["formats"] = [offer(itag) for itag in itags]
    return data


def addressed_itags(video: Video, client: str | None) -> set[int]:
    """The formats that come with an address; the others are only named, as where YouTube wants SABR."""
    if client == "WEB" or video.special == "sabr_only":
        return set()
    withheld = adaptive_itags(video) if video.special in ("degraded", "manifest") else ()
    return {*adaptive_itags(video), *progressive_itags(video)}.difference(withheld)


def describe(format: Format, size: int, seconds: int) -> Json:
    described = {
        "itag": format.itag,
        "mimeType": f'{format.mime_type}; codecs="{format.codecs}"',
        "bitrate": size * 8 // seconds,
        "averageBitrate": size * 8 // seconds,
        "contentLength": str(size),
        "quality": format.quality,
        "approxDurationMs": str(seconds * 1000),
    }
    if not format.is_audio:
        label, fps = f"{format.height}p", format.frames_per_second
        described |= {"width": format.width, "height": format.height, "fps": fps, "qualityLabel": label}
    if format.is_audio or format.itag in JOINED:
        rate = "48000" if format.codecs == "opus" else "44100"
        described |= {"audioQuality": "AUDIO_QUALITY_MEDIUM", "audioSampleRate": rate, "audioChannels": 2}
    return described


def locate(video: Video, itag: int, offered: Json, client: str | None, expire: int) -> Json:
    """The address of a format, or a riddle whose solution it is."""
    query: dict[str, Any] = {
        "expire": expire,
        "ei": "twin",
        "id": video.id,
        "itag": itag,
        "clen": offered["contentLength"],
        "dur": f"{video.seconds}.000",
        "c": client,
        "mime": FORMATS[itag].mime_type,
    }
    if video.special == "n_challenge":
        query["n"] = "ZdZIqFPQK-Ty8wId"
    url = f"https://{MEDIA_HOST}/videoplayback?{urlencode(query)}"
    if video.special == "sig_cipher":
        return {"signatureCipher": urlencode({"s": "A" * 50 + "B" * 50 + "CDEF", "sp": "sig", "url": url})}
    return {"url": url}


def hls_variants(video: Video, expire: str) -> str:
    """The master playlist."""
    lines = ["#EXTM3U"]
    for itag in hls_itags(video):
        tracks = [FORMATS[track] for track in HLS_TRACKS[itag]]
        bandwidth, codecs = sum(track.bits_per_second for track in tracks), ",".join(track.codecs for track in tracks)
        size = f"{tracks[0].width}x{tracks[0].height}"
        lines.append(f'#EXT-X-STREAM-INF:BANDWIDTH={bandwidth},CODECS="{codecs}",RESOLUTION={size},FRAME-RATE=25')
        lines.append(f"https://{MANIFEST_HOST}/api/manifest/hls_playlist/expire/{expire}/id/{video.id}/itag/{itag}/playlist/index.m3u8")
    return "\n".join(lines) + "\n"


def hls_playlist(playlist: str, video: Video, itag: int, expire: str) -> str:
    """A media playlist with the addresses of its segments written out."""
    base = f"https://{MEDIA_HOST}/videoplayback/expire/{expire}/id/{video.id}/itag/{itag}/file/"
    return "".join(base + line if line and line[0] != "#" else line for line in playlist.splitlines(keepends=True))


# --- beside the player ------------------------------------------------------------------------------------------------


def watch_next(channel: Channel, video: Video, playlist: Playlist | None = None) -> Json:
    """What a watch page shows around the player, as innertube's `next` answers."""
    primary: Json = {
        "title": runs(video.title),
        "dateText": text(f"{video.published:%b %d, %Y}"),
        "viewCount": {"videoViewCountRenderer": {"viewCount": text(f"{video.views:,} views")}},
    }
    if video.special == "members":
        primary["badges"] = [{"metadataBadgeRenderer": {"style": "BADGE_STYLE_TYPE_MEMBERS_ONLY", "label": "Members only"}}]
    endpoint = owner_endpoint(channel)
    owner = {"title": runs(channel.title, endpoint), "navigationEndpoint": endpoint, "subscriberCountText": text("1.5K subscribers")}
    boxes = [
        {"videoPrimaryInfoRenderer": primary},
        {"videoSecondaryInfoRenderer": {"owner": {"videoOwnerRenderer": owner}}},
    ]
    columns: Json = {"results": {"results": {"contents": boxes}}}
    if playlist:
        address = {"commandMetadata": {"webCommandMetadata": {"url": f"/playlist?list={playlist.id}"}}}
        columns["playlist"] = {"playlist": {"title": playlist.title, "playlistId": playlist.id, "endpoint": address}}
    return {"contents": {"twoColumnWatchNextResults": columns}}
