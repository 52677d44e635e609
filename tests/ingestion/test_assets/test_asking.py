"""Asking for assets: what a cancelled session must not, what another session takes over or asks for again, and what is made
anew beside a video that is."""

import threading
from datetime import timedelta

import pytest
from django.db import transaction
from django.db.models.functions import Now

from ingestion import assets, audit, dispatch, downloading, leases, steering
from ingestion.assets import rows
from ingestion.errors import error
from ingestion.models import DownloadSession, Limits
from ingestion.options import Options
from ingestion.orphans import clean
from ingestion.progress import session_progress
from tests.factories import make_asset, make_channel, make_session, make_video
from tests.ingestion.test_races import at_once, until_somebody_waits
from videos.keys import beside
from videos.models import Asset, Video

__all__ = ["at_once"]
pytestmark = pytest.mark.django_db(transaction=True)

NFO = Options(assets=("nfo",))
SUBTITLES = Options(assets=("subtitles",))
IN_ALL_LANGUAGES = Options(assets=("subtitles",), subtitle_languages=("all",))
WRITTEN_ALONE = Options(assets=("subtitles",), automatic_subtitles=False)


def cancel(session: DownloadSession) -> None:
    steering.cancel(steering.Sessions(DownloadSession.objects.filter(pk=session.pk)), reason="Cancelled by Ann.")


def end_stored(claim: leases.Claim, options: Options, key: str = "a/b/new.mp4") -> assets.AssetClaim | None:
    """The end of a download."""
    fields = {"storage_key": key, "file_size": 10, "checksum": "c-1", "crc32": "", "part_size": 10, "container": "mp4"}
    is_ours, claim = downloading._finish(claim, options, way="copy", **fields)
    assert is_ours
    return claim


# --- sessions that were cancelled


def test_what_ends_stored_though_its_session_was_cancelled_brings_the_session_not_back():
    Limits.row()
    session = make_session(options=SUBTITLES.as_json())
    video = make_video(session=session)
    claim = leases.claim("w")
    cancel(session)
    assert end_stored(claim, SUBTITLES) is None
    dispatch.tick()
    session.refresh_from_db(), video.refresh_from_db()
    assert (video.status, session.state, session.state_reason) == ("stored", "cancelled", "Cancelled by Ann.")
    assert not Asset.objects.exists()


def test_a_scan_that_still_runs_asks_for_nothing_for_a_session_that_was_cancelled():
    session, channel = make_session(), make_channel()
    video = make_video(channel=channel, status="stored")
    make_asset(video=video, kind="subtitles", language="en", ext="vtt", session=make_session())
    cancel(session)
    assert rows.ask_for_videos(session, [video.pk], SUBTITLES) == rows.ask_for_channel(session, channel.pk, SUBTITLES) == 0
    assert not session.assets.exists()


def test_an_asset_in_all_languages_asks_for_none_once_its_session_was_cancelled():
    asset = make_asset(kind="subtitles", language="all", ext="", session=make_session())
    cancel(asset.session)
    assert not rows.ask_for_languages(asset, ["en"])
    assert Asset.objects.values_list("status", "error_kind").get() == ("failed", "cancelled")


def test_a_cancellation_that_meets_a_question_gives_up_what_was_asked_for(at_once):
    Limits.row()
    session, video = make_session(), make_video(status="stored")
    asked = threading.Event()

    def ask():
        with transaction.atomic():
            assert rows.ask_for_videos(session, [video.pk], SUBTITLES) == 2
            asked.set()
            until_somebody_waits()

    def cancel_meanwhile():
        asked.wait(10)
        cancel(session)

    assert at_once(ask, cancel_meanwhile) == [None, None]
    session.refresh_from_db()
    assert session.state == "cancelled"
    assert set(Asset.objects.values_list("status", "error_kind")) == {("failed", "cancelled")}


def test_videos_that_leave_the_filter_they_were_chosen_by_lose_their_assets_all_the_same():
    asset, other = (make_asset(video=make_video(storage_key=key, file_size=1, checksum="c")) for key in ("a", "b"))
    Video.objects.filter(pk=other.video_id).update(status="stored", stored_at=Now())
    done = steering.cancel(steering.Videos(Video.objects.filter(status="pending")))
    asset.refresh_from_db(), other.refresh_from_db()
    assert (asset.status, asset.error_kind, done.videos, done.assets) == ("failed", "cancelled", 1, 1)
    assert (other.status, Video.objects.get(pk=asset.video_id).status) == ("pending", "stored")


