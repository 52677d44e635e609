"""A hand-written YouTube for scans: channels as lists of entries, with failures on demand."""

from dataclasses import dataclass, field
from datetime import date


@dataclass(frozen=True)
class FakeEntry:
    external_id: str
    title: str = ""
    duration: float | None = 60
    upload_date: date | None = None
    view_count: int | None = None
    live_status: str = ""
    availability: str = ""
    tab: str = "videos"


@dataclass
class FakeListing:
    """Yields its entries; raises `failure` after them when there is one."""

    entries: list[FakeEntry]
    external_id: str = "UCfake"
    title: str = "Fake channel"
    expected: int | None = None
    failure: Exception | None = None
    complete: bool = False
    read: int = 0
    left: set[str] = field(default_factory=set)

    def leave_tab(self):
        self.left.add(self.entries[self.read - 1].tab)

    def __iter__(self):
        for position, entry in enumerate(self.entries):
            if entry.tab not in self.left:
                self.read = position + 1
                yield entry
        if self.failure:
            raise self.failure
        self.complete = not self.left


@dataclass
class FakeYouTube:
    """Answers every channel with the same listing."""

    listing: FakeListing | Exception
    asked: list[tuple[str, str]] = field(default_factory=list)

    def list_channel(self, url, kind):
        self.asked.append((url, kind))
        if isinstance(self.listing, Exception):
            raise self.listing
        return self.listing


def entries(count, *, start=0, **over):
    return [FakeEntry(f"v{number:06d}", title=f"Title {number}", **over) for number in range(start, start + count)]
