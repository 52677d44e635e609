"""What YouTube names of a video, given or not, and whether what it gives falls short of it.

YouTube's answers name all formats. Those without an address (its own players fetch them in another way, SABR), and those
that want a token or a riddle solved, are passed over by yt-dlp with a line in its log, a warning at best (_video.py,
process_https_formats; yt-dlp issues 12482 and 17666). Its list alone cannot tell an old, small film from a large one of
which only the small formats were given; the names can.
"""

import base64
import binascii
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from yt_dlp.extractor.youtube import YoutubeIE
from yt_dlp.utils import traverse_obj

from ingestion.options import Choice
from ingestion.youtube.formats import Raw, has_picture, has_sound, height_cap, short_side

FAR = 0.5  # heights up to this share of the one that could be had are a loss
LARGE = 1080  # taken whatever else there is: what is larger, YouTube may give to its own players alone for years
USUAL = 720  # taken for the height that exists when only a warning says that more does
WITHHELD = re.compile(r"missing a url|require a gvs po token|some formats may be missing|sabr", re.IGNORECASE)
UPSCALED = b"\x02sr\x12\x011"  # in `xtags`, a message of pairs: sr=1


@dataclass(frozen=True)
class Named:
    """The largest picture by its short side (0: none), and whether there is sound."""

    side: int
    has_sound: bool


class NotingIE(YoutubeIE):
    """yt-dlp's own, which also leaves what YouTube's answers name as `named` with the YoutubeDL it belongs to."""

    ie_key = YoutubeIE.ie_key

    def _extract_player_responses(self, *args: Any, **kwargs: Any) -> Any:
        found = super()._extract_player_responses(*args, **kwargs)
        self._downloader.named = named(traverse_obj(found, (0, ..., "streamingData", ("formats", "adaptiveFormats"), ..., {dict})))
        return found


def named(formats: Iterable[Mapping[str, Any]]) -> Named:
    """Of YouTube's own rows. Not counted is what cannot be had (locked), and what its machines made larger."""
    rows = [row for row in formats if not row.get("drmFamilies") and not _is_upscaled(row)]
    sides = [short_side(row) for row in rows]
    return Named(max(sides, default=0), any(row.get("audioQuality") or row.get("audioSampleRate") for row in rows))


def shortfall(chosen: Sequence[Raw], choice: Choice, names: Named | None, warnings: Iterable[str] = ()) -> str:
    """What is missing in what was chosen, as a sentence; "" when it is what could be had, or as good as that.

    Without `names` (yt-dlp has changed) a warning that formats were withheld stands for them.
    """
    if not chosen or choice.quality == "audio":
        return ""
    names = names or _guessed(warnings)
    wanted, picture = min(height_cap(choice), names.side), chosen[0]
    if wanted and not has_picture(picture):
        return f"There is a picture of {names.side}p, but only sound was offered."
    if 0 < short_side(picture) <= FAR * wanted and short_side(picture) < LARGE:
        return f"There is a picture of {names.side}p, but only {short_side(picture)}p was offered."
    if names.has_sound and not has_sound(chosen[-1]):
        return "There is sound, but only the picture was offered."
    return ""


def _guessed(warnings: Iterable[str]) -> Named:
    is_withheld = any(WITHHELD.search(line) for line in warnings)
    return Named(USUAL if is_withheld else 0, has_sound=is_withheld)


def _is_upscaled(row: Mapping[str, Any]) -> bool:
    """Without an address, where yt-dlp looks for it, only `xtags` tell."""
    tags = str(row.get("xtags") or "")
    try:
        return UPSCALED in base64.urlsafe_b64decode(tags + "=" * (-len(tags) % 4))
    except (binascii.Error, ValueError):
        return False
