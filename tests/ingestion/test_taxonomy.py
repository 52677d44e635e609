"""Every kind of KINDS is reached by a scenario of its own: the local YouTube, the real yt-dlp, a real claim, a real store.

A scenario makes its trouble and returns the video or the scan that met it; what follows is the same for all kinds of a
class, and is looked at for each of them.
"""

import gc
import json
import os
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from unittest import mock

import imageio_ffmpeg
import pytest
from django.db.models.functions import Now
from django.test import override_settings
from django.utils import timezone

from demo.object_store import S3Server, serve_s3
from demo.youtube_twin import Twin
from ingestion import assets, budget, downloading, leases, scanning, steering
from ingestion.downloading import download
from ingestion.errors import KINDS, error
from ingestion.heartbeat import Heartbeat
from ingestion.models import Attempt, Budget, DownloadSession, Limits, Scan
from ingestion.store import Store
from ingestion.store.border import LATER
from ingestion.unknowns import frequent_unknowns
from ingestion.youtube import YouTube
from people.models import Channel
from tests.factories import make_asset, make_channel, make_session, make_video
from tests.ingestion.media.stores import make_folder_store, make_s3_storage, refuse
from videos.models import Asset, Video

pytestmark = pytest.mark.django_db(transaction=True)  # a download closes its connection for a while

ORDINARY = "demv0000050"
BACKOFF = timedelta(minutes=10)
ODD_WORDS = "This video was folded into a paper boat"


@dataclass
class World:
    """YouTube, yt-dlp and a store, with one worker in it: the test."""

    twin: Twin
    youtube: YouTube
    store: Store
    folder: Path
    rooms: ExitStack = field(default_factory=ExitStack)

    def download(self, external_id: str = ORDINARY) -> Video:
        """Claim a video and try it once."""
        video = make_video(external_id=external_id, session=make_session(options={"quality": "360p"}))
        return self.try_again(video)

    def try_again(self, video: Video) -> Video:
        claim = leases.claim("w")
        download(claim, source=self.youtube, store=self.store, heartbeat=Heartbeat(claim))
        video.refresh_from_db()
        return video

    def scan(self, name: str) -> Scan:
        address = f"https://www.youtube.com/{name}"
        Scan.objects.create(session=make_session(), channel=make_channel(url=address, canonical_url=address))
        scan = scanning.claim_scan("w")
        scanning.scan_channel(scan, source=self.youtube, found=lambda due: None, check=lambda: None)
        scan.refresh_from_db()
        return scan

    def answer(self, match: str, body: str, *, status: int = 200) -> None:
        self.twin.faults([{"match": match, "status": status, "body": body}])

    def size_of(self, itag: int) -> int:
        """Bytes of a format of the ordinary video."""
        _, video = self.twin.site.catalogue.find(ORDINARY)
        return self.twin.site.library.file(itag, video.seconds).size


@pytest.fixture
def world(fresh_twin: Twin, tmp_path: Path) -> Iterator[World]:
    Limits.row()
    Limits.objects.update(requests_per_second=1000, requests_per_hour=10_000, backoff_base_seconds=BACKOFF.total_seconds())
    Limits.objects.update(backoff_cap_seconds=BACKOFF.total_seconds() * 4)
    quick = {"extractor_retries": 1, "retries": 1, "retry_sleep_functions": {}, "cachedir": False}
    options = {**fresh_twin.ytdlp_options(), **quick, "ffmpeg_location": imageio_ffmpeg.get_ffmpeg_exe()}
    youtube = YouTube(options, spend=budget.spend)
    with ExitStack() as rooms:
        rooms.callback(youtube.close)
        yield World(fresh_twin, youtube, make_folder_store(tmp_path / "store"), tmp_path, rooms)


# --- the scenarios ----------------------------------------------------------------------------------------------------

Scenario = Callable[[World], Video | Scan | Asset]
SCENARIOS: dict[str, Scenario] = {}

SPECIAL_VIDEOS = {
    "private": "PRIVATE____",
    "removed": "REMOVED____",
    "terminated": "TERMACCT___",
    "members_only": "MEMBERS____",
    "age_restricted": "AGEGATE____",
    "geo_blocked": "GEOBLOCK___",
    "payment": "PAIDMOVIE__",
    "copyright": "COPYRIGHT__",
    "upcoming": "UPCOMING___",
    "live_now": "LIVENOW____",
    "no_formats": "SABRONLY___",
}
for kind, external_id in SPECIAL_VIDEOS.items():
    SCENARIOS[kind] = lambda world, external_id=external_id: world.download(external_id)


