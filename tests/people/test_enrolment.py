from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest
from django.db import IntegrityError, connection, connections, transaction

from people import enrolment
from people.channel_urls import parse_channel_url
from people.enrolment import EnrolmentError, enrol
from people.models import Channel, ChannelAlias, Person
from people.sheets import SheetRow, read_sheet
from tests.factories import make_channel, make_person

pytestmark = pytest.mark.django_db

UC = "UCabcDEF_-0123456789abcd"


def make_row(channel="@ann", *, number=2, name="", **over) -> SheetRow:
    url = parse_channel_url(channel)
    values = {"email": "", "type": "", "row_id": "", "link": "", "notes": "", **over}
    return SheetRow(number=number, name=name or values["email"] or url.label, channel=url, url=channel, name_is_given=bool(name), **values)


def make_rows(*rows: dict) -> list[SheetRow]:
    return [make_row(**{"number": number, "channel": f"@channel{number}", **row}) for number, row in enumerate(rows, start=2)]


def outcomes(result) -> list[str]:
    return [outcome.outcome for outcome in result.outcomes]


def state() -> tuple[list, list]:
    return list(Person.objects.order_by("pk").values()), list(Channel.objects.order_by("pk").values())


def test_a_row_makes_a_person_and_a_channel():
    row = make_row("https://youtube.com/@Ann", name="Ann", email="ann@x.org", type="teacher", row_id="7", link="https://x.org", notes="hm")
    result = enrol([row])
    person, channel = Person.objects.get(), Channel.objects.get()
    assert (person.row_id, person.name, person.email, person.type, person.source_link, person.notes) == (
        *("7", "Ann", "ann@x.org", "teacher"),
        *("https://x.org", "hm"),
    )
    assert (channel.person, channel.url, channel.canonical_url, channel.kind, channel.state) == (
        *(person, "https://youtube.com/@Ann", "https://www.youtube.com/@ann"),
        *("channel", "active"),
    )
    assert (outcomes(result), result.channels, result.problems) == (["new"], [channel], [])
    assert result.outcomes[0].changes["channel"] == ("", "https://www.youtube.com/@ann")


def test_a_dry_run_tells_the_same_and_writes_nothing():
    person = make_person(name="Ann", email="ann@x.org")
    rows = make_rows({"email": "ann@x.org", "type": "teacher"}, {"name": "Bob"}, {"row_id": "1", "name": "Cy"})
    before = state()
    dry = enrol(rows, dry_run=True)
    assert state() == before
    assert [channel.pk for channel in dry.channels] == [None] * 3
    wet = enrol(rows)
    assert [(o.outcome, o.changes, o.message) for o in wet.outcomes] == [(o.outcome, o.changes, o.message) for o in dry.outcomes]
    assert wet.channels[0].person == person


SHEETS = {
    "text": b"@a\n@b\nyoutube.com/c\n",
    "one person, two channels": b"name,email,channel\nAnn,a@x.org,@a @b\nANN,A@X.ORG,@c\n",
    "contradictions": b"name,email,type,channel\nAnn,a@x.org,teacher,@a\nAnna,a@x.org,pupil,@b\n",
    "upgrade within the sheet": b"id,name,email,channel\n,Ann,a@x.org,@a\n7,Ann,a@x.org,@b\n8,Ann,a@x.org,@c\n",
    "a name, later an e-mail": b"name,email,channel\nAnn,,@a\nAnn,a@x.org,@b\nAnn,,@c\n",
    "a fallback name, later the name": b"name,email,channel\n,a@x.org,@a\nAnn,a@x.org,@b\n",
    "ids and handles": b"name,channel\nAnn,@a UCabcDEF_-0123456789abcd\nBob,youtu.be/dQw4w9WgXcQ\n",
    "two of one e-mail": b"id,name,email,channel\n1,Ann,fam@x.org,@a\n2,Bob,fam@x.org,@b\n,Cy,fam@x.org,@c\n",
    "upper case beyond ASCII": "name,channel\nÄNN,@a\nänn,@b\nİx,@c\n".encode(),
}


