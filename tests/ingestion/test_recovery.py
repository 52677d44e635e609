import csv
import io
import json
import shlex
from datetime import UTC, datetime, timedelta

import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from django_q.models import OrmQ

from ingestion import api, recovery
from ingestion.errors import KINDS, PermanentError
from ingestion.models import DownloadSession, Limits, Scan
from ingestion.recovery import Retried, UnknownKind, recovery_plan, retry_kinds
from people.channel_urls import parse_channel_url
from people.models import Channel
from tests.factories import make_channel, make_scan, make_session, make_video
from videos.models import Video

pytestmark = pytest.mark.django_db

LATER = datetime(2100, 1, 1, 12, tzinfo=UTC)


def failed(kind="network", status="failed", **over):
    return make_video(status=status, error_kind=kind, **over)


def counts(steps):
    return {step.kind: (step.videos, step.channels, step.waiting_videos, step.waiting_channels) for step in steps}


def statuses(*videos):
    return [Video.objects.get(pk=video.pk).status for video in videos]


# --- the plan


def test_a_plan_groups_by_kind_what_ended_and_what_waits():
    session = make_session()
    for kind, status in (("network", "failed"), ("network", "failed"), ("private", "unavailable"), ("cancelled", "skipped")):
        failed(kind, status, session=session)
    failed("private", "skipped", session=session)  # staff skipped what was private
    make_video(status="skipped", session=session)
    make_video(session=session, error_kind="network", next_attempt_at=LATER)
    make_video(session=session)
    make_video(status="stored", session=session)
    make_scan(session=session, state="failed", error_kind="network")
    make_scan(session=session, error_kind="rate_limited", next_attempt_at=LATER)
    make_scan(session=session, state="done")
    assert counts(recovery_plan(session)) == {
        "network": (2, 1, 1, 0),
        "skipped": (2, 0, 0, 0),
        "cancelled": (1, 0, 0, 0),
        "private": (1, 0, 0, 0),
        "rate_limited": (0, 0, 0, 1),
        "waiting": (0, 0, 1, 0),
    }
    assert [step.kind for step in recovery_plan(session)] == ["network", "skipped", "cancelled", "private", "rate_limited", "waiting"]


def test_a_plan_tells_meaning_advice_and_the_exact_command():
    session = make_session()
    failed(session=session)
    (step,) = recovery_plan(session)
    assert (step.treatment, step.meaning, step.advice) == ("transient", KINDS["network"].meaning, KINDS["network"].advice)
    assert step.command == f"manage.py recovery_plan --session {session.pk} --kind network --apply"
    assert step.outlook == f"1 video ended, retry with `{step.command}`."
    assert recovery_plan()[0].command == "manage.py recovery_plan --kind network --apply"


@pytest.mark.parametrize("kind", sorted(recovery.HOPELESS))
def test_what_a_retry_does_not_help_has_no_command(kind):
    assert issubclass(KINDS[kind].type, PermanentError)
    failed(kind, "unavailable")
    (step,) = recovery_plan()
    assert (step.command, step.outlook) == ("", "1 video ended, and a retry changes nothing.")


def test_what_waits_goes_on_by_itself_from_the_first_that_is_due():
    for hours in (3, 1, 2):
        make_video(error_kind="upcoming", next_attempt_at=LATER + timedelta(hours=hours))
    (step,) = recovery_plan()
    assert (step.command, step.next_at) == ("", LATER + timedelta(hours=1))
    assert step.outlook == "3 wait or run and go on by themselves, the first at 2100-01-01 13:00 UTC."


def test_what_waits_while_youtube_must_not_be_asked_is_not_due_before():
    from ingestion import budget

    make_video(error_kind="bot_check")
    until = budget.refused("bot_check")
    (step,) = recovery_plan()
    assert step.next_at == until > timezone.now()