def scenario(make: Scenario) -> Scenario:
    """Registers it for the kind it is named after."""
    SCENARIOS[make.__name__] = make
    return make


@scenario
def degraded(world: World) -> Video:
    """The least of the formats that YouTube names, where more was asked for."""
    return world.try_again(make_video(external_id="DEGRADED___", session=make_session(options={"quality": "720p"})))


@scenario
def channel_missing(world: World) -> Scan:
    return world.scan("@nobodyofthatname")


@scenario
def empty(world: World) -> Scan:
    return world.scan("@empty")


@scenario
def budget_spent(world: World) -> Video:
    """A look takes two requests; the hour has one."""
    Limits.objects.update(requests_per_hour=1)
    return world.download()


@scenario
def network(world: World) -> Video:
    world.answer("/youtubei/v1/player", "the server is unwell", status=503)
    return world.download()


@scenario
def incomplete(world: World) -> Video:
    """The media host has a shorter file than the player announced."""
    world.answer("/videoplayback.*itag=134", "x" * 1000, status=206)
    return world.download()


@scenario
def forbidden(world: World) -> Video:
    world.answer("/videoplayback", "", status=403)
    return world.download()


@scenario
def captions_refused(world: World) -> Asset:
    """Those in one language, of a video that YouTube gives."""
    world.answer("/api/timedtext", "", status=429)
    wanted = {"assets": ["subtitles"], "subtitle_languages": ["fr"]}
    video = make_video(external_id=ORDINARY, status="stored", session=make_session(options=wanted))
    asset = make_asset(video=video, session=video.session, kind="subtitles", language="fr", ext="vtt")
    assets.work(assets.claim_assets("w"), source=world.youtube, store=world.store, check=lambda: None)
    asset.refresh_from_db()
    return asset


@scenario
def media(world: World) -> Video:
    """As many bytes as announced, but no film."""
    world.answer("/videoplayback.*itag=134", "x" * world.size_of(134), status=206)
    return world.download()


@scenario
def unknown(world: World) -> Video:
    refusal = {"status": "ERROR", "reason": ODD_WORDS}
    world.answer("/youtubei/v1/player", json.dumps({"playabilityStatus": refusal, "videoDetails": {"videoId": ORDINARY}}))
    return world.download()


def serve_bucket(world: World) -> S3Server:
    return world.rooms.enter_context(serve_s3(world.folder / "s3"))


def bucket_of(server: S3Server, name: str) -> Store:
    return Store(make_s3_storage(server.endpoint_url, name, access_key=server.access_key, secret_key=server.secret_key), in_order=True)


def refused_by_storage(operation: str, status: int, code: str) -> Scenario:
    """A bucket whose server takes everything but one kind of request."""

    def refuse_it(world: World) -> Video:
        server = serve_bucket(world)
        world.store = bucket_of(server, server.bucket)
        refuse(world.store, operation, status, code)
        return world.download()

    return refuse_it


SCENARIOS["storage"] = refused_by_storage("UploadPart", 400, "BadDigest")
SCENARIOS["storage_throttled"] = refused_by_storage("UploadPart", 503, "SlowDown")
SCENARIOS["storage_too_large"] = refused_by_storage("CompleteMultipartUpload", 400, "EntityTooLarge")
SCENARIOS["storage_full"] = refused_by_storage("CreateMultipartUpload", 507, "XMinioStorageFull")


@scenario
def storage_unreachable(world: World) -> Video:
    """The S3 server is down."""
    server = serve_bucket(world)
    world.store = bucket_of(server, server.bucket)
    server.kill()
    return world.download()


@scenario
def storage_credentials(world: World) -> Video:
    server = serve_bucket(world)
    world.store = bucket_of(replace(server, secret_key="another"), server.bucket)
    return world.download()


@scenario
def storage_missing(world: World) -> Video:
    """There is no such bucket."""
    world.store = bucket_of(serve_bucket(world), "nobodys-bucket")
    return world.download()


@scenario
def misconfigured(world: World) -> Video:
    """There is no ffmpeg where the settings say."""
    world.rooms.enter_context(override_settings(FFMPEG="/nowhere/ffmpeg"))
    return world.download()


@scenario
def scratch_limit(world: World) -> Video:
    """A video that can only be made on disk, and is larger than one may be there."""
    world.rooms.enter_context(mock.patch.object(downloading.logger, "disabled", True))  # what is logged is kept, with its frames
    world.rooms.enter_context(override_settings(SCRATCH_DIR=world.folder / "scratch", SCRATCH_LIMIT_GB=1e-6))
    with warnings.catch_warnings(action="ignore", category=ResourceWarning):
        video = world.download("HLSONLY____")
        gc.collect()  # yt-dlp leaves the files open that it was stopped in
    return video


