"""What staff say of assets: stopped at once, due at once, and told why they are not there."""

from collections import Counter
from datetime import timedelta
from io import StringIO
from types import SimpleNamespace

import pytest
from django.core.management import call_command
from django.utils import timezone

from ingestion import assets, audit, console, leases, scanning, steering
from ingestion.errors import KINDS
from ingestion.heartbeat import Stopped
from ingestion.models import DownloadSession, Limits, Scan
from ingestion.options import Options
from ingestion.progress import session_progress
from ingestion.reports import session_report
from people.models import Channel
from tests.factories import make_asset, make_session, make_video
from tests.ingestion.listings import FakeEntry, FakeListing, FakeYouTube
from tests.ingestion.test_assets.test_asking import end_stored
from tests.pages import choose, page_of, press, said
from videos.models import Asset, Video

pytestmark = pytest.mark.django_db(transaction=True)

LATER = timedelta(hours=1)
HELD = {
    "everything": steering.Everything,
    "session": lambda: steering.Sessions(DownloadSession.objects.all()),
    "channel": lambda: steering.Channels(Channel.objects.all()),
}


def session_with(*, kinds=("info", "nfo"), **over) -> DownloadSession:
    """Running, with assets due of one stored video."""
    session, video = make_session(), make_video(external_id="demv0000050", status="stored")
    for kind in kinds:
        make_asset(video=video, session=session, kind=kind, ext="json" if kind == "info" else kind, **over)
    return session


def keeper_that_hears(claim, first):
    """A look at the lease each time, as a worker's; before the first one something happens."""
    happens = [first]

    def check():
        if happens:
            happens.pop()()
        if assets.renew(claim) is None:
            raise Stopped("lost")

    return check


# --- pause now


@pytest.mark.parametrize("scope", HELD.values(), ids=HELD)
def test_assets_in_work_are_stopped_by_a_pause_now_and_pay_nothing(worker, scope):
    session_with()
    claim, done = assets.claim_assets("w"), []
    assert worker.work(claim, check=keeper_that_hears(claim, lambda: done.append(steering.pause(scope(), now=True)))) == 0
    assert done[0].stopped == 1, "one worker, whatever it has"
    assert set(Asset.objects.values_list("status", "attempts", "tries", "claim_id")) == {("pending", 0, 0, None)}
    assert (list(worker.store.list_keys()), assets.claim_assets("w")) == ([], None)
    steering.resume(scope())
    assert worker.work_due() == 2


@pytest.mark.parametrize("scope", HELD.values(), ids=HELD)
def test_a_pause_lets_the_assets_in_work_be_made(scope):
    session_with()
    claim = assets.claim_assets("w")
    assert (steering.pause(scope()).stopped, steering.assets_in_work(scope())) == (0, 1)
    assert assets.renew(claim) == ""


def test_a_session_that_is_paused_now_leaves_another_its_assets_of_the_same_video(worker):
    paused = session_with(kinds=("info", "thumbnail"))
    make_asset(video=Video.objects.get(), session=make_session())
    claim = assets.claim_assets("w")
    scope = steering.Sessions(DownloadSession.objects.filter(pk=paused.pk))
    assert worker.work(claim, check=keeper_that_hears(claim, lambda: steering.pause(scope, now=True))) == 1
    assert Counter(Asset.objects.values_list("kind", "status")) == {(kind, "pending"): 1 for kind in ("info", "thumbnail")} | {
        ("nfo", "stored"): 1
    }
    assert (worker.asked("watch"), worker.asked("image")) == (0, 0), "nothing is asked for those that were taken away"


def test_a_download_that_ends_although_it_was_to_stop_leaves_its_assets_for_later():
    Limits.row()
    make_video(session=make_session())
    claim = leases.claim("w")
    assert steering.pause(HELD["session"](), now=True).stopped == 1
    assert end_stored(claim, Options(assets=("nfo", "info"))) is None
    assert set(Asset.objects.values_list("status", "attempts", "claim_id")) == {("pending", 0, None)}


def test_what_a_stored_video_lacks_is_not_held_back_by_the_video_and_that_is_said(capsys):
    Limits.row()
    session_with()
    claim = assets.claim_assets("w")
    call_command("pause", "--video", "demv0000050", "--now")
    sentence = "Video demv0000050: nothing to pause. What a stored video still lacks beside it is held back with its session or channel.\n"
    assert (capsys.readouterr().out, assets.renew(claim)) == (sentence, "")


@pytest.mark.parametrize("verb", ["pause", "cancel"])
def test_the_commands_count_work_on_assets_among_what_stops(verb, capsys):
    session = session_with()
    claim = assets.claim_assets("w")
    call_command(verb, "--session", str(session.pk), "--now")
    assert "1 running job will stop within seconds." in capsys.readouterr().out
    assert assets.renew(claim) is None


def test_the_admin_counts_work_on_assets_among_what_stops_or_may_finish(admin_client):
    session = session_with()
    assets.claim_assets("w")
    assert said(choose(admin_client, "pause", [session])) == ["1 download session paused. 1 running job on assets may finish."]
    assert said(press(admin_client, "pause_everything_now", Limits.row())) == [
        "Everything is paused; 1 running job will stop within seconds."
    ]
    assert not Asset.objects.in_work().exists()


# --- resume


