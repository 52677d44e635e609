from datetime import timedelta

import pytest
from django.core.management import CommandError, call_command
from django.db.models.functions import Now

from ingestion import dispatch, leases
from ingestion.errors import error
from ingestion.models import Attempt, DownloadSession, Limits, Scan
from ingestion.scanning import claim_scan, renew_scan
from ingestion.scanning.claims import fail_scan
from ingestion.steering import Channels, Everything, Sessions, Videos, cancel, pause, resume
from people.models import Channel
from tests.factories import make_channel, make_scan, make_session, make_video
from videos.models import Video

pytestmark = pytest.mark.django_db

LATER = Now() + timedelta(hours=1)


@pytest.fixture
def world():
    """A session with one channel that has a running, a due and a waiting video and a running scan."""
    Limits.row()
    session, channel = make_session(), make_channel(canonical_url="https://www.youtube.com/@kitchen", title="Kitchen")
    make_video(session=session, channel=channel, external_id="running00001", priority=1)
    make_video(session=session, channel=channel, external_id="due000000001")
    make_video(session=session, channel=channel, external_id="waiting00001", next_attempt_at=LATER)
    make_scan(session=session, channel=channel)
    scan, claim = claim_scan("host:x:1"), leases.claim("host:x:1")
    assert scan and claim.video_id == video("running").pk
    return claim, scan


def video(name):
    return Video.objects.get(external_id__startswith=name)


def statuses():
    return {name: video(name).status for name in ("running", "due", "waiting")}


SCOPES = {
    "everything": Everything,
    "session": lambda: Sessions(DownloadSession.objects.all()),
    "channel": lambda: Channels(Channel.objects.all()),
    "videos": lambda: Videos(Video.objects.all()),
}
SCOPED = pytest.mark.parametrize("scope", SCOPES.values(), ids=SCOPES)


@SCOPED
def test_a_pause_lets_what_runs_end_and_begins_nothing_new(world, scope):
    claim, _ = world
    done = pause(scope(), reason="Too hot.")
    assert done.changed and not done.stopped
    assert leases.renew(claim) == ""
    assert leases.finish_stored(claim, way="copy", storage_key="k", file_size=1, checksum="c")
    assert leases.claim("w") is None
    assert dispatch.due_videos() == 0


@SCOPED
def test_a_pause_now_stops_what_runs_and_costs_it_no_attempt(world, scope):
    claim, _ = world
    assert pause(scope(), now=True).stopped >= 1
    assert leases.renew(claim) == Attempt.Stop.PAUSE
    assert leases.hand_back(claim)
    assert (video("running").status, video("running").attempts) == ("pending", 0)
    assert leases.claim("w") is None


@SCOPED
def test_what_was_paused_goes_on(world, scope):
    claim, _ = world
    pause(scope(), now=True)
    leases.hand_back(claim)
    assert resume(scope()).changed
    assert {leases.claim("w").video_id, leases.claim("w").video_id} <= {video(name).pk for name in ("running", "due", "waiting")}


@SCOPED
def test_a_second_pause_changes_nothing(world, scope):
    pause(scope())
    assert pause(scope()).changed == 0
    resume(scope())
    assert resume(scope()).changed == 0


def test_a_resume_makes_what_waited_due_at_once_but_for_everything(world):
    resume(Everything())
    assert video("waiting") not in Video.objects.due()
    resume(SCOPES["session"]())
    assert video("waiting") in Video.objects.due()


@pytest.mark.parametrize("scope", [SCOPES["everything"], SCOPES["session"], SCOPES["channel"]])
def test_a_scan_that_is_stopped_now_is_lost_to_its_worker_and_pays_no_attempt(world, scope):
    _, scan = world
    assert renew_scan(scan) == ""
    pause(scope(), now=True)
    assert renew_scan(scan) is None
    scan.refresh_from_db()
    assert (scan.state, scan.attempts) == ("pending", 0)
    assert claim_scan("w") is None