@pytest.mark.parametrize("scope", ["channel", "video", "everything"])
def test_a_channel_or_a_video_that_is_cancelled_gives_up_what_its_stored_videos_lack(scope):
    asset = make_asset(session=make_session())
    other = make_asset(session=asset.session)
    claim = assets.claim_assets("w")
    scopes = {
        "channel": steering.Channels(asset.video.channel.__class__.objects.filter(pk=asset.video.channel_id)),
        "video": steering.Videos(Video.objects.filter(pk=asset.video_id)),
        "everything": steering.Everything(),
    }
    done = steering.cancel(scopes[scope])
    asset.refresh_from_db(), other.refresh_from_db()
    assert (asset.status, asset.error_kind, asset.claim_id) == ("failed", "cancelled", None)
    assert assets.renew(claim) is None, "its worker hears of it"
    assert (other.status, done.assets) == (("failed", 2) if scope == "everything" else ("pending", 1))
    assert done.changed


def test_an_asset_that_was_only_to_be_made_anew_is_still_stored_when_that_is_cancelled_or_fails():
    asset = make_asset(status="stored", session=make_session())
    Asset.objects.update(status="pending")
    cancel(asset.session)
    assert Asset.objects.values_list("status", "error_kind").get() == ("stored", "")
    DownloadSession.objects.update(state="running")
    for end in (
        lambda made: assets.claims.fail([made], error("private", "Private video")),
        lambda made: assets.claims.end(made, Asset.Status.ABSENT),
    ):
        Asset.objects.update(status="pending")
        assets.claim_assets("w")
        end(Asset.objects.get())
        assert Asset.objects.values_list("status", "storage_key", "claim_id").get() == ("stored", asset.storage_key, None)


# --- what another session owes, and what it left out


def test_another_session_takes_over_only_the_very_assets_that_it_wants():
    first, second, video = make_session(state="paused"), make_session(), make_video(status="stored")
    for language in ("en", "de"):
        make_asset(video=video, kind="subtitles", language=language, ext="vtt", session=first)
    make_asset(video=video, kind="subtitles", language="de", ext="srt", session=first, status="failed", error_kind="network")
    picture = make_asset(video=video, kind="thumbnail", ext="jpg", session=first)
    wants = Options(assets=("subtitles", "thumbnail"), retry_failed=True)
    assert rows.ask_for_videos(second, [video.pk], wants) == 3
    owners = {(asset.kind, asset.language, asset.ext): asset.session_id for asset in Asset.objects.all()}
    assert owners == {
        ("subtitles", "en", "vtt"): second.pk,
        ("subtitles", "en", "srt"): second.pk,
        ("subtitles", "de", "vtt"): first.pk,
        ("subtitles", "de", "srt"): first.pk,
        ("thumbnail", "", picture.ext): second.pk,
    }
    assert Asset.objects.filter(status="failed").count() == 1, "nobody wants that one"


@pytest.mark.parametrize("state", ["paused", "finished", "cancelled"])
def test_what_a_session_owes_that_does_not_run_is_taken_over(state):
    owed, second = make_asset(session=make_session(state=state)), make_session()
    assert rows.ask_for_videos(second, [owed.video_id], NFO) == 1
    assert Asset.objects.get().session_id == second.pk


def test_what_nobody_owes_any_more_is_taken_over():
    owed, second = make_asset(), make_session()
    assert rows.ask_for_videos(second, [owed.video_id], NFO) == 1
    assert Asset.objects.get().session_id == second.pk


@pytest.mark.parametrize("stop", [steering.cancel, steering.pause])
def test_a_session_that_runs_keeps_its_work_whatever_becomes_of_another_that_asks_for_the_same(stop):
    first, second, video = make_session(), make_session(), make_video(status="stored")
    rows.ask_for_videos(first, [video.pk], NFO)
    assert rows.ask_for_videos(second, [video.pk], NFO) == 0
    stop(steering.Sessions(DownloadSession.objects.filter(pk=second.pk)))
    assert assets.claim_assets("w").video_id == video.pk
    assert Asset.objects.values_list("session", "status", "error_kind").get() == (first.pk, "pending", "")


def test_a_session_is_over_without_what_another_owes():
    first, second, video = make_session(), make_session(), make_video(status="stored")
    for session in (first, second):
        rows.ask_for_videos(session, [video.pk], NFO)
    assert dispatch.finish_sessions() == 1
    first.refresh_from_db(), second.refresh_from_db()
    assert (first.state, second.state) == ("running", "finished")
    assert (session_progress(first).assets, session_progress(second).assets) == ({"pending": 1}, {})


