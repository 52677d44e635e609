"""Rows of a sheet into people and channels: natural keys, few queries, and twice is as good as once."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from django.db import IntegrityError, connection, transaction
from django.utils import timezone

from people.known import AmbiguousPerson, KnownChannels, KnownPeople
from people.models import Channel, Person
from people.sheets import Problem, SheetRow
from people.sheets.sheet import clean_text, make_problem

Outcome = Literal["new", "changed", "unchanged", "refused"]

LOCK = 0x70656F70  # of all imports, as a PostgreSQL advisory lock
TRIES = 3
# Columns of the sheet and the fields they fill; these and no others are written
PERSON_FIELDS = {"row_id": "row_id", "name": "name", "email": "email", "type": "type", "link": "source_link", "notes": "notes"}
CHANNEL_FIELDS = {"person_id": "bigint", **dict.fromkeys(("url", "canonical_url", "external_id", "kind"), "text")}
"""Those that are written of a new channel, and their types."""


class EnrolmentError(Exception):
    """Nothing was written; the message is a sentence for staff."""


@dataclass(frozen=True)
class RowOutcome:
    """What came of one row. `changes` are {column: (old, new)}; `channel` is None when it was refused."""

    row: SheetRow
    outcome: Outcome
    changes: dict[str, tuple[str, str]] = field(default_factory=dict)
    message: str = ""
    channel: Channel | None = None


@dataclass(frozen=True)
class Enrolment:
    """What came of a sheet. `channels` stand in its order, each once; in a dry run new ones have no pk."""

    outcomes: list[RowOutcome]

    @property
    def channels(self) -> list[Channel]:
        return list({id(outcome.channel): outcome.channel for outcome in self.outcomes if outcome.channel}.values())

    @property
    def counts(self) -> Counter[Outcome]:
        return Counter(outcome.outcome for outcome in self.outcomes)

    @property
    def problems(self) -> list[Problem]:
        """The refused rows."""
        return [make_problem(done.row.number, done.row.url, done.message) for done in self.outcomes if done.outcome == "refused"]


def enrol(rows: Iterable[SheetRow], *, dry_run: bool = False) -> Enrolment:
    """Make or change people and channels as the rows say, in one transaction; in a dry run only tell what would be done.

    Blank cells change nothing, and no channel moves to another person. Imports wait for one another. Raises
    `EnrolmentError` when others kept writing the same people or channels meanwhile.
    """
    rows = list(rows)
    for _ in range(TRIES):
        try:
            with transaction.atomic():
                return _Desk(rows, is_writing=not dry_run).enrol()
        except IntegrityError:  # a scan or the admin was faster with the same channel or person: now it is found
            continue
    raise EnrolmentError("Somebody else is changing the same people or channels. Nothing was imported; try again.")


def hold_imports() -> None:
    """Wait until no other import runs, and make others wait until the end of this transaction."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", [LOCK])


