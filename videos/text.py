"""Text from outside, made fit for a column; numbers, made fit for a sentence."""

from django.template.defaultfilters import filesizeformat, pluralize


def storable(text: str | None, limit: int | None = None) -> str:
    """The text as PostgreSQL can hold it (no NUL, no lone surrogates), cut to `limit` characters; None is blank."""
    clean = (text or "").replace("\x00", "").encode("utf-8", "replace").decode()
    return clean[:limit]


def counted(count: int, noun: str) -> str:
    """`0 videos`, `1 video`, `3,000 videos`."""
    return f"{count:,} {noun}{pluralize(count)}"


def counted_bytes(count: int) -> str:
    """`1 byte`, `5.0 MB`, with a plain blank: for terminals and files."""
    return filesizeformat(count).replace("\xa0", " ")