def test_languages_are_asked_for_by_the_session_that_took_the_question_over_while_it_was_in_work(worker):
    first, second = make_session(), make_session()
    video = make_video(external_id="demv0000050", status="stored", storage_key="a/b/c.mp4")
    rows.ask_for_videos(first, [video.pk], IN_ALL_LANGUAGES)

    def take_over():
        DownloadSession.objects.filter(pk=first.pk, state="running").update(state="paused")
        rows.ask_for_videos(second, [video.pk], IN_ALL_LANGUAGES)
        cancel(first)

    assert worker.work(assets.claim_assets("w"), check=take_over) == 4
    found = Asset.objects.values_list("language", "ext", "status", "session")
    made = {(language, ext, "stored", second.pk) for language in ("en", "de") for ext in ("vtt", "srt")}
    assert set(found) == made | {("all", "", "listed", second.pk)}


def test_a_question_that_changes_hands_while_its_answer_is_written_is_answered_for_the_later_session(at_once, monkeypatch):
    first, second = make_session(), make_session()
    make_asset(kind="subtitles", language="all", ext="", session=first)
    assets.claim_assets("w")
    asset, ask, askers = Asset.objects.get(), rows._ask, []

    def ask_slowly(videos, wants, asker, lease):
        askers.append(asker["session"])
        assert at_once(lambda: Asset.objects.filter(pk=asset.pk).update(session=second)) == [None]
        return ask(videos, wants, asker, lease)

    monkeypatch.setattr(rows, "_ask", ask_slowly)
    assert rows.ask_for_languages(asset, ["en"])
    assert askers == [first.pk, second.pk]
    found = set(Asset.objects.values_list("language", "ext", "status", "session"))
    assert found == {("all", "", "listed", second.pk), *(("en", ext, "pending", second.pk) for ext in ("vtt", "srt"))}
    assert not rows.ask_for_languages(asset, ["de"]), "it is nobody's work any more"


@pytest.mark.parametrize(
    ("state", "asks", "again"),
    [
        ({"status": "failed", "error_kind": "cancelled"}, WRITTEN_ALONE, True),
        ({"status": "failed", "error_kind": "private"}, SUBTITLES, False),
        ({"status": "absent", "takes_automatic": False}, SUBTITLES, True),
        ({"status": "absent", "takes_automatic": False}, WRITTEN_ALONE, False),
        ({"status": "absent"}, SUBTITLES, False),
        ({"status": "stored", "takes_automatic": False}, SUBTITLES, False),
    ],
    ids=["cancelled", "failed", "narrower", "as narrow", "as wide", "stored"],
)
def test_what_an_earlier_session_left_out_can_be_asked_for_later(state, asks, again):
    spent = {"attempts": 3, "losses": 1, "refusals": 2, "tries": 1, "next_attempt_at": Now() + timedelta(days=1)}
    before = make_asset(kind="subtitles", language="en", ext="vtt", session=make_session(), **spent, **state)
    session = make_session()
    assert rows.ask_for_videos(session, [before.video_id], asks) == 1 + again, "the SRT is new"
    after = Asset.objects.get(pk=before.pk)
    if not again:
        unchanged = ("status", "session_id", "attempts", "takes_automatic", "error_kind")
        assert [getattr(after, name) for name in unchanged] == [getattr(before, name) for name in unchanged]
        return
    assert (after.status, after.session_id, after.error_kind) == ("pending", session.pk, "")
    assert (after.attempts, after.losses, after.refusals, after.takes_automatic) == (0, 0, 0, asks.automatic_subtitles)
    assert after.tries == 1, "a worker that was cancelled over it may still write"
    assert assets.claim_assets("w").video_id == after.video_id


def test_languages_that_were_listed_without_the_automatic_ones_are_listed_again():
    asset = make_asset(kind="subtitles", language="all", ext="", status="listed", takes_automatic=False, session=make_session())
    make_asset(video=asset.video, kind="info", ext="json", status="absent", takes_automatic=False)
    wants = Options(assets=("subtitles", "info"), subtitle_languages=("all",))
    assert rows.ask_for_videos(make_session(), [asset.video_id], wants) == 1
    assert dict(Asset.objects.values_list("kind", "status")) == {"subtitles": "pending", "info": "absent"}