class _Desk:
    """One pass over the rows, with all they may mean at hand."""

    def __init__(self, rows: list[SheetRow], *, is_writing: bool):
        self.rows = rows
        self.is_writing = is_writing
        if is_writing:
            hold_imports()
        self.channels = KnownChannels(rows)
        self.people = KnownPeople(rows, owner_ids={channel.person_id for channel in self.channels}, lock=is_writing)
        for channel in self.channels:
            channel.person = self.people[channel.person_id]
        self.new_people: list[Person] = []
        self.new_channels: list[Channel] = []
        self.changed_people: dict[int, Person] = {}
        self.changed_channels: dict[int, Channel] = {}
        self.said: dict[tuple[int, str], SheetRow] = {}  # the first row that gave a person this column
        self.first_rows: dict[int, SheetRow] = {}  # the first row of each channel

    def enrol(self) -> Enrolment:
        outcomes = [self._enrol(row) for row in self.rows]
        if self.is_writing:
            self._write()
        return Enrolment(outcomes)

    def _enrol(self, row: SheetRow) -> RowOutcome:
        channel = self.channels.find(row.channel)
        try:
            person = self._person_of(row, channel)
        except AmbiguousPerson as exc:
            return RowOutcome(row, "refused", message=str(exc))
        if channel and channel.person is not person:
            return RowOutcome(row, "refused", message=_belongs_to_another(channel.person))
        changes, message = self._fill(person, row) if person else ({}, "")
        person = person or self._make_person(row, changes)
        if not channel:
            channel = self._make_channel(row, person)
            changes["channel"] = ("", channel.canonical_url)
            return RowOutcome(row, "new", changes, message, channel)
        self._learn_id(channel, row, changes)
        first = self.first_rows.setdefault(id(channel), row)
        if first is not row:
            message = f"The same channel as in row {first.number}, under another address. {message}".strip()
        return RowOutcome(row, "changed" if changes else "unchanged", changes, message, channel)

    def _person_of(self, row: SheetRow, channel: Channel | None) -> Person | None:
        """Whom the row means, None when nobody known. A row that names nobody means whoever has the channel."""
        if channel and not (row.row_id or row.email or row.name_is_given):
            return channel.person
        person = self.people.find(row, channel.person if channel else None)
        if channel and not person and self.people.is_same(row, channel.person):
            return channel.person
        return person

    def _fill(self, person: Person, row: SheetRow) -> tuple[dict[str, tuple[str, str]], str]:
        """Give the person what the row says; what an earlier row of the sheet said stands, and the message tells so."""
        changes, unheard = {}, []
        for column, new in _said_by(row).items():
            first = self.said.setdefault((id(person), column), row)
            old = getattr(person, PERSON_FIELDS[column])
            if _is_same_value(column, old, new):
                continue
            if first is not row:
                unheard.append(f"The {column} “{new[:60]}” was not taken, because row {first.number} says “{old[:60]}”.")
                continue
            setattr(person, PERSON_FIELDS[column], new)
            changes[column] = (old, new)
        if changes:
            self.people.put(person)
            if person.pk:
                self.changed_people[person.pk] = person
        return changes, " ".join(unheard)

    def _make_person(self, row: SheetRow, changes: dict[str, tuple[str, str]]) -> Person:
        values = _said_by(row) | {"name": row.name}
        person = Person(**{PERSON_FIELDS[column]: value for column, value in values.items()})
        self.said |= {(id(person), column): row for column in _said_by(row)}
        changes |= {column: ("", value) for column, value in values.items()}
        self.people.put(person)
        self.new_people.append(person)
        return person

    def _make_channel(self, row: SheetRow, person: Person) -> Channel:
        url = row.channel
        channel = Channel(person=person, url=row.url[:500], canonical_url=url.canonical, external_id=url.external_id, kind=url.kind)
        self.channels.put(channel)
        self.first_rows[id(channel)] = row
        self.new_channels.append(channel)
        return channel

    def _learn_id(self, channel: Channel, row: SheetRow, changes: dict[str, tuple[str, str]]) -> None:
        if row.channel.external_id and not channel.external_id:
            channel.external_id = row.channel.external_id
            changes["channel id"] = ("", channel.external_id)
            self.channels.put(channel)
            if channel.pk:
                self.changed_channels[channel.pk] = channel

    def _write(self) -> None:
        _insert(self.new_people, dict.fromkeys(PERSON_FIELDS.values(), "text"))
        if self.changed_people:
            _update_people(list(self.changed_people.values()))
        for channel in self.new_channels:
            channel.person = channel.person  # whose key is known by now
        _insert(self.new_channels, CHANNEL_FIELDS)
        Channel.objects.bulk_update(self.changed_channels.values(), ["external_id"], batch_size=1000)
        _forget_plans()


def _forget_plans() -> None:
    """Foreign keys are checked when the transaction ends, by plans that the connection keeps. One made while the tables were
    nearly empty reads the whole table for each new row; made anew, it takes the index."""
    with connection.cursor() as cursor:
        cursor.execute("DISCARD PLANS")


def _insert(rows: Sequence[Person] | Sequence[Channel], columns: Mapping[str, str]) -> None:
    """One INSERT for all; `bulk_create` prepares each value of each row by itself, which takes longer than the rest of an import.

    `columns` are those to be written, with their types in the database, which fills in all others.
    """
    if not rows:
        return
    table = rows[0]._meta.db_table
    arrays = ", ".join(f"%s::{kind}[]" for kind in columns.values())
    with connection.cursor() as cursor:
        cursor.execute("SELECT nextval(pg_get_serial_sequence(%s, 'id')) FROM generate_series(1, %s)", [table, len(rows)])
        for row, (pk,) in zip(rows, cursor.fetchall(), strict=True):
            row.pk, row.created_at, row._state.adding = pk, timezone.now(), False
        cursor.execute(
            f"INSERT INTO {table} (created_at, id, {', '.join(columns)}) SELECT %s, * FROM unnest(%s::bigint[], {arrays})",
            [rows[0].created_at, [row.pk for row in rows], *([getattr(row, name) for row in rows] for name in columns)],
        )


def _update_people(people: list[Person]) -> None:
    """One UPDATE for all; `bulk_update` needs ten times as long for ten thousand people."""
    fields = list(PERSON_FIELDS.values())
    changes = ", ".join(f"{name} = new.{name}" for name in fields)
    arrays = ", ".join(["%s::text[]"] * len(fields))
    with connection.cursor() as cursor:
        cursor.execute(
            f"UPDATE people_person AS old SET {changes} FROM unnest(%s::bigint[], {arrays}) AS new (id, {', '.join(fields)})"
            " WHERE old.id = new.id",
            [[person.pk for person in people], *([getattr(person, name) for person in people] for name in fields)],
        )


def _said_by(row: SheetRow) -> dict[str, str]:
    """What the row gives its person, blank cells left out."""
    values = {column: getattr(row, column) for column in PERSON_FIELDS}
    if not row.name_is_given:
        del values["name"]
    return {column: value for column, value in values.items() if value}


def _is_same_value(column: str, old: str, new: str) -> bool:
    if column == "email":
        return old.lower() == new.lower()
    return old == new or clean_text(old) == clean_text(new)


def _belongs_to_another(person: Person) -> str:
    known_as = f"{person.name} ({person.email})" if person.email else person.name
    return f"This channel belongs to {known_as}. Give the channel to the other person in the admin, or correct the row."
