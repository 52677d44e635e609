"""Download sessions: how far they are, what went wrong, and what staff may do about it."""

from collections import Counter
from typing import ClassVar
from urllib.parse import urlencode

from django import forms
from django.contrib import admin, messages
from django.db import transaction
from django.template.defaultfilters import truncatechars
from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString
from unfold.admin import ModelAdmin
from unfold.contrib.filters.admin import ChoicesDropdownFilter, DropdownFilter
from unfold.decorators import action, display
from unfold.widgets import UnfoldAdminIntegerFieldWidget

from ingestion.admin.offers import idle_for_session
from ingestion.admin.scans import ScanInline
from ingestion.admin.steering import SteeringActions
from ingestion.admin.tallies import progress_bar, progress_cell, tallies_of
from ingestion.models import DownloadSession
from ingestion.options import CONTAINERS, Options
from ingestion.progress import session_progress
from ingestion.reports import failures
from ingestion.roster import live_supervisors
from ingestion.steering import Sessions
from videos.admin import PlainChangeList, ReadOnlyAdmin
from videos.cells import NOTHING, kind_words, label, moment, number_of, once, one_line, size, table, video_link
from videos.models import Asset, Video
from videos.text import counted

State = DownloadSession.State
COLOURS = {"running": "info", "paused": "warning", "finished": "success"}
MOST_PROBLEMS = 200
MOST_FILES = 10_000
LARGEST_BOUND = 1_000_000


class MadeByFilter(DropdownFilter):
    title = "made by"
    parameter_name = "made_by"

    def lookups(self, request, model_admin):
        return [("staff", "Staff"), ("schedule", "The schedule")]

    def queryset(self, request, queryset):
        return queryset.filter(is_rescan=self.value() == "schedule") if self.value() else queryset


def _bound(name: str, help_text: str) -> forms.IntegerField:
    return forms.IntegerField(
        label=name, help_text=help_text, required=False, min_value=1, max_value=LARGEST_BOUND, widget=UnfoldAdminIntegerFieldWidget
    )


class SessionBoundsForm(forms.ModelForm):
    """The session's own bounds, which stand in the JSON of its options. Blank is no bound of its own."""

    max_concurrent = _bound("Videos at the same time", "Of this session, all its channels together. Blank: as the limits say.")
    max_concurrent_channels = _bound("Channels at the same time", "That this session downloads from. Blank: as the limits say.")
    max_concurrent_per_channel = _bound("Videos of one channel at the same time", "Of this session. Blank: as channel and limits say.")
    max_attempts = _bound("Attempts", "At a video before it counts as failed. Blank: as the limits say.")

    class Meta:
        model = DownloadSession
        fields = ()

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.initial |= {name: self.instance.options.get(name) for name in self.base_fields}


BOUNDS = (("max_concurrent", "max_concurrent_channels"), ("max_concurrent_per_channel", "max_attempts"))


class SessionChangeList(PlainChangeList):
    """Gives each session of the page its `tally`."""

    def get_results(self, request):
        super().get_results(request)
        tallies = tallies_of([session.pk for session in self.result_list])
        for session in self.result_list:
            session.tally = tallies[session.pk]


