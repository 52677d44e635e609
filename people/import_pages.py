"""The pages on which staff import a sheet: upload, preview, confirmation, and the sheet of the refused rows."""

from collections.abc import Callable
from functools import partial
from pathlib import PurePath
from typing import Any

from django import forms
from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.core.paginator import Paginator
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.decorators import method_decorator
from django.utils.html import format_html
from django.utils.http import content_disposition_header
from django.views.decorators.http import require_POST, require_safe
from import_export.admin import ImportExportMixin
from import_export.formats.base_formats import JSON
from unfold.contrib.import_export.forms import ExportForm
from unfold.widgets import UnfoldAdminFileFieldWidget

from people.confirmation import import_upload, make_settings_form
from people.enrolment import EnrolmentError
from people.formats import SafeCSV, SafeXLSX, write_refused_rows
from people.import_report import OUTCOMES, Line, SheetReport
from people.models import SheetUpload
from people.resources import PeopleResource
from people.sheets import MAX_BYTES, MAX_ROWS, Sheet, SheetError, read_sheet
from people.sheets.originals import read_originals
from people.sheets.samples import SAMPLES
from people.uploads import UploadGone, find_upload, keep_upload

SHOWN_LINES = 25  # of each group in the preview
PAGE_LINES = 100  # on a page of one group
SHOWN_PROBLEMS = 50  # of the whole file or the settings
UPLOAD, PREVIEW, REFUSED = "admin:people_person_import", "admin:people_person_import_preview", "admin:people_person_import_refused"
ALREADY = "This sheet was imported already; nothing was done a second time."
HEADINGS = {
    "refused": ("Refused", "danger", "These rows are not imported. Correct them in a sheet of their own and import that."),
    "changed": ("Changed", "info", "The channels or their people are known. What differs is taken over: old value → new value."),
    "new": ("New", "success", "These channels are added, and their people where they are not known yet."),
    "unchanged": ("Unchanged", "", "All that these rows say is known. Their channels are looked at for new videos."),
}


class SheetForm(forms.Form):
    """The upload; a file of which nothing can be used is refused here."""

    import_file = forms.FileField(
        label="Sheet",
        help_text=f"CSV, Excel (.xlsx), JSON or plain text; at most {MAX_BYTES // 1024**2} MB and {MAX_ROWS:,} rows.",
        error_messages={"required": "Choose a file."},
        widget=UnfoldAdminFileFieldWidget(attrs={"accept": ".csv,.tsv,.txt,.json,.xlsx"}),
    )

    def clean_import_file(self):
        upload = self.cleaned_data["import_file"]
        if upload.size > MAX_BYTES:
            raise forms.ValidationError(f"The file has more than {MAX_BYTES // 1024**2} MB. Split it.")
        try:
            read_sheet(upload.read(), upload.name)
        except SheetError as exc:
            raise forms.ValidationError(str(exc)) from exc
        upload.seek(0)
        return upload


