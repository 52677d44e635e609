import threading
from datetime import timedelta
from uuid import uuid4

import pytest
from django.db import connection, transaction
from django.db.models.functions import Now
from django.utils import timezone

from ingestion import leases
from ingestion.budget import BreakerOpen
from ingestion.errors import error
from ingestion.models import Attempt, Budget, DownloadSession, Limits, Scan
from people.models import Channel
from tests.factories import make_attempt, make_channel, make_session, make_video
from videos.models import Video

pytestmark = pytest.mark.django_db

STORED = {"storage_key": "k", "file_size": 10, "checksum": "c-1", "crc32": "0", "part_size": 10}


def claimed(**over):
    video = make_video(**over)
    claim = leases.claim("host:x:1")
    assert claim.video_id == video.pk
    return claim


def test_a_claim_takes_the_due_video_and_writes_an_attempt():
    video = make_video(session=make_session())
    claim = leases.claim("host:x:1")
    video.refresh_from_db()
    attempt = Attempt.objects.get()
    assert (claim.video_id, claim.attempt_id, claim.attempts) == (video.pk, attempt.pk, 1)
    assert (video.status, video.claim_id, video.lease_owner) == ("downloading", attempt.pk, "host:x:1")
    assert (attempt.video_id, attempt.session_id, attempt.number, attempt.outcome) == (video.pk, video.session_id, 1, "")


@pytest.mark.parametrize(
    "held",
    [
        pytest.param({"next_attempt_at": timezone.now() + timedelta(hours=1)}, id="not yet"),
        pytest.param({"wanted": "pause"}, id="paused"),
        pytest.param({"status": "skipped"}, id="skipped"),
        pytest.param({"status": "stored"}, id="stored"),
    ],
)
def test_what_is_not_due_is_not_claimed(held):
    make_video(**held)
    assert leases.claim("w") is None


@pytest.mark.parametrize("state", ["paused", "cancelled"])
def test_nothing_of_a_stopped_session_is_claimed(state):
    make_video(session=make_session(state=state))
    assert leases.claim("w") is None


def test_nothing_of_a_paused_channel_or_a_paused_system_is_claimed():
    make_video(channel=make_channel(state=Channel.State.PAUSED))
    assert leases.claim("w") is None
    make_video()
    Limits.objects.filter(pk=Limits.row().pk).update(paused=True)
    assert leases.claim("w") is None


def test_limits_per_channel_and_of_channels_are_kept():
    Limits.objects.filter(pk=Limits.row().pk).update(max_concurrent_channels=2, max_concurrent_videos_per_channel=2)
    for channel in [make_channel() for _ in range(3)]:
        for _ in range(3):
            make_video(channel=channel)
    claims = [leases.claim("w") for _ in range(9)]
    assert [c is not None for c in claims] == [True] * 4 + [False] * 5
    running = Video.objects.filter(status="downloading").values_list("channel", flat=True)
    assert sorted(list(running).count(c) for c in set(running)) == [2, 2]


def test_a_session_keeps_its_own_limit():
    session = make_session(options={"max_concurrent": 1})
    for _ in range(2):
        make_video(session=session)
    other = make_video()
    assert leases.claim("w") is not None
    assert leases.claim("w").video_id == other.pk
    assert leases.claim("w") is None


def test_higher_priority_goes_first():
    make_video()
    urgent = make_video(priority=5)
    assert leases.claim("w").video_id == urgent.pk


def test_nothing_is_claimed_while_the_breaker_is_open_and_one_at_a_time_may_probe_after():
    make_video(), make_video()
    Budget.objects.create(identity="guest", open_until=timezone.now() + timedelta(hours=1), refusals=1, open_reason="bot_check")
    assert leases.claim("w") is None
    Budget.objects.update(open_until=timezone.now() - timedelta(seconds=1))
    assert leases.claim("w") is not None
    assert leases.claim("w") is None


def test_a_stored_video_has_its_record_and_no_lease():
    claim = claimed()
    assert leases.finish_stored(claim, way="mux", **STORED)
    video = Video.objects.get()
    assert (video.status, video.file_size, video.claim_id, video.attempts) == ("stored", 10, None, 1)
    assert Attempt.objects.values_list("outcome", "way", "bytes_stored").get() == ("stored", "mux", 10)


def test_finishing_again_after_a_lost_answer_is_no_error():
    claim = claimed()
    assert leases.finish_stored(claim, way="mux", **STORED)
    assert leases.finish_stored(claim, way="mux", **STORED)


def test_a_lost_lease_leaves_the_row_alone():
    claim = claimed()
    Video.objects.update(lease_expires_at=Now() - timedelta(seconds=1))
    assert leases.reap() == 1
    Video.objects.update(next_attempt_at=Now())
    second = leases.claim("w2")
    assert leases.renew(claim) is None
    assert not leases.finish_stored(claim, way="copy", **STORED)
    assert not leases.finish_failed(claim, error("private"))
    video = Video.objects.get()
    assert (video.status, video.claim_id) == ("downloading", second.attempt_id)