@scenario
def scratch_full(world: World) -> Video:
    """The kernel has no room left for the first file that yt-dlp writes."""

    def make_folder(**about) -> str:
        folder = make(**about)
        Path(folder, "HLSONLY____.mp4.ytdl").symlink_to("/dev/full")
        return folder

    make = tempfile.mkdtemp
    world.rooms.enter_context(override_settings(SCRATCH_DIR=world.folder / "scratch"))
    world.rooms.enter_context(mock.patch.object(tempfile, "mkdtemp", make_folder))
    return world.download("HLSONLY____")


@scenario
def lost(world: World) -> Video:
    """Its worker is killed, and its supervisor sees it."""
    video = make_video(session=make_session())
    worker = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    leases.claim(f"host:supervisor:{worker.pid}")
    worker.kill()
    worker.wait()
    worker.stdin.close()
    assert leases.expire("host:supervisor:", is_alive=lambda pid: os.path.exists(f"/proc/{pid}")) == 1
    leases.reap()
    video.refresh_from_db()
    return video


def refused_as(kind: str) -> Scenario:
    def refuse(world: World) -> Video:
        world.twin.configure(refuse=kind)
        return world.download()

    return refuse


for kind in ("rate_limited", "bot_check", "captcha", "session_limited"):
    SCENARIOS[kind] = refused_as(kind)


@scenario
def cancelled(world: World) -> Video:
    video = make_video(session=make_session())
    steering.cancel(steering.Videos(Video.objects.filter(pk=video.pk)))
    video.refresh_from_db()
    return video


# --- what follows from a class ----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Follows:
    """`outcome` is the attempt's, None where there was none; `wait` the least and the most until the next one."""

    status: str
    attempts: int
    outcome: str | None
    wait: tuple[timedelta, timedelta] | None = None
    session: str = "running"
    stops_all: bool = False


SOON = timedelta(seconds=30)
WITHIN_A_MINUTE = (LATER / 2, timedelta(minutes=1))
NOTHING = timedelta(0)

FOLLOWS = {
    "permanent": Follows("unavailable", 1, "unavailable"),
    "deferred": Follows("pending", 0, "deferred", (timedelta(minutes=30), timedelta(hours=3, minutes=2))),
    "transient": Follows("pending", 1, "retry", (BACKOFF - SOON, BACKOFF * 1.2 + SOON)),
    "fleet": Follows("pending", 0, "refused", (-SOON, SOON), stops_all=True),
    "setup": Follows("pending", 0, "handed_back", (SOON, timedelta(minutes=2)), session="paused"),
    "staff": Follows("skipped", 0, None),
    "storage_throttled": Follows("pending", 0, "deferred", WITHIN_A_MINUTE),
    "storage_unreachable": Follows("pending", 0, "handed_back", WITHIN_A_MINUTE),
    "lost": Follows("pending", 0, "lost", (BACKOFF - SOON, BACKOFF * 1.2 + SOON)),  # five deaths in a row end it, not three
}


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_is_reached_and_treated_as_its_class_says(world: World, kind: str):
    row = SCENARIOS[kind](world)
    assert row.error_kind == kind, row.error_message
    follows = FOLLOWS.get(kind) or FOLLOWS[KINDS[kind].type.treatment]
    LOOK_AT[type(row)](row, follows)
    assert DownloadSession.objects.get().state == follows.session
    assert (budget.state().breaker == budget.OPEN) == follows.stops_all
    assert leases.claim("another") is None, "nobody takes it again at once"
    if isinstance(row, Video) and not follows.wait:
        assert Video.objects.retry() == 1 and leases.claim("another"), "but for staff who retry it"


def test_there_is_no_scenario_without_a_kind():
    assert set(SCENARIOS) == set(KINDS)


def look_at_video(video: Video, follows: Follows) -> None:
    assert (video.status, video.attempts, video.claim_id) == (follows.status, follows.attempts, None)
    attempts = list(Attempt.objects.values_list("outcome", "error_kind", "error_message"))
    said = (video.error_kind, video.error_message)
    assert attempts == ([(follows.outcome, *said)] if follows.outcome else [])
    if follows.outcome:
        assert video.error_message and video.error_message == video.error_message.strip()
    if follows.wait:
        least, most = follows.wait
        assert least <= video.next_attempt_at - timezone.now() <= most