@pytest.mark.parametrize("data", SHEETS.values(), ids=SHEETS)
def test_importing_twice_changes_nothing(data):
    rows = read_sheet(data, "a").rows
    first = enrol(rows)
    before = state()
    second = enrol(rows)
    assert state() == before
    assert set(outcomes(second)) <= {"unchanged", "refused"}
    assert [outcome.outcome == "refused" for outcome in first.outcomes] == [outcome.outcome == "refused" for outcome in second.outcomes]
    assert [channel.pk for channel in second.channels] == [channel.pk for channel in first.channels]


def test_importing_twice_writes_nothing(django_assert_max_num_queries):
    rows = make_rows({"name": "Ann"}, {"email": "bob@x.org"}, {"row_id": "7", "name": "Cy"})
    enrol(rows)
    with transaction.atomic(), django_assert_max_num_queries(12) as queries:
        enrol(rows)
    assert not [query for query in queries if query["sql"].startswith(("INSERT", "UPDATE", "DELETE"))]


MATCHES = {
    "row_id before e-mail": ({"row_id": "7", "email": "other@x.org"}, {"row_id": "7", "email": "ann@x.org"}, True),
    "e-mail, any case": ({"email": "ann@x.org"}, {"email": "ANN@x.org"}, True),
    "e-mail before name": ({"name": "Ann", "email": "ann@x.org"}, {"name": "Ann", "email": "other@x.org"}, False),
    "e-mail of somebody with a row_id": ({"row_id": "7", "email": "ann@x.org"}, {"email": "ann@x.org"}, True),
    "another row_id of the same e-mail": ({"row_id": "7", "email": "ann@x.org"}, {"row_id": "8", "email": "ann@x.org"}, False),
    "row_id upgrades an e-mail": ({"email": "ann@x.org"}, {"row_id": "8", "email": "Ann@x.org"}, True),
    "row_id does not upgrade a name": ({"name": "Ann", "email": ""}, {"row_id": "8", "name": "Ann"}, False),
    "name, any case": ({"name": "Ann", "email": ""}, {"name": "ANN"}, True),
    "the only one of that name": ({"name": "Ann", "email": "ann@x.org"}, {"name": "Ann"}, True),
    "row_id, exact case": ({"row_id": "a", "email": ""}, {"row_id": "A", "name": "x"}, False),
}


@pytest.mark.parametrize(("known", "row", "is_same"), MATCHES.values(), ids=MATCHES)
def test_a_person_is_found_by_the_strongest_key(known, row, is_same):
    person = make_person(**known)
    channel = enrol(make_rows(row)).channels[0]
    assert (channel.person == person) is is_same


def test_an_upgraded_person_keeps_everything_else():
    person = make_person(name="Ann", email="ann@x.org", type="teacher")
    result = enrol(make_rows({"row_id": "7", "email": "ann@x.org"}))
    person.refresh_from_db()
    assert (person.row_id, person.name, person.type, person.natural_key) == ("7", "Ann", "teacher", "row:7")
    assert result.outcomes[0].changes["row_id"] == ("", "7")


def test_an_upgrade_that_could_mean_two_people_makes_a_new_one():
    make_person(email="fam@x.org")
    make_person(email="fam@x.org", row_id="1")
    assert enrol(make_rows({"row_id": "9", "email": "fam@x.org"})).channels[0].person.row_id == "9"
    assert Person.objects.count() == 3


@pytest.mark.parametrize("row", [{"email": "fam@x.org"}, {"name": "Ann"}])
def test_a_row_that_could_mean_two_people_is_refused(row):
    make_person(name="Ann", email="fam@x.org", row_id="1")
    make_person(name="Ann", email="fam@x.org", row_id="2")
    result = enrol(make_rows(row))
    assert (outcomes(result), Channel.objects.count()) == (["refused"], 0)
    assert "Add the row_id" in result.problems[0].message


