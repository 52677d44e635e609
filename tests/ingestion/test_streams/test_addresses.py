import pytest

from ingestion.errors import ArchiveError, error
from ingestion.streams import copying
from ingestion.streams.addresses import MOST_RENEWALS
from tests.ingestion.media.origin import Fault
from tests.ingestion.media.stores import uploads_left
from tests.ingestion.test_streams.test_copying import content_of
from tests.ingestion.test_streams.transfers import PART_SIZE, make_extraction, make_format, move

BOTH = ("picture.mp4", "sound.m4a")


class Looks:
    """Gives the same formats under other addresses; after each look the addresses of before are refused."""

    def __init__(self, origin, *names, expired=(), **over):
        self.origin, self.names, self.over, self.count = origin, names, over, 0
        self.origin.expired |= {origin.url(name) for name in expired}

    def __call__(self):
        self.count += 1
        formats = (make_format(self.origin, name, url=self.origin.url(f"{name}?{self.count}"), **self.over) for name in self.names)
        return make_extraction(*formats)


def whole(origin, names):
    return sum(len(origin.files[name]) for name in names)


@pytest.fixture(autouse=True)
def several_slices(monkeypatch):
    monkeypatch.setattr(copying, "SMALLEST_SLICE", PART_SIZE // 4)


def test_a_refused_address_is_asked_for_anew_once_and_no_byte_is_fetched_twice(origin, store):
    origin.faults = [Fault("both.mp4", "refused", at=3 * PART_SIZE, times=1)]
    looks = Looks(origin, "both.mp4")
    moved = move(["both.mp4"], origin=origin, store=store, renew=looks)
    assert content_of(store, moved.stored.key) == origin.files["both.mp4"]
    assert (looks.count, moved.bytes_fetched) == (1, len(origin.files["both.mp4"]))


@pytest.mark.parametrize("begun_before", [False, True], ids=["mux", "tracks"])
def test_picture_and_sound_get_their_fresh_addresses_from_one_look(begun_before, origin, moto_store):
    looks = Looks(origin, *BOTH, expired=BOTH)
    moved = move(BOTH, origin=origin, store=moto_store, renew=looks, begun_before=begun_before, on_state=lambda state: None)
    assert (looks.count, moved.bytes_fetched) == (1, whole(origin, BOTH))


def test_an_address_that_runs_out_in_the_middle_costs_no_byte_twice(origin, store):
    looks = Looks(origin, "both.mp4")

    def expire(done, total):
        if done > 700_000 and not origin.expired:
            origin.expired.add(origin.url("both.mp4"))

    moved = move(["both.mp4"], origin=origin, store=store, renew=looks, progress=expire)
    assert content_of(store, moved.stored.key) == origin.files["both.mp4"]
    assert (looks.count, moved.bytes_fetched) == (1, len(origin.files["both.mp4"]))


def test_an_address_that_is_refused_when_it_is_fresh_ends_the_transfer(origin, store):
    origin.faults = [Fault("sound.m4a", "refused")]
    looks = Looks(origin, "sound.m4a")
    with pytest.raises(ArchiveError) as caught:
        move(["sound.m4a"], origin=origin, store=store, renew=looks)
    assert (caught.value.kind, looks.count) == ("forbidden", 1)
    assert uploads_left(store) == []


def test_addresses_that_last_for_a_few_bytes_are_not_asked_for_endlessly(origin, store):
    looks = Looks(origin, "both.mp4")

    def expire(done, total):
        origin.expired |= {origin.url("both.mp4")} | {origin.url(f"both.mp4?{number}") for number in range(looks.count + 1)}

    with pytest.raises(ArchiveError) as caught:
        move(["both.mp4"], origin=origin, store=store, renew=looks, progress=expire, part_size=PART_SIZE // 4)
    assert (caught.value.kind, looks.count <= MOST_RENEWALS) == ("forbidden", True)


@pytest.mark.parametrize("over", [{"size": 7}, {"format_id": "other"}], ids=["another size", "another format"])
def test_a_video_that_is_offered_otherwise_by_now_is_not_mixed_with_what_was_stored(over, origin, store):
    origin.faults = [Fault("both.mp4", "refused", at=3 * PART_SIZE, times=1)]
    with pytest.raises(ArchiveError, match="not offered any more"):
        move(["both.mp4"], origin=origin, store=store, renew=Looks(origin, "both.mp4", **over))


def test_what_the_look_says_ends_the_transfer_and_keeps_what_is_stored(origin, store):
    origin.faults = [Fault("both.mp4", "refused", at=3 * PART_SIZE)]
    states = []

    def refused():
        raise error("bot_check")

    with pytest.raises(ArchiveError) as caught:
        move(["both.mp4"], origin=origin, store=store, renew=refused, on_state=states.append)
    assert caught.value.kind == "bot_check"
    assert states[-1]["parts"] and uploads_left(store) != []
    origin.faults = []
    moved = move(["both.mp4"], origin=origin, store=store, state=states[-1])
    assert moved.bytes_fetched == len(origin.files["both.mp4"]) - PART_SIZE * len(states[-1]["parts"])
