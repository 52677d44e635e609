"""What work on assets leaves to others: the mutex of the claims, the requests of downloads, the breaker's probe."""

import json
import threading
import uuid
from datetime import timedelta

import pytest
from django.db import connection, transaction
from django.db.models.functions import Now
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from ingestion import assets, dispatch, leases, turns
from ingestion.assets import claims
from ingestion.leases.claims import ASSETS_SHARE, LOCK_LIMITS, look_at_limits
from ingestion.models import Budget, DownloadWindow, Limits
from ingestion.progress import session_progress
from people.models import Channel
from tests.factories import make_asset, make_channel, make_session, make_video
from videos.models import Asset

pytestmark = pytest.mark.django_db(transaction=True)

MANY = 2000
PER_HOUR = 100
SOMEBODYS = uuid.UUID(int=7)


def explained(query: str, **values) -> list[dict]:
    """Every node of the plan that was run, with the rows that each read."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(f"SELECT {turns.IN_INDEX_ORDER}")
        cursor.execute(f"EXPLAIN (ANALYZE, FORMAT JSON) {query}", values)
        found = cursor.fetchone()[0]
    return list(nodes((json.loads(found) if isinstance(found, str) else found)[0]["Plan"]))


def nodes(plan):
    yield plan
    for child in plan.get("Plans", ()):
        yield from nodes(child)


def rows_read(plan: list[dict], table: str) -> int:
    of_table = [node for node in plan if node.get("Relation Name") == table and node["Node Type"] != "ModifyTable"]
    return sum((node["Actual Rows"] + node.get("Rows Removed by Filter", 0)) * node["Actual Loops"] for node in of_table)


def make_many(**over) -> None:
    video = make_video(status="stored")
    many = (Asset(video=video, kind="subtitles", language=f"l{number}", ext="vtt", **over) for number in range(MANY))
    Asset.objects.bulk_create(many)


@pytest.fixture(params=["never analysed", "analysed before", "analysed now"])
def statistics(request):
    """What the planner believes of a table with many assets of a session that is held."""
    Limits.row()
    with connection.cursor() as cursor:
        if request.param == "analysed before":
            make_asset(status="stored")
            cursor.execute("ANALYZE")
        for _ in range(20):
            make_video(status="stored")
        make_many(session=make_session(state="paused"))
        if request.param == "analysed now":
            cursor.execute("ANALYZE")


def test_what_a_held_session_waits_for_is_not_read(statistics):
    due = make_asset(session=make_session())
    values = {"asks": [0, 1], "until": timezone.now(), "most": 64}
    plan = explained(f"{claims.DUE} {claims.IN_ORDER} LIMIT %(most)s", **values)
    assert {node.get("Index Name") for node in plan if node.get("Relation Name") == "videos_asset"} == {"asset_due"}
    assert rows_read(plan, "videos_asset") == rows_read(plan, "videos_video") == 1
    taking = {"video": due.video_id, "claim": SOMEBODYS, "owner": "w", "lease": leases.lease_length()}
    plan = explained(claims.TAKE, **taking, now=timezone.now(), asks=[0, 1])
    assert rows_read(plan, "videos_asset") == 2, "the one, found by its video, and again by its id"
    assert rows_read(plan, "videos_video") == 1


def test_the_progress_of_many_assets_is_counted_in_the_index_alone(statistics):
    session = Asset.objects.exclude(session=None).first().session
    with CaptureQueriesContext(connection) as asked:
        progress = session_progress(session)
    assert progress.assets == {"pending": MANY} and progress.next_asset_at is not None
    counting = next(query["sql"] for query in asked if "GROUP BY" in query["sql"] and "videos_asset" in query["sql"])
    assert "JOIN" not in counting
    plan = explained(counting.replace("%", "%%"))
    assert "asset_session_status" in {node.get("Index Name") for node in plan}
    (first,) = (query["sql"] for query in asked if "min(due.next_attempt_at)" in query["sql"])
    assert rows_read(explained(first.replace("%", "%%")), "videos_asset") == 1


def test_the_next_asset_of_a_session_is_not_one_that_staff_hold_back():
    session, later = make_session(), timezone.now().replace(microsecond=0) + timedelta(hours=1)
    held = make_asset(session=session, video=make_video(status="stored", channel=make_channel(state="paused")))
    assert session_progress(session).next_asset_at is None
    make_asset(session=session, next_attempt_at=later)
    assert session_progress(session).next_asset_at == later
    Channel.objects.filter(pk=held.video.channel_id).update(state="active")
    assert session_progress(session).next_asset_at == Asset.objects.get(pk=held.pk).next_attempt_at
    Limits.objects.update(paused=True)
    assert session_progress(session).next_asset_at is None


def test_the_mutex_is_taken_only_for_something_that_is_due():
    Limits.row()
    make_asset(session=make_session(state="paused"))
    with CaptureQueriesContext(connection) as asked:
        assert assets.claim_assets("w") is None
    assert LOCK_LIMITS not in [query["sql"] for query in asked]


def test_what_others_were_faster_at_is_passed_over_for_the_next_video(monkeypatch):
    first, second, third = (make_asset() for _ in range(3))
    look = claims._due_videos

    def look_slowly(*args):
        found = look(*args)
        Asset.objects.filter(pk=first.pk).update(claim_id=SOMEBODYS, lease_owner="w", lease_expires_at=Now())
        Channel.objects.filter(pk=second.video.channel_id).update(state="paused")
        return found

    monkeypatch.setattr(claims, "_due_videos", look_slowly)
    assert assets.claim_assets("w").video_id == third.video_id
    assert assets.claim_assets("w") is None


def test_whether_videos_wait_for_requests_is_asked_once_under_the_mutex_however_many_others_were_faster(monkeypatch):
    use(HALF)
    for _ in range(4):
        make_asset(kind="info", ext="json")
    look, taken = claims._due_videos, {"claim_id": SOMEBODYS, "lease_owner": "w", "lease_expires_at": Now()}
    monkeypatch.setattr(claims, "_due_videos", lambda *args: (look(*args), Asset.objects.update(**taken))[0])
    with CaptureQueriesContext(connection) as asked:
        assert assets.claim_assets("w") is None
    queries = [query["sql"] for query in asked]
    assert sum("SKIP LOCKED" in query for query in queries) == 4
    assert sum("ingestion_turn" in query for query in queries[queries.index(LOCK_LIMITS) :]) == 1


def test_a_session_that_is_paused_meanwhile_is_not_worked_for(monkeypatch):
    asset = make_asset(session=make_session())
    look = claims._due_videos
    monkeypatch.setattr(claims, "_due_videos", lambda *args: (look(*args), type(asset.session).objects.update(state="paused"))[0])
    assert assets.claim_assets("w") is None


def test_a_row_that_somebody_edits_does_not_hold_a_claim_up():
    held, other = make_asset(), make_asset()
    locked, done = threading.Event(), threading.Event()

    def edit():
        with transaction.atomic():
            Asset.objects.select_for_update().get(pk=held.pk)
            locked.set()
            done.wait(20)
        connection.close()

    editor = threading.Thread(target=edit)
    editor.start()
    locked.wait(10)
    try:
        assert assets.claim_assets("w").video_id == other.video_id
        assert assets.claim_assets("w") is None
    finally:
        done.set()
        editor.join(20)


# --- the requests of downloads


def use(requests: int) -> None:
    Limits.row()
    Limits.objects.update(requests_per_hour=PER_HOUR)
    Budget.objects.update_or_create(identity="guest", defaults={"minutes": [requests], "minute_at": timezone.now()})


def make_due_video() -> None:
    make_video()
    turns.refresh()


HALF = int(PER_HOUR * ASSETS_SHARE)


@pytest.mark.parametrize(
    ("requests", "is_video_due", "given"),
    [(HALF, True, False), (HALF - 1, True, True), (HALF, False, True), (PER_HOUR, False, False)],
    ids=["downloads come first", "there is enough for both", "no video is due", "the hour is spent"],
)
def test_assets_leave_half_of_the_hour_to_videos_that_are_due(requests, is_video_due, given):
    use(requests)
    if is_video_due:
        make_due_video()
    make_asset(kind="info", ext="json")
    assert dispatch.due_assets() == given
    assert bool(assets.claim_assets("w")) == given


def test_videos_that_may_not_begin_at_this_hour_keep_nothing_from_assets():
    use(HALF)
    make_due_video()
    make_asset(kind="info", ext="json")
    day = timezone.localtime().weekday()
    DownloadWindow.objects.create(days=[(day + 3) % 7], opens_at="10:00", closes_at="11:00")
    assert look_at_limits().hold
    assert assets.claim_assets("w")


def test_what_asks_youtube_nothing_is_made_whoever_waits_for_requests():
    use(HALF)
    make_due_video()
    asset = make_asset()
    make_asset(video=asset.video, kind="info", ext="json")
    assert dispatch.due_assets() == 1
    claim = assets.claim_assets("w")
    assert list(Asset.objects.filter(claim_id=claim.id)) == [asset]
    assert assets.claim_assets("w") is None and dispatch.due_assets() == 0


# --- the breaker's probe


@pytest.mark.parametrize(("kind", "probes"), [("nfo", False), ("info", True)])
def test_only_work_that_asks_youtube_finds_out_whether_it_answers_again(kind, probes):
    Limits.row()
    Budget.objects.create(identity="guest", refusals=1, open_until=Now())
    make_asset(kind=kind, ext="json" if kind == "info" else "nfo")
    assert assets.claim_assets("w")
    assert (Budget.objects.get().probing_until is not None) == probes
    make_video()
    assert bool(leases.claim("w")) != probes


def test_assets_are_listed_by_their_video_without_a_look_at_it():
    assert "JOIN" not in str(Asset.objects.all().query)
