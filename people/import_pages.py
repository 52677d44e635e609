"""The pages on which staff import a sheet: upload, preview, confirmation."""

from typing import Any

from django import forms
from django.conf import settings
from django.contrib import messages
from django.contrib.admin.models import ADDITION, CHANGE, LogEntry
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils.decorators import method_decorator
from django.utils.module_loading import import_string
from django.views.decorators.http import require_POST
from import_export.admin import ImportExportMixin
from import_export.formats.base_formats import JSON
from unfold.contrib.import_export.forms import ExportForm, ImportForm

from people.enrolment import EnrolmentError, hold_imports
from people.formats import AnySheet, SafeCSV, SafeXLSX
from people.models import Person
from people.resources import PeopleResource, SheetResult
from people.sheets import MAX_BYTES, SheetError, read_sheet
from people.uploads import UploadGone, UploadStorage, seal, unseal


class SheetForm(ImportForm):
    """The upload; a file of which nothing can be used is refused here, good ones carry their `sheet`."""

    def clean_import_file(self):
        upload = self.cleaned_data["import_file"]
        if upload.size > MAX_BYTES:
            raise forms.ValidationError(f"The file has more than {MAX_BYTES // 1024**2} MB. Split it.")
        try:
            upload.sheet = read_sheet(upload.read(), upload.name)
        except SheetError as exc:
            raise forms.ValidationError(str(exc)) from exc
        upload.seek(0)
        return upload


class SheetPagesMixin(ImportExportMixin):
    """Import and export of sheets for the admin of people, closed to who lacks the permission of its own."""

    resource_classes = [PeopleResource]
    import_formats = [AnySheet]
    export_formats = [SafeCSV, SafeXLSX, JSON]
    import_form_class = SheetForm
    export_form_class = ExportForm
    import_template_name = "admin/people/person/import.html"
    tmp_storage_class = UploadStorage

    def has_import_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("people.import_person")

    def has_export_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("people.export_person")

    def get_import_data_kwargs(self, *, form: SheetForm, **kwargs: Any) -> dict[str, Any]:
        return {"sheet": form.cleaned_data["import_file"].sheet}

    def get_confirm_form_kwargs(self, request: HttpRequest, import_form: SheetForm | None = None) -> dict[str, Any]:
        upload = import_form.cleaned_data["import_file"]
        token = seal(upload.tmp_storage_name, source=upload.name, user_id=request.user.pk)
        return {"initial": {"import_file_name": token, "original_file_name": upload.name, "format": "0", "resource": "0"}}

    @method_decorator(require_POST)
    def process_import(self, request: HttpRequest, **kwargs: Any) -> HttpResponse:
        """Import the sheet whose preview was confirmed, and start what the site wants started; a second time does nothing."""
        if not self.has_import_permission(request):
            raise PermissionDenied
        try:
            source, result, page = _import_upload(request)
        except (UploadGone, SheetError, EnrolmentError) as exc:
            messages.error(request, str(exc))
            return redirect("admin:people_person_import")
        _log(request, source, result)
        (messages.warning if result.problems else messages.success)(request, f"Imported {source}: {result.summary}.")
        return redirect(page or "admin:people_person_changelist")


def _import_upload(request: HttpRequest) -> tuple[str, SheetResult, str | None]:
    """Import, start what follows and forget the upload, in one transaction: of two confirmations only one finds it, and
    an error leaves all as it was, to be confirmed again."""
    name, source = unseal(request.POST.get("import_file_name", ""), user_id=request.user.pk)
    upload = UploadStorage(name=name)
    with transaction.atomic():
        hold_imports()
        dataset = AnySheet().create_dataset(upload.read())
        result = PeopleResource().import_data(dataset, file_name=source)
        page = _start(request, source, result)
        upload.remove()
    return source, result, page


def _start(request: HttpRequest, source: str, result: SheetResult) -> str | None:
    """Call what stands in AFTER_ENROLMENT; returns the page it names."""
    path = getattr(settings, "AFTER_ENROLMENT", None)
    if not path:
        return None
    return import_string(path)(
        channels=[channel.pk for channel in result.enrolment.channels],
        source=source,
        problems=[problem.as_dict(source) for problem in result.problems],
        settings=result.sheet.settings,
        user=request.user,
    )


def _log(request: HttpRequest, source: str, result: SheetResult) -> None:
    """An entry in the history of every person the import has made or changed."""
    made, changed = {}, {}
    for outcome in result.enrolment.outcomes:
        if outcome.changes:
            person = outcome.channel.person
            is_new = outcome.changes.get("name", ("known", ""))[0] == ""
            (made if is_new else changed)[person.pk] = person
    for flag, people in ((ADDITION, made), (CHANGE, {pk: person for pk, person in changed.items() if pk not in made})):
        _log_people(request, list(people.values()), flag, source)


def _log_people(request: HttpRequest, people: list[Person], flag: int, source: str) -> None:
    if people:
        LogEntry.objects.log_actions(request.user.pk, people, flag, f"Imported from {source}.", single_object=len(people) == 1)
