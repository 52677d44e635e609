"""Failures on demand: rules that match requests, each used as often as it says."""

import re
import threading
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any

# The JSON that a fault puts in the place of an answer; yt-dlp retries the first and takes the second for the end.
JUNK = {
    "incomplete": {"responseContext": {"visitorData": ""}},
    "empty": {"onResponseReceivedActions": [{"appendContinuationItemsAction": {"continuationItems": []}}]},
}


@dataclass
class Fault:
    """`match` is a regular expression on "GET host/path?query bytes=0-9"; `client` also wants that innertube client.

    times   how often it strikes, None = always
    delay   seconds before the answer
    status  answer this, with `body`
    junk    "incomplete": JSON without what was asked for; "empty": well-formed, but without items
    reset   bytes of the answer that are sent before the connection is reset
    cut     bytes sent before it is closed in good manners
    stall   bytes sent before nothing more comes, until the client goes away or the twin closes
    etag    what a media file says it is, as if it had been replaced meanwhile
    """

    match: str
    client: str | None = None
    times: int | None = None
    delay: float = 0
    status: int | None = None
    body: str = ""
    junk: str | None = None
    reset: int | None = None
    cut: int | None = None
    stall: int | None = None
    etag: str | None = None

    @property
    def sent_bytes(self) -> int | None:
        """How much of the answer goes out, None for all."""
        return next((value for value in (self.reset, self.cut, self.stall) if value is not None), None)


def read_rule(rule: dict[str, Any]) -> Fault:
    """Raises ValueError for what is no rule."""
    if unknown := set(rule) - {field.name for field in fields(Fault)}:
        raise ValueError(f"no such key of a fault: {', '.join(sorted(unknown))}")
    if "match" not in rule:
        raise ValueError("a fault needs a match")
    if rule.get("junk") not in (None, *JUNK):
        raise ValueError(f"junk is one of {', '.join(JUNK)}")
    try:
        re.compile(rule["match"])
    except re.error as error:
        raise ValueError(f"match is no regular expression: {error}") from error
    return Fault(**rule)


class FaultList:
    """The rules in force, for all threads."""

    def __init__(self):
        self._lock = threading.Lock()
        self._faults: list[Fault] = []

    def replace(self, rules: Sequence[dict[str, Any]]) -> None:
        """Raises ValueError for a rule that is none, and then changes nothing."""
        faults = [read_rule(rule) for rule in rules]
        with self._lock:
            self._faults = faults

    def rules(self) -> list[dict[str, Any]]:
        with self._lock:
            return [asdict(fault) for fault in self._faults]

    def strike(self, line: str, client: str | None) -> Fault | None:
        """The first rule that fits, one use of it spent."""
        if not self._faults:
            return None
        with self._lock:
            for fault in self._faults:
                if fault.times != 0 and fault.client in (None, client) and re.search(fault.match, line):
                    if fault.times is not None:
                        fault.times -= 1
                    return fault
        return None
