"""What was not made with its video: taken apart, by one of many, and given up in the end."""

import threading
import uuid
from datetime import timedelta

import pytest
from django.db import OperationalError, connection
from django.db.models.functions import Now
from django.utils import timezone

from ingestion import assets, audit, budget, dispatch, leases, orphans, outages, recovery, steering
from ingestion.assets import claims
from ingestion.errors import error
from ingestion.heartbeat import Stopped
from ingestion.models import DownloadSession, Limits
from ingestion.options import Options
from tests.factories import make_asset, make_channel, make_session, make_video
from tests.ingestion.test_assets.conftest import WRITTEN
from videos.models import Asset

pytestmark = pytest.mark.django_db(transaction=True)


def make_due():
    Asset.objects.filter(status="pending").update(next_attempt_at=Now())


def lose_all_leases():
    Asset.objects.in_work().update(lease_expires_at=Now() - timedelta(seconds=1))


def keys(store) -> set[str]:
    return {key for key, _ in store.list_keys()}


def test_all_that_failed_of_a_video_is_made_later_with_one_look(worker):
    worker.twin.faults([{"match": "ytimg|timedtext", "status": 500}])
    video = worker.download(assets=["thumbnail", "subtitles", "info"], subtitle_languages=["en", "de"])
    assert video.assets.filter(status="pending").count() == 5
    assert worker.work_due() == 0, "their time has not come"
    worker.twin.faults([])
    worker.twin.clear_log()
    make_due()
    assert worker.work_due() == 5
    assert (worker.asked("watch"), worker.asked("captions")) == (1, 2)
    assert not video.assets.exclude(status="stored").exists()
    assert set(video.assets.exclude(kind="info").values_list("attempts", "error_kind")) == {(2, "")}
    assert list(audit.differences(worker.store)) == []


def test_what_is_made_of_stored_captions_asks_youtube_nothing(worker):
    video = worker.download(assets=["subtitles"], subtitle_languages=["en"])
    assets.ask_for_videos(make_session(), [video.pk], Options(assets=("transcript", "nfo")))
    worker.twin.clear_log()
    assert worker.work_due() == 2
    assert worker.twin.log() == []


def test_a_worker_that_dies_between_the_object_and_its_row_leaves_an_orphan_and_a_due_asset(worker, monkeypatch):
    class Killed(BaseException):
        pass

    def die(*args, **kwargs):
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(claims, "record_stored", die)
        with pytest.raises(Killed):
            worker.download(assets=["nfo"])
    asset = Asset.objects.select_related("video").get()
    (left,) = keys(worker.store) - {asset.video.storage_key}
    orphans.clean(worker.store, older_than=timedelta(0))
    assert left in keys(worker.store), "somebody may be about to record it"
    lose_all_leases()
    dispatch.tick()
    asset.refresh_from_db()
    assert (asset.status, asset.attempts, asset.losses, asset.error_kind, asset.claim_id) == ("pending", 0, 1, "lost", None)
    make_due()
    assert worker.work_due() == 1
    asset.refresh_from_db()
    assert asset.storage_key != left and (asset.attempts, asset.tries, asset.losses) == (1, 2, 0)
    assert orphans.clean(worker.store, older_than=timedelta(0)).objects == 1
    assert list(audit.differences(worker.store)) == []


def test_what_a_worker_writes_after_it_was_given_up_changes_nothing(worker):
    """The lease runs out while the late one writes its object, and another one makes the asset."""
    video = worker.download(make_assets=False, assets=["nfo"])
    late, put = assets.AssetClaim(Asset.objects.get().claim_id, video.pk), worker.store.put

    def stall(*args, **kwargs):
        worker.store.put = put
        lose_all_leases()
        assets.reap()
        make_due()
        assert worker.work_due() == 1
        return put(*args, **kwargs)

    worker.store.put = stall
    assert worker.work(late) == 0
    asset = video.assets.get()
    assert asset.storage_key.endswith(".try2.nfo")
    assert keys(worker.store) == {video.storage_key, asset.storage_key}


def test_a_worker_that_was_given_up_before_it_wrote_writes_nothing(worker):
    video = worker.download(make_assets=False, assets=["nfo"])
    late = assets.AssetClaim(Asset.objects.get().claim_id, video.pk)

    def lose():
        lose_all_leases()
        assets.reap()

    assert worker.work(late, check=lose) == 0
    assert keys(worker.store) == {video.storage_key}
    assert Asset.objects.values_list("status", "tries").get() == ("pending", 0)