def test_a_session_does_not_bring_back_what_was_cancelled_of_its_own():
    asset = make_asset(session=make_session(), status="failed", error_kind="cancelled")
    assert rows.ask_for_videos(asset.session, [asset.video_id], Options(assets=("nfo",))) == 0
    assert Asset.objects.get().status == "failed"


def test_an_asset_knows_what_it_may_be_whatever_becomes_of_its_session(worker):
    video = make_video(external_id="demv0000040", status="stored")
    session = make_session()
    rows.ask_for_videos(session, [video.pk], WRITTEN_ALONE)
    assert set(Asset.objects.values_list("takes_automatic", flat=True)) == {False}
    session.delete()
    worker.work_due()
    assert set(Asset.objects.values_list("status", flat=True)) == {"absent"}


@pytest.mark.parametrize("is_in_work", [False, True])
def test_a_session_that_takes_more_widens_what_waits_but_not_what_is_looked_for_already(is_in_work):
    video = make_video(status="stored")
    rows.ask_for_videos(make_session(), [video.pk], WRITTEN_ALONE)
    if is_in_work:
        assets.claim_assets("w")
    rows.ask_for_videos(make_session(), [video.pk], SUBTITLES)
    assert set(Asset.objects.values_list("takes_automatic", flat=True)) == {not is_in_work}
    rows.ask_for_videos(make_session(), [video.pk], WRITTEN_ALONE)
    assert set(Asset.objects.values_list("takes_automatic", flat=True)) == {not is_in_work}, "nobody narrows it"


# --- videos that are stored anew


def store_anew(video: Video, options: Options, key: str) -> assets.AssetClaim | None:
    video.__class__.objects.update(status="pending", session=make_session(options=options.as_json()), next_attempt_at=Now())
    return end_stored(leases.claim("w"), options, key)


def test_what_lies_beside_a_video_that_is_stored_anew_is_made_anew_under_its_name(worker):
    video = make_video(external_id="demv0000050", status="stored", storage_key="a/b/old-1.mp4")
    rows.ask_for_videos(make_session(), [video.pk], Options(assets=("nfo", "subtitles", "info")))
    assert worker.work_due() == 4
    left = Asset.objects.get(kind="info")
    Asset.objects.filter(ext="vtt").update(tries=2)
    key = "a/b/12345678-1234-1234-1234-123456789012-2.mp4"
    claim = store_anew(video, Options(assets=("nfo", "subtitles")), key)
    assert Asset.objects.filter(claim_id=claim.id).exclude(storage_key="").count() == 3, "the old objects stay meanwhile"
    assert {asset.storage_key for asset in Asset.objects.all()} == {key for key, _ in worker.store.list_keys()}
    assert worker.work(claim) == 3
    names = {asset.storage_key.removeprefix(beside(key, "")) for asset in Asset.objects.exclude(pk=left.pk)}
    assert names == {"nfo", "en.vtt", "en.srt"}
    left.refresh_from_db()
    assert (left.status, left.storage_key) == ("stored", "a/b/old-1.info.json"), "this session does not want it"
    assert {asset.storage_key for asset in Asset.objects.all()} == {key for key, _ in worker.store.list_keys()}
    assert clean(worker.store, older_than=timedelta(0)).objects == 0
    assert all("key/" in said or key in said for said in audit.differences(worker.store)), "this video has no object of its own"


def test_what_is_stored_under_the_name_of_the_video_already_is_not_made_again():
    video = make_video(session=make_session())
    Limits.row()
    claim = leases.claim("w")
    ours = end_stored(claim, Options(assets=("nfo",)), "a/b/new.mp4")
    Asset.objects.update(status="stored", storage_key="a/b/new.nfo", file_size=1, checksum="c", part_size=1, **leases.NO_LEASE)
    assert end_stored(claim, Options(assets=("nfo",)), "a/b/new.mp4") is None, "as when the answer was lost"
    assert Asset.objects.get().status == "stored" and ours.video_id == video.pk


def test_what_is_made_while_its_video_is_stored_anew_gets_the_new_name(worker):
    video = make_video(external_id="demv0000050", status="stored", storage_key="a/b/old.mp4")
    make_asset(video=video)
    claim = assets.claim_assets("w")
    worker.work(claim, check=lambda: Video.objects.update(storage_key="a/b/new.mp4"))
    assert Asset.objects.get().storage_key == "a/b/new.nfo"
