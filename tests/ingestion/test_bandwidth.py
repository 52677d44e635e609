import fcntl
import itertools
import random
import signal
import subprocess
import sys
import threading

import pytest
from django.conf import settings as project
from django.db import OperationalError

from ingestion import bandwidth, tasks
from ingestion.bandwidth import FORMAT, Bandwidth
from ingestion.errors import SetupError
from ingestion.heartbeat import Heartbeat
from ingestion.leases import claim
from ingestion.models import Limits
from tests.factories import make_session, make_video

BLOCK = 128 << 10


class Clock:
    """A host's clock, which moves only while somebody sleeps."""

    def __init__(self, now=1000.0):
        self.now = now
        self.slept = []

    def __call__(self):
        return self.now

    def sleep(self, seconds):
        assert 0 < seconds <= bandwidth.SLEEP_SLICE_SECONDS
        self.slept.append(seconds)
        self.now += seconds


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def file(tmp_path):
    return tmp_path / "account"


@pytest.fixture
def make_process(file, clock):
    """A process's part, as far as one process can play several."""

    def make(limit, at=clock):
        part = Bandwidth(file, clock=at, sleep=at.sleep)
        part.bytes_per_second = limit
        return part

    return make


@pytest.mark.parametrize("limit", [10_000, 1_000_000, 100_000_000])
def test_bytes_take_their_time_and_what_goes_before_its_time_is_half_a_second(make_process, clock, limit):
    part = make_process(limit)
    for _ in range(100):
        part.pace(BLOCK)
    assert sum(clock.slept) == pytest.approx(100 * BLOCK / limit - min(bandwidth.BURST_SECONDS, 100 * BLOCK / limit), abs=0.001)


def test_time_in_which_nothing_was_read_is_not_made_up_for(make_process, clock):
    part = make_process(BLOCK)
    part.pace(BLOCK)
    clock.now += 3600
    for _ in range(10):
        part.pace(BLOCK)
    assert sum(clock.slept) == pytest.approx(11 - 2 * bandwidth.BURST_SECONDS)


def test_a_slow_reader_whose_reading_takes_time_still_reaches_the_limit(make_process, clock):
    part = make_process(BLOCK * 10)
    before = clock.now
    for _ in range(1000):
        clock.now += 0.09  # a connection hardly faster than the limit
        part.pace(BLOCK)
    assert clock.now - before == pytest.approx(100, rel=0.01)


def test_without_a_limit_nothing_is_written_nor_slept(make_process, clock, file):
    make_process(None).pace(1 << 30)
    assert (clock.slept, file.exists()) == ([], False)


def test_who_comes_later_waits_for_all_who_came_before(make_process):
    first, second = make_process(BLOCK), make_process(BLOCK)
    places = [part._enter(BLOCK) for part in (first, second, first, second)]
    assert [second._time_left(place) + bandwidth.BURST_SECONDS for place in places] == [1, 2, 3, 4]


def test_a_new_limit_counts_at_once_for_those_who_wait(make_process, clock):
    part = make_process(10_000)

    def staff_raise_it():
        if len(clock.slept) == 4:
            part.bytes_per_second = 10_000_000

    part.pace(10_000_000, check=staff_raise_it)  # a quarter of an hour, it seemed
    assert clock.slept[:5] == [0.5] * 5
    assert sum(clock.slept) == pytest.approx(2.5, abs=1)


def test_who_waits_goes_on_when_the_limit_is_lifted(make_process, clock):
    part = make_process(10_000)

    def staff_lift_it():
        part.bytes_per_second = None

    part.pace(BLOCK, check=staff_lift_it)
    assert clock.slept == [0.5]


def test_a_stop_is_heard_while_waiting_and_the_bytes_stay_entered(make_process, clock):
    part = make_process(1000)

    def stop():
        if len(clock.slept) == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        part.pace(BLOCK, check=stop)
    assert sum(clock.slept) == 1.5
    assert part._time_left(part._enter(0)) == pytest.approx(BLOCK / 1000 - 1.5 - bandwidth.BURST_SECONDS)


@pytest.mark.parametrize("seconds", [-900, 900])
def test_a_clock_that_was_set_anew_makes_nobody_wait_longer(make_process, clock, seconds):
    for _ in range(3):
        make_process(BLOCK)._enter(BLOCK)
    make_process(BLOCK, at=(after := Clock(clock.now + seconds))).pace(BLOCK)
    assert sum(after.slept) <= 4


@pytest.mark.parametrize("content", [b"", b"\0" * 3, b"\0" * FORMAT.size])
def test_a_file_that_was_cut_short_is_an_empty_account(make_process, clock, file, content):
    file.write_bytes(content)
    make_process(BLOCK).pace(BLOCK)
    assert sum(clock.slept) == 0.5


def test_each_start_of_a_machine_has_an_account_of_its_own(settings, tmp_path, monkeypatch):
    settings.VAR_DIR, boot_id = tmp_path / "new" / "var", tmp_path / "boot_id"
    monkeypatch.setattr(bandwidth, "BOOT_ID", boot_id)
    for boot in ("one\n", "two\n"):
        boot_id.write_text(boot)
        part = Bandwidth()
        part.bytes_per_second = 1
        assert part._enter(1_000_000) == 1_000_000, "nobody else's are before ours"
    assert sorted(path.name for path in settings.VAR_DIR.iterdir()) == ["bandwidth-one", "bandwidth-two"]


def test_a_folder_that_cannot_be_written_is_the_set_up(tmp_path):
    part = Bandwidth(tmp_path / "missing" / "account")
    part.bytes_per_second = 1
    with pytest.raises(SetupError, match="MASSDL_VAR_DIR"):
        part.pace(1)


