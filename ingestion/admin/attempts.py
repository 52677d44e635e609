"""Attempts: the audit trail of the work."""

from django.contrib import admin
from django.template.defaultfilters import truncatechars
from django.utils import timezone
from unfold.contrib.filters.admin import AutocompleteSelectFilter, DropdownFilter
from unfold.decorators import display

from ingestion.admin.kinds import ErrorGroup, ErrorWords
from ingestion.admin.scans import ReadOnlyInline
from ingestion.models import Attempt
from ingestion.uploads import MEDIA, PICTURE, SOUND, State, by_role, way_of
from videos.admin import NOTHING, ReadOnlyAdmin, clock, label, moment, one_line, size, table
from videos.filters import ErrorKindFilter
from videos.models import Video

COLOURS = {
    "": "info",
    "stored": "success",
    "failed": "danger",
    "lost": "danger",
    "unavailable": "warning",
    "refused": "warning",
}
WAYS = {
    "copy": "Copied",
    "mux": "Picture + sound",
    "convert": "Converted",
    "tracks": "Track by track",
    "spool": "Scratch folder",
}

ROLES = {PICTURE: "Picture", SOUND: "Sound", MEDIA: "Video"}


class RunningFilter(DropdownFilter):
    """The outcome; a running attempt has none yet, which a filter by choices cannot ask for."""

    title = "outcome"
    parameter_name = "outcome"

    def lookups(self, request, model_admin):
        return [(value or "running", text.capitalize()) for value, text in Attempt.Outcome.choices]

    def queryset(self, request, queryset):
        value = self.value()
        return queryset.filter(outcome="" if value == "running" else value) if value else queryset


class WayFilter(DropdownFilter):
    title = "way"
    parameter_name = "way"

    def lookups(self, request, model_admin):
        return list(WAYS.items())

    def queryset(self, request, queryset):
        return queryset.filter(way=self.value()) if self.value() else queryset


class AttemptWords(ErrorWords):
    @display(description="outcome")
    def result(self, attempt):
        words = attempt.get_outcome_display().capitalize()
        return label(f"{words}{percent_of(attempt)}", COLOURS.get(attempt.outcome, ""))

    @display(description="started")
    def started(self, attempt):
        return moment(attempt.started_at)

    @display(description="took")
    def took(self, attempt):
        if attempt.finished_at is None and attempt.outcome:
            return NOTHING
        return clock((attempt.finished_at or timezone.now()) - attempt.started_at)

    @display(description="way")
    def how(self, attempt):
        return one_line(WAYS.get(attempt.way, attempt.way) or NOTHING)

    @display(description="stored")
    def stored(self, attempt):
        return size(attempt.bytes_stored or None)


def upload_row(role: str, state: State, way: str) -> tuple[str, ...]:
    """What, way, object, parts and bytes of one upload. Never its id: at Google that is an address to which whoever has it
    may write."""
    done = state.get("stored")
    parts = (state.get("parts") or {}).values()
    count = "all" if done else f"{len(parts):,}"
    return ROLES[role], WAYS.get(way, way), state["key"], count, size(done["size"] if done else sum(part["size"] for part in parts))


def percent_of(attempt: Attempt) -> str:
    """` 45 %` of a running attempt whose size is known, else nothing. Wants `select_related("live")`."""
    live = getattr(attempt, "live", None)
    if attempt.outcome or live is None or not live.bytes_total:
        return ""
    return f" {min(100 * live.bytes_done // live.bytes_total, 100)} %"


class AttemptInline(AttemptWords, ReadOnlyInline):
    """On the page of a video."""

    model = Attempt
    per_page = 10
    fields = ("number", "result", "started", "took", "worker", "how", "stored", "problem", "raw_message")
    readonly_fields = fields

    def get_queryset(self, request):
        return super().get_queryset(request).select_related("live")


@admin.register(Attempt)
class AttemptAdmin(AttemptWords, ErrorGroup, ReadOnlyAdmin):
    list_display = ("name", "job", "number", "result", "host", "started", "took", "how", "stored", "problem")
    list_select_related = ("video", "session", "live")
    list_filter = (RunningFilter, ErrorKindFilter, WayFilter, ("session", AutocompleteSelectFilter))
    search_fields = ("video",)
    search_help_text = "Words of the video's title (3 letters or more), a person's name, a YouTube id or link"
    fieldsets = (
        (None, {"fields": (("video", "session"), ("result", "number"), ("worker", "how"))}),
        ("When", {"fields": (("started", "finished_at"), ("took", "stored"))}),
        ("The upload", {"fields": ("begun",), "classes": ("collapse",)}),
    )
    readonly_fields = ("result", "started", "took", "how", "stored", "begun", "problem", "what_it_means", "what_to_do", "raw_message")

    @display(description="what is remembered")
    def begun(self, attempt):
        if not attempt.upload:
            return NOTHING
        uploads = by_role(attempt.upload) or {MEDIA: attempt.upload}
        rows = [upload_row(role, state, way_of(attempt.upload)) for role, state in uploads.items()]
        return table(["What", "Way", "Object", "Parts stored", "Bytes stored"], rows)

    @display(description="video")
    def name(self, attempt):
        return truncatechars(str(attempt.video), 60)

    @display(description="session")
    def job(self, attempt):
        return one_line(attempt.session or NOTHING)

    @display(description="host")
    def host(self, attempt):
        return attempt.worker.split(":")[0]

    def get_search_results(self, request, queryset, search_term):
        if not search_term.strip():
            return queryset, False
        return queryset.filter(video__in=Video.objects.search(search_term)), False
