"""The page "What errors mean": the taxonomy of `ingestion.handbook`, with what has each kind at this moment."""

from collections.abc import Iterator
from typing import Any

from django.contrib import admin
from django.contrib.auth.models import AbstractBaseUser
from django.db.models import Count
from django.http import HttpRequest
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from ingestion.errors import KINDS, TREATMENTS, Kind
from ingestion.handbook import INTRODUCTION, KIND_HEADERS, TREATMENT_HEADERS, kind_row, treatment_row
from ingestion.models import Attempt, Scan
from ingestion.unknowns import NEWEST, UnknownGroup, frequent_unknown_scans, frequent_unknowns
from videos.cells import kind_label, table
from videos.models import Video


def show_errors(request: HttpRequest) -> TemplateResponse:
    """For whoever may enter the admin; the numbers and the raw lines for those who may see the rows they come from."""
    context = {
        **admin.site.each_context(request),
        "title": "What errors mean",
        "introduction": INTRODUCTION,
        "treatments": table(TREATMENT_HEADERS, map(treatment_row, TREATMENTS.values())),
        "kinds": _kinds(request.user),
        "unknowns": list(_unknowns(request.user)),
        "newest": f"{NEWEST:,}",
    }
    return TemplateResponse(request, "admin/errors.html", context)


def _kinds(user: AbstractBaseUser) -> SafeString:
    if not user.has_perm("videos.view_video"):
        return table(KIND_HEADERS, [_cells(kind) for kind in KINDS.values()])
    counts = videos_by_kind()
    return table((*KIND_HEADERS, "videos"), [(*_cells(kind), _videos(kind, counts)) for kind in KINDS.values()])


def videos_by_kind() -> dict[str, int]:
    """How many videos have each kind now, read from the partial index on it."""
    rows = Video.objects.filter(error_kind__gt="").order_by().values_list("error_kind").annotate(Count("pk"))
    return dict(rows)


def _cells(kind: Kind) -> tuple[Any, ...]:
    """As in the documentation, the slug as the label that stands everywhere else in the admin."""
    slug, *others = kind_row(kind)
    return format_html('<span id="{}" class="massdl-anchor">{}</span>', slug, kind_label(slug, {slug: slug})), *others


def _videos(kind: Kind, counts: dict[str, int]) -> SafeString | str:
    count = counts.get(kind.slug, 0)
    if not count:
        return "0"
    page = f"{reverse('admin:videos_video_changelist')}?error_kind={kind.slug}"
    return format_html('<a class="text-link" href="{}">{}</a>', page, f"{count:,}")


def _unknowns(user: AbstractBaseUser) -> Iterator[tuple[str, SafeString]]:
    """The most frequent unknown faults of attempts and of scans, as far as there are any and the user may see them."""
    for noun, model, frequent in (("attempts", Attempt, frequent_unknowns), ("scans", Scan, frequent_unknown_scans)):
        if user.has_perm(f"ingestion.view_{model._meta.model_name}") and (groups := frequent()):
            page = f"admin:ingestion_{model._meta.model_name}_change"
            yield noun, table(("fault", noun, "newest raw line"), [_unknown(group, page) for group in groups])


def _unknown(group: UnknownGroup, page: str) -> tuple[Any, ...]:
    newest = format_html('<a class="text-link" href="{}">{}</a>', reverse(page, args=[group.newest]), group.newest_line)
    return group.fault, f"{group.count:,}", newest
