"""The words of the taxonomy, for every page that shows an error."""

from typing import ClassVar

from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from unfold.decorators import display

from ingestion.errors import KINDS, FleetError, PermanentError, SetupError, TransientError
from videos.admin import WRONG
from videos.cells import NOTHING, kind_label, raw_line
from videos.filters import KindGroup
from videos.models import Video

MEANINGS = {kind.slug: kind.meaning for kind in KINDS.values()}
ADVICE = {kind.slug: kind.advice for kind in KINDS.values()}
HOPELESS = ("removed", "terminated", "payment", "copyright")
"""Permanent kinds that nobody here can do anything about."""
RETRIABLE = tuple(kind.slug for kind in KINDS.values() if issubclass(kind.type, TransientError | FleetError))
"""Another try may succeed with nothing else done."""
FOR_STAFF = tuple(kind.slug for kind in KINDS.values() if issubclass(kind.type, PermanentError | SetupError) and kind.slug not in HOPELESS)
"""Somebody has to ask, correct or decide something first."""
ENDED = (Video.Status.FAILED, Video.Status.UNAVAILABLE)
KIND_GROUPS = {
    "retriable": KindGroup("Failed, can be retried", ENDED, RETRIABLE),
    "person": KindGroup("Needs a person", (*ENDED, Video.Status.PENDING), FOR_STAFF),
}


def errors_page(kind: str = "") -> str:
    """The address of "What errors mean", at the row of a kind."""
    return f"{reverse('errors')}#{kind}" if kind else reverse("errors")


def meaning_with_link(kind: str) -> SafeString | str:
    """What a kind means, and where more stands; a kind of an older release has no row there."""
    if kind not in MEANINGS:
        return NOTHING
    return format_html('{} <a class="text-link underline" href="{}">What errors mean</a>', MEANINGS[kind], errors_page(kind))


class ErrorWords:
    """Columns and fields for a model with `error_kind` and `error_message`; for an admin or an inline."""

    error_words: ClassVar = MEANINGS
    error_advice: ClassVar = ADVICE
    kind_groups: ClassVar = KIND_GROUPS

    @display(description="error")
    def problem(self, row):
        return kind_label(row.error_kind, MEANINGS)

    @display(description="what this means")
    def what_it_means(self, row):
        return meaning_with_link(row.error_kind)

    @display(description="what to do")
    def what_to_do(self, row):
        return ADVICE.get(row.error_kind, NOTHING)

    @display(description="what was said")
    def raw_message(self, row):
        return raw_line(row.error_message)


class ErrorGroup:
    """For the page of a model: what went wrong, when something did, after the first of the class's own groups."""

    def get_fieldsets(self, request, obj=None):
        first, *others = super().get_fieldsets(request, obj)
        return [first, *([WRONG] if obj and obj.error_kind else []), *others]
