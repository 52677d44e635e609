"""Object keys: ASCII, no title, unique for each attempt so that no late writer can overwrite anything."""

import re
from uuid import UUID

from django.utils.text import slugify

MOST_TITLE_BYTES = 150
_NOT_IN_NAMES = re.compile(r'[\x00-\x1f\x7f-\x9f<>:"/\\|?*\u200b-\u200f\u2028-\u202e\u2066-\u2069]+')
_KEY = re.compile(r"(?:[\w-]+/){2,3}([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})-(\d{1,18})(?:\.[\w-]{1,60}){1,2}", re.ASCII)


def key_stem(
    *, person_id: int, person_name: str, channel_id: str, video_id: str, uuid: UUID, attempt_id: int, by_person: bool = True
) -> str:
    """Key of a video's object without its extension.

    `{person}-{id}/{channel}/{video}/{uuid}-{attempt}` by person, else without the first part. A name without a Latin
    letter leaves the number alone.
    """
    rest = f"{channel_id or 'unknown'}/{video_id}/{uuid}-{attempt_id}"
    if not by_person:
        return rest
    slug = slugify(person_name)[:60].strip("-")
    return f"{slug}-{person_id}/{rest}" if slug else f"{person_id}/{rest}"


def beside(key: str, label: str) -> str:
    """The key of something that belongs to the video stored under `key`: `label` is like `info.json`, `en.vtt`, `picture.mp4`."""
    folder, _, name = key.rpartition("/")
    return f"{folder}/{name.partition('.')[0]}.{label}"


def download_name(key: str, title: str, video_id: str) -> str:
    """What a browser calls the file of `key`: `Title [id].mp4`, `Title [id].info.json`. Any file system takes it; of the title
    only what some refuse, or what turns the direction of reading, is left out."""
    words = " ".join(_NOT_IN_NAMES.sub(" ", title).split()).encode()[:MOST_TITLE_BYTES].decode(errors="ignore").strip(" .")
    extension = key.rpartition("/")[2].partition(".")[2]
    return ".".join(filter(None, (f"{words} [{video_id}]".lstrip(), extension)))


def read_key(key: str) -> tuple[UUID, int] | None:
    """The video's uuid and the attempt's id in the key of a video or of what lies beside it, None for a key of another form."""
    match = _KEY.fullmatch(key)
    return (UUID(match[1]), int(match[2])) if match else None
