"""The charts of the first page, each with the same numbers as a table, for whoever does not see a drawing."""

import json
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

from django.utils import timezone
from django.utils.formats import date_format
from django.utils.safestring import SafeString

from ingestion.dashboard.live import Sees
from ingestion.dashboard.look import Look
from videos.cells import kind_words, table
from videos.text import counted, counted_bytes

DAYS = 30
MOST_KINDS = 10
MIB, GIB = 1 << 20, 1 << 30
GREY = "#9ca3af"  # unfold's, fit for light and dark


@dataclass(frozen=True)
class Chart:
    """`data` and `options` are Chart.js's, as JSON for unfold's component; `table` says the same in words."""

    title: str
    summary: str
    data: str
    options: str
    table: SafeString


def charts_for(sees: Sees, now: Look) -> list[Chart]:
    """Those the user may see and there is something to show of."""
    if not sees("videos.view_video"):
        return []
    found = [_stored_per_day(now), _failures(now)]
    if sees("people.view_person"):
        found.append(_storage_by_person(now))
    return [chart for chart in found if chart]


def _stored_per_day(now: Look) -> Chart | None:
    """The last DAYS days of the limits' time zone; days on which nothing was stored are shown as such."""
    today = timezone.localtime(now.now, now.limits.zone).date()
    days = [today - timedelta(days=ago) for ago in range(DAYS - 1, -1, -1)]
    stored = {day: now.days[day] for day in reversed(days) if day in now.days}
    if not stored:
        return None
    videos = [stored.get(day, (0, 0))[0] for day in days]
    rows = [(_day(day), f"{number:,}", counted_bytes(size)) for day, (number, size) in stored.items()]
    summary = f"{counted(sum(videos), 'video')} in the last {DAYS} days, {videos[-1]:,} of them today."
    return _chart("Stored per day", summary, [_day(day) for day in days], videos, ("Day", "Videos", "Size"), rows)


def _failures(now: Look) -> Chart | None:
    kinds = now.archive.kinds.most_common(MOST_KINDS)
    if not kinds:
        return None
    names, numbers = [kind_words(kind) for kind, _ in kinds], [count for _, count in kinds]
    rows = [(name, f"{count:,}") for name, count in zip(names, numbers, strict=True)]
    summary = f"{counted(now.archive.refused, 'video')} failed or unavailable."
    return _chart("What went wrong", summary, names, numbers, ("Error", "Videos"), rows, sideways=True)


def _storage_by_person(now: Look) -> Chart | None:
    largest = now.archive.largest
    if not largest:
        return None
    rows = [(one.name, counted_bytes(one.bytes)) for one in largest]
    summary = f"Whose videos take most room: the first {len(largest)}."
    unit, name = (GIB, "GB") if largest[0].bytes > 10 * GIB else (MIB, "MB")
    sizes = [round(one.bytes / unit, 1) for one in largest]
    return _chart(f"Storage by person, in {name}", summary, [one.name for one in largest], sizes, ("Person", "Size"), rows, sideways=True)


def _day(day: date) -> str:
    return date_format(day, "j M")


def _chart(title: str, summary: str, labels: list[str], numbers: list[Any], headers: tuple, rows: list, *, sideways: bool = False) -> Chart:
    bars = {"data": numbers, "backgroundColor": "var(--color-primary-600)", "label": title, "borderRadius": 3}
    data = json.dumps({"labels": labels, "datasets": [bars]})
    return Chart(title, summary, data, json.dumps(_options(sideways)), table(headers, rows))


def _options(sideways: bool) -> dict[str, Any]:
    """Ours in the place of unfold's, which draw no axis for the numbers."""
    along = {"grid": {"display": False}, "ticks": {"color": GREY}}
    across = {"beginAtZero": True, "ticks": {"precision": 0, "color": GREY}, "grid": {}}
    return {
        "animation": False,
        "responsive": True,
        "maintainAspectRatio": False,
        "indexAxis": "y" if sideways else "x",
        "maxBarThickness": 24,
        "plugins": {"legend": {"display": False}},
        "scales": {"x": across, "y": along} if sideways else {"x": along, "y": across},
    }
