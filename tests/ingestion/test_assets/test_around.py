"""Assets beside everything else: sessions that ask again, workers and their supervisor, reports, the admin."""

import json
import uuid
from datetime import timedelta

import pytest
from django.core.management import call_command
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from django_q.models import OrmQ

from ingestion import api, assets, audit, console, dispatch, scanning, tasks
from ingestion.models import Limits, Scan
from ingestion.orphans import clean
from ingestion.progress import session_progress
from ingestion.reports import session_report
from ingestion.supervisor import Supervisor
from tests.factories import make_asset, make_channel, make_scan, make_session, make_video
from tests.ingestion.listings import FakeEntry, FakeListing, FakeYouTube
from tests.pages import page_of, press, said
from videos.keys import beside
from videos.models import Asset

pytestmark = pytest.mark.django_db(transaction=True)

ASKED = {"assets": ["nfo", "subtitles"], "subtitle_languages": ["en"]}
LATER = timedelta(minutes=5)


def scan_again(channel, names, **over) -> Scan:
    Scan.objects.create(session=make_session(**{"options": ASKED, **over}), channel=channel)
    scan = scanning.claim_scan("w")
    listing = FakeListing([FakeEntry(name) for name in names])
    scanning.scan_channel(scan, source=FakeYouTube(listing), found=lambda due: None, check=lambda: None)
    return scan


# --- sessions that ask again


@pytest.mark.parametrize("is_delta", [False, True])
def test_stored_videos_get_what_they_lack_and_are_not_downloaded_again(is_delta):
    channel = make_channel(listed_whole_at=timezone.now() if is_delta else None)
    stored = make_video(channel=channel, external_id="stored", status="stored")
    make_video(channel=channel, external_id="failed", status="failed")
    make_asset(video=stored, status="stored")
    scan = scan_again(channel, ["stored", "failed", "new"])
    asked = Asset.objects.filter(status="pending")
    assert set(asked.values_list("video", "session", "kind", "ext", "claim_id")) == {
        (stored.pk, scan.session_id, "subtitles", "vtt", None),
        (stored.pk, scan.session_id, "subtitles", "srt", None),
    }
    stored.refresh_from_db()
    assert (stored.status, stored.session_id) == ("stored", None)
    scan_again(channel, ["stored"])
    assert Asset.objects.count() == 3


def test_a_look_by_the_schedule_asks_for_nothing_beside_old_videos():
    channel = make_channel()
    make_video(channel=channel, external_id="stored", status="stored")
    scan_again(channel, ["stored"], is_rescan=True)
    assert not Asset.objects.exists()


def test_what_another_session_owes_is_taken_over_and_what_failed_only_when_wanted():
    channel = make_channel()
    video = make_video(channel=channel, external_id="stored", status="stored")
    waiting = make_asset(video=video, session=make_session(state="paused"))
    failed = make_asset(video=video, kind="subtitles", language="en", ext="vtt", status="failed", error_kind="network", attempts=3)
    scan = scan_again(channel, ["stored"])
    waiting.refresh_from_db(), failed.refresh_from_db()
    assert (waiting.session_id, failed.status) == (scan.session_id, "failed")
    scan = scan_again(channel, ["stored"], options={**ASKED, "retry_failed": True})
    failed.refresh_from_db()
    assert (failed.status, failed.attempts, failed.session_id) == ("pending", 0, scan.session_id)


def test_a_video_that_is_stored_anew_has_its_assets_made_anew_under_its_name(worker):
    video = worker.download(assets=["nfo"])
    before = video.assets.get().storage_key
    video.__class__.objects.update(status="pending", attempts=0, next_attempt_at=timezone.now() - LATER)
    done = worker.store_next()
    assert worker.work(done.assets, done) == 1
    video.refresh_from_db()
    assert before != video.assets.get().storage_key == beside(video.storage_key, "nfo")
    assert {key for key, _ in worker.store.list_keys()} == {video.storage_key, video.assets.get().storage_key}
    assert clean(worker.store, older_than=timedelta(0)).objects == 0
    assert list(audit.differences(worker.store)) == []


# --- workers and their supervisor


