"""Bytes to text, as files from Excel, Windows and the web come."""

import codecs

# UTF-32 first: its little-endian mark begins with that of UTF-16
MARKS = (
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)


def decode(data: bytes) -> str:
    """The text in `data`, by its mark, else UTF-16 when obvious, else UTF-8, else Windows-1252. Never raises; drops NULs."""
    for mark, encoding in MARKS:
        if data.startswith(mark):
            return _tidy(data[len(mark) :].decode(encoding, "replace"))
    try:
        text = data.decode(_unmarked_utf16(data) or "utf-8")
    except UnicodeDecodeError:
        text = data.decode("cp1252", "replace")
    return _tidy(text)


def _unmarked_utf16(data: bytes) -> str | None:
    """UTF-16 of mostly Latin text shows by a NUL in every other byte."""
    sample = data[:4000]
    half = len(sample) // 2
    if half < 4 or len(data) % 2:
        return None
    if sample[1::2].count(0) > 0.7 * half and sample[::2].count(0) < 0.1 * half:
        return "utf-16-le"
    if sample[::2].count(0) > 0.7 * half and sample[1::2].count(0) < 0.1 * half:
        return "utf-16-be"
    return None


def _tidy(text: str) -> str:
    return text.replace("\0", "").lstrip("\ufeff")