@admin.register(DownloadSession)
class DownloadSessionAdmin(SteeringActions, ReadOnlyAdmin):
    form = SessionBoundsForm
    list_display = ("name", "source_name", "status", "progress", "waiting", "refused", "made_by", "started")
    list_select_related = ("created_by",)
    list_filter = (("state", ChoicesDropdownFilter), MadeByFilter)
    list_per_page = 25
    search_fields = ("source",)
    search_help_text = "Name of the sheet, or the channel's address"
    actions = ("pause", "pause_now", "resume", "cancel", "cancel_now", "retry_failed", "retry_assets")
    left_alone: ClassVar = {
        "pause": ("it was not running", "they were not running"),
        "resume": ("it was neither paused nor cancelled", "they were neither paused nor cancelled"),
        "cancel": ("it was over already", "they were over already"),
    }
    inlines = (ScanInline,)
    readonly_fields = (
        *("status", "why", "made_from", "options_in_words", "made_by", "started", "ended"),
        *("bar", "held", "counts", "files", "beside", "running", "what_failed", "refused_rows"),
    )

    def get_changelist(self, request, **kwargs):
        return SessionChangeList

    def get_fieldsets(self, request, obj=None):
        """What went wrong is shown when something did, the bounds to those who may change them: the options tell them, too."""
        wrong = tuple(field for field, shown in (("what_failed", obj.failures), ("refused_rows", obj.problems)) if shown)
        parts = {
            "held": obj.held,
            "counts": True,
            "files": obj.now.videos["stored"],
            "beside": obj.now.assets.total(),
            "running": obj.now.running,
        }
        first = [("status", "why"), ("made_from", "options_in_words"), ("made_by", "started")]
        return [
            (None, {"fields": [*first, *(["ended"] if obj.finished_at else [])]}),
            ("How far it is", {"fields": ["bar", *(name for name, shown in parts.items() if shown)]}),
            *([("What went wrong", {"fields": wrong})] if wrong else []),
            *([("Limits of its own", {"fields": BOUNDS})] if self.has_change_permission(request, obj) else []),
        ]

    def get_object(self, request, object_id, from_field=None):
        session = super().get_object(request, object_id, from_field)
        if session:
            session.now = session_progress(session)
            session.failures = failures(session, session.now)
            session.held = held_by(session)
            session.cancelled_assets = sum(row["assets"] for row in session.failures if row["kind"] == "cancelled")
        return session

    def has_change_permission(self, request, obj=None):
        """Of a session its own bounds can be edited."""
        return ModelAdmin.has_change_permission(self, request, obj)

    def save_model(self, request, obj, form, change):
        """Writes the changed bounds into the options as they are by now: sessions go on while a page is open."""
        changed = {name: form.cleaned_data[name] for name in form.changed_data}
        with transaction.atomic():
            session = DownloadSession.objects.filter(pk=obj.pk)
            options = session.select_for_update().values_list("options", flat=True).get()
            session.update(options={**options, **changed})

    def scope(self, queryset):
        return Sessions(DownloadSession.objects.filter(pk__in=list(queryset.values_list("pk", flat=True))))

    def names_of_page_actions(self, request, obj):
        idle = idle_for_session(obj)
        return [name for name in super().names_of_page_actions(request, obj) if name not in idle]

    def resumable(self, queryset):
        return queryset.filter(state__in=[State.PAUSED, State.CANCELLED])

    def cancellable(self, queryset):
        return queryset.filter(state__in=[State.RUNNING, State.PAUSED])

    @action(description="Resume: bring back what was cancelled, too", permissions=["change"])
    def resume(self, request, queryset):
        super().resume(request, queryset)

    @action(description="Retry failed videos", permissions=["change_videos"])
    def retry_failed(self, request, queryset):
        self._retry(request, queryset, Video, "video")

    @action(description="Retry assets: only what failed beside the videos", permissions=["change_videos"])
    def retry_assets(self, request, queryset):
        self._retry(request, queryset, Asset, "asset")

    def _retry(self, request, queryset, model: type[Video] | type[Asset], noun: str) -> None:
        """What failed of the sessions; those that were over go on."""
        with transaction.atomic():
            failed = model.objects.filter(session__in=queryset.order_by().values("pk"), status=model.Status.FAILED)
            sessions = list(failed.order_by().values_list("session", flat=True).distinct())
            tried = failed.retry()
            DownloadSession.objects.filter(pk__in=sessions, state=State.FINISHED).update(state=State.RUNNING, finished_at=None)
        sentence = f"{number_of(tried, noun)} of {number_of(len(sessions), 'session')} will be tried again."
        self.message_user(request, sentence if tried else f"No {noun} failed in them.", messages.SUCCESS if tried else messages.WARNING)

    @display(description="session")
    def name(self, session):
        return one_line(session)

    @display(description="made from")
    def source_name(self, session):
        return truncatechars(session.source, 50)

    @display(description="made by")
    def made_by(self, session):
        return "The schedule" if session.is_rescan else session.created_by or NOTHING

    @display(description="started")
    def started(self, session):
        return moment(session.created_at)

    @display(description="state")
    def status(self, session):
        return state_label(session)

    @display(description="stored")
    def progress(self, session):
        return progress_cell(session.tally)

    @display(description="waiting")
    def waiting(self, session):
        return f"{session.tally.waiting:,}"

    @display(description="not stored")
    def refused(self, session):
        return session.tally.refused_in_words()

    @display(description="ended")
    def ended(self, session):
        return moment(session.finished_at)

    @display(description="made from")
    def made_from(self, session):
        return session.source

    @display(description="why")
    def why(self, session):
        return session.state_reason or NOTHING

    @display(description="what was asked for")
    def options_in_words(self, session):
        words = Options.of(session.options).in_words()
        return f"{words[:1].upper()}{words[1:]}"

    @display(description="progress")
    def bar(self, session):
        return progress_bar(session.now.videos)

    @display(description="what it waits for")
    def held(self, session):
        return session.held

    @display(description="videos")
    def counts(self, session):
        numbers = ((choice, session.now.videos[choice[0]]) for choice in Video.Status.choices)
        rows = [(_videos_link(session, *choice), f"{count:,}") for choice, count in numbers if count]
        rows += [("Size of the stored files", size(session.now.bytes_stored))] if session.now.bytes_stored else []
        rows += [("Stored in an older session", session.now.already_stored)] if session.now.already_stored else []
        rows += [("Left alone, as in an older session", session.now.left_alone.total())] if session.now.left_alone else []
        return table(("Videos", "Number"), rows) if rows else NOTHING

    @display(description="kinds of files")
    @once
    def files(self, session):
        return files_in_words(session)

    @display(description="beside the videos")
    def beside(self, session):
        return table(("Information, pictures, subtitles", "Number"), asset_rows(session))

    @display(description="downloading now")
    def running(self, session):
        rows = [(video_link(one.video_id, one.title), *_how_far(one.bytes_done, one.bytes_total)) for one in session.now.running]
        return table(("Video", "Done", "Of"), rows)

    @display(description="videos, channels and assets")
    def what_failed(self, session):
        rows = [
            (kind_words(row["kind"]), row["videos"] + row["known_before"], row["channels"], row["assets"], row["meaning"], row["advice"])
            for row in session.failures
        ]
        return table(("Error", "Videos", "Channels", "Assets", "What this means", "What to do"), rows)

    @display(description="rows refused and notes")
    def refused_rows(self, session):
        names = ("source", "row", "value", "message")
        rows = [tuple(problem.get(name) or NOTHING for name in names) for problem in session.problems[:MOST_PROBLEMS]]
        if (more := len(session.problems) - MOST_PROBLEMS) > 0:
            rows.append((NOTHING, NOTHING, NOTHING, f"{more:,} more"))
        return table(("Sheet", "Row", "What it says", "Why it was refused"), rows)


