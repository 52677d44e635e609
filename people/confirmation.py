"""The import of a sheet whose preview was confirmed, and what follows from it."""

from collections.abc import Iterable
from typing import Any

from django import forms
from django.conf import settings
from django.contrib.admin.models import ADDITION, CHANGE
from django.contrib.auth.models import AbstractBaseUser
from django.contrib.contenttypes.models import ContentType
from django.db import connection, transaction
from django.utils.module_loading import import_string

from people.import_report import SheetReport
from people.models import Person, SheetUpload
from people.resources import PeopleResource
from people.sheets import Problem, Sheet
from people.uploads import claim_upload, close_upload


def make_settings_form(sheet: Sheet, data: Any = None) -> forms.Form | None:
    """The form named by SHEET_SETTINGS_FORM, about what the sheet tells its session; None when the site has none.

    It is made of (data, said=the sheet's settings). Beside what forms have, it lists in `complaints` what of these settings
    cannot be used, gives its fields in `groups` of (title, fields), tells itself `in_words`, and once it is valid has in
    `settings` what AFTER_ENROLMENT gets.
    """
    name = getattr(settings, "SHEET_SETTINGS_FORM", None)
    return import_string(name)(data, said=sheet.settings) if name else None


def import_upload(
    upload: SheetUpload, sheet: Sheet, form: forms.Form | None, user: AbstractBaseUser
) -> tuple[SheetReport | None, str | None]:
    """Import, start what follows and close the upload, in one transaction. Returns what was done and the page it led to.

    Of two confirmations one gets (None, None). Raises `EnrolmentError`; then all is as it was, to be confirmed again.
    """
    with transaction.atomic():
        if not claim_upload(upload):
            return None, None
        report = PeopleResource().import_data(sheet)
        page = _start(upload.name, report, form, user)
        _log(upload.name, report, user)
        close_upload(upload, page=page or "", keeps_data=bool(report.refusals))
    return report, page


def _start(source: str, report: SheetReport, form: forms.Form | None, user: AbstractBaseUser) -> str | None:
    """Call what stands in AFTER_ENROLMENT; returns the page it names."""
    name = getattr(settings, "AFTER_ENROLMENT", None)
    if not name:
        return None
    complaints = [Problem(None, "", sentence, is_note=True) for sentence in (form.complaints if form else [])]
    return import_string(name)(
        channels=[channel.pk for channel in report.enrolment.channels],
        source=source,
        problems=[problem.as_dict(source) for problem in [*complaints, *report.problems]],
        settings=form.settings if form else report.sheet.settings,
        user=user,
    )


def _log(source: str, report: SheetReport, user: AbstractBaseUser) -> None:
    """An entry in the history of every person the import has made or changed."""
    made, changed = {}, {}
    for outcome in report.enrolment.outcomes:
        if outcome.changes:
            person = outcome.channel.person
            is_new = outcome.changes.get("name", ("known", ""))[0] == ""
            (made if is_new else changed)[person.pk] = person
    _log_people(made.values(), ADDITION, source, user)
    _log_people((person for pk, person in changed.items() if pk not in made), CHANGE, source, user)


def _log_people(people: Iterable[Person], flag: int, source: str, user: AbstractBaseUser) -> None:
    """One INSERT for all, however many they are."""
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO django_admin_log"
            " (action_time, user_id, content_type_id, object_id, object_repr, action_flag, change_message)"
            " SELECT now(), %s, %s, id, name, %s, %s FROM people_person WHERE id = ANY(%s) ORDER BY id",
            [user.pk, ContentType.objects.get_for_model(Person).pk, flag, f"Imported from {source}.", [person.pk for person in people]],
        )