# --- real processes and threads ---------------------------------------------------------------------------------------

READER = """
import sys
import django
django.setup()
from pathlib import Path
from ingestion.bandwidth import Bandwidth
part = Bandwidth(Path(sys.argv[1]))
part.bytes_per_second = 1.0
sys.stdin.readline()
for _ in range(int(sys.argv[2])):
    print(part._enter(1000), flush=True)
"""


def start(code, *arguments):
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    return subprocess.Popen([sys.executable, "-c", code, *map(str, arguments)], cwd=project.BASE_DIR, **pipes)


def test_racing_processes_have_places_of_their_own_in_one_account(file):
    with start(READER, file, 200) as one, start(READER, file, 200) as two, start(READER, file, 200) as three:
        readers = (one, two, three)
        for reader in readers:
            reader.stdin.write("\n")
            reader.stdin.flush()
        places = [float(place) for reader in readers for place in reader.communicate(timeout=60)[0].split()]
    assert sorted(places) == [1000.0 * number for number in range(1, 601)]
    part = Bandwidth(file)
    part.bytes_per_second = 1.0
    assert 590_000 < part._time_left(600_000) < 600_000, "all of them wait for all"


def test_racing_threads_have_places_of_their_own(file):
    part = Bandwidth(file)
    part.bytes_per_second = 1.0
    places = []
    threads = [threading.Thread(target=lambda: places.extend(part._enter(10) for _ in range(100))) for _ in range(8)]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    assert sorted(places) == [10.0 * number for number in range(1, 801)]


HOLDER = """
import fcntl, os, sys, time
handle = os.open(sys.argv[1], os.O_RDWR | os.O_CREAT)
fcntl.flock(handle, fcntl.LOCK_EX)
print("held", flush=True)
time.sleep(600)
"""


@pytest.fixture
def holder(file):
    """A process that holds the account's lock, and keeps it."""
    with start(HOLDER, file) as process:
        assert process.stdout.readline() == "held\n"
        yield process
        process.kill()


def is_locked(file):
    with file.open("r+b") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        return False


def test_a_process_that_is_killed_lets_go_of_the_lock(make_process, file, holder, monkeypatch):
    monkeypatch.setattr(bandwidth, "LOCK_SECONDS", 600)
    assert is_locked(file)
    holder.send_signal(signal.SIGKILL)
    holder.wait()
    assert not is_locked(file)
    assert make_process(1)._enter(BLOCK) == BLOCK


def test_a_process_that_is_frozen_holds_nobody_up(make_process, clock, file, holder, monkeypatch):
    monkeypatch.setattr(bandwidth, "LOCK_SECONDS", 0.05)
    holder.send_signal(signal.SIGSTOP)
    make_process(BLOCK).pace(2 * BLOCK)
    assert sum(clock.slept) == 1.5, "the limit is kept all the same"
    assert is_locked(file)


def test_readers_that_are_killed_anywhere_leave_a_sound_account(file):
    seen = 0.0
    for _ in range(4):
        with start(READER, file, 1_000_000) as reader:
            reader.stdin.write("\n")
            reader.stdin.flush()
            for line in itertools.islice(reader.stdout, random.randrange(1, 50)):
                assert float(line) == seen + 1000
                seen = float(line)
            reader.kill()
            seen = max([seen, *(float(line) for line in reader.stdout if line.endswith("\n"))])
        _, _, read = FORMAT.unpack(file.read_bytes())
        assert read in (seen, seen + 1000)  # entered, and killed before it said so
        seen = read


# --- the limit in the database ----------------------------------------------------------------------------------------


@pytest.mark.django_db
def test_what_staff_set_is_seen_with_the_next_look(make_process, clock, django_assert_num_queries):
    part = make_process(None)
    part.refresh()
    assert part.bytes_per_second is None
    Limits.objects.update(megabytes_per_second=2.5)
    with django_assert_num_queries(0):
        part.refresh()
    clock.now += bandwidth.LOOK_SECONDS
    with django_assert_num_queries(1):
        part.refresh()
    assert part.bytes_per_second == 2_500_000
    Limits.objects.update(megabytes_per_second=None)
    clock.now += bandwidth.LOOK_SECONDS
    part.refresh()
    assert part.bytes_per_second is None


def test_the_limit_stays_while_the_database_is_away(make_process, clock, monkeypatch):
    def refuse():
        raise OperationalError("the server is away")

    monkeypatch.setattr(Limits, "row", refuse)
    part = make_process(10)
    part.refresh()
    assert part.bytes_per_second == 10


@pytest.mark.django_db
def test_a_beat_looks_at_the_limit():
    make_video(session=make_session())
    looks = []
    heart = Heartbeat(claim("w"), on_beat=lambda: looks.append(1))
    with heart:
        assert looks == [1], "before the first byte"
    heart._beat()
    assert len(looks) == 2


@pytest.mark.django_db
def test_the_desk_paces_media_and_can_be_stopped_while_it_waits(settings, tmp_path):
    settings.VAR_DIR = tmp_path
    Limits.row()
    Limits.objects.update(megabytes_per_second=0.001)
    desk = tasks._Desk()
    desk.bandwidth.refresh()

    def stop():
        raise KeyboardInterrupt

    desk.check = stop
    with pytest.raises(KeyboardInterrupt):
        desk.youtube._pace(BLOCK)
    with pytest.raises(KeyboardInterrupt):
        desk.youtube._check()
    [account] = tmp_path.glob("bandwidth-*")
    assert FORMAT.unpack(account.read_bytes())[2] == BLOCK
    desk.youtube.close()
