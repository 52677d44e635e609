"""Attempts: the audit trail of the work."""

from typing import Any

from django.contrib import admin
from django.template.defaultfilters import truncatechars
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils import timezone
from django.utils.safestring import SafeString
from unfold.contrib.filters.admin import AutocompleteSelectFilter, DropdownFilter
from unfold.decorators import display

from ingestion.admin.kinds import ADVICE, MEANINGS, ErrorGroup, ErrorWords
from ingestion.models import Attempt
from ingestion.uploads import MEDIA, PICTURE, SOUND, State, by_role, way_of
from videos.admin import ReadOnlyAdmin
from videos.cells import NOTHING, clock, label, moment, one_line, size, table
from videos.filters import ErrorKindFilter
from videos.models import Video

MOST_SHOWN = 20
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
        return label(result_words(attempt), COLOURS.get(attempt.outcome, ""))

    @display(description="started")
    def started(self, attempt):
        return moment(attempt.started_at)

    @display(description="ended")
    def finished(self, attempt):
        return moment(attempt.finished_at)

    @display(description="took")
    def took(self, attempt):
        seconds = length_of(attempt)
        return NOTHING if seconds is None else clock(int(seconds))

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


def result_words(attempt: Attempt) -> str:
    return f"{attempt.get_outcome_display().capitalize()}{percent_of(attempt)}"


def percent_of(attempt: Attempt) -> str:
    """` 45 %` of a running attempt whose size is known, else nothing. Wants `select_related("live")`."""
    live = getattr(attempt, "live", None)
    if attempt.outcome or live is None or not live.bytes_total:
        return ""
    return f" {min(100 * live.bytes_done // live.bytes_total, 100)} %"


def timeline(video: Video) -> SafeString | str:
    """The newest attempts at a video: when, where, how it went and at what speed, with what was said folded away."""
    attempts = list(Attempt.objects.filter(video=video).select_related("live").defer("upload").order_by("-id")[: MOST_SHOWN + 1])
    every = f"{reverse('admin:ingestion_attempt_changelist')}?video__id__exact={video.pk}" if len(attempts) > MOST_SHOWN else ""
    context = {"tries": [_told(attempt) for attempt in attempts[:MOST_SHOWN]], "more": every}
    return render_to_string("admin/timeline.html", context) if attempts else "Nobody has tried it yet."


def _told(attempt: Attempt) -> dict[str, Any]:
    is_running = not attempt.outcome
    return {
        "outcome": label(result_words(attempt), COLOURS.get(attempt.outcome, "")),
        "page": reverse("admin:ingestion_attempt_change", args=[attempt.pk]),
        "number": attempt.number,
        "when": moment(attempt.started_at),
        "told": told_in_words(attempt),
        "meaning": "" if is_running else MEANINGS.get(attempt.error_kind, ""),
        "advice": "" if is_running else ADVICE.get(attempt.error_kind, ""),
        "line": attempt.error_message,
    }


def told_in_words(attempt: Attempt) -> str:
    """`On host-1, took 1:05, 300.0 MB at 4.6 MB a second, picture + sound.`; what is not known is left out."""
    seconds = length_of(attempt)
    live = getattr(attempt, "live", None)
    count = attempt.bytes_stored or (live.bytes_done if live and not attempt.outcome else 0)
    words = [f"On {attempt.worker.split(':')[0]}"]
    if seconds is not None:
        words.append(f"{'for' if not attempt.outcome else 'took'} {clock(int(seconds))}")
    if count:
        words.append(f"{size(count)} at {size(int(count / seconds))} a second" if seconds and seconds >= 1 else size(count))
    if attempt.way:
        words.append(WAYS.get(attempt.way, attempt.way).lower())
    return f"{', '.join(words)}."


def length_of(attempt: Attempt) -> float | None:
    """Seconds, up to now of one that runs; None when nobody noted its end."""
    if attempt.finished_at is None and attempt.outcome:
        return None
    return max(((attempt.finished_at or timezone.now()) - attempt.started_at).total_seconds(), 0)


@admin.register(Attempt)
class AttemptAdmin(AttemptWords, ErrorGroup, ReadOnlyAdmin):
    list_display = ("name", "job", "number", "result", "host", "started", "took", "how", "stored", "problem")
    list_select_related = ("video", "session", "live")
    list_filter = (RunningFilter, ErrorKindFilter, WayFilter, ("session", AutocompleteSelectFilter))
    search_fields = ("video",)
    search_help_text = "Words of the video's title (3 letters or more), a person's name, a YouTube id or link"
    fieldsets = (
        (None, {"fields": (("video", "session"), ("result", "number"), ("worker", "how"))}),
        ("When", {"fields": (("started", "finished"), ("took", "stored"))}),
        ("The upload", {"fields": ("begun",), "classes": ("collapse",)}),
    )
    readonly_fields = (
        "result",
        "started",
        "finished",
        "took",
        "how",
        "stored",
        "begun",
        "problem",
        "what_it_means",
        "what_to_do",
        "raw_message",
    )

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
