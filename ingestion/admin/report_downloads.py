"""Reports to take away: of chosen videos from their list, of a session from its page.

They change nothing, so nobody is asked to confirm them.
"""

import json
from collections.abc import Iterator
from typing import Any, ClassVar

from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, StreamingHttpResponse
from django.shortcuts import get_object_or_404
from django.urls import path, reverse
from django.views.decorators.http import require_safe
from unfold.decorators import action

from ingestion.exports.answers import file_answer, table_answer
from ingestion.exports.videos import COLUMNS, video_rows
from ingestion.exports.workbook import Table, workbook_chunks
from ingestion.models import DownloadSession, Limits
from ingestion.reports import report_chunks, report_parts
from videos.models import Video

DOWNLOADS = ("download_csv", "download_xlsx", "download_json")
FORMATS = {"csv": "CSV", "xlsx": "Excel", "json": "JSON"}
NO_FILTER = {"p", "o", "e", "all"}
PROBLEM_COLUMNS = ("source", "row", "value", "message")


class ReportDownloads:
    """For the admin of videos: those that are chosen, or all that the filters find, as a file."""

    def report_table(self, videos: QuerySet[Video]) -> Table:
        """The videos in the words of their list."""
        is_paused = Limits.row().paused

        def in_words(video: Video) -> str:
            video.is_paused_with_all = is_paused
            return self.state_words(video)

        return Table("Videos", list(COLUMNS), video_rows(videos, in_words))

    def names_of_page_actions(self, request, obj):
        return [name for name in super().names_of_page_actions(request, obj) if name not in DOWNLOADS]

    @action(description="Download as CSV", permissions=["view"])
    def download_csv(self, request, queryset):
        return self._download(request, queryset, "csv")

    @action(description="Download as Excel", permissions=["view"])
    def download_xlsx(self, request, queryset):
        return self._download(request, queryset, "xlsx")

    @action(description="Download as JSON", permissions=["view"])
    def download_json(self, request, queryset):
        return self._download(request, queryset, "json")

    def _download(self, request: HttpRequest, queryset: QuerySet[Video], form: str) -> StreamingHttpResponse:
        return table_answer(self.report_table(queryset), form, f"videos-{_which(request)}")


def _which(request: HttpRequest) -> str:
    """What the file holds, for its name."""
    if request.POST.get("select_across") != "1":
        return "selected"
    return "filtered" if any(value for name, value in request.GET.items() if name not in NO_FILTER) else "all"


class SessionReport:
    """For the admin of sessions: the address of a session's report, for those who may see it and its videos.

    The JSON is what `mass_download --report-file` writes. The CSV holds the videos; the workbook has more sheets.
    """

    report_formats: ClassVar[dict[str, str]] = FORMATS

    def get_urls(self):
        view = self.admin_site.admin_view(require_safe(self.report_view), cacheable=True)
        return [path("<int:pk>/report/<slug:form>/", view, name="ingestion_downloadsession_report"), *super().get_urls()]

    def report_links(self, request: HttpRequest, session: DownloadSession) -> list[tuple[str, str]]:
        """Word and address of each format; none for those who may not see videos."""
        if not may_take_reports(request):
            return []
        return [(word, reverse("admin:ingestion_downloadsession_report", args=[session.pk, form])) for form, word in FORMATS.items()]

    def report_view(self, request: HttpRequest, pk: int, form: str) -> StreamingHttpResponse:
        if not self.has_view_permission(request) or not may_take_reports(request):
            raise PermissionDenied
        if form not in FORMATS:
            raise Http404("A report comes as csv, xlsx or json.")
        session = get_object_or_404(DownloadSession, pk=pk)
        name = f"session-{session.pk}-report"
        if form == "json":
            return file_answer(report_chunks(report_parts(session)), form, name)
        table = self.admin_site.get_model_admin(Video).report_table(session.videos.all())
        if form == "csv":
            return table_answer(table, form, name)
        return file_answer(_workbook(session, table), form, name)


def may_take_reports(request: HttpRequest) -> bool:
    return request.user.has_perm("videos.view_video")


def _workbook(session: DownloadSession, videos: Table) -> Iterator[bytes]:
    """The whole report: what is told of channels and failures is that of the JSON."""
    parts = report_parts(session)
    yield from workbook_chunks(
        [
            Table("Summary", ("what", "number"), [(name.replace("_", " "), count) for name, count in parts["totals"].items()]),
            videos,
            _told("Channels", parts["channels"]),
            _told("What went wrong", parts["failures"]),
            Table("Rows refused and notes", PROBLEM_COLUMNS, ([row.get(name) for name in PROBLEM_COLUMNS] for row in parts["problems"])),
        ]
    )


def _told(title: str, rows: list[dict[str, Any]]) -> Table:
    """A column for each key; what is no text and no number as JSON."""
    header = list(rows[0]) if rows else ["nothing"]
    return Table(title, [name.replace("_", " ") for name in header], ([_flat(row[name]) for name in header] for row in rows))


def _flat(value: Any) -> Any:
    return json.dumps(value, ensure_ascii=False) if isinstance(value, dict | list) else value
