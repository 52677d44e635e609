"""Import-export over sheets and enrolment: the preview and the import are the same code, and so are export and import columns."""

from collections.abc import Iterable
from itertools import islice
from typing import Any

import tablib
from django.db.models import QuerySet
from import_export.fields import Field
from import_export.resources import Resource
from import_export.results import Result, RowResult

from people.enrolment import PERSON_FIELDS, Enrolment, RowOutcome, enrol
from people.formats import SheetDataset
from people.models import Person
from people.sheets import Problem, Sheet
from people.sheets.sheet import clean_text

SHOWN = 500
COLUMNS = ("row_id", "name", "email", "type", "channel", "link", "notes")
IMPORT_TYPES = {
    "new": RowResult.IMPORT_TYPE_NEW,
    "changed": RowResult.IMPORT_TYPE_UPDATE,
    "unchanged": RowResult.IMPORT_TYPE_SKIP,
    "refused": RowResult.IMPORT_TYPE_INVALID,
}


class SheetResult(Result):
    """What a sheet did or would do. Refused rows are no errors to import-export, or one of them would stop all others."""

    def __init__(self, sheet: Sheet, enrolment: Enrolment):
        super().__init__()
        self.sheet = sheet
        self.enrolment = enrolment
        self.problems: list[Problem] = sorted(
            [*sheet.problems, *enrolment.problems], key=lambda problem: (problem.row is not None, problem.row or 0)
        )
        for outcome in enrolment.outcomes:
            row = _row_result(outcome)
            self.append_row_result(row)
            self.increment_row_result_total(row)
        self.total_rows = len(self.rows)

    @property
    def summary(self) -> str:
        """One line: 3 new, 1 changed, 0 unchanged, 2 not imported."""
        counts = self.enrolment.counts
        return f"{counts['new']} new, {counts['changed']} changed, {counts['unchanged']} unchanged, {self.refused} not imported"

    @property
    def refused(self) -> int:
        """Problems that concern a row, whoever found them."""
        return sum(problem.row is not None for problem in self.problems)

    @property
    def shown_problems(self) -> list[Problem]:
        return self.problems[:SHOWN]

    @property
    def shown_outcomes(self) -> list[RowOutcome]:
        return list(islice(self._good(), SHOWN))

    @property
    def hidden(self) -> int:
        """How many good rows and problems a page leaves out."""
        return max(0, len(self.problems) - SHOWN) + max(0, sum(1 for _ in self._good()) - SHOWN)

    def _good(self) -> Iterable[RowOutcome]:
        return (outcome for outcome in self.enrolment.outcomes if outcome.outcome != "refused")


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

    def import_data(
        self, dataset: SheetDataset, dry_run: bool = False, *, file_name: str = "", sheet: Sheet | None = None, **kwargs: Any
    ) -> SheetResult:
        """Enrol the rows; `sheet` is given when the dataset has been read already. Raises `SheetError`, `EnrolmentError`."""
        sheet = sheet or dataset.read(file_name)
        return SheetResult(sheet, enrol(sheet.rows, dry_run=dry_run))

    def export(self, queryset: QuerySet[Person] | None = None, **kwargs: Any) -> tablib.Dataset:
        """A row for each channel of the people, and one with a blank channel for who has none."""
        dataset = tablib.Dataset(headers=list(COLUMNS), title="people")
        people = Person.objects.all() if queryset is None else queryset
        for person in people.prefetch_related("channels").iterator(chunk_size=2000):
            values = {column: clean_text(getattr(person, name)) for column, name in PERSON_FIELDS.items()}
            for url in [channel.canonical_url for channel in person.channels.all()] or [""]:
                dataset.append([{**values, "channel": url}[column] for column in COLUMNS])
        return dataset


def _row_result(outcome: RowOutcome) -> RowResult:
    row = RowResult()
    row.import_type = IMPORT_TYPES[outcome.outcome]
    row.number = outcome.row.number
    row.instance = outcome.channel.person if outcome.channel else None
    row.add_instance_info(row.instance)
    return row
