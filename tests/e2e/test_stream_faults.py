"""Every row of docs/faults.md happens: real YouTube class, real ffmpeg, a real S3 server behind a proxy that fails on demand."""

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta

import psutil
import pytest
from botocore.config import Config
from django.db.models.functions import Now

from bench._s3_proxy import S3Fault, S3Proxy
from bench._scene import PART, fetched_again, served
from demo.youtube_twin import Twin
from ingestion import leases, orphans
from ingestion.downloading import download
from ingestion.errors import KINDS, TREATMENTS
from ingestion.heartbeat import Heartbeat
from ingestion.models import Attempt
from ingestion.store import Store
from ingestion.streams import ffmpeg_path, ranges
from ingestion.youtube import YouTube
from tests.e2e import fault_table
from tests.e2e.fault_table import CASES, MIB, RANGE, Case
from tests.factories import make_attempt, make_session, make_video
from tests.ingestion.media.fixtures import moto_endpoint
from tests.ingestion.media.stores import empty, make_s3_storage, uploads_left
from videos.models import Video

__all__ = ["moto_endpoint"]
pytestmark = pytest.mark.django_db(transaction=True)  # a download closes its connection for a while

VIDEOS = {"copy": "prog_00028M", "mux": "bench00028M", "tracks": "bench00028M"}
LEADING = {"copy": 22, "mux": 136, "tracks": 136}  # the format that is fetched first, and makes up nearly all
BUCKET = "faults"
SILENCE_SECONDS = 2
OUTCOMES = {"deferred": "deferred", "setup": "handed_back", "transient": "retry"}


class Watched(Heartbeat):
    """Calls `on_progress` with the share that is done."""

    def __init__(self, claim: leases.Claim, on_progress: Callable[[float], None]):
        super().__init__(claim)
        self._on_progress = on_progress

    def progress(self, done: int, total: int | None) -> None:
        self._on_progress(100 * done / total if total else 0)
        super().progress(done, total)


class Looking(YouTube):
    """Calls `on_look` with the addresses that a look has brought."""

    on_look: Callable[[list[str]], None] = staticmethod(lambda urls: None)

    def extract(self, *arguments, **options):
        extraction = super().extract(*arguments, **options)
        self.on_look([media.url for media in extraction.formats])
        return extraction