@pytest.fixture
def desk(worker, monkeypatch):
    """The real tasks, with this test's YouTube and store."""
    monkeypatch.setattr(tasks, "YouTube", lambda *args, **kwargs: worker.youtube)
    monkeypatch.setattr(tasks.Store, "default", lambda: worker.store)
    tasks._desk.cache_clear()
    yield
    tasks._desk.cache_clear()


def test_a_worker_makes_the_assets_with_the_look_it_has_and_the_other_queue_makes_the_rest(desk, worker):
    worker.twin.faults([{"match": "ytimg", "status": 500}])
    session = make_session(options={"quality": "360p", **ASKED, "assets": ["nfo", "subtitles", "thumbnail"]})
    video = make_video(external_id="demv0000050", session=session)
    assert tasks.download_due() == 1
    assert sorted(video.assets.values_list("kind", "status")) == [
        ("nfo", "stored"),
        ("subtitles", "stored"),
        ("subtitles", "stored"),
        ("thumbnail", "pending"),
    ]
    assert worker.asked("watch") == 1
    worker.twin.faults([])
    Asset.objects.filter(status="pending").update(next_attempt_at=timezone.now() - LATER)
    dispatch.tick()
    assert OrmQ.objects.filter(key="control").count() == 1
    assert tasks.scan_due() == 1
    assert worker.asked("watch") == 2
    assert not video.assets.exclude(status="stored").exists()
    assert list(audit.differences(worker.store, session_report(session))) == []


def test_scans_come_before_assets(desk, monkeypatch):
    done = []
    make_asset(), make_scan()
    monkeypatch.setattr(tasks, "scan_channel", lambda scan, **_: (done.append("scan"), Scan.objects.update(state="done")))
    monkeypatch.setattr(tasks.assets, "work", lambda claim, **_: (done.append("assets"), Asset.objects.all().delete()))
    assert tasks.scan_due() == 2
    assert done == ["scan", "assets"]


def test_an_asset_that_breaks_its_worker_is_recorded_with_the_raw_line(desk, monkeypatch):
    def stumble(claim, **_):
        raise ZeroDivisionError("who would have thought")

    make_asset()
    monkeypatch.setattr(tasks.assets, "work", stumble)
    assert tasks.scan_due() == 1
    asset = Asset.objects.get()
    assert (asset.status, asset.error_kind, asset.claim_id) == ("pending", "unknown", None)
    assert asset.error_message == "ZeroDivisionError: who would have thought"


@pytest.mark.parametrize(
    ("after_download", "videos_lie", "scans_lie"),
    [(None, True, True), (True, False, True), (False, True, False)],
    ids=["nobody works", "a download worker works", "a control worker works"],
)
def test_work_on_assets_is_work_of_the_queue_that_does_it(after_download, videos_lie, scans_lie):
    supervisor = Supervisor(download_workers=1)
    make_video(), make_scan(), make_asset()
    dispatch.tick()
    if after_download is not None:
        claim = uuid.UUID(int=7) if after_download else uuid.uuid4()
        make_asset(claim_id=claim, lease_owner=supervisor.name, lease_expires_at=timezone.now() + LATER)
    assert (supervisor._videos_lie(), supervisor._scans_lie()) == (videos_lie, scans_lie)
    assert supervisor._holds_work() == (after_download is not None)


def test_due_assets_alone_are_work_that_must_not_lie():
    make_asset()
    assert Supervisor(download_workers=1)._scans_lie()


def test_wake_ups_are_counted_by_video():
    video = make_video(status="stored")
    for language in ("en", "de", "fr"):
        make_asset(video=video, kind="subtitles", language=language, ext="vtt")
    make_asset(), make_asset(next_attempt_at=timezone.now() + LATER)
    assert dispatch.due_assets() == 2


# --- progress, report, summary


def test_a_run_goes_on_until_its_assets_are_made():
    session = make_session()
    make_video(session=session, status="stored")
    asset = make_asset(session=session)
    progress = session_progress(session)
    assert not progress.is_over and not progress.all_stored and not api.is_settled(progress)
    assert "1 asset waiting" in console.headline(progress)
    Asset.objects.update(next_attempt_at=timezone.now() + LATER)
    assert api.is_settled(session_progress(session)), "nothing is waited for longer than a minute"
    Asset.objects.update(claim_id=uuid.uuid4(), lease_owner="w", lease_expires_at=timezone.now() + LATER)
    assert not api.is_settled(session_progress(session)), "somebody works on it"
    Asset.objects.filter(pk=asset.pk).update(status="absent", claim_id=None, lease_owner="", lease_expires_at=None)
    assert session_progress(session).is_over and session_progress(session).all_stored
    Asset.objects.update(status="failed", error_kind="network")
    assert session_progress(session).is_over and not session_progress(session).all_stored


