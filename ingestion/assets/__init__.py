"""What is kept beside a stored video, each with a row and an object of its own; none of it ever fails the video.

wanted      which rows a session's options ask for, and what their objects are called; pure
rows        asking: making those rows, where they are missing
claims      taking what is due of one video, and what a claim ends in
working     the work itself: one look at YouTube for all that is due of a video
captions    which of the offered captions are taken, and SRT and plain text made of them
cues        what VTT says, cue by cue
contents    what the other objects hold

The worker that stored a video makes its assets at once, with the look it still has; what fails then, and what a dead worker
left, is taken later by the workers of the control queue. Whoever locks several things locks assets last.
"""

from ingestion.assets.claims import (
    AssetClaim,
    claim_assets,
    due_assets,
    fail_claim,
    hand_back,
    in_work,
    next_due_at,
    reap,
    renew,
    take_back,
)
from ingestion.assets.rows import ask_after_download, ask_for_channel, ask_for_videos
from ingestion.assets.wanted import wanted
from ingestion.assets.working import work

__all__ = [
    "AssetClaim",
    "ask_after_download",
    "ask_for_channel",
    "ask_for_videos",
    "claim_assets",
    "due_assets",
    "fail_claim",
    "hand_back",
    "in_work",
    "next_due_at",
    "reap",
    "renew",
    "take_back",
    "wanted",
    "work",
]
