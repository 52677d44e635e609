"""Tallies against the truth: the number of rows, counted one by one."""

import random
import threading
from collections import Counter

import pytest
from django.db import connection, transaction
from django.db.migrations.executor import MigrationExecutor
from django.db.models import Case, CharField, Count, F, Sum, Value, When
from django.db.models.functions import Cast, Coalesce, Concat, Now
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.factories import make_channel, make_person, make_session, make_video
from videos import tallies
from videos.models import Video, VideoTally

KEY = ("person_id", "channel_id", "session_id", "status", "error_kind")
NO_LEASE = {"claim_id": None, "lease_owner": "", "lease_expires_at": None}
FREE = {**NO_LEASE, "error_kind": ""}
BECOMES = {
    "pending": FREE,
    "downloading": {"claim_id": 1, "lease_owner": "host", "lease_expires_at": Now()},
    "stored": {
        **FREE,
        "storage_key": Concat(Value("key"), Cast("pk", CharField())),
        "file_size": F("id") * 7,
        "checksum": "c-1",
    },
    "failed": {**NO_LEASE, "error_kind": "network"},
    "unavailable": {**NO_LEASE, "error_kind": "private"},
    "skipped": FREE,
}
SIZE = Case(When(storage_key__gt="", then=Coalesce("file_size", 0)), default=0)


def truth() -> dict:
    rows = Video.objects.order_by().values_list(*KEY).annotate(number=Count("pk"), size=Sum(SIZE))
    return {tuple(row[:5]): (row[5], row[6]) for row in rows}


def tallied() -> dict:
    """By key; what readers make of the whole must be the same."""
    rows = (
        VideoTally.objects.filter(channel_id__isnull=False).order_by().values_list(*KEY).annotate(number=Sum("videos"), size=Sum("bytes"))
    )
    return {tuple(row[:5]): (int(row[5]), int(row[6])) for row in rows if row[5] or row[6]}


def is_right() -> bool:
    """Each key, the whole archive, and the bytes of each person."""
    found, archive = truth(), tallies.archive(people=100)
    videos, people = Counter(), Counter()
    for (person, _, _, status, _), (number, size) in found.items():
        videos[status] += number
        people[person] += size
    largest = {one.person_id: one.bytes for one in archive.largest}
    return (tallied(), +archive.videos, archive.bytes, largest) == (found, videos, people.total(), +people)


def new_videos(channel, numbers) -> list[Video]:
    return [Video(external_id=f"v{number}", channel=channel, person_id=channel.person_id) for number in numbers]


class Archive:
    """Rows to play with: two people with a channel each, two sessions, and every way in which videos are written."""

    def __init__(self):
        self.channels = [make_channel(), make_channel()]
        self.sessions = [make_session(), make_session()]
        self._numbers = 0

    def play(self, verb: str, which: int, how: int) -> None:
        some = Video.objects.filter(pk__in=list(Video.objects.order_by("pk").values_list("pk", flat=True)[which::3]))
        getattr(self, verb)(some, how)

    def add(self, some, how):
        Video.objects.bulk_create(new_videos(self.channels[how % 2], range(self._numbers, self._numbers + how)))
        self._numbers += how

    def list_again(self, some, how):
        """Known and new ones in one statement, which inserts and updates."""
        videos = new_videos(self.channels[how % 2], range(max(self._numbers - how, 0), self._numbers + how))
        for video in videos:
            video.session_id = self.sessions[how % 2].pk
        unique = ["extractor", "external_id"]
        Video.objects.bulk_create(videos, update_conflicts=True, unique_fields=unique, update_fields=["session"])
        self._numbers += how

    def turn(self, some, how):
        status = list(BECOMES)[how % len(BECOMES)]
        some.update(status=status, **BECOMES[status])

    def retry(self, some, how):
        some.retry()

    def give_away(self, some, how):
        channel = self.channels[how % 2]
        some.update(channel=channel, person_id=channel.person_id)

    def forget_session(self, some, how):
        session = self.sessions[how % 2]
        Video.objects.filter(session=session).update(session=None)

    def beat(self, some, how):
        some.update(priority=how)

    def delete(self, some, how):
        some.delete()

    def fold(self, some, how):
        tallies.fold()

    def undo(self, some, how):
        with transaction.atomic():
            some.delete()
            tallies.fold()
            transaction.set_rollback(True)


