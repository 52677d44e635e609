"""The people and channels a sheet's rows may mean, loaded at once and found without further queries."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice

from django.db import connection
from django.db.models import F, Lookup, QuerySet
from django.db.models.functions import Lower

from people.channel_urls import ChannelUrl
from people.models import Channel, ChannelAlias, Person
from people.sheets import SheetRow

BATCH = 10_000


class AmbiguousPerson(ValueError):
    """Several people may be meant; the message is a sentence for staff."""


class KnownPeople:
    """People by row_id, by e-mail and by name; the database decides what lower case is, as it does for the natural key."""

    def __init__(self, rows: Sequence[SheetRow], *, owner_ids: Iterable[int], lock: bool):
        """Loads whom the rows name, and the owners of their channels; with `lock` nobody else changes them meanwhile."""
        self._by_pk: dict[int, Person] = {}
        self._by_row_id: dict[str, Person] = {}
        self._by_email: dict[str, list[Person]] = defaultdict(list)
        self._by_name: dict[str, list[Person]] = defaultdict(list)
        self._lowered = _lower({row.email for row in rows} | {row.name for row in rows})
        people = Person.objects.annotate(lower_email=Lower("email"), lower_name=Lower("name")).order_by("pk")
        people = people.defer("created_at", "natural_key")  # ten thousand moments to be read, and nobody asks
        if lock:
            people = people.select_for_update(no_key=True)
        for queryset in _people_of(people, rows, owner_ids, self.lower):
            self._add(queryset)

    def __getitem__(self, pk: int) -> Person:
        return self._by_pk[pk]

    def lower(self, text: str) -> str:
        """`text` in lower case, of a text that stands in the rows."""
        return self._lowered[text]

    def find(self, row: SheetRow, owner: Person | None) -> Person | None:
        """Whom the row means by its strongest key: row_id, else e-mail, else name; raises `AmbiguousPerson`.

        Of several people with the same key, `owner`, who has the row's channel, is meant before all others.
        """
        if row.row_id:
            return self._by_row_id.get(row.row_id) or self._find_for_upgrade(row)
        if row.email:
            people = self._by_email[self.lower(row.email)]
            return _one(people, owner, [person for person in people if not person.row_id], f"the e-mail {row.email}")
        people = self._by_name[self.lower(row.name)]
        nameless = [person for person in people if not person.row_id and not person.email]
        return _one(people if row.name_is_given else nameless, owner, nameless, f"the name {row.name}")

    def is_same(self, row: SheetRow, person: Person) -> bool:
        """Whether a row no person was found for may mean the owner of its channel: same name, no key that differs."""
        return (
            row.name_is_given
            and self.lower(row.name) == person.lower_name
            and not (row.row_id and person.row_id)
            and not (row.email and person.email and self.lower(row.email) != person.lower_email)
        )

    def put(self, person: Person) -> None:
        """Find a new or changed person from now on by the keys it has; changed texts stand in the rows."""
        for index, key in ((self._by_email, "lower_email"), (self._by_name, "lower_name")):
            if person in index.get(getattr(person, key, ""), []):
                index[getattr(person, key)].remove(person)
        person.lower_email = self._lowered.get(person.email) or getattr(person, "lower_email", "")
        person.lower_name = self._lowered.get(person.name) or getattr(person, "lower_name", "")
        self._index(person)

    def _find_for_upgrade(self, row: SheetRow) -> Person | None:
        """Who is known by the row's e-mail alone and now gets its row_id; None unless exactly one person is."""
        people = self._by_email[self.lower(row.email)] if row.email else []
        return people[0] if len(people) == 1 and not people[0].row_id else None

    def _add(self, people: Iterable[Person]) -> None:
        for person in people:
            if person.pk in self._by_pk:
                continue
            self._by_pk[person.pk] = person
            self._index(person)

    def _index(self, person: Person) -> None:
        if person.row_id:
            self._by_row_id[person.row_id] = person
        if person.email:
            self._by_email[person.lower_email].append(person)
        self._by_name[person.lower_name].append(person)


class KnownChannels:
    """Channels by YouTube's id, by canonical URL and by the other spellings a scan has learnt."""

    def __init__(self, rows: Sequence[SheetRow]):
        self._by_url: dict[str, Channel] = {}
        self._by_external_id: dict[str, Channel] = {}
        urls = {row.channel.canonical for row in rows}
        channels = Channel.objects.defer("created_at", "last_scanned_at", "listed_whole_at")
        for batch in _batches(urls):
            for alias in ChannelAlias.objects.filter(_IsAmong("canonical_url", batch)).select_related("channel"):
                self._by_url[alias.canonical_url] = alias.channel
            self._add(channels.filter(_IsAmong("canonical_url", batch)))
        for batch in _batches({row.channel.external_id for row in rows} - {""}):
            self._add(channels.filter(_IsAmong("external_id", batch)))
        self._share()

    def __iter__(self) -> Iterator[Channel]:
        return iter({id(channel): channel for channel in (*self._by_url.values(), *self._by_external_id.values())}.values())

    def find(self, url: ChannelUrl) -> Channel | None:
        return (self._by_external_id.get(url.external_id) if url.external_id else None) or self._by_url.get(url.canonical)

    def put(self, channel: Channel) -> None:
        self._by_url[channel.canonical_url] = channel
        if channel.external_id:
            self._by_external_id[channel.external_id] = channel

    def _add(self, channels: Iterable[Channel]) -> None:
        for channel in channels:
            self.put(channel)

    def _share(self) -> None:
        """One object for each row of the table, however it was loaded."""
        one: dict[int, Channel] = {}
        for index in (self._by_url, self._by_external_id):
            for key, channel in index.items():
                index[key] = one.setdefault(channel.pk, channel)


def _people_of(people: QuerySet[Person], rows: Sequence[SheetRow], owner_ids: Iterable[int], lower) -> Iterator[QuerySet[Person]]:
    wanted = {
        "pk": set(owner_ids),
        "row_id": {row.row_id for row in rows if row.row_id},
        "lower_email": {lower(row.email) for row in rows if row.email},
        "lower_name": {lower(row.name) for row in rows if not row.row_id and not row.email},
    }
    for name, values in wanted.items():
        for batch in _batches(values):
            found = people.filter(_IsAmong(name, batch))
            yield found.filter(email__gt="") if name == "lower_email" else found


class _IsAmong(Lookup):
    """As `in`, but with one array instead of thousands of parameters, each of which costs."""

    prepare_rhs = False

    def __init__(self, name: str, values: list):
        super().__init__(F(name), values)

    def as_sql(self, compiler, connection):
        lhs, parameters = self.process_lhs(compiler, connection)
        return f"{lhs} = ANY(%s)", [*parameters, self.rhs]


def _one(people: list[Person], owner: Person | None, preferred: list[Person], key: str) -> Person | None:
    """The owner if among them, the person known by this key alone, else the only one who has it."""
    if owner in people:
        return owner
    if preferred:
        return preferred[0]
    if len(people) > 1:
        raise AmbiguousPerson(f"{len(people)} people have {key}. Add the row_id to say which of them is meant.")
    return people[0] if people else None


def _lower(texts: set[str]) -> dict[str, str]:
    """Each text in the lower case of the database, which may differ from Python's outside ASCII."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT word, lower(word) FROM unnest(%s::text[]) AS word", [list(texts)])
        return dict(cursor.fetchall())


def _batches(values: Iterable) -> Iterator[list]:
    iterator = iter(sorted(values))
    while batch := list(islice(iterator, BATCH)):
        yield batch