@SCOPED
def test_a_cancellation_gives_up_what_is_not_stored_and_lets_what_runs_end(world, scope):
    claim, scan = world
    done = cancel(scope())
    assert statuses() == {"running": "downloading", "due": "skipped", "waiting": "skipped"}
    assert (video("due").error_kind, done.videos, done.stopped) == ("cancelled", 3, 0)
    scan.refresh_from_db()
    assert (scan.state, scan.error_kind) == (("running", "") if scope is SCOPES["videos"] else ("failed", "cancelled"))
    assert leases.renew(claim) == ""
    assert leases.finish_stored(claim, way="copy", storage_key="k", file_size=1, checksum="c")
    assert (video("running").status, video("running").wanted) == ("stored", "run")


@SCOPED
@pytest.mark.parametrize(
    "end",
    [
        pytest.param(lambda claim: leases.finish_failed(claim, error("network")), id="it fails"),
        pytest.param(lambda claim: leases.hand_back(claim), id="it is handed back"),
        pytest.param(
            lambda claim: (Video.objects.filter(pk=claim.video_id).update(lease_expires_at=Now()), leases.reap()), id="it is lost"
        ),
    ],
)
def test_what_ran_while_it_was_cancelled_is_not_tried_again(world, scope, end):
    claim, _ = world
    cancel(scope(), now=True)
    assert leases.renew(claim) == Attempt.Stop.CANCEL
    end(claim)
    running = video("running")
    assert (running.status, running.error_kind, running.wanted) == ("skipped", "cancelled", "run")


def test_a_cancelled_session_that_is_resumed_gets_back_what_was_cancelled_with_it(world):
    claim, scan = world
    make_video(session=scan.session, external_id="skipped00001", status="skipped")
    cancel(SCOPES["session"](), now=True)
    leases.hand_back(claim)
    assert DownloadSession.objects.get().state == "cancelled"
    resume(SCOPES["session"]())
    assert DownloadSession.objects.get().state == "running"
    assert set(statuses().values()) == {"pending"}
    assert video("skipped").status == "skipped"
    assert Scan.objects.get().state == "pending"


@pytest.mark.parametrize("now", [False, True])
def test_what_still_runs_of_a_cancelled_session_that_is_resumed_goes_on(world, now):
    claim, _ = world
    cancel(SCOPES["session"](), now=now)
    resume(SCOPES["session"]())
    assert leases.renew(claim) == ""
    leases.finish_failed(claim, error("network"))
    assert video("running").status == "pending"


@pytest.mark.parametrize("kind", ["channel_missing", "terminated"])
def test_a_paused_channel_stays_paused_when_its_scan_finds_it_gone(world, kind):
    claim, scan = world
    pause(SCOPES["channel"]())
    fail_scan(scan, error(kind))
    leases.hand_back(claim)
    assert Channel.objects.get().state == "paused"
    assert leases.claim("w") is None


def test_a_cancelled_video_that_staff_retry_brings_its_session_back_alone(world):
    cancel(SCOPES["session"]())
    Video.objects.filter(external_id__startswith="due").retry()
    dispatch.reopen_sessions()
    assert DownloadSession.objects.get().state == "running"
    assert statuses()["waiting"] == "skipped"


def test_a_stored_video_that_was_to_be_stored_anew_stays_stored_when_that_is_cancelled():
    make_video(storage_key="k", file_size=1, checksum="c")
    cancel(SCOPES["videos"]())
    assert Video.objects.values_list("status", "error_kind").get() == ("stored", "")


def test_a_scope_is_a_filter_that_may_not_fit_any_more_once_something_changed(world):
    claim, _ = world
    cancel(Sessions(DownloadSession.objects.filter(state="running")), now=True)
    assert leases.renew(claim) == Attempt.Stop.CANCEL
    assert DownloadSession.objects.get().state == "cancelled"


