"""Every address of the site, with a row to show on it."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from django.contrib.auth.models import Group, User
from django.core.files.storage import storages
from django.urls import URLPattern, URLResolver, get_resolver, reverse

from ingestion.models import Budget, Limits, Worker
from ingestion.roles import MODELS
from tests.factories import make_asset, make_attempt, make_channel, make_operation, make_person, make_scan, make_session, make_video
from videos.models import Asset


def routes(patterns=None, route: str = "", space: str = "") -> Iterator[tuple[str, str]]:
    """Key and route of every address: its name, or where it has none the route itself."""
    for pattern in get_resolver().url_patterns if patterns is None else patterns:
        if isinstance(pattern, URLResolver):
            inner = f"{space}{pattern.namespace}:" if pattern.namespace else space
            yield from routes(pattern.url_patterns, route + str(pattern.pattern), inner)
        elif isinstance(pattern, URLPattern):
            path = route + str(pattern.pattern)
            yield (f"{space}{pattern.name}" if pattern.name else path or "/"), path


ROUTES = dict(routes())


def row_of(model: str) -> Any:
    """One that nothing hangs on, so that it may be deleted where rows may."""
    made = {
        "people.person": make_person,
        "people.channel": make_channel,
        "videos.video": lambda: make_video(status="failed"),
        "ingestion.downloadsession": make_session,
        "ingestion.scan": lambda: make_scan(state="failed"),
        "ingestion.attempt": make_attempt,
        "ingestion.operation": make_operation,
        "ingestion.worker": lambda: Worker.objects.create(name="host:1", queue="download"),
        "ingestion.limits": Limits.row,
        "ingestion.budget": lambda: Budget.objects.get_or_create(identity="guest")[0],
        "auth.user": lambda: User.objects.create_user("colleague"),
        "auth.group": lambda: Group.objects.create(name="Guests"),
    }
    return made[model]()


PLACES = {
    "/": "/",
    "admin:app_list": "/admin/videos/",
    "admin:autocomplete": "/admin/autocomplete/?app_label=people&model_name=channel&field_name=person&term=",
    "admin:view_on_site": "/admin/r/1/1/",
    "admin:people_person_import_sample": "/admin/people/person/import/samples/people.csv",
    "admin:people_person_import_preview": "/admin/people/person/import/nothing/",
    "admin:people_person_import_rows": "/admin/people/person/import/nothing/refused/",
    "admin:people_person_import_refused": "/admin/people/person/import/nothing/refused.csv",
    "admin/(?P<url>.*)$": "/admin/nowhere/",
}
"""Of what cannot be reversed by its name and a row's key. Nobody has uploaded a sheet: its pages say so and lead back."""

FILES = {
    "admin:videos_video_file": lambda: reverse("admin:videos_video_file", args=[stored(make_video(status="stored")).pk]),
    "admin:videos_video_asset": lambda: _asset_address(stored(make_asset(status="stored"))),
    "admin:ingestion_downloadsession_report": lambda: reverse("admin:ingestion_downloadsession_report", args=[make_session().pk, "xlsx"]),
}


def _asset_address(asset: Asset) -> str:
    return reverse("admin:videos_video_asset", args=[asset.video_id, asset.pk])


def place(key: str) -> str:
    """An address that the key leads to, with the row that it needs."""
    if key in PLACES:
        return PLACES[key]
    if key in FILES:
        return FILES[key]()
    model = next((one for one in MODELS if f":{one.replace('.', '_')}_" in key or f"/{one.replace('.', '/')}/" in key), None)
    values = {name: row_of(model).pk for name in re.findall(r"<(?:\w+:)?(\w+)>", ROUTES[key])}
    if key == ROUTES[key]:
        return "/" + key.replace("<path:object_id>", str(values.get("object_id")))
    return reverse(key, kwargs=values)


def stored(row: Any) -> Any:
    """With an object in the storage."""
    file = Path(storages["videos"].path(row.storage_key))
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(b"film")
    return row
