from datetime import timedelta

import pytest
from django.db import connection
from django.db.models.functions import Now
from django.utils import timezone
from django_q.models import OrmQ
from django_q.signing import SignedPackage

from ingestion import dispatch, leases, turns
from ingestion.errors import error
from ingestion.leases import claims
from ingestion.models import Budget, DownloadSession, DownloadWindow, Limits, Scan, Turn
from ingestion.scanning import claim_scan
from tests.factories import make_channel, make_scan, make_session, make_video
from videos.models import Video

pytestmark = pytest.mark.django_db

HOUR_AWAY, HOUR_AGO = Now() + timedelta(hours=1), Now() - timedelta(hours=1)


def rung(queue):
    return [SignedPackage.loads(message.payload)["func"] for message in OrmQ.objects.filter(key=queue)]


def due_videos():
    turns.refresh()
    return dispatch.due_videos()


def test_a_wake_up_says_nothing_but_where_to_look():
    dispatch.ring(dispatch.DOWNLOADS)
    assert rung("download") == ["ingestion.tasks.download_due"]


def test_a_tick_rings_for_what_is_due_once():
    make_video(), make_video()
    Scan.objects.create(session=make_session(), channel=make_channel())
    dispatch.tick()
    dispatch.tick()
    assert (len(rung("download")), len(rung("control"))) == (2, 1)


def test_no_more_is_rung_for_than_the_limits_leave_room_for():
    Limits.objects.filter(pk=Limits.row().pk).update(max_concurrent_channels=1, max_concurrent_videos_per_channel=2)
    channel = make_channel()
    for _ in range(5):
        make_video(channel=channel), make_video()
    assert due_videos() == 2


def busy(count=1, **over):
    """A channel of which some videos are downloading on another host; returns the channel."""
    channel = over.pop("channel", None) or make_channel()
    for number in range(count):
        make_video(channel=channel, status="downloading", claim_id=number, lease_owner="other", lease_expires_at=HOUR_AWAY, **over)
    return channel


def full_channel():
    make_video(channel=busy(2))


def channel_with_room_for_one():
    channel = busy(1)
    make_video(channel=channel), make_video(channel=channel)


def all_channels_taken():
    for _ in range(3):
        busy()
    make_video()


def full_session():
    session = make_session(options={"max_concurrent": 1})
    make_video(channel=busy(session=session), session=session)


def session_with_room_for_two():
    session = make_session(options={"max_concurrent": 3})
    busy(session=session)
    for _ in range(4):
        make_video(session=session)


def session_without_a_bound():
    make_video(session=make_session(options={"max_concurrent": None}))


def full_session_before_another():
    channel, full = make_channel(), make_session(options={"max_concurrent": 1})
    make_video(channel=busy(session=full), session=full), make_video(channel=channel, session=full, priority=5)
    make_video(channel=channel, session=make_session())


def more_channels_busy_than_a_lowered_limit_lets_be():
    Limits.objects.update(max_concurrent_channels=2)
    for _ in range(3):
        make_video(channel=busy())
    make_video()


def session_with_more_channels_busy_than_it_may_have():
    session = make_session(options={"max_concurrent_channels": 1})
    for _ in range(2):
        make_video(channel=busy(session=session), session=session)


def session_with_room_in_its_one_channel():
    session = make_session(options={"max_concurrent_channels": 1})
    make_video(channel=busy(session=session), session=session)
    make_video(session=session)


def session_with_one_video_of_a_channel_at_a_time():
    session = make_session(options={"max_concurrent_per_channel": 1})
    make_video(channel=busy(session=session), session=session)
    channel = make_channel()
    make_video(channel=channel, session=session), make_video(channel=channel, session=session)


def channel_with_a_bound_of_its_own():
    channel = make_channel(max_concurrent_videos=4)
    for _ in range(6):
        make_video(channel=channel)


def outside_the_window():
    hour = (timezone.now() + timedelta(hours=2)).time()
    DownloadWindow.objects.create(days=list(range(7)), opens_at=hour, closes_at=(timezone.now() + timedelta(hours=3)).time())
    make_video()


def a_day_that_is_spent():
    Limits.objects.update(max_videos_per_day=1)
    busy()
    make_video()