def test_an_answer_that_a_restart_of_the_database_swallowed_loses_nothing(worker, monkeypatch):
    calls, record = [], claims.record_stored

    def record_twice(*args, **kwargs):
        calls.append(record(*args, **kwargs))
        if len(calls) == 1:
            raise OperationalError("terminating connection due to administrator command")
        return calls[-1]

    monkeypatch.setattr(claims, "record_stored", record_twice)
    monkeypatch.setattr(outages.time, "sleep", lambda seconds: None)
    video = worker.download(assets=["nfo"])
    assert calls == [True, True]
    assert video.assets.get().storage_key in keys(worker.store)


@pytest.mark.parametrize("stop", [Stopped("shutdown"), OperationalError("consuming input failed")])
def test_what_is_stopped_is_handed_back_and_pays_nothing(stop, worker):
    video = worker.download(make_assets=False, assets=["nfo", "info"])
    claim = assets.AssetClaim(video.assets.first().claim_id, video.pk)

    def check():
        raise stop

    assert worker.work(claim, check=check) == 0
    assert set(video.assets.values_list("status", "attempts", "claim_id")) == {("pending", 0, None)}
    assert worker.work_due() == 2
    assert not any("try" in key for key in keys(worker.store)), "media centres would not find it beside its video"


def test_two_workers_never_make_the_same_assets():
    Limits.row()
    videos = [make_video(status="stored") for _ in range(4)]
    for video in videos:
        for ext in ("vtt", "srt"):
            make_asset(video=video, kind="subtitles", language="en", ext=ext)
    taken, start = [], threading.Barrier(3)

    def take():
        try:
            start.wait(10)
            while claim := assets.claim_assets("w"):
                taken.append(claim)
        finally:
            connection.close()

    threads = [threading.Thread(target=take) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert sorted(claim.video_id for claim in taken) == sorted(video.pk for video in videos)
    assert {Asset.objects.filter(claim_id=claim.id).count() for claim in taken} == {2}


def test_attempts_are_spent_one_after_the_other_and_then_it_is_failed(worker):
    worker.twin.faults([{"match": "ytimg", "status": 500}])
    video = worker.download(assets=["thumbnail"], max_attempts=2)
    make_due()
    worker.work_due()
    asset = video.assets.get()
    assert (asset.status, asset.attempts, asset.error_kind) == ("failed", 2, "network")
    assert worker.work_due() == 0


def test_a_video_that_is_gone_by_then_ends_its_assets_with_the_reason(worker):
    video = worker.download(make_assets=False, assets=["info", "thumbnail", "nfo"])
    lose_all_leases()
    assets.reap()
    make_due()
    worker.youtube.describe = lambda external_id: (_ for _ in ()).throw(error("private", "Private video"))
    worker.work_due()
    assert dict(video.assets.values_list("kind", "status")) == {"info": "failed", "thumbnail": "failed", "nfo": "stored"}
    assert set(video.assets.filter(status="failed").values_list("error_kind", flat=True)) == {"private"}


@pytest.mark.parametrize(("kind", "state"), [("storage_unreachable", "running"), ("storage_credentials", "paused")])
def test_a_storage_that_is_away_costs_youtube_no_request_and_assets_no_attempt(kind, state, worker, monkeypatch):
    video = worker.download(make_assets=False, assets=["info", "nfo"])
    lose_all_leases()
    assets.reap()
    make_due()
    worker.twin.clear_log()
    until = timezone.now() + timedelta(minutes=1)

    def refuse():
        raise error(kind, "Nobody there.", **({"not_before": until} if state == "running" else {}))

    with monkeypatch.context() as patch:
        patch.setattr(worker.store, "check", refuse)
        assert worker.work_due() == 0
    assert worker.twin.log() == []
    told = ("status", "error_kind", "error_message", "attempts", "tries", "claim_id")
    assert set(video.assets.values_list(*told)) == {("pending", kind, "Nobody there.", 0, 0, None)}
    session = DownloadSession.objects.get()
    assert (session.state, session.state_reason) == (state, "Nobody there." if state == "paused" else "")
    assert worker.work_due() == 0, "their time has not come"
    make_due()
    DownloadSession.objects.update(state="running")
    assert worker.work_due() == 2


def test_captions_that_are_refused_for_ever_are_given_up_after_one_request_for_each_attempt(worker):
    worker.twin.faults([{"match": "timedtext", "status": 429}])
    video = worker.download(assets=["subtitles", "transcript"], subtitle_languages=["en"], max_attempts=3)
    assert worker.work_due() == 0, "their time has not come"
    for _ in range(2):
        make_due()
        worker.work_due()
    assert set(video.assets.values_list("status", "error_kind", "attempts")) == {("failed", "captions_refused", 3)}
    assert (worker.asked("captions"), budget.state().breaker) == (3, budget.CLOSED)


def test_a_look_that_is_refused_again_and_again_is_given_up_without_stopping_everybody_for_ever(worker):
    video = worker.download(make_assets=False, assets=["info"], max_attempts=2)
    Asset.objects.update(claim_id=None, lease_owner="", lease_expires_at=None, attempts=0)
    worker.twin.faults([{"match": "/youtubei/v1/player", "status": 429}])
    worker.work_due()
    assert video.assets.get().status == "pending"
    assert assets.claim_assets("w") is None, "nothing is asked while the breaker is open"
    budget.Budget.objects.update(open_until=Now() - timedelta(seconds=1))
    worker.work_due()
    asset = video.assets.get()
    assert (asset.status, asset.error_kind, asset.refusals) == ("failed", "rate_limited", 2)


def test_what_takes_every_worker_down_is_given_up():
    make_asset(claim_id=uuid.uuid4(), lease_owner="w", lease_expires_at=timezone.now() - timedelta(minutes=1), losses=4, attempts=1)
    assert assets.reap() == 1
    assert Asset.objects.values_list("status", "error_kind", "claim_id").get() == ("failed", "lost", None)


def test_a_dead_process_of_ours_is_noticed_at_once():
    asset = make_asset(claim_id=uuid.uuid4(), lease_owner="host:ab:77", lease_expires_at=timezone.now() + timedelta(minutes=1))
    assert leases.expire("host:ab:", lambda pid: True) == 0
    assert leases.expire("host:ab:", lambda pid: pid != 77) == 1
    assert list(Asset.objects.abandoned()) == [asset]


@pytest.mark.parametrize("state", ["paused", "cancelled"])
def test_a_session_that_is_held_back_holds_its_assets_back(state):
    make_asset(session=make_session(state=state))
    assert assets.claim_assets("w") is None and dispatch.due_assets() == 0


def test_a_paused_channel_and_a_closed_house_hold_assets_back():
    asset = make_asset(video=make_video(status="stored", channel=make_channel(state="paused")))
    assert assets.claim_assets("w") is None
    asset.video.channel.__class__.objects.update(state="active")
    Limits.row()
    Limits.objects.update(paused=True)
    assert assets.claim_assets("w") is None and dispatch.due_assets() == 0
    Limits.objects.update(paused=False)
    assert dispatch.due_assets() == 1
    assert assets.claim_assets("w").video_id == asset.video_id


def test_a_cancelled_session_gives_its_assets_up_and_gets_them_back_with_a_resume():
    session = make_session()
    make_asset(session=session)
    claim = assets.claim_assets("w")
    scope = steering.Sessions(DownloadSession.objects.filter(pk=session.pk))
    steering.cancel(scope)
    assert Asset.objects.values_list("status", "error_kind").get() == ("failed", "cancelled")
    assert assets.renew(claim) is None, "its worker hears of it"
    dispatch.tick()
    session.refresh_from_db()
    assert session.state == "cancelled"
    steering.resume(scope)
    assert Asset.objects.values_list("status", "error_kind").get() == ("pending", "")


def test_a_session_is_over_only_when_its_assets_are_and_runs_on_when_they_are_retried():
    session = make_session()
    asset = make_asset(session=session)
    dispatch.tick()
    session.refresh_from_db()
    assert session.state == "running"
    Asset.objects.update(status="failed", error_kind="network")
    dispatch.tick()
    session.refresh_from_db()
    assert session.state == "finished"
    assert Asset.objects.filter(pk=asset.pk).retry() == 1
    dispatch.tick()
    session.refresh_from_db()
    assert session.state == "running"


def test_the_recovery_plan_names_failed_assets_and_retries_them():
    session = make_session(state="finished")
    make_asset(session=session, status="failed", error_kind="network")
    make_asset(session=session, status="failed", error_kind="private")
    plan = {step.kind: step for step in recovery.recovery_plan(session)}
    assert (plan["network"].assets, plan["private"].assets) == (1, 1)
    assert plan["network"].outlook.startswith("1 asset ended, retry with `manage.py recovery_plan")
    done = recovery.retry_kinds(session)
    assert (done.assets, done.reopened) == (1, 1)
    assert sorted(Asset.objects.values_list("status", flat=True)) == ["failed", "pending"]


def test_the_ordinary_video_of_these_tests_has_what_they_need(worker):
    assert set(worker.youtube.describe(WRITTEN).info["subtitles"]) == {"en", "de"}
