"""Errors that nobody has seen before, grouped: which new fault is the most frequent?

The raw lines stay stored as they came; only for counting are two lines taken for one fault that differ in addresses, ids
and numbers.
"""

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from django.db.models import QuerySet

from ingestion.models import Attempt, Scan

NEWEST = 1000
"""Attempts, and scans, that are looked at."""
MOST_GROUPS = 10

_STATUS = r"(?:HTTP Error|status)[ :]*\d{3}\b"  # another status is another fault
_ADDRESS = r"(?P<address>[a-z]+://\S+)"
_WORD = r"(?P<word>(?<![\w-])(?:0x[0-9a-fA-F]+|[\w-]{11,})(?![\w-]))"
_NUMBER = r"(?P<number>\d+(?:[.,:]\d+)*)"
_VARIES = re.compile(f"{_STATUS}|{_ADDRESS}|{_WORD}|{_NUMBER}", re.ASCII)
_NAMES = re.compile(r"(?:[A-Z]?[a-z]+)(?:[A-Z][a-z]+)*|[A-Z]+")


@dataclass(frozen=True)
class UnknownGroup:
    """Lines of one fault: how it reads without what varies, how often it came, and the newest attempt, or scan, that met it."""

    fault: str
    count: int
    newest: int
    newest_line: str


def frequent_unknowns() -> list[UnknownGroup]:
    """The most frequent faults among the newest unknown attempts, in one query; most frequent first."""
    return _frequent(Attempt.objects.all())


def frequent_unknown_scans() -> list[UnknownGroup]:
    """The same of the scans whose newest error is unknown."""
    return _frequent(Scan.objects.all())


def _frequent(rows: QuerySet) -> list[UnknownGroup]:
    newest = rows.filter(error_kind="unknown").order_by("-id")
    return group_lines(newest.values_list("pk", "error_message")[:NEWEST])


def group_lines(lines: Iterable[tuple[int, str]]) -> list[UnknownGroup]:
    """Groups of (attempt or scan, raw line), given newest first; the MOST_GROUPS largest, and of equal ones the newer first."""
    counts: Counter[str] = Counter()
    newest: dict[str, tuple[int, str]] = {}
    for row, line in lines:
        fault = fault_of(line)
        counts[fault] += 1
        newest.setdefault(fault, (row, line))
    return [UnknownGroup(fault, count, *newest[fault]) for fault, count in counts.most_common(MOST_GROUPS)]


def fault_of(line: str) -> str:
    """The line without what differs from video to video: `<url>` for addresses, `<id>` for ids, `#` for numbers."""
    return " ".join(_VARIES.sub(_without_what_varies, line).split())


def _without_what_varies(found: re.Match) -> str:
    if found["address"]:
        return "<url>"
    if found["number"]:
        return "#"
    word = found["word"]
    return "<id>" if word and not _is_wording(word) else found[0]


def _is_wording(word: str) -> bool:
    """Of letters in usual cases, however joined: `unavailable`, `RegexNotFoundError`, `player_response`."""
    return all(_NAMES.fullmatch(part) for part in re.split("[-_]+", word) if part)
