"""The first page of the admin: what is in the archive, what is under way, what needs a hand.

A constant number of queries, each over an index and no further than CAP rows.
"""

from dataclasses import dataclass
from typing import Any

from django.http import HttpRequest
from django.template.defaultfilters import truncatechars
from django.urls import NoReverseMatch, reverse
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.html import format_html
from django.utils.safestring import SafeString

from ingestion import budget, schedule
from ingestion.admin.sessions import state_label
from ingestion.admin.tallies import progress_cell, tallies_of
from ingestion.errors import KINDS
from ingestion.models import DownloadSession, Limits
from ingestion.roster import live_supervisors
from people.models import Person
from videos.admin import table
from videos.models import Video
from videos.paginator import Count, capped_count

CAP = 100_000
MOST_SESSIONS = 5
TILES = {
    "stored": ("Stored", "check_circle"),
    "downloading": ("Downloading now", "downloading"),
    "pending": ("Waiting", "hourglass_empty"),
    "failed": ("Failed", "error"),
    "unavailable": ("Unavailable", "block"),
}


@dataclass(frozen=True)
class Tile:
    """A number with the list it counts."""

    title: str
    icon: str
    count: Count
    href: str


def callback(request: HttpRequest, context: dict[str, Any]) -> dict[str, Any]:
    """Unfold's DASHBOARD_CALLBACK: adds what this user may see to the context of the index."""
    sees = request.user.has_perm
    tiles = _tiles() if sees("videos.view_video") else []
    requests = budget.state() if tiles or sees("ingestion.view_budget") else None
    return {
        **context,
        "title": "Overview",
        "tiles": tiles,
        "notices": _notices(tiles, requests) if tiles else [],
        "requests": _requests(requests) if sees("ingestion.view_budget") else None,
        "sessions": _sessions() if sees("ingestion.view_downloadsession") else None,
        "import_url": _import_url() if sees("people.add_person") and not Person.objects.exists() else None,
    }


def _tiles() -> list[Tile]:
    page = reverse("admin:videos_video_changelist")
    return [
        Tile(title, icon, capped_count(Video.objects.filter(status=status), CAP), f"{page}?status__exact={status}")
        for status, (title, icon) in TILES.items()
    ]


def _notices(tiles: list[Tile], requests: budget.State) -> list[str]:
    """Why nothing moves, in sentences."""
    limits = Limits.row()
    notices = [sentence for sentence in (_refusal(requests), _hold(limits)) if sentence]
    if any(tile.count for tile in tiles[1:3]) and not live_supervisors().exists():
        notices.append("Videos wait, but no worker is running. Start one with: manage.py workers")
    return notices


def _refusal(requests: budget.State) -> str:
    meaning = KINDS.get(requests.kind, KINDS["unknown"]).meaning
    if requests.closed_until:
        return f"No requests to YouTube until {date_format(timezone.localtime(requests.closed_until), 'DATETIME_FORMAT')}: {meaning}"
    if requests.breaker == budget.HALF_OPEN:
        return f"YouTube had refused us; one request at a time finds out whether it answers again. {meaning}"
    return ""


def _hold(limits: Limits) -> str:
    """Staff's own pause, or the clock's."""
    if limits.paused:
        why = limits.paused_reason.rstrip(". ") or "Nobody said why"
        return f"Everything is paused. {why}. It goes on when staff resume it: see Limits."
    hold = schedule.held_until(limits, timezone.now())
    return f"No download begins. {hold.in_words()}" if hold else ""


def _requests(requests: budget.State) -> SafeString:
    """How much of the hour's allowance is used, as a link to more."""
    words = f"{requests.used_this_hour:,} of {requests.per_hour:,}"
    page = reverse("admin:ingestion_budget_changelist")
    return format_html('Requests to YouTube in the last hour: <a class="text-link" href="{}">{}</a>', page, words)


def _sessions() -> SafeString | None:
    """The latest sessions as a table; None when there is none."""
    sessions = list(DownloadSession.objects.order_by("-id")[:MOST_SESSIONS])
    tallies = tallies_of([session.pk for session in sessions])
    rows = [
        (
            format_html('<a class="text-link" href="{}">{}</a>', _page_of(session), session),
            truncatechars(session.source, 50),
            state_label(session),
            progress_cell(tallies[session.pk]),
            tallies[session.pk].refused_in_words(),
        )
        for session in sessions
    ]
    return table(("Latest sessions", "Made from", "State", "Stored", "Not stored"), rows) if rows else None


def _page_of(session: DownloadSession) -> str:
    return reverse("admin:ingestion_downloadsession_change", args=[session.pk])


def _import_url() -> str:
    """Where a sheet is imported; the list of people while that page is not there."""
    try:
        return reverse("admin:people_person_import")
    except NoReverseMatch:
        return reverse("admin:people_person_changelist")