@pytest.mark.parametrize(
    ("kind", "status", "attempts", "outcome"),
    [
        ("private", "unavailable", 1, "unavailable"),
        ("network", "pending", 1, "retry"),
        ("upcoming", "pending", 0, "deferred"),
        ("bot_check", "pending", 0, "refused"),
        ("misconfigured", "pending", 0, "handed_back"),
    ],
)
def test_a_failure_is_recorded_by_its_kind(kind, status, attempts, outcome):
    claim = claimed()
    assert leases.finish_failed(claim, error(kind, "the raw line"))
    video = Video.objects.get()
    assert (video.status, video.attempts, video.error_kind, video.error_message) == (status, attempts, kind, "the raw line")
    assert Attempt.objects.values_list("outcome", "error_kind", "error_message").get() == (outcome, kind, "the raw line")


def test_transient_failures_end_after_three_attempts():
    make_video()
    for number in (1, 2, 3):
        Video.objects.update(next_attempt_at=Now())
        claim = leases.claim("w")
        assert claim.attempts == number
        leases.finish_failed(claim, error("network"))
    assert Video.objects.get().status == "failed"


def fail(kind="storage_unreachable", wait=timedelta(seconds=30)):
    """The next claim ends so; the video afterwards, and for how long it waits."""
    Video.objects.filter(status="pending").update(next_attempt_at=Now())
    claim = leases.claim("w")
    now = timezone.now()
    leases.finish_failed(claim, error(kind, "503", not_before=now + wait) if kind.startswith("storage_") else error(kind))
    video = Video.objects.get(pk=claim.video_id)
    return video, video.next_attempt_at - now


def let_another_be_stored():
    make_attempt(outcome="stored", video=make_video(status="stored"))


def test_an_outage_of_the_storage_that_hits_all_is_waited_for_ever_longer():
    make_video()
    waits = []
    for _ in range(30):
        video, wait = fail()
        assert (video.status, video.attempts, video.error_kind) == ("pending", 0, "storage_unreachable")
        waits.append(wait)
    assert waits[0] < waits[1] < waits[2]
    assert timedelta(minutes=59) < waits[-1] < timedelta(minutes=61)


@pytest.mark.parametrize(("kind", "status"), [("storage_unreachable", "failed"), ("storage_throttled", "pending")])
def test_outages_that_others_do_not_meet_are_about_the_video_but_for_throttling(kind, status):
    make_video()
    for _ in range(5):
        video, _ = fail(kind)
        let_another_be_stored()
    assert video.status == status


def test_outages_are_counted_in_a_row_and_a_hand_back_is_none_of_them():
    make_video()
    for kind in ["storage_unreachable", "storage_unreachable", "network"] * 2:
        video, _ = fail(kind)
        Video.objects.filter(pk=video.pk).update(attempts=0)
        let_another_be_stored()
        assert video.error_kind == kind
    for _ in range(2):
        assert fail()[0].error_kind == "storage_unreachable"
        Video.objects.filter(status="pending").update(next_attempt_at=Now())
        leases.hand_back(leases.claim("w"))
        let_another_be_stored()
    assert fail()[0].error_kind == "storage"


def test_a_video_that_alone_is_refused_does_not_open_the_breaker_for_ever():
    make_video()
    for _ in range(3):
        Video.objects.update(next_attempt_at=Now())
        leases.finish_failed(leases.claim("w"), error("bot_check"))
    video = Video.objects.get()
    assert (video.status, video.error_kind) == ("failed", "bot_check")


def test_a_video_that_is_refused_again_while_others_are_answered_is_the_one_at_fault():
    make_video()
    leases.finish_failed(leases.claim("w"), error("bot_check"))
    Video.objects.update(next_attempt_at=Now() + timedelta(hours=1))
    make_video()
    leases.finish_failed(leases.claim("w"), error("private"))
    Video.objects.filter(status="pending").update(next_attempt_at=Now())
    again = leases.claim("w")
    assert leases.refuses_this_video_only(again, "bot_check")
    assert not leases.refuses_this_video_only(again, "rate_limited")
    leases.finish_failed(again, error("bot_check"))
    assert Video.objects.values_list("status", "error_kind").get(pk=again.video_id) == ("failed", "bot_check")


def test_a_refusal_of_long_ago_says_nothing_about_the_video_today():
    make_video()
    leases.finish_failed(leases.claim("w"), error("bot_check"))
    make_video(priority=1)
    leases.finish_failed(leases.claim("w"), error("private"))
    Attempt.objects.update(finished_at=timezone.now() - timedelta(days=30))
    assert not leases.refuses_this_video_only(leases.claim("w"), "bot_check")


def test_a_video_that_cannot_be_stored_anew_is_still_stored():
    make_video(storage_key="old", file_size=1, checksum="c")
    leases.finish_failed(leases.claim("w"), error("private"))
    assert Video.objects.values_list("status", "error_kind").get() == ("stored", "private")


