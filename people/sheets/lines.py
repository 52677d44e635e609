"""Plain text: one address a line."""

import io
import re
from collections.abc import Iterator

from people.sheets.sheet import Entry

_COMMENT = re.compile(r"(^|\s)#.*", re.DOTALL)


def read_lines(text: str) -> Iterator[Entry]:
    """An entry for each line that is neither blank nor a comment (# at its start or after a blank)."""
    for number, line in enumerate(io.StringIO(text, newline=None), start=1):
        if address := _COMMENT.sub("", line).strip():
            yield Entry(number, {"channel": address})
