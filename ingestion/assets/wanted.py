"""Which assets a session's options ask for, and what their objects are called; pure."""

import re
from typing import NamedTuple

from ingestion.options import Options
from videos.models import Asset

Kind = Asset.Kind
EXTENSIONS = {Kind.INFO: "json", Kind.NFO: "nfo", Kind.THUMBNAIL: "", Kind.TRANSCRIPT: "txt"}
SUBTITLE_EXTENSIONS = ("vtt", "srt")
BY_LANGUAGE = (Kind.SUBTITLES, Kind.TRANSCRIPT)
ASKS_NOTHING = (Kind.NFO,)
"""Kinds that are made of the rows alone; the index asset_due keeps them apart from those that ask YouTube."""
LONGEST_LANGUAGE = 40

CONTENT_TYPES = {
    "json": "application/json",
    "nfo": "application/xml",
    "jpg": "image/jpeg",
    "png": "image/png",
    "webp": "image/webp",
    "srt": "application/x-subrip; charset=utf-8",
    "txt": "text/plain; charset=utf-8",
    "vtt": "text/vtt; charset=utf-8",
}


class Wanted(NamedTuple):
    """What tells one asset of a video from another; a picture's `ext` is blank until it is served."""

    kind: str
    language: str = ""
    ext: str = ""


def wanted(options: Options) -> list[Wanted]:
    """The assets of each video of a session. The language `all` asks for whatever a look at the video will show."""
    return list(dict.fromkeys(one for kind in Kind if kind in options.assets for one in _of_kind(kind, options.subtitle_languages)))


def _of_kind(kind: str, languages: tuple[str, ...]) -> list[Wanted]:
    if kind not in BY_LANGUAGE:
        return [Wanted(kind, "", EXTENSIONS[kind])]
    return [one for language in languages for one in in_language(kind, language[:LONGEST_LANGUAGE])]


def in_language(kind: str, language: str) -> list[Wanted]:
    """One row for each format; one in all for `all`, which is no object itself."""
    if language == Asset.ALL_LANGUAGES:
        return [Wanted(kind, language)]
    return [Wanted(kind, language, ext) for ext in (SUBTITLE_EXTENSIONS if kind == Kind.SUBTITLES else (EXTENSIONS[kind],))]


def label(asset: Asset, ext: str) -> str:
    """What stands behind the video's name in the key: `info.json`, `en.vtt`, `nfo`; from the second object on that was begun
    `en-try2.vtt`, so that what a worker that was given up writes late lies under a key of its own."""
    stem = {Kind.INFO: "info", Kind.THUMBNAIL: "thumbnail"}.get(asset.kind, re.sub(r"[^\w-]", "-", asset.language, flags=re.ASCII))
    if asset.tries > 1:
        stem = "-".join(filter(None, (stem, f"try{asset.tries}")))
    return f"{stem}.{ext}" if stem else ext