def channels_whose_turn_is_over_while_another_waits():
    for _ in range(3):
        make_video(channel=busy())
    turns.refresh()
    Turn.objects.update(began_at=HOUR_AGO)
    make_video()


def channels_whose_turn_is_over_while_nobody_waits():
    for _ in range(3):
        make_video(channel=busy())
    turns.refresh()
    Turn.objects.update(began_at=HOUR_AGO)


def channels_whose_turn_is_over_while_something_less_urgent_waits():
    for _ in range(3):
        make_video(channel=busy(), priority=1)
    turns.refresh()
    Turn.objects.update(began_at=HOUR_AGO)
    make_video()


def paused_channel():
    make_video(channel=make_channel(state="paused"))


def unwanted_video():
    make_video(wanted="pause")


def half_open_breaker():
    Budget.objects.create(identity="guest", refusals=1, open_until=Now() - timedelta(seconds=1))
    make_video(), make_video()


def half_open_breaker_beside_what_began_before():
    half_open_breaker()
    busy()
    make_scan(state="running", lease_owner="other", lease_expires_at=HOUR_AWAY)


def half_open_breaker_and_a_probe_under_way():
    half_open_breaker()
    Budget.objects.update(probing_until=HOUR_AWAY)


def half_open_breaker_and_a_probe_that_died():
    half_open_breaker()
    Budget.objects.update(probing_until=HOUR_AGO)


