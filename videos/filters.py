"""Filters of the video list. None asks the database for its choices, so a list costs the same with and without them."""

from datetime import timedelta

from django.utils import timezone
from unfold.contrib.filters.admin import DropdownFilter

FIRST_YEAR = 2005
"""YouTube's first video is of April 2005."""


class ErrorKindFilter(DropdownFilter):
    """By kind of error, in the words of the admin's `error_words`; without words there is no filter."""

    title = "what went wrong"
    parameter_name = "error_kind"

    def lookups(self, request, model_admin):
        return list(model_admin.error_words.items())

    def queryset(self, request, queryset):
        return queryset.filter(error_kind=self.value()) if self.value() else queryset


class StoredFilter(DropdownFilter):
    """By how long ago the video was stored."""

    title = "when it was stored"
    parameter_name = "stored"
    spans = {"day": timedelta(days=1), "week": timedelta(days=7), "month": timedelta(days=30)}

    def lookups(self, request, model_admin):
        return [("day", "In the last 24 hours"), ("week", "In the last 7 days"), ("month", "In the last 30 days")]

    def queryset(self, request, queryset):
        span = self.spans.get(self.value())
        return queryset.stored().filter(stored_at__gte=timezone.now() - span) if span else queryset


class UploadYearFilter(DropdownFilter):
    """By the year of the upload, exact or about."""

    title = "year of upload"
    parameter_name = "year"

    def lookups(self, request, model_admin):
        return [(str(year), str(year)) for year in range(timezone.now().year, FIRST_YEAR - 1, -1)]

    def queryset(self, request, queryset):
        known = {value for value, _ in self.lookup_choices}
        return queryset.filter(upload_date__year=int(self.value())) if self.value() in known else queryset
