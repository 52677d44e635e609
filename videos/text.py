"""Text from outside, made fit for a column."""


def storable(text: str | None, limit: int | None = None) -> str:
    """The text as PostgreSQL can hold it (no NUL, no lone surrogates), cut to `limit` characters; None is blank."""
    clean = (text or "").replace("\x00", "").encode("utf-8", "replace").decode()
    return clean[:limit]