def test_what_staff_hold_back_names_the_command_that_lets_it_go_on():
    paused, channel = make_session(state="paused"), make_channel(state="paused")
    make_video(session=paused)
    make_video(channel=channel)
    video = make_video(wanted="pause")
    make_video()
    (step,) = recovery_plan()
    assert (step.waiting_videos, dict(step.held)) == (4, {"session": 1, "channel": 1, "video": 1})
    assert set(step.resume) == {
        f"manage.py resume --session {paused.pk}",
        f"manage.py resume --channel {channel.canonical_url}",
        f"manage.py resume --video {video.external_id}",
    }
    assert "1 waits or runs and goes on by itself; 3 held back by staff, let go on with `manage.py" in step.outlook


def test_what_is_held_is_named_where_it_is_held_and_under_its_kind():
    paused, channel, session = make_session(state="paused"), make_channel(state="paused"), make_session()
    make_video(session=paused, channel=channel, wanted="pause", error_kind="network")
    make_video(channel=channel, session=session, wanted="pause", error_kind="network")
    make_scan(channel=channel, session=session, error_kind="rate_limited")
    steps = {step.kind: step for step in recovery_plan()}
    of_channel = f"manage.py resume --channel {channel.canonical_url}"
    assert steps["network"].resume == (f"manage.py resume --session {paused.pk}", of_channel)
    assert steps["rate_limited"].resume == (of_channel,)
    assert [step.resume for step in recovery_plan(session)] == [(of_channel,)] * 2
    assert not steps["network"].unnamed


def test_of_many_channels_and_videos_five_are_named_and_the_rest_are_counted():
    channels = [make_channel(state="paused") for _ in range(7)]
    for channel in channels:
        make_video(channel=channel)
        make_scan(channel=channel)
    videos = [make_video(wanted="pause") for _ in range(6)]
    (step,) = recovery_plan()
    of_channels, of_videos = sorted(step.resume)
    assert of_channels.count("--channel ") == of_videos.count("--video ") == 5
    assert {video.external_id for video in videos} > set(of_videos.split()[3::2])
    assert dict(step.unnamed) == {"channel": 2, "video": 1}
    assert step.outlook.startswith("20 held back by staff, let go on with `manage.py resume --channel ")
    assert step.outlook.endswith("`, and 2 more channels and 1 more video: see the admin.")


def test_when_everything_is_paused_nothing_goes_on_by_itself():
    Limits.objects.update_or_create(pk=1, defaults={"paused": True})
    make_scan(session=make_session(state="paused"))
    (step,) = recovery_plan()
    assert (dict(step.held), step.resume, step.next_at) == ({"everything": 1}, ("manage.py resume --all",), None)


def test_a_kind_of_an_older_release_is_told_as_unknown():
    failed("gremlins")
    (step,) = recovery_plan(kinds=["gremlins"])
    assert (step.kind, step.advice) == ("gremlins", KINDS["unknown"].advice)
    assert retry_kinds(kinds=["gremlins"]).videos == 1


def test_only_the_kinds_that_were_asked_for():
    failed("network")
    failed("storage")
    assert counts(recovery_plan(kinds=["storage", "media"])) == {"storage": (1, 0, 0, 0)}


def test_a_kind_that_there_is_not_is_refused_with_those_that_there_are():
    for act in (recovery_plan, retry_kinds):
        with pytest.raises(UnknownKind, match=r"There is no kind netwrok; there are .*network, no_formats.*skipped"):
            act(kinds=["network", "netwrok"])


def test_a_plan_takes_as_many_queries_for_many_videos_as_for_one(django_assert_num_queries):
    failed()
    Limits.row()
    make_video(wanted="pause")
    make_video(channel=make_channel(state="paused"))
    with CaptureQueriesContext(connection) as few:
        recovery_plan()
    assert len(few) < 12
    for kind in ("network", "private", "lost"):
        for _ in range(3):
            failed(kind, session=make_session())
            make_video(session=make_session(state="paused"))
            make_video(wanted="pause", error_kind=kind)
            make_scan(state="failed", error_kind=kind)
            make_scan(channel=make_channel(state="paused"), error_kind=kind)
    with django_assert_num_queries(len(few)):
        recovery_plan()


