"""Object keys: ASCII, no title, unique for each attempt so that no late writer can overwrite anything."""

from uuid import UUID

from django.utils.text import slugify


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
