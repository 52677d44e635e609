import io
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta

import pytest
from django.core.files.storage import FileSystemStorage
from django.db import OperationalError
from django.db.models.functions import Now

from ingestion import downloading, leases, orphans, outages, turns
from ingestion.errors import error
from ingestion.extraction import Extraction, MediaFormat
from ingestion.heartbeat import Heartbeat, Stopped
from ingestion.models import Attempt, Budget
from ingestion.options import Choice
from ingestion.store import Store
from tests.factories import make_attempt, make_session, make_video
from videos.models import Video

pytestmark = pytest.mark.django_db(transaction=True)  # a download closes its connection for a while

CONTENT = bytes(range(256)) * 4000  # about 1 MB; no MP4, so it is stored as it is


class FakeAnswer(io.BytesIO):
    def __init__(self, first, last):
        super().__init__(CONTENT[first : last + 1])
        self.first, self.last, self.total, self.validator = first, last, len(CONTENT), '"v1"'


@dataclass
class FakeSource:
    """One video of one format; `failure` is raised by the look, `media_failure` by the first range."""

    failure: Exception | None = None
    media_failure: Exception | None = None
    asked: list[tuple[str, Choice]] = field(default_factory=list)

    def extract(self, external_id, choice):
        self.asked.append((external_id, choice))
        if self.failure:
            raise self.failure
        media = MediaFormat("251", "https://media", "https", "webm", len(CONTENT), None, "opus")
        return Extraction(external_id, "True title", "Words", 12.4, date(2020, 2, 2), 7, "not_live", "public", (media,), {})

    def open_range(self, media, first, last):
        if self.media_failure:
            raise self.media_failure
        return FakeAnswer(first, last)


@pytest.fixture
def store(tmp_path):
    return Store(FileSystemStorage(tmp_path / "videos"))


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "videos"


def files(folder):
    return [path for path in folder.rglob("*") if path.is_file()]


def run(store, source, claim=None):
    claim = claim or leases.claim("w")
    done = downloading.download(claim, source=source, store=store, heartbeat=Heartbeat(claim))
    return done, Video.objects.get(pk=claim.video_id)


def test_a_stored_video_has_an_exact_row_and_its_object(store, folder):
    make_video(session=make_session(options={"quality": "480p"}), title="")
    source = FakeSource()
    done, video = run(store, source)
    assert done and video.status == "stored"
    assert source.asked == [(video.external_id, Choice("480p"))]
    seen = store.examine(video.storage_key, video.part_size)
    assert (seen.size, seen.checksum, seen.crc32) == (video.file_size, video.checksum, video.crc32)
    assert (folder / video.storage_key).read_bytes() == CONTENT
    assert (video.title, video.description, video.duration, video.upload_date) == ("True title", "Words", 12, date(2020, 2, 2))
    assert video.upload_date_is_exact and video.container == "webm" and video.acodec == "opus"
    assert Attempt.objects.values_list("way", "outcome").get() == ("copy", "stored")


@pytest.mark.parametrize(
    ("kind", "status"),
    [("private", "unavailable"), ("no_formats", "pending"), ("upcoming", "pending"), ("bot_check", "pending")],
)
def test_what_youtube_says_of_a_video_is_recorded(store, folder, kind, status):
    make_video()
    done, video = run(store, FakeSource(failure=error(kind, "raw")))
    assert not done and (video.status, video.error_kind) == (status, kind)
    assert Budget.objects.filter(open_reason=kind).exists() == (kind == "bot_check")
    assert files(folder) == []


def test_a_video_at_fault_itself_stops_nobody_else(store):
    make_video()
    refused = FakeSource(failure=error("bot_check"))
    run(store, refused)
    assert Budget.objects.get().refusals == 1
    Budget.objects.all().delete()
    make_video(priority=1)
    turns.refresh()
    run(store, FakeSource())
    _, video = run(store, refused)
    assert (video.status, video.error_kind) == ("failed", "bot_check")
    assert not Budget.objects.exists()


def test_a_premiere_is_tried_again_at_its_time(store):
    make_video()
    time = datetime.now(UTC) + timedelta(hours=3)
    _, video = run(store, FakeSource(failure=error("upcoming", not_before=time)))
    assert abs(video.next_attempt_at - time) < timedelta(seconds=30)


def test_an_unforeseen_error_is_recorded_raw_and_tried_again(store):
    make_video()
    _, video = run(store, FakeSource(failure=ZeroDivisionError("who would have thought")))
    assert (video.status, video.error_kind) == ("pending", "unknown")
    assert "ZeroDivisionError: who would have thought" in video.error_message


def test_a_refused_media_file_leaves_no_object(store, folder):
    make_video()
    _, video = run(store, FakeSource(media_failure=error("forbidden")))
    assert (video.status, video.error_kind) == ("pending", "forbidden")
    assert [path for path in files(folder) if not path.name.endswith(".part")] == []


def test_what_was_begun_is_kept_for_the_next_attempt_and_cleared_away_after_the_last(store, folder):
    make_video()
    for left in (1, 1, 0):
        Video.objects.update(next_attempt_at=Now())
        _, video = run(store, FakeSource(media_failure=error("forbidden")))
        assert len(files(folder)) == left
    assert video.status == "failed"
    assert not Attempt.objects.filter(upload__isnull=False).exists()