def test_a_resume_makes_assets_due_that_waited_for_the_storage(capsys):
    session = session_with(next_attempt_at=timezone.now() + LATER, error_kind="storage_unreachable", error_message="away")
    call_command("resume", "--session", str(session.pk))
    assert capsys.readouterr().out == f"Session {session.pk}: goes on. 2 waiting assets may be tried at once.\n"
    assert assets.claim_assets("w").video_id == Video.objects.get().pk
    call_command("resume", "--session", str(session.pk))
    assert "was not paused, and nothing waited." in capsys.readouterr().out


def test_a_video_that_waited_for_the_storage_is_due_with_a_resume_as_its_assets_are(capsys):
    session = session_with(next_attempt_at=timezone.now() + LATER)
    video = make_video(session=session, next_attempt_at=timezone.now() + LATER, error_kind="storage_unreachable")
    call_command("resume", "--session", str(session.pk))
    assert "goes on. 1 waiting video and 2 waiting assets may be tried at once." in capsys.readouterr().out
    assert video in Video.objects.due()


def test_assets_of_what_is_broadcast_are_not_asked_for_any_sooner_by_a_resume():
    session_with(next_attempt_at=timezone.now() + LATER, error_kind="live_now")
    assert steering.resume(HELD["session"]()).assets == 0
    assert assets.claim_assets("w") is None


@pytest.mark.parametrize("kind", ["session", "channel", "video"])
def test_the_admin_says_which_assets_may_be_tried_at_once(admin_client, kind):
    session = session_with(next_attempt_at=timezone.now() + LATER)
    row = {"session": session, "channel": Channel.objects.get(), "video": Video.objects.get()}[kind]
    assert "2 waiting assets may be tried at once." in said(choose(admin_client, "resume", [row]))[-1]


# --- why they are not there


def test_the_report_and_the_summary_say_why_assets_failed():
    session = make_session()
    video = make_video(session=session, status="stored")
    make_video(session=session, status="failed", error_kind="network")
    outcomes = [
        ("info", "failed", "network"),
        ("nfo", "failed", "storage"),
        ("thumbnail", "pending", "storage"),
        ("subtitles", "absent", ""),
    ]
    for kind, status, error_kind in outcomes:
        make_asset(video=video, session=session, kind=kind, ext="", status=status, error_kind=error_kind)
    report = session_report(session)
    counts = [(row["kind"], row["videos"], row["channels"], row["known_before"], row["assets"]) for row in report["failures"]]
    assert counts == [("network", 1, 0, 0, 1), ("storage", 0, 0, 0, 2)]
    lines = list(console.summary(report, session_progress(session)))
    assert "Beside them: 0 assets stored, 2 failed, 1 not offered by YouTube, 1 waiting." in lines
    assert lines[lines.index("Not stored, by kind:") + 1 :] == [
        f"  network (1 video, 1 asset beside stored videos): {KINDS['network'].meaning} {KINDS['network'].advice}",
        f"  storage (2 assets beside stored videos): {KINDS['storage'].meaning} {KINDS['storage'].advice}",
        f"Assets that failed are tried again, as failed videos are, by `mass_download --resume {session.pk} --retry-failed`.",
    ]


def test_a_sessions_page_says_why_assets_failed(admin_client):
    session = session_with(status="failed", error_kind="captions_refused")
    text = admin_client.get(page_of(session)).content.decode()
    assert "YouTube refused the captions in this language" in text


# --- the audit


def said_by_the_audit(monkeypatch, worker) -> tuple[int, list[str]]:
    monkeypatch.setattr("ingestion.management.commands.audit.Store", SimpleNamespace(default=lambda: worker.store))
    out = StringIO()
    try:
        call_command("audit", stdout=out)
    except SystemExit as end:
        return end.code, out.getvalue().splitlines()
    return 0, out.getvalue().splitlines()


def test_the_audit_counts_assets_and_names_the_one_that_is_not_there(worker, monkeypatch):
    video = worker.download(assets=["nfo", "subtitles"])
    assert said_by_the_audit(monkeypatch, worker) == (0, ["1 stored video and 3 assets read, 0 differences."])
    missing = video.assets.get(ext="vtt")
    worker.store.delete(missing.storage_key)
    code, lines = said_by_the_audit(monkeypatch, worker)
    assert (code, lines[:2]) == (
        1,
        [
            f"asset subtitles en vtt of {video.external_id} is stored, but there is no object {missing.storage_key}",
            "1 stored video and 3 assets read, 1 difference.",
        ],
    )
    assert lines[2:] and "`skip_existing: false`" in lines[2]


def test_what_the_audit_found_damaged_is_made_anew_as_it_says(worker):
    video = worker.download(assets=["nfo", "info"])
    nfo, info = (video.assets.get(kind=kind) for kind in ("nfo", "info"))
    worker.store.delete(nfo.storage_key)
    worker.store.delete(info.storage_key)
    worker.store.put(info.storage_key, b"something else", content_type="application/json", metadata={})
    assert len(list(audit.differences(worker.store))) >= 2
    session = make_session(options={"quality": "360p", "assets": ["nfo", "info"], "skip_existing": False})
    Scan.objects.create(session=session, channel=video.channel)
    listing = FakeYouTube(FakeListing([FakeEntry(video.external_id)]))
    scanning.scan_channel(scanning.claim_scan("w"), source=listing, found=lambda due: None, check=lambda: None)
    done = worker.store_next()
    assert worker.work(done.assets, done) == 2
    assert list(audit.differences(worker.store)) == []