@pytest.mark.parametrize(
    ("scene", "due"),
    [
        (full_channel, 0),
        (channel_with_room_for_one, 1),
        (all_channels_taken, 0),
        (full_session, 0),
        (session_with_room_for_two, 2),
        (session_without_a_bound, 1),
        (full_session_before_another, 1),
        (more_channels_busy_than_a_lowered_limit_lets_be, 0),
        (session_with_more_channels_busy_than_it_may_have, 0),
        (session_with_room_in_its_one_channel, 1),
        (session_with_one_video_of_a_channel_at_a_time, 1),
        (channel_with_a_bound_of_its_own, 4),
        (outside_the_window, 0),
        (a_day_that_is_spent, 0),
        (channels_whose_turn_is_over_while_another_waits, 0),
        (channels_whose_turn_is_over_while_nobody_waits, 3),
        (channels_whose_turn_is_over_while_something_less_urgent_waits, 3),
        (paused_channel, 0),
        (unwanted_video, 0),
        (half_open_breaker, 1),
        (half_open_breaker_beside_what_began_before, 1),
        (half_open_breaker_and_a_probe_under_way, 0),
        (half_open_breaker_and_a_probe_that_died, 1),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_what_is_due_is_what_claims_give(scene, due):
    Limits.row()
    scene()
    assert due_videos() == due
    assert len(list(iter(lambda: leases.claim("host:supervisor:1"), None))) == due


def test_no_more_is_counted_than_wake_ups_are_sent():
    Limits.objects.filter(pk=Limits.row().pk).update(max_concurrent_videos_per_channel=1000)
    channel = make_channel()
    for _ in range(dispatch.MOST_WAKE_UPS + 1):
        make_video(channel=channel)
    assert due_videos() == dispatch.MOST_WAKE_UPS


@pytest.mark.parametrize("query", [dispatch.COUNT_DUE, claims.TAKE_ONE, turns.REFRESH], ids=["counting", "claiming", "refreshing"])
def test_each_line_is_read_from_the_index_of_what_is_due(query):
    parameters = {**claims.look_at_limits().parameters(), "most": 64, "owner": "w", "lease": timedelta(seconds=30)}
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL enable_seqscan = off")
        cursor.execute("SET LOCAL enable_bitmapscan = off")  # of a table that is empty
        cursor.execute(f"SELECT {turns.IN_INDEX_ORDER}")
        cursor.execute("EXPLAIN " + query, parameters)
        plan = "\n".join(row[0] for row in cursor.fetchall())
    assert "video_by_turn" in plan
    probe = plan.rpartition("video_by_turn")[2].partition("Filter")[0]
    assert "channel_id = " in probe and "next_attempt_at <= " in probe


def test_a_tick_finds_what_staff_made_due_without_a_word_to_anybody():
    video = make_video(status="failed")
    dispatch.tick()
    assert not Turn.objects.exists()
    Video.objects.all().retry()
    dispatch.tick()
    assert rung("download") and Turn.objects.get().channel_id == video.channel_id


def test_a_line_that_is_done_has_no_turn():
    make_video()
    turns.refresh()
    leases.claim("w")
    turns.refresh()
    assert not Turn.objects.exists()


@pytest.mark.parametrize(
    ("scene", "due"),
    [
        pytest.param(lambda: make_scan(), 1, id="waiting"),
        pytest.param(lambda: make_scan(state="running", lease_owner="x", lease_expires_at=HOUR_AGO), 1, id="abandoned"),
        pytest.param(lambda: make_scan(channel=make_channel(state="paused")), 0, id="its channel is paused"),
        pytest.param(lambda: make_scan(session=make_session(state="cancelled")), 0, id="its session is cancelled"),
        pytest.param(lambda: (make_scan(), Limits.objects.update(paused=True)), 0, id="the system is paused"),
        pytest.param(lambda: (half_open_breaker(), make_scan(), make_scan()), 1, id="half-open breaker"),
        pytest.param(lambda: (half_open_breaker_and_a_probe_under_way(), make_scan()), 0, id="a probe is under way"),
        pytest.param(lambda: (half_open_breaker_beside_what_began_before(), make_scan()), 1, id="what began before is no probe"),
    ],
)
def test_scans_are_due_when_one_could_be_claimed(scene, due):
    Limits.row()
    scene()
    assert dispatch.due_scans() == due
    assert (claim_scan("host:supervisor:1") is not None) == bool(due)


@pytest.mark.parametrize(
    "held",
    [
        pytest.param(lambda: Limits.objects.update(paused=True), id="the system is paused"),
        pytest.param(lambda: DownloadSession.objects.update(state="paused"), id="its session is paused"),
        pytest.param(lambda: Video.objects.update(next_attempt_at=Now() + timedelta(hours=1)), id="not yet"),
        pytest.param(
            lambda: Budget.objects.create(identity="guest", open_until=Now() + timedelta(hours=1), open_reason="captcha"),
            id="the breaker is open",
        ),
    ],
)
def test_nothing_is_rung_for_what_is_held_back(held):
    Limits.row()
    make_video(session=make_session())
    held()
    assert due_videos() == 0


def test_a_tick_takes_abandoned_videos_back():
    video = make_video(status="downloading", claim_id=1, lease_owner="dead", lease_expires_at=Now() - timedelta(seconds=1), attempts=1)
    dispatch.tick()
    video.refresh_from_db()
    assert (video.status, video.error_kind) == ("pending", "lost")


def test_a_session_is_finished_when_nothing_of_it_is_left_to_do():
    idle, scanning, downloading = make_session(), make_session(), make_session()
    Scan.objects.create(session=scanning, channel=make_channel())
    make_video(session=downloading)
    make_video(session=idle, status="stored")
    assert dispatch.finish_sessions() == 1
    states = {session.pk: session.state for session in DownloadSession.objects.all()}
    assert states == {idle.pk: "finished", scanning.pk: "running", downloading.pk: "running"}


@pytest.mark.parametrize("state", ["finished", "cancelled"])
def test_an_ended_session_runs_on_when_staff_want_its_video_again(state):
    session = make_session(state=state)
    make_video(session=session, status="failed")
    assert dispatch.reopen_sessions() == 0
    Video.objects.all().retry()
    assert dispatch.reopen_sessions() == 1
    session.refresh_from_db()
    assert session.state == "running"


def test_a_channel_that_had_its_turn_drains_and_makes_room_for_another():
    Limits.row()
    Limits.objects.update(max_concurrent_channels=1)
    first, second = make_channel(), make_channel()
    for channel in (first, first, first, second):
        make_video(channel=channel)

    def serve():
        claim = leases.claim("w")
        return claim and (claim, Video.objects.get(pk=claim.video_id).channel)

    def end(claim):
        assert leases.finish_failed(claim, error("private"))

    (one, of_one), (two, of_two) = serve(), serve()
    assert of_one == of_two == first
    Turn.objects.filter(channel=first).update(began_at=HOUR_AGO)
    end(one)
    assert serve() is None, "what runs of it ends, nothing more begins"
    end(two)
    three, of_three = serve()
    assert of_three == second
    end(three)
    assert serve()[1] == first