def test_blank_cells_never_overwrite_and_the_rest_is_taken_over():
    channel = make_channel(person=make_person(name="Ann", email="ann@x.org", type="teacher", notes="old\r\nlines"))
    result = enrol([make_row(channel.canonical_url, name="Anna", email="ann@x.org", notes="old\nlines")])
    assert (result.outcomes[0].outcome, result.outcomes[0].changes) == ("changed", {"name": ("Ann", "Anna")})
    person = Person.objects.get()
    assert (person.name, person.type, person.notes) == ("Anna", "teacher", "old\r\nlines")


def test_what_workers_and_staff_wrote_on_a_channel_stays():
    channel = make_channel(state="paused", title="Hers", seen=3, expected=4, person=make_person(name="Ann", email="ann@x.org"))
    enrol([make_row(channel.canonical_url, email="ann@x.org", type="teacher")])
    before = Channel.objects.filter(pk=channel.pk).values().get()
    assert {key: before[key] for key in ("state", "title", "seen", "expected", "url")} == {
        "state": "paused",
        "title": "Hers",
        "seen": 3,
        "expected": 4,
        "url": channel.url,
    }


def test_a_channel_of_another_person_is_refused_and_nobody_is_made_or_changed():
    channel = make_channel(person=make_person(name="Ann", email="ann@x.org"))
    bob = make_person(name="Bob", email="bob@x.org")
    rows = [make_row(channel.canonical_url, email="bob@x.org", type="teacher"), make_row(channel.canonical_url, email="new@x.org")]
    result = enrol(rows)
    assert outcomes(result) == ["refused", "refused"]
    assert result.problems[0].message.startswith("This channel belongs to Ann (ann@x.org).")
    bob.refresh_from_db()
    assert (bob.type, Person.objects.count(), result.channels) == ("", 2, [])


def test_a_row_that_names_nobody_means_the_owner_of_its_channel():
    channel = make_channel(person=make_person(name="Ann"))
    assert enrol([make_row(channel.canonical_url)]).channels == [channel]
    assert Person.objects.count() == 1


@pytest.mark.parametrize(
    ("known", "row", "expected"),
    [
        ({"email": ""}, {"email": "ann@x.org"}, "changed"),
        ({"email": ""}, {"row_id": "7"}, "changed"),
        ({"email": "ann@x.org"}, {"email": "other@x.org"}, "refused"),
        ({"row_id": "6", "email": ""}, {"row_id": "7"}, "refused"),
    ],
)
def test_the_same_name_on_the_same_channel_is_the_same_person_unless_a_key_differs(known, row, expected):
    channel = make_channel(person=make_person(**{"name": "Ann", **known}))
    assert outcomes(enrol([make_row(channel.canonical_url, name="ann", **row)])) == [expected]
    assert Person.objects.count() == 1


def test_a_channel_is_found_by_id_and_by_the_other_spellings_a_scan_learnt():
    channel = make_channel(external_id=UC, person=make_person(email="ann@x.org"))
    ChannelAlias.objects.create(channel=channel, canonical_url="https://www.youtube.com/c/ann")
    rows = make_rows({"channel": UC, "email": "ann@x.org"}, {"channel": "youtube.com/ann", "email": "ann@x.org"})
    result = enrol(rows)
    assert (outcomes(result), result.channels, Channel.objects.count()) == (["unchanged", "unchanged"], [channel], 1)
    assert result.outcomes[1].message == "The same channel as in row 2, under another address."


def test_a_channel_without_id_learns_it_from_its_address():
    channel = make_channel(canonical_url=f"https://www.youtube.com/channel/{UC}", person=make_person(email="ann@x.org"))
    result = enrol([make_row(UC, email="ann@x.org")])
    channel.refresh_from_db()
    assert (channel.external_id, result.outcomes[0].changes) == (UC, {"channel id": ("", UC)})


def test_what_an_earlier_row_of_the_sheet_said_stands():
    result = enrol(make_rows({"email": "ann@x.org", "type": "teacher"}, {"email": "ann@x.org", "type": "pupil"}))
    assert Person.objects.get().type == "teacher"
    assert result.outcomes[1].message == "The type “pupil” was not taken, because row 2 says “teacher”."