def test_the_report_tells_of_each_videos_assets_and_of_those_that_were_stored_before(django_assert_num_queries):
    session = make_session()
    for _ in range(2):
        make_asset(video=make_video(session=session, status="stored"), session=session, status="stored")
    known = make_video(status="stored")
    make_asset(video=known, status="stored")
    make_asset(video=known, session=session, kind="thumbnail", ext="", status="failed", error_kind="network")
    report = json.loads(json.dumps(session_report(session)))
    assert [[asset["status"] for asset in video["assets"]] for video in report["videos"]] == [["stored"], ["stored"]]
    (completed,) = report["completed"]
    assert (completed["youtube_id"], [asset["kind"] for asset in completed["assets"]]) == (known.external_id, ["thumbnail"])
    assert completed["assets"][0]["advice"]
    assert (report["totals"]["assets_stored"], report["totals"]["assets_failed"]) == (2, 1)
    assert "Beside them: 2 assets stored, 1 failed." in list(console.summary(report, session_progress(session)))
    with CaptureQueriesContext(connection) as before:
        session_report(session)
    for _ in range(20):
        make_asset(video=make_video(session=session, status="stored"), session=session, status="stored")
    with django_assert_num_queries(len(before)):
        session_report(session)


def test_the_summary_says_nothing_of_assets_that_nobody_asked_for():
    session = make_session()
    make_video(session=session, status="stored")
    assert not any("asset" in line for line in console.summary(session_report(session), session_progress(session)))


# --- the admin


def test_a_videos_page_shows_its_assets_with_advice(admin_client):
    video = make_video(status="stored")
    make_asset(video=video, kind="subtitles", language="en", ext="vtt", is_automatic=True, status="stored")
    make_asset(video=video, kind="thumbnail", ext="", status="failed", error_kind="network", error_message="raw line")
    text = admin_client.get(page_of(video)).content.decode()
    for words in (
        "Subtitles (vtt)",
        "en, automatic",
        "raw line",
        "ask whoever runs massdl to check the network and the proxy",
        "Retry assets",
    ):
        assert words in text


def test_a_videos_page_costs_the_same_for_1_and_15_assets(admin_client):
    video = make_video(status="stored")
    make_asset(video=video)
    admin_client.get(page_of(video))
    with CaptureQueriesContext(connection) as few:
        admin_client.get(page_of(video))
    for number in range(14):
        make_asset(video=video, kind="subtitles", language=f"l{number}", ext="vtt", session=make_session())
    with CaptureQueriesContext(connection) as many:
        admin_client.get(page_of(video))
    assert len(many) == len(few)


def test_a_retry_of_assets_takes_the_failed_ones_alone(admin_client):
    Limits.row()
    video = make_video(status="stored")
    kinds = {"nfo": "stored", "info": "absent", "thumbnail": "failed"}
    for kind, status in kinds.items():
        make_asset(video=video, kind=kind, ext=kind, status=status, error_kind="network" if status == "failed" else "")
    response = press(admin_client, "retry_assets", video)
    assert said(response) == ["1 asset of 1 video will be tried again."]
    assert dict(Asset.objects.values_list("kind", "status")) == {**kinds, "thumbnail": "pending"}
    assert assets.claim_assets("w").video_id == video.pk


def test_a_cancel_tells_of_the_assets_that_it_gave_up(admin_client, capsys):
    Limits.row()
    first, second, third = (make_asset(session=make_session()) for _ in range(3))
    assert said(press(admin_client, "cancel", first.video.channel)) == ["1 channel cancelled. 1 asset given up."]
    assert any("1 asset given up." in words for words in said(press(admin_client, "cancel", second.video)))
    call_command("cancel", "--session", str(third.session_id))
    assert "1 asset of stored videos given up." in capsys.readouterr().out
    assert set(Asset.objects.values_list("status", "error_kind")) == {("failed", "cancelled")}
