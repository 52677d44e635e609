"""The page of a session: how far it is, which changes by itself; what went wrong; what was asked for."""

from typing import Any

from django.core.exceptions import PermissionDenied
from django.db.models import Case, Value, When
from django.http import HttpRequest, JsonResponse
from django.shortcuts import get_object_or_404
from django.template.loader import render_to_string
from django.urls import path, reverse
from django.utils.safestring import SafeString
from django.views.decorators.http import require_safe
from unfold.decorators import display

from ingestion.admin.archive_pages import list_link, page_link
from ingestion.admin.report_downloads import SessionReport
from ingestion.admin.scans import COLOURS as SCAN_COLOURS
from ingestion.admin.session_words import MOST_COUNTED, MOST_FILES, values_for
from ingestion.models import DownloadSession, Scan
from ingestion.options import Options
from ingestion.progress import session_progress
from ingestion.reports import failures
from videos.cells import NOTHING, kind_words, label, moment, number_of, once, table
from videos.text import counted

MOST_PROBLEMS = 200
MOST_CHANNELS = 20
OF_THE_STATE = ("pause", "resume", "cancel")
OUTDATED = {
    "buttons": "This session was paused, went on or ended since the page was loaded: other buttons belong to it now.",
    "refused": "What went wrong has changed since the page was loaded.",
}
FIRST_FAILED = Case(When(state=Scan.State.FAILED, then=Value(0)), default=Value(1))
ASKED_FOR = ["made_from", "options_in_words", ("made_by", "started")]


class SessionPage(SessionReport):
    """For the admin of sessions. What changes while it works stands above the form (admin/session_progress.html), and comes
    anew from `progress_view`; the form holds what was asked for and the session's own bounds."""

    change_form_outer_before_template = "admin/session_progress.html"
    page_fields = ("made_from", "options_in_words", "made_by", "started", "ended", "what_failed", "channels", "refused_rows")
    bounds = ()

    def get_urls(self):
        view = self.admin_site.admin_view(require_safe(self.progress_view))
        return [path("<int:pk>/progress/", view, name="ingestion_downloadsession_progress"), *super().get_urls()]

    def get_queryset(self, request):
        return super().get_queryset(request).select_related("created_by")

    def get_object(self, request, object_id, from_field=None):
        session = super().get_object(request, object_id, from_field)
        if session:
            session.now = session_progress(session, files=MOST_FILES, asset_kinds=True, most_counted=MOST_COUNTED)
            session.failures = failures(session.now)
            session.unfinished_videos = session.now.unfinished  # what a cancel would give up
        return session

    def get_readonly_fields(self, request, obj=None):
        return [*super().get_readonly_fields(request, obj), *self.page_fields]

    def get_fieldsets(self, request, obj=None):
        """What went wrong is shown when something did, the bounds to those who may change them: the options tell them, too."""
        wrong = [field for field, shown in (("what_failed", obj.failures), ("refused_rows", obj.problems)) if shown]
        parts = [("What went wrong", {"fields": wrong})] if wrong else []
        parts += [("Channels", {"fields": ["channels"]})] if obj.now.scans else []
        parts += [("What was asked for", {"fields": [*ASKED_FOR, *(["ended"] if obj.finished_at else [])]})]
        if self.has_change_permission(request, obj):
            parts += [("Limits of its own", {"fields": self.bounds, "classes": ["collapse"]})]
        return parts

    def render_change_form(self, request, context, add=False, change=False, form_url="", obj=None):
        if obj is not None:
            values = values_for(obj, request.user.has_perm)
            context |= {"live": values, "reports": self.report_links(request, obj)}
            context["live_url"] = "" if values["ended"] else self._live_url(request, obj)
        return super().render_change_form(request, context, add, change, form_url, obj)

    def progress_view(self, request: HttpRequest, pk: int) -> JsonResponse:
        """What the page shows, as it is by now; and whether the page's buttons are still the right ones."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        session = get_object_or_404(DownloadSession.objects.defer("problems"), pk=pk)
        session.now = session_progress(session, files=MOST_FILES, most_counted=MOST_COUNTED)
        values = values_for(session, request.user.has_perm)
        return JsonResponse({**values, "outdated": self._outdated(request, session)})

    def _live_url(self, request: HttpRequest, session: DownloadSession) -> str:
        page = reverse("admin:ingestion_downloadsession_progress", args=[session.pk])
        return f"{page}?buttons={self._names_of_buttons(request, session)}&refused={_refused(session)}"

    def _outdated(self, request: HttpRequest, session: DownloadSession) -> list[dict[str, str]]:
        """A row, if any, on what else of the page is not as it was when it was loaded."""
        now = {"buttons": self._names_of_buttons(request, session), "refused": str(_refused(session))}
        texts = [text for name, text in OUTDATED.items() if request.GET.get(name, "") != now[name]]
        page = reverse("admin:ingestion_downloadsession_change", args=[session.pk])
        return [{"key": "outdated", "text": " ".join(texts), "link": "Load it again", "href": page}] if texts else []

    def _names_of_buttons(self, request: HttpRequest, session: DownloadSession) -> str:
        """Of those that go with the session's state; others come and go with each download, and do nothing where they are late."""
        allowed = self.get_actions(request)
        return ",".join(name for name in self.names_of_page_actions(request, session) if name in allowed and name in OF_THE_STATE)

    @display(description="made by")
    def made_by(self, session):
        return "The schedule" if session.is_rescan else session.created_by or NOTHING

    @display(description="started")
    def started(self, session):
        return moment(session.created_at)

    @display(description="ended")
    def ended(self, session):
        return moment(session.finished_at)

    @display(description="made from")
    def made_from(self, session):
        return session.source

    @display(description="what was asked for")
    def options_in_words(self, session):
        words = Options.of(session.options).in_words()
        return f"{words[:1].upper()}{words[1:]}"

    @display(description="videos, channels and assets")
    def what_failed(self, session):
        """A line for each kind, which unfolds to what it means and what to do."""
        rows = [(_failed(row), row, _videos_of(session, row)) for row in session.failures]
        return render_to_string("admin/failures.html", {"rows": rows})

    @display(description="how they were listed")
    @once
    def channels(self, session):
        total = session.now.scans.total()
        scans = session.scans.select_related("channel").order_by(FIRST_FAILED, "-id")[:MOST_CHANNELS]
        rows = [(page_link(scan, scan.channel), _state(scan), _seen(scan)) for scan in scans]
        every = list_link("ingestion_scan", {"session__id__exact": session.pk}, f"All {number_of(total, 'channel')}")
        return folded(counted(total, "channel"), table(("Channel", "State", "Videos"), rows), every if total > MOST_CHANNELS else "")

    @display(description="rows refused and notes")
    def refused_rows(self, session):
        names = ("source", "row", "value", "message")
        rows = [tuple(problem.get(name) or NOTHING for name in names) for problem in session.problems[:MOST_PROBLEMS]]
        if (more := len(session.problems) - MOST_PROBLEMS) > 0:
            rows.append((NOTHING, NOTHING, NOTHING, f"{more:,} more"))
        return folded(counted(len(session.problems), "row"), table(("Sheet", "Row", "What it says", "Why it was refused"), rows))