# --- doing it


def test_a_retry_makes_failures_due_and_leaves_alone_what_must_be_named():
    gone, cancelled, skipped = failed("private", "unavailable"), failed("cancelled", "skipped"), make_video(status="skipped")
    again = [failed("network", attempts=3), failed("bot_check"), failed("misconfigured")]
    scans = [make_scan(state="failed", error_kind=kind, attempts=3, finished_at=LATER) for kind in ("network", "cancelled", "empty")]
    assert retry_kinds() == Retried(3, 1, 0)
    assert statuses(*again, gone, cancelled, skipped) == ["pending"] * 3 + ["unavailable", "skipped", "skipped"]
    assert [Scan.objects.get(pk=scan.pk).state for scan in scans] == ["pending", "failed", "failed"]
    video, scan = Video.objects.get(pk=again[0].pk), Scan.objects.get(pk=scans[0].pk)
    assert (video.attempts, video.error_kind) == (0, "") and Video.objects.due().count() == 3
    assert (scan.attempts, scan.error_kind, scan.finished_at) == (0, "", None)


@pytest.mark.parametrize("kind", ["private", "cancelled", "skipped", "network"])
def test_a_named_kind_is_retried_and_no_other(kind):
    videos = {
        "private": failed("private", "unavailable"),
        "cancelled": failed("cancelled", "skipped"),
        "skipped": failed("private", "skipped"),
        "network": failed("network"),
    }
    assert retry_kinds(kinds=[kind]).videos == 1
    assert {name for name, video in videos.items() if statuses(video) == ["pending"]} == {kind}


def test_a_retry_of_one_session_leaves_the_others_alone():
    mine, other = make_session(), make_session()
    videos = [failed(session=session) for session in (mine, other)]
    assert retry_kinds(mine).videos == 1
    assert statuses(*videos) == ["pending", "failed"]


def test_what_waits_is_not_hurried():
    video = make_video(error_kind="network", next_attempt_at=LATER)
    assert retry_kinds(kinds=["network", "waiting"]) == Retried(0, 0, 0)
    assert Video.objects.get(pk=video.pk).next_attempt_at == LATER


def test_ended_sessions_run_on_and_paused_ones_stay_paused():
    finished, cancelled, paused, idle = (make_session(state=state) for state in ("finished", "cancelled", "paused", "finished"))
    for session in (finished, paused):
        failed(session=session)
    make_scan(session=cancelled, state="failed")
    assert retry_kinds() == Retried(2, 1, 2, (paused.pk,))
    states = dict(DownloadSession.objects.values_list("pk", "state"))
    assert [states[session.pk] for session in (finished, cancelled, paused, idle)] == ["running", "running", "paused", "finished"]


def test_the_workers_of_both_queues_are_woken():
    failed()
    make_scan(state="failed")
    retry_kinds()
    assert sorted(OrmQ.objects.values_list("key", flat=True)) == ["control", "download"]


def test_nothing_to_retry_wakes_nobody():
    assert retry_kinds() == Retried(0, 0, 0)
    assert not OrmQ.objects.exists()


def test_python_programs_find_both_in_the_api():
    assert (api.recovery_plan, api.retry_kinds) == (recovery_plan, retry_kinds)
    assert {"recovery_plan", "retry_kinds"} <= set(api.__all__)


# --- the command


@pytest.fixture
def run(capsys):
    """The command's exit code and its output."""

    def run(*arguments):
        try:
            call_command("recovery_plan", *arguments)
        except SystemExit as stop:
            return stop.code, capsys.readouterr().out
        return 0, capsys.readouterr().out

    return run


def test_an_archive_that_is_whole_ends_with_0(run):
    make_video(status="stored")
    assert run() == (0, "Nothing is left to do.\n")


def test_what_is_not_stored_ends_with_1_and_two_lines_for_each_kind(run):
    failed()
    code, out = run()
    assert code == 1
    assert out.splitlines() == [
        f"network: {KINDS['network'].meaning} {KINDS['network'].advice}",
        "    1 video ended, retry with `manage.py recovery_plan --kind network --apply`.",
    ]


