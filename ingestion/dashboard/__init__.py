"""The first page of the admin: what is in the archive, what is under way, what needs a hand.

look        one look at it all, in a constant number of queries
live        what a look says to whoever may see it: the values that the page shows, and asks for again every few seconds
pace        how fast it goes, and how long that will take
charts      what was stored each day, what went wrong, who takes how much room
versions    of the programs that downloads rest on
"""

from typing import Any

from django.http import HttpRequest, JsonResponse
from django.urls import reverse

from ingestion.dashboard import charts, live, versions
from ingestion.dashboard.look import Look, look
from ingestion.roles import ROLES
from people.sheets.samples import SAMPLES

LARGEST = 10


def callback(request: HttpRequest, context: dict[str, Any]) -> dict[str, Any]:
    """Unfold's DASHBOARD_CALLBACK: adds what this user may see to the context of the index."""
    sees = request.user.has_perm
    now = look(people=LARGEST, days=charts.DAYS, sessions=sees("ingestion.view_downloadsession"))
    values = live.values_for(sees, now)
    return {
        **context,
        "title": "Overview",
        "live": values,
        "live_url": reverse("overview"),
        "tiles": live.tiles(values),
        "facts": live.facts(values),
        "charts": charts.charts_for(sees, now),
        "versions": versions.versions() if sees("ingestion.view_worker") else None,
        "first_run": _first_run(sees, now) if sees("people.view_person") and not now.people else None,
        "roles": ROLES,
    }


def show_overview(request: HttpRequest) -> JsonResponse:
    """The values of the page at this moment, as its script asks for them; to the same people."""
    sees = request.user.has_perm
    now = look(sessions=sees("ingestion.view_downloadsession"))
    return JsonResponse(live.values_for(sees, now))


def _first_run(sees: live.Sees, now: Look) -> dict[str, Any]:
    """What to do with an empty archive, for this user: the sheets to begin with are for those who may import them."""
    return {"samples": list(SAMPLES) if sees("people.import_person") else [], "no_worker": not now.hosts}
