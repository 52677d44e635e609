"""How the admin looks, and its sidebar: settings for django-unfold."""

from collections.abc import Callable
from typing import Any

from django.http import HttpRequest
from django.templatetags.static import static
from django.urls import reverse_lazy


def _may(permission: str) -> Callable[[HttpRequest], bool]:
    return lambda request: request.user.has_perm(permission)


def _item(title: str, icon: str, app: str, model: str) -> dict[str, Any]:
    """A line of the sidebar for the list of a model; seen by those who may view it."""
    return {
        "title": title,
        "icon": icon,
        "link": reverse_lazy(f"admin:{app}_{model}_changelist"),
        "permission": _may(f"{app}.view_{model}"),
    }


UNFOLD = {
    "SITE_TITLE": "massdl",
    "SITE_HEADER": "massdl",
    "SITE_SUBHEADER": "The archive",
    "SITE_SYMBOL": "video_library",
    "SITE_FAVICONS": [{"rel": "icon", "type": "image/svg+xml", "href": lambda request: static("massdl/icon.svg")}],
    "LOGIN": {"form": "massdl_site.signing_in.SignInForm"},
    "STYLES": [lambda request: static("massdl/frame.css")],
    "SCRIPTS": [
        lambda request: static("massdl/keyboard.js"),
        lambda request: static("massdl/select_names.js"),
        lambda request: static("massdl/card_names.js"),
    ],
    "SITE_URL": None,  # there is no site beside the admin that one might want to go back to
    "SHOW_VIEW_ON_SITE": False,
    "DASHBOARD_CALLBACK": "ingestion.dashboard.callback",
    "COLORS": {
        "primary": {
            "50": "oklch(97.7% .013 236.62)",
            "100": "oklch(95.1% .026 236.824)",
            "200": "oklch(90.1% .058 230.902)",
            "300": "oklch(82.8% .111 230.318)",
            "400": "oklch(74.6% .16 232.661)",
            "500": "oklch(68.5% .169 237.323)",
            "600": "oklch(50% .134 242.749)",  # links, and white words stand on it: both have to be readable
            "700": "oklch(44.3% .11 240.79)",
            "800": "oklch(39.1% .09 240.876)",
            "900": "oklch(34% .078 242)",
            "950": "oklch(29.3% .066 243.157)",
        },
    },
    "SIDEBAR": {
        "show_search": False,
        "show_all_applications": False,
        "navigation": [
            {"items": [{"title": "Overview", "icon": "dashboard", "link": reverse_lazy("admin:index")}]},
            {
                "title": "Archive",
                "separator": True,
                "items": [
                    _item("People", "group", "people", "person"),
                    _item("Channels", "subscriptions", "people", "channel"),
                    _item("Videos", "movie", "videos", "video"),
                ],
            },
            {
                "title": "Work",
                "separator": True,
                "items": [
                    _item("Sessions", "playlist_play", "ingestion", "downloadsession"),
                    _item("Operations", "checklist", "ingestion", "operation"),
                    _item("Scans", "travel_explore", "ingestion", "scan"),
                    _item("Attempts", "history", "ingestion", "attempt"),
                    {"title": "What errors mean", "icon": "help", "link": reverse_lazy("errors")},
                ],
            },
            {
                "title": "Workers and limits",
                "separator": True,
                "items": [
                    _item("Workers", "dns", "ingestion", "worker"),
                    _item("Limits", "speed", "ingestion", "limits"),
                    _item("Requests to YouTube", "network_check", "ingestion", "budget"),
                ],
            },
            {
                "title": "Staff",
                "separator": True,
                "items": [_item("Users", "person", "auth", "user"), _item("Groups", "shield_person", "auth", "group")],
            },
        ],
    },
}