VERBS = [name for name in vars(Archive) if not name.startswith("_") and name != "play"]
STEPS = st.lists(st.tuples(st.sampled_from(VERBS), st.integers(0, 2), st.integers(1, 5)), min_size=1, max_size=25)


@pytest.mark.django_db
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=STEPS)
def test_the_sum_of_the_changes_is_the_number_of_videos_whatever_is_done(steps):
    with transaction.atomic():
        archive = Archive()
        archive.add(None, 5)
        for step in steps:
            archive.play(*step)
            assert is_right(), step
        transaction.set_rollback(True)


@pytest.mark.django_db
def test_what_changes_no_number_appends_nothing_and_a_bulk_appends_two():
    Archive().add(None, 50)
    rows = VideoTally.objects.count()
    Video.objects.update(priority=3, title="Another", lease_owner="")
    assert VideoTally.objects.count() == rows
    Video.objects.update(status="skipped")
    assert VideoTally.objects.count() == rows + 2
    Video.objects.filter(pk=0).update(status="pending")
    assert VideoTally.objects.count() == rows + 2


@pytest.mark.django_db
def test_a_fold_leaves_a_row_for_each_key_and_nothing_of_what_is_gone():
    archive = Archive()
    for how in range(1, 5):
        archive.add(None, how)
    Video.objects.update(status="skipped")
    assert VideoTally.objects.count() == 8
    assert tallies.fold() == 8
    assert is_right()
    assert VideoTally.objects.filter(channel_id__isnull=False).count() == 2
    assert VideoTally.objects.count() == 5  # with those of the archive and of two people
    newest = VideoTally.objects.latest("pk").pk
    assert tallies.fold() == 0
    assert VideoTally.objects.latest("pk").pk == newest
    Video.objects.all().delete()
    tallies.fold()
    assert not VideoTally.objects.exists()


@pytest.mark.django_db
def test_what_wrote_past_the_triggers_is_found_and_mended():
    archive = Archive()
    archive.add(None, 3)
    with connection.cursor() as cursor:
        cursor.execute("SET session_replication_role = replica")  # as a restore of data alone does
        archive.add(None, 4)
        Video.objects.filter(external_id="v0").update(status="skipped")
        cursor.execute("SET session_replication_role = DEFAULT")
    assert not is_right()
    assert tallies.mend() == 3
    assert is_right()
    assert tallies.mend() == 0
    tallies.fold()
    VideoTally.objects.filter(channel_id=None).update(videos=99, bytes=99)
    assert not is_right()
    assert tallies.mend() == 0
    assert is_right()


@pytest.mark.django_db(transaction=True)
def test_an_emptied_table_is_counted_as_empty():
    Archive().add(None, 3)
    with connection.cursor() as cursor:
        cursor.execute("TRUNCATE videos_video CASCADE")
    assert tallied() == {}


@pytest.mark.django_db(transaction=True)
def test_the_migration_counts_what_is_there():
    MigrationExecutor(connection).migrate([("videos", "0005_checksums")])
    try:
        archive = Archive()
        archive.add(None, 5)
        Video.objects.filter(external_id="v1").update(status="stored", **BECOMES["stored"])
    finally:
        executor = MigrationExecutor(connection)
        executor.migrate(executor.loader.graph.leaf_nodes())
    assert is_right()
    assert tallies.archive().videos == {"pending": 4, "stored": 1}