def test_the_plan_as_json(run):
    make_video(error_kind="network", next_attempt_at=LATER)
    code, out = run("--format", "json")
    (step,) = json.loads(out)
    assert code == 1
    assert (step["kind"], step["waiting_videos"], step["next_at"], step["held"]) == ("network", 1, LATER.isoformat(), {})
    assert step["outlook"].startswith("1 waits or runs and goes on by itself, the first at 2100-01-01 12:00 UTC")


def test_the_plan_as_csv_is_safe_in_a_spreadsheet(run):
    failed("=HYPERLINK(1)")
    channel = make_channel(state="paused")
    make_video(channel=channel)
    _, out = run("--format", "csv")
    rows = list(csv.DictReader(io.StringIO(out)))
    assert [row["kind"] for row in rows] == ["'=HYPERLINK(1)", "waiting"]
    assert (rows[1]["held"], rows[1]["resume"]) == ("channel 1", f"manage.py resume --channel {channel.canonical_url}")


def test_applying_says_how_many_and_ends_with_0(run):
    session = make_session(state="finished")
    failed(session=session)
    make_scan(session=session, state="failed")
    assert run("--session", str(session.pk), "--apply") == (0, "1 video and 1 channel will be tried again, 1 ended session runs on.\n")
    assert run("--apply", "--format", "json") == (0, '{"videos": 0, "channels": 0, "reopened": 0, "paused": [], "assets": 0}\n')


def test_applying_to_a_paused_session_says_what_is_still_to_be_done(run):
    session = make_session(state="paused")
    failed(session=session)
    assert run("--apply")[1].endswith(f"What belongs to paused sessions waits for: manage.py resume --session {session.pk}.\n")


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--kind", "netwrok"], "There is no kind netwrok; there are age_restricted"),
        (["--kind", "netwrok", "--apply"], "There is no kind netwrok; there are age_restricted"),
        (["--session", "999999"], "There is no session 999999; there is none yet"),
    ],
)
def test_bad_input_ends_with_2_and_says_what_there_is(arguments, sentence):
    with pytest.raises(CommandError, match=sentence) as caught:
        call_command("recovery_plan", *arguments)
    assert caught.value.returncode == 2


def test_a_session_that_there_is_not_names_the_latest():
    session = make_session()
    with pytest.raises(CommandError, match=f"the latest are {session.pk}"):
        call_command("recovery_plan", "--session", "999999")


def test_every_command_that_is_told_can_be_given(run):
    """What stands in backquotes runs as it stands."""
    session = make_session()
    failed(session=session)
    make_video(session=make_session(state="paused"))
    make_video(wanted="pause", external_id="-RaNdOmId-1")
    make_video(wanted="pause", external_id="dQw4w9WgXcQ")
    playlist = parse_channel_url("https://www.youtube.com/playlist?list=PLabcdefghijklmnop").canonical
    for address in ("https://www.youtube.com/@küche", playlist):
        make_video(channel=make_channel(state="paused", canonical_url=address))
    for step in recovery_plan():
        for line in filter(None, [step.command, *step.resume]):
            call_command(*shlex.split(line.removeprefix("manage.py ")))
    assert Video.objects.due().count() == 6
    assert not Channel.objects.filter(state="paused").exists() and recovery_plan()[0].resume == ()


@pytest.mark.parametrize("kinds", [["waiting"], ["network", "waiting"]])
def test_what_waits_cannot_be_retried_and_what_helps_is_said(kinds):
    video = make_video(error_kind="network", next_attempt_at=LATER)
    words = [word for kind in kinds for word in ("--kind", kind)]
    with pytest.raises(CommandError, match=r"goes on by itself while workers run \(`manage.py workers`\).*resumed") as caught:
        call_command("recovery_plan", "--apply", *words)
    assert caught.value.returncode == 2
    assert Video.objects.get(pk=video.pk).next_attempt_at == LATER