def test_what_a_filter_of_paused_sessions_chose_goes_on_with_all_its_videos(world):
    claim, _ = world
    pause(SCOPES["session"](), now=True)
    leases.hand_back(claim)
    assert resume(Sessions(DownloadSession.objects.filter(state="paused"))).videos == 1
    assert video("waiting") in Video.objects.due()


def test_a_premiere_that_is_resumed_waits_for_its_time_all_the_same(world):
    Video.objects.filter(external_id__startswith="waiting").update(error_kind="upcoming", wanted="pause")
    resume(SCOPES["session"]())
    assert video("waiting").wanted == "run"
    assert video("waiting") not in Video.objects.due()


# --- the commands


def said(capsys, *words):
    call_command(*words)
    return capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "name"),
    [
        (["--all"], "Everything"),
        (["--channel", "@kitchen"], "Kitchen"),
        (["--channel", "https://www.youtube.com/@Kitchen/videos"], "Kitchen"),
        (["--video", "due000000001"], "Video due000000001"),
    ],
)
def test_the_commands_steer_what_they_are_told(world, capsys, words, name):
    assert said(capsys, "pause", *words).startswith(f"{name}: paused. What runs may end by itself")
    assert said(capsys, "pause", *words) == f"{name}: nothing to pause.\n"
    assert said(capsys, "resume", *words).startswith(f"{name}: goes on.")
    assert said(capsys, "resume", *words) == f"{name}: was not paused, and nothing waited.\n"
    assert f"{name}: cancelled, " in said(capsys, "cancel", *words, *(["--yes"] if words == ["--all"] else []))


def test_the_commands_steer_a_session_and_tell_what_was_stopped(world, capsys):
    number = str(DownloadSession.objects.get().pk)
    out = said(capsys, "pause", "--session", number, "--now", "--reason", "Too hot.")
    assert out == f"Session {number}: paused. 2 running jobs will stop within seconds. Go on with `manage.py resume --session {number}`.\n"
    assert DownloadSession.objects.get().state_reason == "Too hot."
    assert "1 waiting video may be tried at once" in said(capsys, "resume", "--session", number)
    assert said(capsys, "cancel", "--session", number) == (
        f"Session {number}: cancelled, 3 videos given up and 1 listing ended. "
        "What runs may end by itself; --now stops it, too. A retry in the admin brings videos back.\n"
    )


def test_a_cancel_says_of_running_downloads_only_what_is_so(world, capsys):
    out = said(capsys, "cancel", "--video", "due000000001")
    assert out == "Video due000000001: cancelled, 1 video given up and 0 listings ended. A retry in the admin brings videos back.\n"
    out = said(capsys, "cancel", "--channel", "@kitchen", "--now")
    assert out.startswith("Kitchen: cancelled, 2 videos given up and 1 listing ended. 1 running job will stop within seconds.")


def test_to_give_up_everything_wants_a_yes(world, capsys):
    before = statuses()
    with pytest.raises(CommandError, match=r"This would give up 3 videos and 1 listing, on all hosts; --yes does it\.") as caught:
        call_command("cancel", "--all", "--now")
    assert caught.value.returncode == 2
    assert (statuses(), Scan.objects.get().state, DownloadSession.objects.get().state) == (before, "running", "running")
    assert "3 videos given up and 1 listing ended" in said(capsys, "cancel", "--all", "--yes")
    assert (statuses()["due"], Scan.objects.get().state, DownloadSession.objects.get().state) == ("skipped", "failed", "cancelled")


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--session", "999999"], "There is no session 999999"),
        (["--video", "nothing"], "There is no video nothing"),
        (["--channel", "@nobody"], "The archive knows no channel"),
        (["--channel", "https://example.org/x"], "example.org"),
    ],
)
def test_what_is_not_there_is_named(world, words, sentence):
    with pytest.raises(CommandError, match=sentence) as caught:
        call_command("pause", *words)
    assert caught.value.returncode == 2


def test_nothing_is_steered_when_nothing_is_named():
    with pytest.raises(CommandError, match="one of the arguments"):
        call_command("cancel")