def test_dead_workers_leave_their_scans_at_once_too():
    scan = Scan.objects.create(
        session=make_session(),
        channel=make_channel(),
        state="running",
        claim_id=uuid4(),
        lease_owner="h:mine:7",
        lease_expires_at=Now() + timedelta(hours=1),
    )
    assert leases.expire("h:mine:", lambda pid: False) == 1
    assert Scan.objects.filter(pk=scan.pk, lease_expires_at__lt=Now()).exists()


def test_fail_fast_also_stops_at_a_video_that_took_its_workers_down():
    session = make_session(options={"continue_on_error": False})
    make_video(session=session, status="downloading", claim_id=1, lease_owner="w", lease_expires_at=Now() - timedelta(seconds=1), losses=4)
    leases.reap()
    session.refresh_from_db()
    assert session.state == "paused"


def test_videos_stopped_by_the_open_breaker_never_fail_of_it():
    make_video()
    for _ in range(5):
        Video.objects.update(next_attempt_at=Now())
        leases.finish_failed(leases.claim("w"), BreakerOpen("bot_check"))
    video = Video.objects.get()
    assert (video.status, video.attempts) == ("pending", 0)


def test_our_own_broken_set_up_pauses_the_session_and_says_why():
    session = make_session()
    claim = claimed(session=session)
    leases.finish_failed(claim, error("misconfigured", "The bucket is gone."))
    session.refresh_from_db()
    assert (session.state, session.state_reason) == ("paused", "The bucket is gone.")


@pytest.mark.parametrize(("go_on", "state"), [(True, "running"), (False, "paused")])
def test_fail_fast_pauses_the_session_at_the_first_failure(go_on, state):
    session = make_session(options={"continue_on_error": go_on})
    leases.finish_failed(claimed(session=session), error("private"))
    assert DownloadSession.objects.get().state == state


def test_handing_back_gives_the_attempt_back():
    claim = claimed()
    assert leases.hand_back(claim)
    video = Video.objects.get()
    assert (video.status, video.attempts, video.claim_id) == ("pending", 0, None)


@pytest.mark.parametrize("told", list(Attempt.Stop))
def test_the_heartbeat_brings_back_what_the_attempt_was_told(told):
    claim = claimed()
    Attempt.objects.update(stop=told)
    assert leases.renew(claim) == told


def test_the_heartbeat_of_a_lost_claim_brings_nothing_back():
    claim = claimed()
    Video.objects.update(claim_id=0)
    assert leases.renew(claim) is None


def test_a_lost_attempt_is_given_back_until_too_many_workers_died_over_the_video():
    make_video()
    for loss in range(1, leases.reaping.MOST_LOSSES + 1):
        Video.objects.update(next_attempt_at=Now())
        assert leases.claim("w")
        Video.objects.update(lease_expires_at=Now() - timedelta(seconds=1))
        assert leases.reap() == 1
        video = Video.objects.get()
        assert (video.attempts, video.losses) == (0, loss)
    assert (video.status, video.error_kind) == ("failed", "lost")


def test_an_attempt_that_ends_in_any_other_way_ends_the_row_of_losses():
    make_video(losses=3)
    leases.finish_failed(leases.claim("w"), error("network"))
    assert Video.objects.get().losses == 0


def test_expiring_touches_only_dead_processes_of_this_supervisor():
    for owner in ("host:mine:1", "host:mine:2", "host:other:1"):
        make_video()
        assert leases.claim(owner)
    assert leases.expire("host:mine:", lambda pid: pid == 2) == 1
    assert list(Video.objects.abandoned().values_list("lease_owner", flat=True)) == ["host:mine:1"]


@pytest.mark.django_db(transaction=True)
def test_racing_claims_never_take_one_video_twice_nor_break_a_limit():
    Limits.objects.filter(pk=Limits.row().pk).update(max_concurrent_channels=2, max_concurrent_videos_per_channel=2)
    for channel in [make_channel() for _ in range(4)]:
        for _ in range(3):
            make_video(channel=channel)
    claims, start = [], threading.Barrier(6)

    def take(number):
        start.wait()
        try:
            claims.extend(filter(None, [leases.claim(f"w{number}") for _ in range(3)]))
        finally:
            connection.close()

    threads = [threading.Thread(target=take, args=(n,)) for n in range(6)]
    [t.start() for t in threads]
    [t.join() for t in threads]
    assert len(claims) == len({c.video_id for c in claims}) == 4


@pytest.mark.django_db(transaction=True)
def test_a_row_under_somebodys_edit_is_passed_over_not_waited_for():
    video = make_video()
    found = []

    def take():
        try:
            found.append(leases.claim("w"))
        finally:
            connection.close()

    with transaction.atomic():
        Video.objects.select_for_update().get(pk=video.pk)
        thread = threading.Thread(target=take)
        thread.start()
        thread.join(20)
        assert found == [None]
