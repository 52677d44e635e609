"""What a look says, in words: the values that the page shows and asks for again every few seconds.

Each value is a text, or a list of rows that have a `key`. A value whose model the user may not see is left out, on the page
as in the answer to its script.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.conf import settings
from django.template.defaultfilters import truncatechars
from django.urls import reverse
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.timesince import timesince

from ingestion import budget
from ingestion.admin.tallies import Tally
from ingestion.dashboard.look import Look, Running
from ingestion.dashboard.pace import time_left
from ingestion.errors import KINDS, STORAGE_KINDS
from ingestion.models import DownloadSession
from videos.text import counted, counted_bytes

Sees = Callable[[str], bool]
Values = dict[str, Any]
GB = 1 << 30
"""As those who sell storage count it, and as sizes are shown here."""
SHOWN = 12
NO_WORKER = "Videos wait, but no worker is running. Ask whoever runs massdl to start one, with: manage.py workers"


@dataclass(frozen=True)
class Tile:
    """A number with the list that it counts."""

    key: str
    title: str
    icon: str
    page: str
    query: str = ""

    @property
    def href(self) -> str:
        return f"{reverse(f'admin:{self.page}_changelist')}{self.query}"


TILES = (
    Tile("people", "People", "group", "people_person"),
    Tile("channels", "Channels", "subscriptions", "people_channel"),
    Tile("stored", "Stored", "check_circle", "videos_video", "?status__exact=stored"),
    Tile("downloading", "Downloading now", "downloading", "videos_video", "?status__exact=downloading"),
    Tile("pending", "Waiting", "hourglass_empty", "videos_video", "?status__exact=pending"),
    Tile("failed", "Failed", "error", "videos_video", "?status__exact=failed"),
    Tile("unavailable", "Unavailable", "block", "videos_video", "?status__exact=unavailable"),
)
FACTS = {
    "storage": "Storage",
    "cost": "What it costs",
    "speed": "Speed now",
    "pace": "Pace",
    "time_left": "Time left",
    "workers": "Workers",
    "oldest": "Oldest download",
    "used": "Requests to YouTube",
    "breaker": "YouTube",
}


def tiles(values: Values) -> list[tuple[Tile, str]]:
    """Those there is a number for."""
    return [(tile, values[tile.key]) for tile in TILES if tile.key in values]


def facts(values: Values) -> list[tuple[str, str, str]]:
    """Key, name and text of those that are known."""
    return [(key, name, values[key]) for key, name in FACTS.items() if key in values]


def values_for(sees: Sees, now: Look) -> Values:
    """By permission: `sees` is the user's `has_perm`."""
    values: Values = {"at": date_format(timezone.localtime(now.now), "H:i:s")}
    if sees("people.view_person"):
        values["people"] = str(now.people)
    if sees("people.view_channel"):
        values["channels"] = str(now.channels)
    if sees("videos.view_video"):
        values |= _videos(now)
    if sees("ingestion.view_budget"):
        values |= {"used": used_words(now.requests), "breaker": breaker_words(now.requests)}
    if sees("ingestion.view_worker"):
        values["workers"] = workers_words(now)
    if sees("ingestion.view_downloadsession"):
        values["sessions"] = [session_row(session, tally) for session, tally in now.sessions]
    return values


def _videos(now: Look) -> Values:
    archive = now.archive
    counts = {status: f"{archive.videos[status]:,}" for status in ("stored", "downloading", "pending", "failed", "unavailable")}
    cost = {"cost": cost_words(archive.bytes, settings.STORAGE_PRICE)} if settings.STORAGE_PRICE else {}
    return {
        **counts,
        "storage": counted_bytes(archive.bytes),
        **cost,
        "speed": f"about {counted_bytes(round(now.speed))} a second" if now.running else "nothing is being downloaded",
        "pace": now.pace.in_words(),
        "time_left": time_left(archive.waiting, now.pace, is_held=now.is_held, runs=bool(now.running)),
        "oldest": f"began {_span(now.running[0].began_at, now.now)} ago" if now.running else "none",
        "running": [running_row(one) for one in now.running[:SHOWN]],
        "running_more": more_words(archive.videos["downloading"]),
        "notices": [{"key": key, "text": text} for key, text in notices(now)],
    }


