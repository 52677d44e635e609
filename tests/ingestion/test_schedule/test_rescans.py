import uuid
from datetime import timedelta

import pytest
from django.db import connection, connections
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from ingestion import steering
from ingestion.models import DownloadSession, Limits, Scan
from ingestion.options import Options
from ingestion.schedule import forget_empty_rescans, rescan_due, rescans
from ingestion.steering import Sessions
from people.models import Channel
from tests.factories import make_attempt, make_channel, make_scan, make_session, make_video

pytestmark = pytest.mark.django_db

DAILY = 24
LEASED = {"claim_id": uuid.uuid4(), "lease_owner": "host", "lease_expires_at": timezone.now() + timedelta(hours=1)}


@pytest.fixture(autouse=True)
def look_at_once(monkeypatch):
    monkeypatch.setattr(rescans, "_looked_at", -float("inf"))
    monkeypatch.setattr(rescans, "LOOK_EVERY_SECONDS", 0)


def ago(hours: float):
    return timezone.now() - timedelta(hours=hours)


def every(hours: int | None) -> Limits:
    Limits.row()
    Limits.objects.update(rescan_every_hours=hours)
    return Limits.row()


def make_listed(hours_ago: float = 30, *, session: DownloadSession | None = None, scan: dict | None = None, **over) -> Channel:
    """A channel that a finished session listed so many hours ago."""
    channel = make_channel(**{"last_scanned_at": ago(hours_ago), **over})
    session = session or make_session(state="finished", options=Options().as_json())
    make_scan(channel=channel, session=session, **{"state": "done", "finished_at": ago(hours_ago), **(scan or {})})
    return channel


def rescanned() -> list[int]:
    """Channels in the order in which their re-scans will be claimed."""
    scans = Scan.objects.filter(session__is_rescan=True).order_by("next_attempt_at", "id")
    return list(scans.values_list("channel_id", flat=True))


def test_a_channel_whose_interval_is_over_is_scanned_again():
    channel = make_listed(25)
    make_listed(23)
    assert rescan_due(every(DAILY)) == 1
    scan = Scan.objects.get(session__is_rescan=True)
    assert (scan.channel, scan.state, scan.session.source, scan.session.state) == (channel, "pending", "Re-scan by schedule", "running")


def test_nothing_is_scanned_again_without_an_interval():
    make_listed(10_000)
    assert rescan_due(every(None)) == 0


def test_a_channels_own_interval_goes_before_that_of_the_limits():
    own = make_listed(3, rescan_every_hours=2)
    make_listed(30, rescan_every_hours=48)
    assert rescan_due(every(DAILY)) == 1
    assert rescanned() == [own.pk]


def test_a_channels_own_interval_needs_none_in_the_limits():
    own = make_listed(3, rescan_every_hours=2)
    rescan_due(every(None))
    assert rescanned() == [own.pk]


@pytest.mark.parametrize(
    "over",
    [
        pytest.param({"state": "paused"}, id="paused"),
        pytest.param({"state": "gone"}, id="gone"),
        pytest.param({"kind": "video"}, id="a single video"),
        pytest.param({"scan": {"state": "pending", "finished_at": None}}, id="its scan waits"),
        pytest.param({"scan": {"state": "running", "finished_at": None}}, id="its scan runs"),
        pytest.param({"scan": {"state": "failed", "finished_at": ago(1)}}, id="a scan failed lately"),
        pytest.param(
            {"last_scanned_at": None, "scan": {"state": "failed", "error_kind": "cancelled"}}, id="cancelled before it was ever listed"
        ),
    ],
)
def test_a_channel_that_is_not_to_be_looked_at_is_left_alone(over):
    make_listed(**over)
    assert rescan_due(every(DAILY)) == 0


@pytest.mark.parametrize(
    "over",
    [
        pytest.param({"kind": "playlist"}, id="a playlist"),
        pytest.param({"last_scanned_at": None, "scan": {"state": "failed"}}, id="every scan of it failed"),
        pytest.param({"scan": {"state": "failed"}}, id="the last scan failed, a day ago"),
        pytest.param({"scan": {"state": "failed", "error_kind": "cancelled"}}, id="listed before, then a scan was cancelled"),
        pytest.param({"last_scanned_at": None, "scan": {"created_at": ago(30), "finished_at": None, "state": "failed"}}, id="no end known"),
    ],
)
def test_a_channel_that_is_to_be_looked_at_is(over):
    channel = make_listed(**over)
    rescan_due(every(DAILY))
    assert rescanned() == [channel.pk]


def test_a_channel_that_nobody_asked_for_is_left_alone():
    make_channel(last_scanned_at=ago(30))
    make_channel(last_scanned_at=None)
    make_listed(session=make_session(is_rescan=True, state="finished"))
    assert rescan_due(every(DAILY)) == 0


