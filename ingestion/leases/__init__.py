"""Who holds which video, and until when.

claims      taking the next due video, within all limits, and keeping it
endings     what a claim ends in: stored, failed, handed back
reaping     taking back what dead workers held

A claim is one short transaction. Its first statement locks the one row of limits, the mutex of all claims; it must be a
statement of its own, so that the next ones see what the last claim committed. An attempt's id is the fencing token: every
later write says `where claim_id = token`, and 0 rows mean that the video is no longer ours.

Whoever locks several things does it in this order: limits, scan, video, attempt, session.
"""

from ingestion.leases.claims import Claim, Room, claim, lease_length, lock_limits, renew
from ingestion.leases.endings import (
    NO_LEASE,
    attempts_allowed,
    finish_failed,
    finish_stored,
    hand_back,
    pause_fail_fast,
    pause_sessions,
    refuses_this_video_only,
)
from ingestion.leases.reaping import MOST_LOSSES, expire, reap

__all__ = [
    "MOST_LOSSES",
    "NO_LEASE",
    "Claim",
    "Room",
    "attempts_allowed",
    "claim",
    "expire",
    "finish_failed",
    "finish_stored",
    "hand_back",
    "lease_length",
    "lock_limits",
    "pause_fail_fast",
    "pause_sessions",
    "reap",
    "refuses_this_video_only",
    "renew",
]