def test_ten_thousand_rows_take_few_queries(django_assert_max_num_queries):
    lines = [f"{n},Person {n},p{n}@x.org,teacher,@channel{n},https://x.org/{n},note {n}" for n in range(10_000)]
    rows = read_sheet("\n".join(["id,name,email,type,channel,link,notes", *lines]).encode(), "a.csv").rows
    for expected in ("new", "unchanged", "changed"):
        if expected == "changed":
            Person.objects.update(type="pupil")
        with django_assert_max_num_queries(40):
            result = enrol(rows)
        assert result.counts == {expected: 10_000}
    assert set(Person.objects.values_list("type", flat=True)) == {"teacher"}


@pytest.mark.django_db(transaction=True)
def test_two_imports_at_once_make_everything_once():
    barrier = Barrier(2)

    def import_sheet(part: int):
        rows = make_rows(*({"email": f"p{n}@x.org"} for n in range(300)))
        barrier.wait()
        try:
            return enrol(rows if part else rows[::-1])
        finally:
            connections.close_all()

    with ThreadPoolExecutor(2) as pool:
        results = list(pool.map(import_sheet, (0, 1)))
    assert Person.objects.count() == Channel.objects.count() == 300
    assert sorted(result.counts["new"] for result in results) == [0, 300]


@pytest.mark.django_db(transaction=True)
def test_a_channel_that_somebody_else_makes_meanwhile_is_found_on_the_second_try(monkeypatch):
    monkeypatch.setattr(enrolment, "_Desk", _interrupted_once(enrolment._Desk))
    result = enrol([make_row("@ann", name="Ann")])
    assert outcomes(result) == ["unchanged"]
    assert Channel.objects.count() == 1


def test_an_import_that_is_always_overtaken_says_so(monkeypatch):
    def overtaken(*_args, **_kwargs):
        raise IntegrityError

    monkeypatch.setattr(enrolment, "_Desk", overtaken)
    with pytest.raises(EnrolmentError, match="try again"):
        enrol([make_row()])


def test_the_transaction_around_an_import_survives_a_second_try():
    with transaction.atomic():
        enrol(make_rows({"name": "Ann"}))
        assert connection.in_atomic_block
    assert Person.objects.count() == 1


@pytest.mark.django_db(transaction=True)
def test_a_large_sheet_after_a_small_one_reads_no_whole_table_for_each_row():
    """The plan by which a foreign key is checked is made for the first rows, when reading the whole table is cheapest."""
    with connection.cursor() as cursor:
        cursor.execute("TRUNCATE people_person CASCADE")
        cursor.execute("VACUUM ANALYZE people_person")
        cursor.execute("DISCARD PLANS")
        for size in (10, 1000):  # of the first five checks each has a plan of its own
            before = _rows_read_whole(cursor)
            enrol(make_rows(*({"name": f"{size} {number}", "channel": f"@c{size}n{number}"} for number in range(size))))
            assert _rows_read_whole(cursor) - before <= 10 * size


def _rows_read_whole(cursor) -> int:
    cursor.execute("SELECT pg_stat_force_next_flush()")
    cursor.execute("SELECT seq_tup_read FROM pg_stat_user_tables WHERE relname = 'people_person'")
    return cursor.fetchone()[0]


def _interrupted_once(desk):
    """A desk beside which, the first time, somebody else makes the same channel on another connection."""
    calls = []

    def make(rows, **kwargs):
        made = desk(rows, **kwargs)
        if not calls:
            calls.append(rows)
            with ThreadPoolExecutor(1) as pool:
                pool.submit(_make_channel_elsewhere).result()
        return made

    return make


def _make_channel_elsewhere() -> None:
    try:
        make_channel(canonical_url="https://www.youtube.com/@ann", person=make_person(name="Ann", email=""))
    finally:
        connections.close_all()