def test_a_paused_session_holds_its_channels():
    make_listed(session=make_session(state="paused"))
    assert rescan_due(every(DAILY)) == 0


def test_a_paused_re_scan_holds_those_after_it():
    channel = make_listed()
    make_scan(channel=channel, session=make_session(is_rescan=True, state="paused"), state="pending")
    assert rescan_due(every(DAILY)) == 0


def test_after_a_cancelled_session_the_schedule_goes_on_at_the_next_interval():
    session = make_session()
    listed, never = make_listed(30, session=session), make_channel()
    make_scan(channel=never, session=session, state="running", **LEASED)
    steering.cancel(Sessions(DownloadSession.objects.filter(pk=session.pk)))
    assert rescan_due(every(DAILY)) == 1
    assert rescanned() == [listed.pk]


def test_after_a_cancelled_re_scan_the_schedule_goes_on_at_the_next_interval():
    channel, limits = make_listed(30), every(DAILY)
    rescan_due(limits)
    steering.cancel(Sessions(DownloadSession.objects.filter(is_rescan=True)))
    assert rescan_due(limits) == 0
    Scan.objects.filter(session__is_rescan=True).update(finished_at=ago(25))
    assert rescan_due(limits) == 1
    assert rescanned() == [channel.pk] * 2
    assert DownloadSession.objects.filter(is_rescan=True, state="running").count() == 1


def test_a_finished_re_scan_does_not_hide_that_staff_paused_the_session():
    asked = make_session(state="paused")
    channel = make_listed(session=asked)
    make_scan(channel=channel, session=make_session(is_rescan=True, state="finished"), state="done", finished_at=ago(30))
    assert rescan_due(every(DAILY)) == 0
    DownloadSession.objects.filter(pk=asked.pk).update(state="running")
    assert rescan_due(every(DAILY)) == 1


@pytest.mark.parametrize("state", ["paused", "cancelled"])
def test_a_scan_left_over_in_an_older_stopped_session_is_no_obstacle(state):
    channel = make_channel(last_scanned_at=ago(30))
    make_scan(channel=channel, session=make_session(state=state), state="pending")
    make_scan(channel=channel, session=make_session(state="finished"), state="done", finished_at=ago(30))
    rescan_due(every(DAILY))
    assert rescanned() == [channel.pk]


def test_a_failing_channel_is_not_scanned_faster_than_its_interval():
    channel = make_listed(48)
    limits = every(DAILY)
    assert rescan_due(limits) == 1
    again = Scan.objects.filter(channel=channel, session__is_rescan=True)
    again.update(state="failed", error_kind="network", finished_at=timezone.now())
    assert rescan_due(limits) == 0
    again.update(finished_at=ago(25))
    assert rescan_due(limits) == 1
    assert DownloadSession.objects.filter(is_rescan=True, scans__channel=channel).count() == 2


def test_a_channel_is_not_scanned_again_while_its_re_scan_is_open():
    make_listed(500)
    assert [rescan_due(every(DAILY)) for _ in range(3)] == [1, 0, 0]


def test_while_everything_is_paused_nothing_is_begun():
    make_listed()
    Limits.row()
    Limits.objects.update(paused=True)
    assert rescan_due(every(DAILY)) == 0


def test_channels_with_the_same_options_share_a_session():
    low, high = Options(quality="360p", limit=5), Options(quality="1080p")
    for options in (low, high, low):
        make_listed(session=make_session(state="finished", options=options.as_json()))
    make_listed(session=make_session(state="finished", options={"limit": 5, "quality": "360p", "unknown": 1}))
    assert rescan_due(every(DAILY)) == 4
    sessions = DownloadSession.objects.filter(is_rescan=True)
    assert {Options.of(session.options): session.scans.count() for session in sessions} == {low: 3, high: 1}


def test_the_options_are_those_of_the_newest_session_that_staff_asked_for():
    channel = make_listed(session=make_session(state="finished", options=Options(quality="360p").as_json()))
    for options in (Options(quality="1080p"), Options(quality="480p")):
        is_rescan = options.quality == "480p"
        session = make_session(state="finished", options=options.as_json(), is_rescan=is_rescan)
        make_scan(channel=channel, session=session, state="done", finished_at=ago(29))
    rescan_due(every(DAILY))
    assert DownloadSession.objects.get(is_rescan=True, state="running").options["quality"] == "1080p"


def test_a_re_scan_asks_for_nothing_stored_or_failed_again():
    asked = Options(skip_existing=False, retry_failed=True, max_concurrent=2)
    make_listed(session=make_session(state="finished", options=asked.as_json()))
    rescan_due(every(DAILY))
    assert Options.of(DownloadSession.objects.get(is_rescan=True).options) == Options(max_concurrent=2)