def folded(title: str, inner: SafeString, after: SafeString | str = "") -> SafeString:
    """A line that unfolds to what is long."""
    return render_to_string("admin/folded.html", {"title": title, "inner": inner, "after": after})


def _refused(session: DownloadSession) -> int:
    """Videos and channels that the part on what went wrong is about."""
    return sum(session.now.kinds.values()) + session.now.scans["failed"]


def _videos_of(session: DownloadSession, row: dict[str, Any]) -> SafeString | str:
    """A link to those of its own videos."""
    if not row["videos"]:
        return ""
    query = {"session__id__exact": session.pk, "error_kind": row["kind"]}
    return list_link("videos_video", query, f"Show the {counted(row['videos'], 'video')}")


def _failed(row: dict[str, Any]) -> str:
    """`Private: 3 videos, 1 channel`."""
    counts = [(row["videos"] + row["known_before"], "video"), (row["channels"], "channel"), (row["assets"], "asset")]
    return f"{kind_words(row['kind'])}: " + ", ".join(counted(count, noun) for count, noun in counts if count)


def _state(scan: Scan) -> SafeString:
    words = f"{scan.get_state_display()}: {kind_words(scan.error_kind)}" if scan.error_kind else scan.get_state_display()
    return label(words, SCAN_COLOURS.get(scan.state, ""))


def _seen(scan: Scan) -> str:
    """`12 of 20 seen, 5 new, 3 stored before`."""
    words = [f"{scan.seen:,} of {scan.expected:,} seen" if scan.expected else f"{scan.seen:,} seen", f"{scan.new:,} new"]
    words += [f"{scan.already_stored:,} stored before"] if scan.already_stored else []
    words += [f"{sum(scan.left_alone.values()):,} left alone"] if scan.left_alone else []
    return ", ".join(words)