def files_in_words(session: DownloadSession) -> str:
    """`12 mp4, 1 mkv`, whatever was asked for; where another kind was, the reason."""
    stored = session.videos.filter(status=Video.Status.STORED).order_by().values("container")[:MOST_FILES]
    kinds = Counter(row["container"] or "unknown" for row in stored)
    words = ", ".join(f"{count:,} {kind}" for kind, count in kinds.most_common())
    words += f" (of the first {MOST_FILES:,} looked at)" if kinds.total() >= MOST_FILES else ""
    choice = Options.of(session.options).choice
    wish = choice.container
    others = sum(count for kind, count in kinds.items() if kind not in (wish, "unknown"))
    if not others or (choice.quality == "audio" and wish in CONTAINERS):  # sound alone comes as what it is
        return f"{words}."
    return f"{words}. Asked for was {wish}: what YouTube offered of {counted(others, 'video')} fits into another kind of file only."


def asset_rows(session: DownloadSession) -> list[tuple[str, str]]:
    """In words and numbers, those that somebody has at this moment apart."""
    now = session.now
    numbers = {
        "Stored": now.assets["stored"],
        "In work": now.assets_in_work,
        "Waiting": now.assets["pending"] - now.assets_in_work,
        "YouTube has none": now.assets["absent"],
        "Cancelled": session.cancelled_assets,
        "Failed": now.assets["failed"] - session.cancelled_assets,
    }
    return [(words, f"{count:,}") for words, count in numbers.items() if count > 0]


def held_by(session: DownloadSession) -> str:
    """Why what waits of a session is not begun, beside its own state; "" when nothing of the kind holds it."""
    now = session.now
    if now.is_over:
        return ""
    reasons = [now.hold.in_words()] if now.hold and now.videos["pending"] else []
    if now.closed_until:
        until = timezone.localtime(now.closed_until)
        reasons.append(f"No request to YouTube before {until:%a %d %b %H:%M} ({kind_words(now.requests.kind)}).")
    reasons += [f"{counted(count, 'video')} held back: {reason}." for reason, count in now.held_videos.items()]
    reasons += [f"{counted(count, 'channel')} not listed: {reason}." for reason, count in now.held_scans.items()]
    if not reasons and session.state == State.RUNNING:
        reasons = _waits_by_itself(session)
    return " ".join(reasons)


def _waits_by_itself(session: DownloadSession) -> list[str]:
    """Nothing holds it back: either its time has not come, or nobody is there to take it up."""
    now = timezone.now()
    if session.now.videos["downloading"] or session.now.scans["running"] or session.now.assets_in_work:
        return []
    if not live_supervisors().exists():
        return ["No worker is running: nobody takes it up before one is started."]
    if session.now.waits_beyond(now) and session.now.next_due_at:
        first = timezone.localtime(session.now.next_due_at)
        return [f"What is left is tried again from {first:%a %d %b %H:%M} on; Resume tries it now, as far as YouTube gives it."]
    return []


def state_label(session: DownloadSession) -> SafeString:
    return label(session.get_state_display(), COLOURS.get(session.state, ""), title=session.state_reason)


def _videos_link(session: DownloadSession, status: str, text: str) -> SafeString:
    query = urlencode({"session__id__exact": session.pk, "status__exact": status})
    return format_html('<a class="text-link" href="{}?{}">{}</a>', reverse("admin:videos_video_changelist"), query, text)


def _how_far(done: int, total: int | None) -> tuple[str, str]:
    percent = f"{min(100 * done // total, 100)} %" if total else size(done)
    return percent, size(total)
