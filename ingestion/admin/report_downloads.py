"""Reports to take away: of chosen videos from their list, of a session from its page.

They change nothing, so nobody is asked to confirm them.
"""

import json
from collections.abc import Generator, Iterator
from typing import Any

from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, StreamingHttpResponse
from django.urls import path, reverse
from django.views.decorators.http import require_safe
from unfold.decorators import action

from ingestion.exports.answers import file_answer, table_answer
from ingestion.exports.videos import COLUMNS, Row, video_rows
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
        """The videos in the words of their list; nothing is read before the first row is asked for."""
        return Table("Videos", list(COLUMNS), self._rows(videos))

    def _rows(self, videos: QuerySet[Video]) -> Iterator[Row]:
        is_paused = Limits.objects.filter(paused=True).exists()

        def in_words(video: Video) -> str:
            video.is_paused_with_all = is_paused
            return self.state_words(video)

        yield from video_rows(videos, in_words)

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
    """For the admin of sessions: the address of a session's report, for those who may see it and what it tells.

    The JSON is what `mass_download --report-file` writes. The CSV holds the videos; the workbook has more sheets.
    """

    def get_urls(self):
        view = self.admin_site.admin_view(require_safe(self.report_view), cacheable=True)
        return [path("<int:pk>/report/<slug:form>/", view, name="ingestion_downloadsession_report"), *super().get_urls()]

    def report_links(self, request: HttpRequest, session: DownloadSession) -> list[tuple[str, str]]:
        """Word and address of each format that the user may take."""
        forms = [(form, word) for form, word in FORMATS.items() if may_take(request, form)]
        return [(word, reverse("admin:ingestion_downloadsession_report", args=[session.pk, form])) for form, word in forms]

    def report_view(self, request: HttpRequest, pk: int, form: str) -> StreamingHttpResponse:
        if form not in FORMATS:
            raise Http404("A report comes as csv, xlsx or json.")
        if not self.has_view_permission(request) or not may_take(request, form):
            raise PermissionDenied
        if not DownloadSession.objects.filter(pk=pk).exists():
            raise Http404("There is no such session.")
        Limits.row()  # made anew if it is gone: a report only reads
        name = f"session-{pk}-report"
        if form == "json":
            return file_answer(_json(pk), form, name)
        table = self.admin_site.get_model_admin(Video).report_table(Video.objects.filter(session=pk))
        return table_answer(table, form, name) if form == "csv" else file_answer(_workbook(pk, table), form, name)


def may_take(request: HttpRequest, form: str) -> bool:
    """Whether the user may see all that a session's report tells in this format: each tells of videos, the JSON of assets."""
    return request.user.has_perms(["videos.view_video", *(["videos.view_asset"] if form == "json" else [])])


def _json(pk: int) -> Generator[bytes, None, None]:
    """The session itself is read with the rest, for the moment of the rest."""
    yield from report_chunks(report_parts(DownloadSession.objects.get(pk=pk)))


def _workbook(pk: int, videos: Table) -> Generator[bytes, None, None]:
    """The whole report: what is told of channels and failures is that of the JSON."""
    parts = report_parts(DownloadSession.objects.get(pk=pk))
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
