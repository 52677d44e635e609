"""What an attempt remembers of its uploads (`Attempt.upload`), so that another one goes on with them or clears them away.

Most videos have one upload, and what is remembered is its `Upload.state`. A video whose tracks become objects first
has up to three, by their role:

    {"uploads": {"picture": state, "sound": state, "media": state}}

A state with "stored" is about a finished object.
"""

from collections.abc import Iterator, Mapping
from typing import Any

State = Mapping[str, Any]

PICTURE, SOUND, MEDIA = "picture", "sound", "media"
_PATHS = ("upload", *(f"upload__uploads__{role}" for role in (PICTURE, SOUND, MEDIA)))
COLUMNS = tuple(f"{path}__{name}" for path in _PATHS for name in ("key", "upload_id"))
"""For `values_list` on attempts: the keys and upload ids alone, for `pairs`; the parts of a large video are long to read."""


def uploads_in(remembered: State | None) -> Iterator[State]:
    """The state of every upload that is remembered."""
    if remembered and "uploads" in remembered:
        yield from remembered["uploads"].values()
    elif remembered:
        yield remembered


def by_role(remembered: State | None) -> dict[str, State]:
    """The uploads of a video whose tracks become objects first; an empty dict for any other."""
    return dict((remembered or {}).get("uploads") or {})


def media_keys(remembered: State | None) -> Iterator[str]:
    """The key under which the video itself was to appear, if that was begun."""
    if remembered and "uploads" not in remembered:
        yield remembered["key"]
    elif MEDIA in by_role(remembered):
        yield by_role(remembered)[MEDIA]["key"]


def way_of(remembered: State) -> str:
    """How the video is being moved: `copy`, `mux`, `tracks`..."""
    return "tracks" if "uploads" in remembered else (remembered.get("facts") or {}).get("way", "copy")


def pairs(columns: tuple[str | None, ...]) -> Iterator[tuple[str, str | None]]:
    """(key, upload id) of every upload of an attempt, from its COLUMNS."""
    yield from ((key, upload_id) for key, upload_id in zip(columns[::2], columns[1::2], strict=True) if key)
