"""Download sessions: how far they are, what went wrong, and what staff may do about it."""

from urllib.parse import urlencode

from django.contrib import admin, messages
from django.db import transaction
from django.template.defaultfilters import truncatechars
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from unfold.contrib.filters.admin import ChoicesDropdownFilter
from unfold.decorators import action, display

from ingestion.admin.scans import ScanInline
from ingestion.admin.tallies import progress_bar, progress_cell, tallies_of
from ingestion.models import DownloadSession
from ingestion.options import Options
from ingestion.progress import session_progress
from ingestion.reports import failures
from videos.admin import NOTHING, PlainChangeList, ReadOnlyAdmin, kind_words, label, moment, number_of, one_line, size, table
from videos.models import Video

State = DownloadSession.State
COLOURS = {"running": "info", "paused": "warning", "finished": "success"}
MOST_PROBLEMS = 200


class SessionChangeList(PlainChangeList):
    """Gives each session of the page its `tally`."""

    def get_results(self, request):
        super().get_results(request)
        tallies = tallies_of([session.pk for session in self.result_list])
        for session in self.result_list:
            session.tally = tallies[session.pk]


@admin.register(DownloadSession)
class DownloadSessionAdmin(ReadOnlyAdmin):
    list_display = ("name", "source_name", "status", "progress", "waiting", "refused", "created_by", "started")
    list_select_related = ("created_by",)
    list_filter = (("state", ChoicesDropdownFilter),)
    list_per_page = 25
    search_fields = ("source",)
    search_help_text = "Name of the sheet, or the channel's address"
    actions = ("pause", "resume", "retry_failed")
    inlines = (ScanInline,)
    readonly_fields = ("status", "options_in_words", "bar", "counts", "running", "what_failed", "refused_rows")

    def get_changelist(self, request, **kwargs):
        return SessionChangeList

    def get_fieldsets(self, request, obj=None):
        """What went wrong is shown when something did."""
        wrong = tuple(field for field, shown in (("what_failed", obj.failures), ("refused_rows", obj.problems)) if shown)
        return [
            (None, {"fields": (("status", "state_reason"), ("source", "options_in_words"), ("created_by", "created_at"), "finished_at")}),
            ("How far it is", {"fields": ("bar", "counts", *(["running"] if obj.now.running else []))}),
            *([("What went wrong", {"fields": wrong})] if wrong else []),
        ]

    def get_object(self, request, object_id, from_field=None):
        session = super().get_object(request, object_id, from_field)
        if session:
            session.now = session_progress(session)
            session.failures = failures(session, session.now)
        return session

    def has_retry_videos_permission(self, request):
        return self.has_change_permission(request) and request.user.has_perm("videos.change_video")

    @action(description="Pause: start nothing new", permissions=["change"])
    def pause(self, request, queryset):
        selected = queryset.count()
        changed = queryset.filter(state=State.RUNNING).update(state=State.PAUSED, state_reason=f"Paused by {request.user}.")
        left = ("it was not running", "they were not running")
        self.say_counts(request, selected=selected, changed=changed, done="paused", left=left)

    @action(description="Resume: go on with paused ones", permissions=["change"])
    def resume(self, request, queryset):
        selected = queryset.count()
        changed = queryset.filter(state=State.PAUSED).update(state=State.RUNNING, state_reason="")
        left = ("it was not paused", "they were not paused")
        self.say_counts(request, selected=selected, changed=changed, done="will go on", left=left)

    @action(description="Retry failed videos", permissions=["retry_videos"])
    def retry_failed(self, request, queryset):
        with transaction.atomic():
            failed = Video.objects.filter(session__in=queryset.order_by().values("pk"), status=Video.Status.FAILED)
            sessions = list(failed.order_by().values_list("session", flat=True).distinct())
            videos = failed.retry()
            DownloadSession.objects.filter(pk__in=sessions, state=State.FINISHED).update(state=State.RUNNING, finished_at=None)
        sentence = f"{number_of(videos, 'video')} of {number_of(len(sessions), 'session')} will be tried again."
        self.message_user(request, sentence if videos else "No video failed in them.", messages.SUCCESS if videos else messages.WARNING)

    @display(description="session")
    def name(self, session):
        return one_line(session)

    @display(description="made from")
    def source_name(self, session):
        return truncatechars(session.source, 50)

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

    @display(description="options")
    def options_in_words(self, session):
        return Options.of(session.options).in_words().capitalize()

    @display(description="progress")
    def bar(self, session):
        return progress_bar(session.now.videos)

    @display(description="videos")
    def counts(self, session):
        rows = [(_videos_link(session, *choice), count) for choice in Video.Status.choices if (count := session.now.videos[choice[0]])]
        rows += [("Bytes stored", size(session.now.bytes_stored))] if session.now.bytes_stored else []
        rows += [("Stored in an older session", session.now.already_stored)] if session.now.already_stored else []
        rows += [("Left alone, as in an older session", session.now.left_alone.total())] if session.now.left_alone else []
        return table(("Videos", "Number"), rows) if rows else NOTHING

    @display(description="downloading now")
    def running(self, session):
        rows = [(video_link(one.video_id, one.title), *_how_far(one.bytes_done, one.bytes_total)) for one in session.now.running]
        return table(("Video", "Done", "Of"), rows)

    @display(description="videos and channels")
    def what_failed(self, session):
        rows = [
            (kind_words(row["kind"]), row["videos"] + row["known_before"], row["channels"], row["meaning"], row["advice"])
            for row in session.failures
        ]
        return table(("Error", "Videos", "Channels", "What this means", "What to do"), rows)

    @display(description="rows refused and notes")
    def refused_rows(self, session):
        names = ("source", "row", "value", "message")
        rows = [tuple(problem.get(name) or NOTHING for name in names) for problem in session.problems[:MOST_PROBLEMS]]
        if (more := len(session.problems) - MOST_PROBLEMS) > 0:
            rows.append((NOTHING, NOTHING, NOTHING, f"{more:,} more"))
        return table(("Sheet", "Row", "What it says", "Why it was refused"), rows)


def state_label(session: DownloadSession) -> SafeString:
    return label(session.get_state_display(), COLOURS.get(session.state, ""), title=session.state_reason)


def _videos_link(session: DownloadSession, status: str, text: str) -> SafeString:
    query = urlencode({"session__id__exact": session.pk, "status__exact": status})
    return format_html('<a class="text-link" href="{}?{}">{}</a>', reverse("admin:videos_video_changelist"), query, text)


def video_link(pk: int, title: str) -> SafeString:
    return format_html('<a class="text-link" href="{}">{}</a>', reverse("admin:videos_video_change", args=[pk]), truncatechars(title, 60))


def _how_far(done: int, total: int | None) -> tuple[str, str]:
    percent = f"{min(100 * done // total, 100)} %" if total else size(done)
    return percent, size(total)