def test_what_a_killed_worker_had_stored_but_not_recorded_is_recorded_and_not_fetched_again(store, folder):
    make_video()
    run(store, FakeSource())
    (stored,) = files(folder)
    Attempt.objects.update(outcome="lost")
    Video.objects.update(status="pending", storage_key="", next_attempt_at=Now())
    _, video = run(store, FakeSource(media_failure=error("forbidden")))
    assert (video.status, folder / video.storage_key) == ("stored", stored)
    assert store.examine(video.storage_key, video.part_size).checksum == video.checksum


def test_what_it_had_stored_of_another_file_is_removed(store, folder):
    make_video()
    run(store, FakeSource())
    (orphan,) = files(folder)
    state = Attempt.objects.get().upload
    Attempt.objects.update(outcome="lost", upload={**state, "facts": {**state["facts"], "size": 7}})
    Video.objects.update(status="pending", storage_key="", next_attempt_at=Now())
    _, video = run(store, FakeSource())
    assert not orphan.exists()
    assert files(folder) == [folder / video.storage_key]


@pytest.fixture
def zombie():
    """The claim of a worker that was given up, and works on."""
    make_video()
    claim = leases.claim("w")
    Video.objects.update(lease_expires_at=Now() - timedelta(seconds=1))
    leases.reap()
    Video.objects.update(next_attempt_at=Now())
    return claim


def test_what_a_zombie_stored_is_recorded_by_its_successor(store, folder, zombie):
    done, video = run(store, FakeSource(), zombie)
    assert not done and video.status == "pending"
    (stored,) = files(folder)
    _, video = run(store, FakeSource(media_failure=error("forbidden")))
    assert (video.status, folder / video.storage_key) == ("stored", stored)


def test_what_a_zombie_stores_too_late_goes_and_nothing_of_its_successor(store, folder, zombie):
    _, video = run(store, FakeSource())
    done, _ = run(store, FakeSource(), zombie)
    assert not done and len(files(folder)) == 2
    assert orphans.clear_rows(store=store) == 1
    assert files(folder) == [folder / video.storage_key]


def test_a_storage_that_refuses_to_delete_is_no_failure_of_a_stored_video(store, monkeypatch, caplog):
    make_video()
    run(store, FakeSource())
    Video.objects.update(status="pending", attempts=0)
    monkeypatch.setattr(store, "delete", lambda key: (_ for _ in ()).throw(error("storage_credentials", "AccessDenied")))
    done, video = run(store, FakeSource())
    assert done and (video.status, video.error_kind) == ("stored", "")
    assert "stays in the storage for now" in caplog.text


def outage():
    return error("storage_unreachable", "503", not_before=datetime.now(UTC))


def test_a_storage_that_is_away_from_the_beginning_is_waited_for_without_end(store, monkeypatch):
    make_video()
    monkeypatch.setattr(store, "check", lambda: (_ for _ in ()).throw(outage()))
    source = FakeSource()
    for _ in range(7):
        _, video = run(store, source)
        Video.objects.update(next_attempt_at=Now())
    assert (video.status, video.attempts, video.error_kind) == ("pending", 0, "storage_unreachable")
    assert set(Attempt.objects.values_list("outcome", flat=True)) == {"handed_back"}
    assert source.asked == []


def test_a_video_that_alone_cannot_be_stored_is_given_up(store):
    make_video()
    for number in range(1, 6):
        _, video = run(store, FakeSource(media_failure=outage()))
        make_attempt(outcome="stored", video=make_video(status="stored"))
        assert video.attempts == max(number - 2, 0)
        Video.objects.update(next_attempt_at=Now())
    assert (video.status, video.error_kind) == ("failed", "storage")


def test_a_video_stored_again_replaces_its_object(store, folder):
    make_video()
    _, first = run(store, FakeSource())
    Video.objects.update(status="pending", attempts=0)
    _, second = run(store, FakeSource())
    assert second.storage_key != first.storage_key
    assert [path.relative_to(folder).as_posix() for path in files(folder)] == [second.storage_key]


@pytest.mark.parametrize(("reason", "status"), [("pause", "pending"), ("shutdown", "pending"), ("lost", "downloading")])
def test_a_stopped_download_is_handed_back_unless_it_is_somebody_elses(store, reason, status):
    make_video()
    _, video = run(store, FakeSource(failure=Stopped(reason)))
    assert (video.status, video.attempts) == (status, 0 if status == "pending" else 1)


def test_a_database_that_goes_away_in_the_middle_costs_no_attempt(store):
    make_video()
    _, video = run(store, FakeSource(failure=OperationalError("consuming input failed")))
    assert (video.status, video.attempts, video.error_kind) == ("pending", 0, "")
    assert Attempt.objects.get().outcome == "handed_back"


def test_a_restart_of_the_database_at_the_end_loses_nothing(store, monkeypatch):
    make_video()
    calls, finish = [], leases.finish_stored

    def finish_after_restart(*args, **kwargs):
        calls.append(1)
        if len(calls) < 3:
            raise OperationalError("terminating connection due to administrator command")
        return finish(*args, **kwargs)

    monkeypatch.setattr(leases, "finish_stored", finish_after_restart)
    monkeypatch.setattr(outages.time, "sleep", lambda seconds: None)
    done, video = run(store, FakeSource())
    assert done and video.status == "stored" and len(calls) == 3
