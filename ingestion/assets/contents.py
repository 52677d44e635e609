"""What the objects beside a video hold that are written by us: its NFO; and what kind of picture one is."""

import re
from datetime import date
from xml.etree import ElementTree

from videos.models import Video

NO_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
PICTURES = ((b"\xff\xd8\xff", 0, "jpg"), (b"WEBP", 8, "webp"), (b"\x89PNG\r\n", 0, "png"))


def nfo(video: Video) -> bytes:
    """What Kodi, Jellyfin and Emby read beside a film of the same name. `video` comes with its channel and person."""
    movie = ElementTree.Element("movie")
    _say(movie, "title", video.title or video.external_id)
    _say(movie, "plot", video.description)
    _say_date(movie, video.upload_date)
    _say(movie, "runtime", str(max(1, round(video.duration / 60))) if video.duration else "")
    _say(movie, "studio", video.channel.title or video.person.name)
    _say(movie, "director", video.person.name)
    identity = ElementTree.SubElement(movie, "uniqueid", type=video.extractor, default="true")
    identity.text = video.external_id
    ElementTree.indent(movie)
    return ElementTree.tostring(movie, encoding="utf-8", xml_declaration=True) + b"\n"


def picture_kind(content: bytes) -> str:
    """The extension of a picture by its first bytes; "" for what is none."""
    return next((ext for magic, place, ext in PICTURES if content[place : place + len(magic)] == magic), "")


def _say_date(movie: ElementTree.Element, uploaded: date | None) -> None:
    if uploaded:
        for tag in ("premiered", "aired"):
            _say(movie, tag, uploaded.isoformat())
        _say(movie, "year", str(uploaded.year))


def _say(movie: ElementTree.Element, tag: str, text: str) -> None:
    if text:
        ElementTree.SubElement(movie, tag).text = NO_XML.sub("", text)