def test_those_that_waited_longest_go_first_and_the_others_when_there_is_room(monkeypatch):
    monkeypatch.setattr(rescans, "MOST_CHANNELS", 2)
    limits = every(DAILY)
    young, old, middle = make_listed(30), make_listed(50), make_listed(40)
    assert [rescan_due(limits), rescan_due(limits)] == [2, 0]
    assert rescanned() == [old.pk, middle.pk]
    end_scan(old)
    assert rescan_due(limits) == 1
    assert rescanned() == [old.pk, middle.pk, young.pk]


def test_re_scans_that_staff_hold_back_take_no_room(monkeypatch):
    monkeypatch.setattr(rescans, "MOST_CHANNELS", 1)
    limits = every(DAILY)
    held = make_listed(50)
    rescan_due(limits)
    waiting = make_listed(30)
    assert rescan_due(limits) == 0
    Channel.objects.filter(pk=held.pk).update(state="paused")
    assert rescan_due(limits) == 1
    assert rescanned() == [held.pk, waiting.pk]


def end_scan(channel: Channel, hours_ago: float = 0) -> None:
    Scan.objects.filter(channel=channel, session__is_rescan=True).update(state="done", finished_at=ago(hours_ago))


def test_channels_that_come_due_within_an_hour_share_a_session():
    limits = every(DAILY)
    first = make_listed(50)
    rescan_due(limits)
    end_scan(first)
    session = DownloadSession.objects.get(is_rescan=True)
    DownloadSession.objects.filter(pk=session.pk).update(state="finished", finished_at=timezone.now())
    second = make_listed(40)
    rescan_due(limits)
    session = DownloadSession.objects.get(is_rescan=True)
    assert (session.state, session.finished_at, rescanned()) == ("running", None, [first.pk, second.pk])


@pytest.mark.parametrize(
    "over",
    [{"created_at": ago(1.1)}, {"state": "paused"}, {"state": "cancelled"}, {"options": {}}, {"is_rescan": False}],
    ids=["older", "paused", "cancelled", "other options", "asked by staff"],
)
def test_other_sessions_are_not_shared(over):
    other = make_session(**{"source": "Re-scan by schedule", "options": Options().as_json(), "is_rescan": True, **over})
    make_listed()
    rescan_due(every(DAILY))
    assert Scan.objects.exclude(state="done").get().session_id > other.pk


def test_a_process_looks_now_and_then_only(monkeypatch):
    limits = every(DAILY)
    rescan_due(limits)
    make_listed()
    monkeypatch.setattr(rescans, "LOOK_EVERY_SECONDS", 60)
    with CaptureQueriesContext(connection) as asked:
        assert rescan_due(limits) == 0
    assert len(asked) == 0
    monkeypatch.setattr(rescans, "_looked_at", rescans._looked_at - 61)
    assert rescan_due(limits) == 1


@pytest.mark.django_db(transaction=True)
def test_of_two_supervisors_one_does_it():
    make_listed()
    limits = every(DAILY)
    other = connections.create_connection("default")
    try:
        with other.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_lock(%s)", [rescans.LOOKING])
        assert rescan_due(limits) == 0
    finally:
        other.close()
    assert DownloadSession.objects.filter(is_rescan=True).count() == 0


def make_rescan(hours_ago: float = 30, **over) -> DownloadSession:
    session = make_session(**{"is_rescan": True, "state": "finished", "finished_at": ago(hours_ago), **over})
    make_scan(session=session, state="done", finished_at=ago(hours_ago))
    return session


def test_re_scans_that_found_nothing_are_forgotten_after_a_day():
    make_rescan(25)
    fresh = make_rescan(23)
    assert forget_empty_rescans() == 1
    assert [scan.session for scan in Scan.objects.all()] == [fresh]
    assert list(DownloadSession.objects.all()) == [fresh]


def test_what_has_something_to_tell_is_kept():
    kept = [make_rescan() for _ in range(3)]
    make_video(session=kept[0], status="stored")
    make_attempt(session=kept[1])
    make_scan(session=kept[2], state="failed")
    kept += [make_rescan(is_rescan=False), make_rescan(state="paused"), make_rescan(state="cancelled"), make_rescan(state="running")]
    assert forget_empty_rescans() == 0
    assert set(DownloadSession.objects.filter(pk__in=[session.pk for session in kept])) == set(kept)


def test_forgetting_does_not_bring_a_re_scan_forward():
    channel = make_listed(100, last_scanned_at=ago(30))
    make_scan(
        channel=channel, session=make_session(is_rescan=True, state="finished", finished_at=ago(30)), state="done", finished_at=ago(30)
    )
    assert rescan_due(every(48)) == 0
    assert not DownloadSession.objects.filter(is_rescan=True).exists()
    assert rescan_due(every(48)) == 0


def test_looking_clears_away_what_is_empty_also_when_nothing_is_scanned_again():
    make_rescan()
    rescan_due(every(None))
    assert not DownloadSession.objects.exists()