def look_at_scan(scan: Scan, follows: Follows) -> None:
    """A channel without videos was listed well; what it lacks is only told."""
    assert follows is FOLLOWS["permanent"]
    assert (scan.state, scan.claim_id) == ("done" if scan.error_kind == "empty" else "failed", None)
    assert scan.error_message and scan.attempts == 1
    assert Channel.objects.get().state == ("gone" if scan.error_kind == "channel_missing" else "active")


def look_at_asset(asset: Asset, follows: Follows) -> None:
    assert (asset.status, asset.attempts, asset.claim_id) == (follows.status, follows.attempts, None)
    least, most = follows.wait
    assert asset.error_message and least <= asset.next_attempt_at - timezone.now() <= most


LOOK_AT = {Video: look_at_video, Scan: look_at_scan, Asset: look_at_asset}


# --- beside the table -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["network", "no_formats", "degraded", "unknown"])
def test_a_transient_error_fails_the_video_when_its_attempts_are_spent(world: World, kind: str):
    video = SCENARIOS[kind](world)
    for status in ("pending", "failed"):
        Video.objects.update(next_attempt_at=Now())
        world.try_again(video)
        assert video.status == status
    assert (video.attempts, video.error_kind) == (3, kind)


def test_a_small_picture_is_stored_when_staff_ask_for_no_more(world: World):
    video = degraded(world)
    Video.objects.update(status="failed", session=make_session(options={"quality": "360p"}))
    Video.objects.retry()
    assert world.try_again(video).status == "stored"
    assert (video.height, video.error_kind) == (360, "")


def test_an_outage_of_the_storage_fails_no_video(world: World):
    """However often it is looked at meanwhile; when the storage is back, all attempts are left."""
    server = serve_bucket(world)
    world.store = bucket_of(server, server.bucket)
    server.kill()
    video = world.download()
    for _ in range(6):
        Video.objects.update(next_attempt_at=Now())
        world.try_again(video)
        assert (video.status, video.attempts, video.error_kind) == ("pending", 0, "storage_unreachable")
    server.start()
    Video.objects.update(next_attempt_at=Now())
    assert (world.try_again(video).status, video.attempts) == ("stored", 1)


def test_what_the_storage_says_is_no_answer_of_youtube(world: World):
    """The breaker that half opened stays as it is until YouTube itself was asked."""
    SCENARIOS["bot_check"](world)
    assert budget.probe(Budget.objects.all())
    budget.note_answer(error("storage_unreachable"))
    assert budget.state().breaker != budget.CLOSED
    budget.note_answer(error("upcoming"))
    assert budget.state().breaker == budget.CLOSED


def test_what_nobody_has_seen_before_is_stored_raw_and_counted(world: World):
    video = unknown(world)
    assert video.error_message == ODD_WORDS
    Video.objects.update(next_attempt_at=Now())
    world.try_again(video)
    assert [(group.fault, group.count) for group in frequent_unknowns()] == [(ODD_WORDS, 2)]


def test_a_surprise_in_our_own_code_is_unknown_and_told_with_its_class(world: World, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(world.youtube, "extract", lambda *args: [][1])
    video = world.download()
    assert (video.status, video.error_kind, video.attempts) == ("pending", "unknown", 1)
    assert video.error_message == "IndexError: list index out of range"


def test_a_whole_refusal_is_over_when_one_request_was_answered(world: World):
    """The breaker's time passes, one probe goes through, and the video of the refusal is stored with all its attempts."""
    video = SCENARIOS["bot_check"](world)
    world.twin.configure(refuse=None)
    assert budget.probe(Budget.objects.all())
    assert world.try_again(video).status == "stored"
    assert (video.attempts, video.error_kind, budget.state().breaker) == (1, "", budget.CLOSED)


@pytest.mark.parametrize(("name", "kind"), [("@terminated", "terminated"), ("@agegated", "age_restricted")])
def test_a_channel_that_is_closed_says_so(world: World, name: str, kind: str):
    scan = world.scan(name)
    assert (scan.state, scan.error_kind) == ("failed", kind)


def test_a_channel_meets_a_refusal_of_us_as_its_videos_do(world: World):
    world.answer("www.youtube.com/@demo", "", status=429)
    scan = world.scan("@demo")
    assert (scan.state, scan.error_kind, scan.attempts, budget.state().breaker) == ("pending", "rate_limited", 0, budget.OPEN)


def test_a_cancelled_session_takes_its_scans_along(world: World):
    session = make_session()
    Scan.objects.create(session=session, channel=make_channel())
    steering.cancel(steering.Sessions(DownloadSession.objects.filter(pk=session.pk)))
    scan = Scan.objects.get()
    assert (scan.state, scan.error_kind, scan.error_message) == ("failed", "cancelled", KINDS["cancelled"].meaning)
