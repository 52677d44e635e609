"""Entry points of django-q2: take what is due and hand it to the plain functions that do the work."""

import logging
import os
import time
from collections.abc import Callable
from functools import cache, partial

from ingestion import assets, budget, chores, dispatch, leases, operations, orphans, roster
from ingestion.assets import AssetClaim
from ingestion.bandwidth import Bandwidth
from ingestion.cluster import is_stopping, must_stop_now, owner
from ingestion.downloading import download
from ingestion.errors import SetupError, error
from ingestion.extraction import Extraction
from ingestion.heartbeat import Heartbeat, LeaseKeeper, Stopped
from ingestion.models import DownloadSession
from ingestion.outages import DATABASE_AWAY, close_connection, insist
from ingestion.scanning import claim_scan, hand_back_scan, renew_scan, scan_channel
from ingestion.store import Store
from ingestion.youtube import YouTube, settings_options

logger = logging.getLogger(__name__)

SLICE_SECONDS = 600
TIDY_SECONDS, MOST_ORPHANS = 60, 100


class _Desk:
    """What one worker process keeps from video to video; `check` is the running work's right to be stopped."""

    def __init__(self):
        self.pid = os.getpid()
        self.check: Callable[[], None] = _stop_when_told
        self.bandwidth = Bandwidth()
        self.youtube = YouTube(
            settings_options(),
            spend=lambda: budget.spend(check=lambda: self.check()),
            pace=lambda size: self.bandwidth.pace(size, check=lambda: self.check()),
            check=lambda: self.check(),
        )
        self.store = Store.default()
        self._tidy_at = 0.0

    def tidy(self) -> None:
        """Clear away what workers that died left in the storage, now and then."""
        if time.monotonic() >= self._tidy_at:
            orphans.clear_rows(MOST_ORPHANS, store=self.store)
            chores.clean_now_and_then(self.store)
            self._tidy_at = time.monotonic() + TIDY_SECONDS


@cache
def _desk(pid: int) -> _Desk:
    """One for each process: neither connections nor yt-dlp survive a fork."""
    return _Desk()


def download_due() -> int:
    """Download what is due, one video after the other, for at most SLICE_SECONDS; then pass the wake-up on."""
    return _drain(_download_one, dispatch.DOWNLOADS)


def scan_due() -> int:
    """The same for channels, then for assets of videos; the storage is tidied between them."""
    return _drain(_scan_or_complete, dispatch.SCANS)


def _drain(take_one: Callable[[_Desk], bool], queue: str) -> int:
    """The top of a worker's work: raises nothing, for the next wake-up starts afresh."""
    try:
        roster.note_wake_up(owner(), queue)
        try:
            return _take_all(take_one, queue)
        except SetupError as failure:
            chores.put_off()  # else somebody is woken up for them again and again
            operations.put_off(failure)
            _stop_sessions(failure)
    except DATABASE_AWAY as exc:
        logger.warning("the database did not answer: %s", exc)
        close_connection()
    except Exception:
        logger.exception("a worker met an error that nobody foresaw; it goes on with the next wake-up")
    return 0


def _take_all(take_one: Callable[[_Desk], bool], queue: str) -> int:
    done, end = 0, time.monotonic() + SLICE_SECONDS
    while not is_stopping() and (_operate_one() or take_one(_desk(os.getpid()))):
        done += 1
        if time.monotonic() > end:
            dispatch.ring(queue)
            break
    return done


def _stop_sessions(failure: SetupError) -> None:
    """Nothing can be done with this set-up: tell staff why, where they and the commands look, unless there is nothing to do."""
    if not dispatch.is_work_due():
        logger.error("nothing can be done with this set-up: %s", failure.message)
        return
    logger.error("nothing can be downloaded with this set-up, and all running sessions are paused: %s", failure.message)
    running = DownloadSession.objects.filter(state=DownloadSession.State.RUNNING)
    leases.pause_sessions(running.values_list("pk", flat=True), failure.message)


def _operate_one(desk: _Desk | None = None) -> bool:
    """A piece of what staff asked to be done to many rows. They wait for it, so it goes before all else, whether the set-up is
    right or not; with a desk, of what reads the storage: that is done when there is nothing else to do."""
    piece = operations.next_piece(examines=desk is not None)
    if piece is None:
        return False
    with LeaseKeeper(partial(operations.renew_piece, piece), name=f"operation-{piece.operation_id}", shutting_down=is_stopping) as keeper:
        try:
            operations.work_piece(piece, store=desk and desk.store, check=keeper.check)
        except Stopped:
            insist(operations.put_piece_back, piece)
        except DATABASE_AWAY:
            raise
        except Exception as exc:  # what is wrong with one piece must be recorded, or it is tried for ever
            logger.exception("an unforeseen error in an operation", extra={"operation": piece.operation_id})
            insist(operations.note_failure, piece, f"{type(exc).__name__}: {exc}")
    return True


def _download_one(desk: _Desk) -> bool:
    claim = leases.claim(owner())
    if claim is None:
        return False
    with Heartbeat(claim, shutting_down=must_stop_now, on_beat=desk.bandwidth.refresh) as heartbeat:
        desk.check = heartbeat.check
        try:
            done = download(claim, source=desk.youtube, store=desk.store, heartbeat=heartbeat)
        finally:
            desk.check = _stop_when_told
    if done and done.assets:
        _work_assets(desk, done.assets, done.extraction)
    return True


def _scan_or_complete(desk: _Desk) -> bool:
    has_worked = _scan_one(desk) or _complete_one(desk) or _operate_one(desk)
    desk.tidy()
    return has_worked


def _complete_one(desk: _Desk) -> bool:
    claim = assets.claim_assets(owner())
    if claim:
        _work_assets(desk, claim)
    return bool(claim)


def _work_assets(desk: _Desk, claim: AssetClaim, extraction: Extraction | None = None) -> None:
    """The lease of the video is over by now: that of its assets takes its place."""
    with LeaseKeeper(partial(assets.renew, claim), name=f"assets-{claim.video_id}", shutting_down=is_stopping) as keeper:
        desk.check = keeper.check
        try:
            assets.work(claim, source=desk.youtube, store=desk.store, check=keeper.check, extraction=extraction)
        except DATABASE_AWAY:
            raise
        except Exception as exc:  # what is wrong with one asset must be recorded, or it is taken for ever
            logger.exception("an unforeseen error over assets", extra={"video": claim.video_id})
            insist(assets.fail_claim, claim, error("unknown", f"{type(exc).__name__}: {exc}"))
        finally:
            desk.check = _stop_when_told


def _scan_one(desk: _Desk) -> bool:
    scan = claim_scan(owner())
    if scan is None:
        return False
    with LeaseKeeper(partial(renew_scan, scan), name=f"scan-{scan.pk}", shutting_down=is_stopping) as keeper:
        desk.check = keeper.check
        try:
            scan_channel(scan, source=desk.youtube, found=_ring_for, check=keeper.check)
        except Stopped:
            insist(hand_back_scan, scan)
        except DATABASE_AWAY as exc:
            logger.warning("the database went away in a scan, which is handed back: %s", exc, extra={"scan": scan.pk})
            close_connection()
            insist(hand_back_scan, scan)
        finally:
            desk.check = _stop_when_told
    return True


def _ring_for(due: int) -> None:
    dispatch.top_up(dispatch.DOWNLOADS, min(due, dispatch.due_videos()))


def _stop_when_told() -> None:
    if is_stopping():
        raise Stopped("shutdown")