@dataclass
class Stage:
    """One video and all that it passes through; the methods are the faults of `fault_table`."""

    twin: Twin
    proxy: S3Proxy
    moto: Store
    way: str
    size: int
    source: Looking
    actions: list[tuple[float, Callable[[], None]]] = field(default_factory=list)
    has_struck: Callable[[], bool] = lambda: False
    waits_for_storage: float = 20
    storage_retries: int = 4

    # --- the faults

    def spoil_storage(self, fault: S3Fault) -> None:
        """What lasts is not waited for: boto's tries would only take longer."""
        self.proxy.faults(fault)
        self.has_struck = lambda: any(seen.fault for seen in self.proxy.seen(fault.step))
        self.storage_retries = 0 if fault.times is None else self.storage_retries
        self.waits_for_storage = SILENCE_SECONDS if fault.kind == "slow" else self.waits_for_storage

    def at(self, share: float, action: Callable[[], None]) -> None:
        self.actions.append((share, action))
        self.has_struck = lambda: not self.actions

    def spoil_media(self, share: float, how: str, *, lasting: bool = False) -> None:
        """The answer with the byte at that share breaks off there; `lasting`: so do those that begin there."""
        at = int(self.size * share / 100)
        rules = [{"match": self._asked_from(self._begin_of(at)), "times": 1, how: at - self._begin_of(at)}]
        self.has_struck = lambda: all(rule["times"] != 1 for rule in self.twin.faults_in_force.rules())
        if lasting:
            rules.append({"match": rf"/videoplayback.*[?&]itag={LEADING[self.way]}\b.* bytes=\d+-{self._end_of(at)}$", how: 0})
        self.twin.faults(rules)

    def refuse_media(self, share: float) -> None:
        self.twin.faults([{"match": self._asked_from(*self._begins_from(share)), "status": 403}])
        self.has_struck = self._was_refused

    def expire(self, share: float) -> None:
        """The addresses of the first look are refused from there on, and fresh ones are not."""

        def on_look(urls: list[str]) -> None:
            old = re.search(r"[?&]expire=(\d+)", urls[0])[1]
            begins = "|".join(map(str, self._begins_from(share)))
            self.twin.faults([{"match": rf"/videoplayback.*[?&]expire={old}\b.* bytes=({begins})-", "status": 403}])
            self.twin.configure(ttl=9 * 3600)
            self.source.on_look = lambda urls: None

        self.source.on_look = on_look
        self.has_struck = self._was_refused

    def delete_bucket(self) -> None:
        self.moto._place.client.delete_bucket(Bucket=BUCKET)

    def kill_ffmpeg(self) -> None:
        for child in psutil.Process().children(recursive=True):
            if child.name() in ffmpeg_path():
                child.kill()

    def _was_refused(self) -> bool:
        return any(entry["kind"] == "media" and entry["status"] == 403 for entry in self.twin.log())

    def _begins(self) -> list[int]:
        """Where the ranges begin that are asked for when nothing fails."""
        if self.way == "mux":
            return list(range(0, self.size, RANGE))
        begins: list[int] = []
        for first in range(0, self.size, PART):
            step = max(-(-min(PART, self.size - first) // 4), MIB)
            begins += range(first, min(first + PART, self.size), step)
        return begins

    def _begins_from(self, share: float) -> list[int]:
        return [begin for begin in self._begins() if begin >= self._begin_of(int(self.size * share / 100))]

    def _begin_of(self, at: int) -> int:
        return max(begin for begin in self._begins() if begin <= at)

    def _end_of(self, at: int) -> int:
        return min([begin for begin in self._begins() if begin > at], default=self.size) - 1

    def _asked_from(self, *begins: int) -> str:
        return rf"/videoplayback.*[?&]itag={LEADING[self.way]}\b.* bytes=({'|'.join(map(str, begins))})-"

    # --- the work

    def attempt(self) -> Attempt:
        """One more, as a worker makes it."""
        claim = leases.claim("host:supervisor:1")
        timeouts = Config(read_timeout=self.waits_for_storage, retries={"mode": "standard", "max_attempts": self.storage_retries})
        storage = make_s3_storage(self.proxy.url, BUCKET)
        storage.client_config = storage.client_config.merge(timeouts)
        with Watched(claim, self._act) as heartbeat:
            download(claim, source=self.source, store=Store(storage), heartbeat=heartbeat)
        return Attempt.objects.select_related("video", "session").get(pk=claim.attempt_id)

    def _act(self, share: float) -> None:
        while self.actions and share >= self.actions[0][0]:
            self.actions.pop(0)[1]()

    def mend(self, attempt: Attempt) -> None:
        """The fault is over; staff resume what was paused, and the time to wait has passed."""
        self.proxy.faults()
        self.twin.faults([])
        self.waits_for_storage, self.storage_retries = 20, 4
        attempt.session.state = "running"
        attempt.session.save(update_fields=["state"])
        Video.objects.filter(pk=attempt.video_id).update(next_attempt_at=Now())


@pytest.fixture(scope="module")
def moto(moto_endpoint):
    storage = make_s3_storage(moto_endpoint, BUCKET)
    storage.connection.create_bucket(Bucket=BUCKET)
    return Store(storage)


@pytest.fixture(scope="module")
def proxy(moto_endpoint):
    with S3Proxy(moto_endpoint) as proxy:
        yield proxy


@pytest.fixture(autouse=True)
def no_waiting_between_tries(monkeypatch):
    monkeypatch.setattr(ranges, "BACKOFF_SECONDS", 0)


@pytest.fixture
def make_stage(fresh_twin, proxy, moto):
    """A stage for a way, with its video due and its bucket empty."""
    stages = []

    def make(way: str) -> Stage:
        empty(moto)
        proxy.faults()
        proxy.forget()
        video = make_video(external_id=VIDEOS[way], session=make_session())
        if way == "tracks":
            make_attempt(video=video, way="mux", outcome="lost")
        source = Looking({**fresh_twin.ytdlp_options(), "socket_timeout": SILENCE_SECONDS})
        found = fresh_twin.site.catalogue.find(VIDEOS[way])[1]
        size = fresh_twin.site.library.file(LEADING[way], found.seconds, found.grade).size
        stages.append(Stage(fresh_twin, proxy, moto, way, size, source))
        return stages[-1]

    yield make
    for stage in stages:
        stage.source.close()
    proxy.faults()


uninterrupted: dict[str, tuple[int, str, str]] = {}


def facts(video: Video) -> tuple[int, str, str]:
    return video.file_size, video.checksum, video.crc32


@pytest.fixture
def expected(make_stage):
    """Size and checksums of a video that nothing happened to, by its id."""

    def expected(way: str) -> tuple[int, str, str]:
        if VIDEOS[way] not in uninterrupted:
            video = make_stage(way).attempt().video
            uninterrupted[VIDEOS[way]] = facts(video)
            Video.objects.all().delete()
        return uninterrupted[VIDEOS[way]]

    return expected


def check_the_failed_attempt(case: Case, attempt: Attempt) -> None:
    treatment = TREATMENTS[KINDS[case.kind].type.treatment].slug
    video, session = attempt.video, attempt.session
    assert (attempt.error_kind, attempt.outcome, attempt.way) == (case.kind, OUTCOMES[treatment], case.way if attempt.way else "")
    assert (video.status, video.attempts) == ("pending", int(treatment == "transient"))
    assert (session.state == "paused") == (treatment == "setup")
    assert attempt.error_message.startswith(case.said)
    assert session.state_reason == (attempt.error_message if treatment == "setup" else "")


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_nothing_is_lost(case, make_stage, expected):
    whole = expected(case.way)
    stage = make_stage(case.way)
    stage.twin.clear_log()
    case.begin(stage)
    attempt = stage.attempt()
    assert stage.has_struck()
    before = served(stage.twin.log())
    if case.kind:
        check_the_failed_attempt(case, attempt)
        if case.is_recreated:
            stage.moto._place.client.create_bucket(Bucket=BUCKET)
        tracks = {size for key, size in stage.moto.list_keys() if ".picture." in key or ".sound." in key}
        assert {size for _, size in stage.moto.list_keys()} - tracks <= {whole[0]}, "nothing that is not whole is seen"
        stage.mend(attempt)
        attempt = stage.attempt()
    video = attempt.video
    assert (attempt.outcome, video.status, facts(video)) == ("stored", "stored", whole)
    seen = stage.moto.examine(video.storage_key, video.part_size)
    assert (seen.size, seen.checksum, seen.crc32) == whole
    assert [key for key, _ in stage.moto.list_keys()] == [video.storage_key]
    assert len(uploads_left(stage.moto)) == case.leaves_upload
    orphans.clean(stage.moto, older_than=timedelta(0))
    assert uploads_left(stage.moto) == []
    most = sum(answer.sent for answer in before) if case.cost.most is None else case.cost.most
    assert fetched_again(served(stage.twin.log())) <= most


def test_the_page_of_the_documentation_is_what_the_table_says():
    assert fault_table.main(["--check"]) == 0
