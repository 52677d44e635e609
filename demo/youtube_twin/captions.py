"""Captions: which tracks a video has, and their words in the forms YouTube serves them."""

from collections.abc import Iterator
from html import unescape
from typing import Any
from urllib.parse import urlencode

from demo.youtube_twin.catalogue import Video

Json = dict[str, Any]
SITE = "https://www.youtube.com"
LANGUAGES = {"en": "English", "de": "German", "fr": "French", "es": "Spanish", "ja": "Japanese"}
WORDS = {"en": "words", "de": "Worte"}
SAID = ("&lt;b&gt; is &quot;bold&quot;", "&amp; more", "[&nbsp;__&nbsp;]", "it&#39;s {so} in C:\\new")
"""By turns, as YouTube escapes it: a word it bleeps out, and what other formats would take for mark-up."""
CUE_SECONDS = 2
SPOKEN = "en"
ONLY_RECOGNISED = 7
"""Seconds of the videos that nobody wrote captions for."""


def tracks(video: Video) -> list[tuple[str, bool]]:
    """(language, whether it was recognised) of each track; specials and benchmark videos have none."""
    if video.special or video.grade != "plain":
        return []
    written = [] if video.seconds == ONLY_RECOGNISED else [("en", False), ("de", False)]
    return [*written, (SPOKEN, True)]


def renderer(video: Video, client: str | None, expire: int) -> Json | None:
    """What a player answer says of captions; None for none. Only the web's names the translations."""
    if not (found := tracks(video)):
        return None
    said = {"captionTracks": [_track(video, language, recognised, expire) for language, recognised in found]}
    if client in (None, "WEB", "MWEB"):
        said["translationLanguages"] = [{"languageCode": code, "languageName": {"simpleText": name}} for code, name in LANGUAGES.items()]
    return {"playerCaptionsTracklistRenderer": said}


def _track(video: Video, language: str, recognised: bool, expire: int) -> Json:
    query = {"v": video.id, "caps": "asr", "expire": expire, "sparams": "ip,expire,v", "ip": "192.0.2.7", "signature": "5EC2E7"}
    query |= {"lang": language} | ({"kind": "asr"} if recognised else {})
    name = LANGUAGES[language] + (" (auto-generated)" if recognised else "")
    return {
        "baseUrl": f"{SITE}/api/timedtext?{urlencode(query)}",
        "name": {"simpleText": name},
        "vssId": f"a.{language}" if recognised else f".{language}",
        "languageCode": language,
        "isTranslatable": True,
        **({"kind": "asr"} if recognised else {}),
    }


def served(video: Video, query: dict[str, str]) -> str | Json | None:
    """The captions of an address: VTT as text, json3 as data; None for a track or form that there is not."""
    recognised = query.get("kind") == "asr"
    if (query.get("lang", ""), recognised) not in tracks(video) or query.get("tlang", SPOKEN) not in LANGUAGES:
        return None
    language = query.get("tlang", query["lang"])
    cues = list(_cues(video, language))
    if query.get("fmt") == "json3":
        events = [{"tStartMs": start * 1000, "dDurationMs": CUE_SECONDS * 1000, "segs": [{"utf8": unescape(line)}]} for start, line in cues]
        return {"wireMagic": "pb3", "events": events}
    if query.get("fmt") != "vtt":
        return None
    body = _rolling(cues) if recognised else (f"{_span(start, start + CUE_SECONDS)}\n{line}\n\n" for start, line in cues)
    return f"WEBVTT\nKind: captions\nLanguage: {language}\n\n{''.join(body)}"


def _cues(video: Video, language: str) -> Iterator[tuple[int, str]]:
    for number, start in enumerate(range(0, video.seconds, CUE_SECONDS), 1):
        yield start, f"{WORDS.get(language, language)} {number} {SAID[number % len(SAID)]}"


def _rolling(cues: list[tuple[int, str]]) -> Iterator[str]:
    """As speech recognition is shown: each line comes word by word below the one before it, then stands alone for a moment."""
    before = " "
    for start, line in cues:
        end = start + CUE_SECONDS - 0.01
        timed = f"{line.split(' ')[0]}<{_time(start + 1)}><c> {line.split(' ', 1)[1]}</c>"
        yield f"{_span(start, end)} align:start position:0%\n{before}\n{timed}\n\n"
        yield f"{_span(end, start + CUE_SECONDS)} align:start position:0%\n{line}\n \n\n"
        before = line


def _span(start: float, end: float) -> str:
    return f"{_time(start)} --> {_time(end)}"


def _time(seconds: float) -> str:
    return f"{int(seconds) // 3600:02}:{int(seconds) // 60 % 60:02}:{seconds % 60:06.3f}"