class SheetPagesMixin(ImportExportMixin):
    """Import and export of sheets for the admin of people, closed to who lacks the permission of its own.

    The export and the links to both are import-export's; the pages of the import are ours.
    """

    resource_classes = [PeopleResource]
    export_formats = [SafeCSV, SafeXLSX, JSON]
    export_form_class = ExportForm
    import_export_change_list_template = "admin/people/person/change_list.html"

    def has_import_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("people.import_person")

    def has_export_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("people.export_person")

    def get_urls(self) -> list[URLPattern]:
        pages = {
            "import/samples/<str:name>": ("sample", self.import_sample),
            "import/<str:pk>/": ("preview", self.import_preview),
            "import/<str:pk>/refused.csv": ("refused", self.import_refused),
            "import/<str:pk>/<str:outcome>/": ("rows", self.import_rows),
        }
        ours = [path(where, self.admin_site.admin_view(view), name=f"people_person_import_{name}") for where, (name, view) in pages.items()]
        return [*ours, *super().get_urls()]

    def import_action(self, request: HttpRequest, **kwargs: Any) -> HttpResponse:
        """The upload; a sheet that can be read is kept, and its preview shown."""
        self._check_import_permission(request)
        form = SheetForm(request.POST, request.FILES) if request.method == "POST" else SheetForm()
        if form.is_valid():
            file = form.cleaned_data["import_file"]
            return redirect(PREVIEW, keep_upload(file.read(), name=file.name, owner=request.user).pk)
        return self._page(request, "import.html", "Import a sheet", form=form, samples=list(SAMPLES))

    @method_decorator(require_safe)
    def import_sample(self, request: HttpRequest, name: str) -> HttpResponse:
        self._check_import_permission(request)
        if name not in SAMPLES:
            raise Http404("There is no such sample.")
        content_type, make = SAMPLES[name]
        return _download(make(), name, content_type)

    @method_decorator(require_safe)
    def import_preview(self, request: HttpRequest, pk: str) -> HttpResponse:
        """What the sheet would do, row by row, and what its session would be told; nothing is written."""
        return self._open(request, pk, self._preview)

    @method_decorator(require_safe)
    def import_rows(self, request: HttpRequest, pk: str, outcome: str) -> HttpResponse:
        """All rows of one group, on as many pages as it takes."""
        if outcome not in OUTCOMES:
            raise Http404("There is no such group.")
        return self._open(request, pk, partial(self._rows, outcome=outcome))

    @method_decorator(require_safe)
    def import_refused(self, request: HttpRequest, pk: str) -> HttpResponse:
        """The refused rows as a sheet, also for a while after the others were imported."""
        return self._open(request, pk, _refused_sheet, is_for_confirmed=True)

    @method_decorator(require_POST)
    def process_import(self, request: HttpRequest, **kwargs: Any) -> HttpResponse:
        """Import the sheet whose preview was confirmed, and start what the site wants started; a second time does nothing."""
        return self._open(request, request.POST.get("upload", ""), self._confirm)

    def _open(
        self, request: HttpRequest, pk: str, show: Callable[[HttpRequest, SheetUpload], HttpResponse], *, is_for_confirmed: bool = False
    ) -> HttpResponse:
        """`show` the upload of whoever asks; without one, or when it was confirmed, say so on the page where staff go on."""
        self._check_import_permission(request)
        try:
            upload = find_upload(pk, owner=request.user)
            if upload.confirmed_at and not (is_for_confirmed and upload.data):
                return self._say_confirmed(request, upload)
            return show(request, upload)
        except (UploadGone, SheetError) as exc:
            messages.error(request, str(exc))
            return redirect(UPLOAD)

    def _check_import_permission(self, request: HttpRequest) -> None:
        if not self.has_import_permission(request):
            raise PermissionDenied

    def _say_confirmed(self, request: HttpRequest, upload: SheetUpload) -> HttpResponse:
        """With the refused rows once more: of a double click only the second answer is seen."""
        messages.info(request, _with_refused(ALREADY, upload, _dry_run(_read(upload))) if upload.data else ALREADY)
        return redirect(upload.page or self._page_without_session(request))

    def _page_without_session(self, request: HttpRequest) -> str:
        return "admin:people_person_changelist" if self.has_view_permission(request) else UPLOAD

    def _preview(self, request: HttpRequest, upload: SheetUpload) -> HttpResponse:
        sheet = _read(upload)
        return self._show(request, upload, sheet, make_settings_form(sheet))

    def _show(self, request: HttpRequest, upload: SheetUpload, sheet: Sheet, form: forms.Form | None) -> HttpResponse:
        report = _dry_run(sheet)
        return self._page(
            request,
            "import_preview.html",
            "Import a sheet",
            upload=upload,
            report=report,
            groups=[_group(outcome, lines, lines[:SHOWN_LINES]) for outcome, lines in report.groups.items() if lines],
            file_problems=_first([problem.message for problem in report.file_problems]),
            settings_form=form,
            complaints=_first(form.complaints if form else []),
            channels=len(report.enrolment.channels),
        )

    def _rows(self, request: HttpRequest, upload: SheetUpload, *, outcome: str) -> HttpResponse:
        lines = _dry_run(_read(upload)).groups[outcome]
        rows_page = Paginator(lines, PAGE_LINES).get_page(request.GET.get("page"))
        group = _group(outcome, lines, rows_page.object_list)
        return self._page(request, "import_rows.html", f"{group['title']} rows", upload=upload, group=group, rows_page=rows_page)

    def _confirm(self, request: HttpRequest, upload: SheetUpload) -> HttpResponse:
        sheet = _read(upload)
        form = make_settings_form(sheet, request.POST)
        if form and not form.is_valid():
            return self._show(request, upload, sheet, form)
        try:
            report, page = import_upload(upload, sheet, form, request.user)
        except EnrolmentError as exc:
            messages.error(request, str(exc))
            return redirect(PREVIEW, upload.pk)
        if report is None:
            upload.refresh_from_db()
            return self._say_confirmed(request, upload)
        (messages.warning if report.problems else messages.success)(request, _imported(upload, report))
        return redirect(page or self._page_without_session(request))

    def _page(self, request: HttpRequest, template: str, title: str, **context: Any) -> HttpResponse:
        request.current_app = self.admin_site.name
        common = {**self.admin_site.each_context(request), "title": title, "media": self.media}  # with opts unfold shows no title
        return TemplateResponse(request, f"admin/people/person/{template}", {**common, **context})


def _read(upload: SheetUpload) -> Sheet:
    return read_sheet(bytes(upload.data), upload.name)


def _dry_run(sheet: Sheet) -> SheetReport:
    return PeopleResource().import_data(sheet, dry_run=True)


def _group(outcome: str, lines: list[Line], shown: list[Line]) -> dict[str, Any]:
    title, colour, help_text = HEADINGS[outcome]
    texts = {"outcome": outcome, "title": title, "colour": colour, "help_text": help_text}
    return {**texts, "count": len(lines), "lines": shown, "hidden": len(lines) - len(shown)}


def _first(sentences: list[str]) -> list[str]:
    """What a page shows of them."""
    more = len(sentences) - SHOWN_PROBLEMS
    return sentences if more <= 0 else [*sentences[:SHOWN_PROBLEMS], f"{more:,} more of the kind."]


def _imported(upload: SheetUpload, report: SheetReport) -> str:
    return _with_refused(f"Imported {upload.name}: {report.summary}.", upload, report)


def _with_refused(sentence: str, upload: SheetUpload, report: SheetReport) -> str:
    if not report.refusals:
        return sentence
    link = '{} <a class="underline" href="{}">Download the refused rows</a>'
    return format_html(link, sentence, reverse(REFUSED, args=[upload.pk]))


def _refused_sheet(request: HttpRequest, upload: SheetUpload) -> HttpResponse:
    sheet = _read(upload)
    refusals = _dry_run(sheet).refusals
    data = write_refused_rows(refusals, read_originals(bytes(upload.data), sheet.format, refusals))
    return _download(data, f"{PurePath(upload.name).stem} refused.csv", "text/csv; charset=utf-8")


def _download(data: bytes, name: str, content_type: str) -> HttpResponse:
    return HttpResponse(data, content_type=content_type, headers={"Content-Disposition": content_disposition_header(True, name)})