@pytest.mark.django_db(transaction=True)
def test_many_write_at_once_while_others_fold_and_read():
    archive = Archive()
    archive.add(None, 30)
    raised, writers = [], 3
    over = threading.Event()

    def perform(act):
        try:
            act()
        except Exception as exc:  # noqa: BLE001 - told to the thread of the test
            raised.append(exc)
        finally:
            connection.close()

    def write(seed):
        """Rows of its own, so that nobody waits for another's lock; some of it is undone."""
        luck = random.Random(seed)
        mine = Video.objects.filter(external_id__in=[f"v{number}" for number in range(seed, 30, writers)])
        for step in range(30):
            with transaction.atomic():
                status = luck.choice(list(BECOMES))
                mine.filter(pk__in=luck.sample(list(mine.values_list("pk", flat=True)), 4)).update(status=status, **BECOMES[status])
                Video.objects.bulk_create(new_videos(archive.channels[seed % 2], [f"{seed}-{step}"]))
                transaction.set_rollback(step % 4 == 0)

    def fold():
        while not over.is_set():
            tallies.fold()

    def read():
        while not over.is_set():
            with transaction.atomic(), connection.cursor() as cursor:
                cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
                assert is_right()

    helpers = [threading.Thread(target=perform, args=[act]) for act in (fold, fold, read)]
    working = [threading.Thread(target=perform, args=[lambda seed=seed: write(seed)]) for seed in range(writers)]
    for thread in (*helpers, *working):
        thread.start()
    for thread in working:
        thread.join(60)
    over.set()
    for thread in helpers:
        thread.join(60)
    assert raised == []
    assert is_right()
    tallies.fold()
    assert is_right()


@pytest.mark.django_db
def test_tallies_are_read_for_all_rows_of_a_page_in_one_query(django_assert_num_queries):
    person, session = make_person(), make_session()
    channel, empty = make_channel(person=person), make_channel(person=person)
    for status in ("stored", "stored", "pending", "failed", "unavailable", "skipped"):
        make_video(channel=channel, session=session, status=status)
    make_video(channel=channel, session=session, error_kind="storage_unreachable")
    make_video(status="stored")
    with django_assert_num_queries(3):
        of_person = tallies.of_people([person.pk])[person.pk]
        of_channels = tallies.of_channels([channel.pk, empty.pk])
        of_session = tallies.of_sessions([session.pk])[session.pk]
    for tally in (of_person, of_channels[channel.pk], of_session):
        assert (tally.stored, tally.waiting, tally.refused, tally.bytes) == (2, 2, 2, 2000)
        assert tally.waits_for == {"storage_unreachable": 1}
    assert of_channels[empty.pk].videos.total() == 0
    assert tallies.of_people([]) == {}


@pytest.mark.django_db
def test_the_archive_is_read_in_one_query(django_assert_num_queries):
    large, small = make_channel(person=make_person(name="Large")), make_channel(person=make_person(name="Small"))
    make_video(channel=large, status="stored", file_size=5_000, storage_key="a", checksum="c")
    for _ in range(2):
        make_video(channel=small, status="stored")
    make_video(channel=small, status="failed")
    make_video(channel=small, status="unavailable", error_kind="private")
    make_video()
    with django_assert_num_queries(1):
        archive = tallies.archive(people=2)
    assert archive.videos == {"stored": 3, "failed": 1, "unavailable": 1, "pending": 1}
    assert archive.bytes == 7_000
    assert archive.kinds == {"network": 1, "private": 1}
    assert [(one.name, one.bytes) for one in archive.largest] == [("Large", 5_000), ("Small", 2_000)]
    assert [one.name for one in tallies.archive(people=1).largest] == ["Large"]


@pytest.mark.django_db
def test_one_that_is_to_be_stored_anew_still_takes_its_room():
    video = make_video(status="stored")
    Video.objects.filter(pk=video.pk).update(status="pending")
    archive = tallies.archive()
    assert (archive.stored, archive.waiting, archive.bytes) == (0, 1, 1000)