def cost_words(size: int, price: float) -> str:
    return f"about {size / GB * price:,.2f} USD a month, at {price:g} USD per GB"


def more_words(running: int) -> str:
    """Below the downloads that are shown."""
    return "Nothing is being downloaded." if not running else f"and {running - SHOWN:,} more" if running > SHOWN else ""


def running_row(one: Running) -> Values:
    return download_row(str(one.attempt_id), one.video_id, one.title, one.bytes_done, one.bytes_total)


def download_row(key: str, video_id: int, title: str, bytes_done: int, bytes_total: int | None) -> Values:
    """A download under way, as admin/overview/bar.html shows it."""
    done, total = counted_bytes(bytes_done), bytes_total
    return {
        "key": key,
        "title": truncatechars(title, 60),
        "href": reverse("admin:videos_video_change", args=[video_id]),
        "percent": min(100 * bytes_done // total, 100) if total else None,
        "done": f"{done} of {counted_bytes(total)}" if total else done if bytes_done else "beginning",
    }


def session_row(session: DownloadSession, tally: Tally) -> Values:
    total = tally.videos.total()
    return {
        "key": str(session.pk),
        "title": f"{session}: {truncatechars(session.source, 50)}",
        "href": reverse("admin:ingestion_downloadsession_change", args=[session.pk]),
        "state": session.get_state_display(),
        "why": " ".join(filter(None, (session.state_reason, storage_words(tally)))),
        "percent": 100 * tally.stored // total if total else 0,
        "done": f"Stored: {tally.in_words()}. Not stored: {tally.refused_in_words()}.",
    }


def storage_words(tally: Tally) -> str:
    """Whether videos wait because the storage did not take them; "" when none does."""
    waiting = sum(tally.waits_for[kind] for kind in STORAGE_KINDS)
    them, again = ("it", "it is tried again") if waiting == 1 else ("them", "they are tried again")
    return f"{counted(waiting, 'video')} could not be stored, because the storage did not take {them}; {again}." if waiting else ""


def workers_words(now: Look) -> str:
    return f"{counted(now.workers, 'worker')} on {counted(now.hosts, 'host')}" if now.hosts else "none is running"


def used_words(requests: budget.State) -> str:
    return f"{requests.used_this_hour:,} of {requests.per_hour:,} in the last hour"


def breaker_words(requests: budget.State) -> str:
    if requests.closed_until:
        return f"not asked until {_moment(requests.closed_until)}"
    return "one request finds out whether it answers" if requests.breaker == budget.HALF_OPEN else "answers"


def notices(now: Look) -> list[tuple[str, str]]:
    """Why nothing moves, or what does not, in sentences."""
    told = [
        ("refusal", _refusal(now.requests)),
        ("hold", _hold(now)),
        ("storage", _storage(now)),
        ("workers", NO_WORKER if now.archive.waiting and not now.hosts else ""),
    ]
    return [(key, sentence) for key, sentence in told if sentence]


def _span(first: datetime, last: datetime) -> str:
    """`3 hours`, with a plain blank."""
    return timesince(first, last, depth=1).replace("\xa0", " ")


def _moment(moment: datetime) -> str:
    return date_format(timezone.localtime(moment), "DATETIME_FORMAT")


def _refusal(requests: budget.State) -> str:
    meaning = KINDS.get(requests.kind, KINDS["unknown"]).meaning
    if requests.closed_until:
        return f"No requests to YouTube until {_moment(requests.closed_until)}: {meaning}"
    if requests.breaker == budget.HALF_OPEN:
        return f"YouTube had refused us; one request at a time finds out whether it answers again. {meaning}"
    return ""


def _hold(now: Look) -> str:
    """Staff's own pause, or the clock's."""
    if now.limits.paused:
        why = now.limits.paused_reason.rstrip(". ") or "Nobody said why"
        return f"Everything is paused. {why}. It goes on when staff resume it: see Limits."
    return f"No download begins. {now.hold.in_words()}" if now.hold else ""


def _storage(now: Look) -> str:
    if not (words := storage_words(now.archive)):
        return ""
    kind = max(STORAGE_KINDS, key=lambda slug: now.archive.waits_for[slug])
    return f"{words} {KINDS[kind].meaning} {KINDS[kind].advice}"
