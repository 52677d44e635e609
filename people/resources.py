"""Import-export over sheets and enrolment: the preview and the import are the same code, and so are export and import columns."""

from typing import Any

import tablib
from django.db.models import QuerySet
from import_export.fields import Field
from import_export.resources import Resource

from people.enrolment import PERSON_FIELDS, enrol
from people.import_report import SheetReport
from people.models import Person
from people.sheets import Sheet
from people.sheets.sheet import clean_text

COLUMNS = ("row_id", "name", "email", "type", "channel", "link", "notes")


class PeopleResource(Resource):
    """People with their channels, a row for each channel, in the columns of a sheet."""

    row_id = Field(column_name="row_id")
    name = Field(column_name="name")
    email = Field(column_name="email")
    type = Field(column_name="type")
    channel = Field(column_name="channel")
    link = Field(column_name="link")
    notes = Field(column_name="notes")

    @classmethod
    def get_display_name(cls) -> str:
        return "People and channels"

    def import_data(self, dataset: Sheet, dry_run: bool = False, **kwargs: Any) -> SheetReport:
        """Enrol the rows of a sheet that has been read. Raises `EnrolmentError`."""
        return SheetReport(dataset, enrol(dataset.rows, dry_run=dry_run))

    def export(self, queryset: QuerySet[Person] | None = None, **kwargs: Any) -> tablib.Dataset:
        """A row for each channel of the people, and one with a blank channel for who has none."""
        dataset = tablib.Dataset(headers=list(COLUMNS), title="people")
        people = Person.objects.all() if queryset is None else queryset
        for person in people.prefetch_related("channels").iterator(chunk_size=2000):
            values = {column: clean_text(getattr(person, name)) for column, name in PERSON_FIELDS.items()}
            for url in [channel.canonical_url for channel in person.channels.all()] or [""]:
                dataset.append([{**values, "channel": url}[column] for column in COLUMNS])
        return dataset
