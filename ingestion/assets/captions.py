"""Captions: which of those that YouTube offers are taken, and the forms they are kept in besides VTT, which YouTube serves."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from ingestion.assets.cues import Cue, read_cues, srt_time

ORIGINAL = "-orig"
"""How yt-dlp marks the automatic captions in the language that is spoken; the others are translations of them."""
CHAT = "live_chat"


@dataclass(frozen=True)
class Track:
    """One offered track, as VTT."""

    language: str
    url: str
    is_automatic: bool


def track_in(info: Mapping[str, Any], language: str, *, automatic: bool) -> Track | None:
    """What is offered in a language, None when nothing is: what people wrote (`en`, else a kind of it such as `en-GB`) before
    what was recognised, and that before a translation of it. Whether letters are large or small means nothing."""
    wanted = language.casefold()
    written = [code for code in _offered(info, "subtitles") if f"{code.casefold()}-".startswith(f"{wanted}-")]
    for code in sorted(written, key=lambda code: code.casefold() != wanted):
        if url := _address(info["subtitles"][code]):
            return Track(language, url, is_automatic=False)
    recognised = {code.casefold(): code for code in _offered(info, "automatic_captions")} if automatic else {}
    for name in (wanted + ORIGINAL, wanted):
        if name in recognised and (url := _address(info["automatic_captions"][recognised[name]])):
            return Track(language, url, is_automatic=True)
    return None


def languages_of(info: Mapping[str, Any], *, automatic: bool) -> list[str]:
    """All that people wrote, and the language that was recognised; no translations, which are more than a hundred."""
    written = _offered(info, "subtitles")
    recognised = [code.removesuffix(ORIGINAL) for code in _offered(info, "automatic_captions") if code.endswith(ORIGINAL)]
    return _each_once(written + (recognised if automatic else []))


def _each_once(codes: Iterable[str]) -> list[str]:
    """The first of those that differ by large and small letters only."""
    once: dict[str, str] = {}
    for code in codes:
        once.setdefault(code.casefold(), code)
    return list(once.values())


def _offered(info: Mapping[str, Any], what: str) -> list[str]:
    return [code for code in info.get(what) or () if code != CHAT]


def _address(forms: list[Mapping[str, Any]]) -> str:
    return next((form["url"] for form in forms if form.get("ext") == "vtt" and form.get("url")), "")


def to_srt(vtt: bytes) -> bytes:
    """Bold, italics and underlining stay; empty when nothing is said."""
    said = ((cue, lines) for cue in read_cues(vtt) if (lines := cue.srt_lines()))
    return "\n".join(_srt_cue(number, cue, lines) for number, (cue, lines) in enumerate(said, 1)).encode()


def _srt_cue(number: int, cue: Cue, lines: list[str]) -> str:
    return "\n".join([str(number), f"{srt_time(cue.start)} --> {srt_time(cue.end)}", *lines, ""])


def to_text(vtt: bytes, *, is_rolling: bool) -> bytes:
    """The words, a line for each line that is shown; empty when nothing is said. Rolling captions, as YouTube makes them, show
    a line again while the next one comes: it is taken once."""
    lines: list[str] = []
    before: list[str] = []
    for cue in read_cues(vtt):
        plain = cue.plain_lines()
        lines += plain[_overlap(before, plain) if is_rolling else 0 :]
        before = plain
    return "".join(f"{line}\n" for line in lines).encode()


def _overlap(before: list[str], cue: list[str]) -> int:
    """With how many lines the cue begins that the one before it ended with."""
    return next((count for count in range(min(len(before), len(cue)), 0, -1) if before[-count:] == cue[:count]), 0)
