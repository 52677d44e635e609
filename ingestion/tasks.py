"""Entry points of django-q2: take what is due and hand it to the plain functions that do the work."""

import logging
import os
import time
from collections.abc import Callable
from functools import cache

from django.db import InterfaceError, OperationalError, connection

from ingestion import budget, dispatch, leases
from ingestion.cluster import is_stopping, must_stop_now, owner
from ingestion.downloading import download
from ingestion.errors import SetupError
from ingestion.heartbeat import Heartbeat, Stopped
from ingestion.models import DownloadSession
from ingestion.scanning import ScanLease, claim_scan, hand_back_scan, scan_channel
from ingestion.store import Store
from ingestion.youtube import YouTube, settings_options

logger = logging.getLogger(__name__)

SLICE_SECONDS = 600


class _Desk:
    """What one worker process keeps from video to video; `check` is the running work's right to be stopped."""

    def __init__(self):
        self.pid = os.getpid()
        self.check: Callable[[], None] = _stop_when_told
        self.youtube = YouTube(settings_options(), spend=lambda: budget.spend(check=lambda: self.check()))
        self.store = Store.default()


@cache
def _desk(pid: int) -> _Desk:
    """One for each process: neither connections nor yt-dlp survive a fork."""
    return _Desk()


def download_due() -> int:
    """Download what is due, one video after the other, for at most SLICE_SECONDS; then pass the wake-up on."""
    return _drain(_download_one, dispatch.DOWNLOADS)


def scan_due() -> int:
    """The same for channels."""
    return _drain(_scan_one, dispatch.SCANS)


def _drain(take_one: Callable[[_Desk], bool], queue: str) -> int:
    """The top of a worker's work: raises nothing, for the next wake-up starts afresh."""
    try:
        try:
            return _take_all(take_one, queue)
        except SetupError as failure:
            _stop_sessions(failure)
    except (OperationalError, InterfaceError) as exc:
        logger.warning("the database did not answer: %s", exc)
        connection.close()
    except Exception:
        logger.exception("a worker met an error that nobody foresaw; it goes on with the next wake-up")
    return 0


def _take_all(take_one: Callable[[_Desk], bool], queue: str) -> int:
    done, end = 0, time.monotonic() + SLICE_SECONDS
    while not is_stopping() and take_one(_desk(os.getpid())):
        done += 1
        if time.monotonic() > end:
            dispatch.ring(queue)
            break
    return done


def _stop_sessions(failure: SetupError) -> None:
    """Nothing can be done with this set-up: tell staff why, where they and the commands look."""
    logger.error("nothing can be downloaded with this set-up, and all running sessions are paused: %s", failure.message)
    running = DownloadSession.objects.filter(state=DownloadSession.State.RUNNING)
    leases.pause_sessions(running.values_list("pk", flat=True), failure.message)


def _download_one(desk: _Desk) -> bool:
    claim = leases.claim(owner())
    if claim is None:
        return False
    with Heartbeat(claim, shutting_down=must_stop_now) as heartbeat:
        desk.check = heartbeat.check
        try:
            download(claim, source=desk.youtube, store=desk.store, heartbeat=heartbeat)
        finally:
            desk.check = _stop_when_told
    return True


def _scan_one(desk: _Desk) -> bool:
    scan = claim_scan(owner())
    if scan is None:
        return False
    lease = ScanLease(scan)

    def check() -> None:
        _stop_when_told()
        lease.keep()

    desk.check = check
    try:
        scan_channel(scan, source=desk.youtube, found=_ring_for, check=check)
    except Stopped:
        hand_back_scan(scan)
    finally:
        desk.check = _stop_when_told
    return True


def _ring_for(due: int) -> None:
    dispatch.top_up(dispatch.DOWNLOADS, min(due, dispatch.due_videos()))


def _stop_when_told() -> None:
    if is_stopping():
        raise Stopped("shutdown")
