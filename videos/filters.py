"""Filters of the video list. None asks the database for its choices, so a list costs the same with and without them.

A filter by a range brings the order of its own index along: in any other order PostgreSQL may read the whole table before it
has met the first rows of the range.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from django.utils import timezone
from unfold.contrib.filters.admin import DropdownFilter

FIRST_YEAR = 2005
"""YouTube's first video is of April 2005."""
MEGABYTE = 1_000_000


class ErrorKindFilter(DropdownFilter):
    """By kind of error, in the words of the admin's `error_words`; without words there is no filter."""

    title = "what went wrong"
    parameter_name = "error_kind"

    def lookups(self, request, model_admin):
        return list(model_admin.error_words.items())

    def queryset(self, request, queryset):
        return queryset.filter(error_kind=self.value()) if self.value() else queryset


@dataclass(frozen=True)
class KindGroup:
    """Videos that ask the same of staff: those of the `kinds` in one of the `statuses`."""

    title: str
    statuses: Sequence[str]
    kinds: Sequence[str]


class KindGroupFilter(DropdownFilter):
    """By what can be done about it, in the groups of the admin's `kind_groups`; without groups there is no filter."""

    title = "what to do about it"
    parameter_name = "todo"

    def __init__(self, request, params, model, model_admin):
        self.groups = model_admin.kind_groups
        super().__init__(request, params, model, model_admin)

    def lookups(self, request, model_admin):
        return [(name, group.title) for name, group in self.groups.items()]

    def queryset(self, request, queryset):
        group = self.groups.get(self.value())
        if not group:
            return queryset
        # said the other way round: no index of statuses serves that, where millions of rows would be read for a few kinds
        others = set(queryset.model.Status.values) - set(group.statuses)
        return queryset.filter(error_kind__in=group.kinds).exclude(status__in=sorted(others))


class SizeFilter(DropdownFilter):
    """By the size of the stored file, the largest first."""

    title = "size of the file"
    parameter_name = "size"
    spans = {"small": (0, 100), "medium": (100, 1000), "large": (1000, 5000), "huge": (5000, None)}  # in millions of bytes

    def lookups(self, request, model_admin):
        return [("small", "Below 100 MB"), ("medium", "100 MB to 1 GB"), ("large", "1 GB to 5 GB"), ("huge", "5 GB and more")]

    def queryset(self, request, queryset):
        if self.value() not in self.spans:
            return queryset
        least, most = self.spans[self.value()]
        found = queryset.stored().filter(file_size__gte=least * MEGABYTE).order_by(*(queryset.query.order_by or ("-file_size", "-id")))
        return found if most is None else found.filter(file_size__lt=most * MEGABYTE)


class StoredFilter(DropdownFilter):
    """By how long ago the video was stored, the last one first."""

    title = "when it was stored"
    parameter_name = "stored"
    spans = {"day": timedelta(days=1), "week": timedelta(days=7), "month": timedelta(days=30)}

    def lookups(self, request, model_admin):
        return [("day", "In the last 24 hours"), ("week", "In the last 7 days"), ("month", "In the last 30 days")]

    def queryset(self, request, queryset):
        span = self.spans.get(self.value())
        return queryset.stored().filter(stored_at__gte=timezone.now() - span).order_by("-stored_at", "-id") if span else queryset


class UploadYearFilter(DropdownFilter):
    """By the year of the upload, exact or about."""

    title = "year of upload"
    parameter_name = "year"

    def lookups(self, request, model_admin):
        return [(str(year), str(year)) for year in range(timezone.now().year, FIRST_YEAR - 1, -1)]

    def queryset(self, request, queryset):
        known = {value for value, _ in self.lookup_choices}
        return queryset.filter(upload_date__year=int(self.value())) if self.value() in known else queryset
