"""What a session's progress says, in words: the values that its page shows and asks for again every few seconds.

`session.now` is the progress, with the kinds of MOST_FILES files, and counted as far as MOST_COUNTED.
"""

from typing import Any
from urllib.parse import urlencode

from django.urls import reverse
from django.utils import timezone
from django.utils.formats import date_format

from ingestion.admin.tallies import Tally
from ingestion.dashboard import live
from ingestion.models import DownloadSession
from ingestion.options import CONTAINERS, Options
from ingestion.progress import SHOWN, VIDEO_PAUSED, Progress
from videos.cells import kind_words
from videos.models import Video
from videos.text import counted, counted_bytes

State = DownloadSession.State
Values = dict[str, Any]
MOST_FILES = 1000
"""Stored files whose kind is looked at: enough to see what came, and few enough to be read again and again."""
MOST_COUNTED = 10_000
"""Of what is counted row by row, by each page that is open: beyond it is said that there are more."""
OVER = (State.FINISHED, State.CANCELLED)


def values_for(session: DownloadSession, sees: live.Sees) -> Values:
    """Texts, and lists of rows that have a `key`, for massdl/live.js; `ended` when nothing of it will change by itself.

    What is being downloaded is told only to those who may see videos: `sees` is the user's `has_perm`.
    """
    now = session.now
    tally = Tally(videos=now.videos, bytes=now.bytes_stored, waits_for=now.waits_for, went_wrong=now.kinds, scans=now.scans)
    row = live.session_row(session, tally)
    return {
        "at": date_format(timezone.localtime(), "H:i:s"),
        **{name: row[name] for name in ("state", "why", "percent", "done")},
        "numbers": number_rows(session),
        "facts": [{"key": key, "name": name, "text": text} for key, name, text in facts(session) if text],
        **(_running(now) if sees("videos.view_video") else {}),
        "ended": session.state in OVER and not runs(now),
    }


def _running(now: Progress) -> Values:
    total = now.videos["downloading"]
    return {"running": [_running_row(one) for one in now.running], "running_more": live.more_words(total) if total > SHOWN else ""}


def runs(now: Progress) -> bool:
    return bool(now.videos["downloading"] or now.scans["running"] or now.assets_in_work)


def number_rows(session: DownloadSession) -> list[Values]:
    """The videos by status, each with the list that it counts; a status that no video has is left out."""
    page, counts = reverse("admin:videos_video_changelist"), session.now.videos
    return [
        {
            "key": status,
            "name": name,
            "count": f"{counts[status]:,}",
            "href": f"{page}?{urlencode({'session__id__exact': session.pk, 'status__exact': status})}",
        }
        for status, name in Video.Status.choices
        if counts[status]
    ]


def facts(session: DownloadSession) -> list[tuple[str, str, str]]:
    """Key, name and text; "" where there is nothing to tell."""
    now = session.now
    return [
        ("held", "What it waits for", held_by(session)),
        ("channels", "Channels", scans_in_words(now)),
        ("size", "Size of the stored files", counted_bytes(now.bytes_stored) if now.bytes_stored else ""),
        ("files", "Kinds of files", files_in_words(session) if now.videos["stored"] else ""),
        ("beside", "Information, pictures, subtitles", assets_in_words(now)),
        ("before", "Stored in an older session", counted(now.already_stored, "video") if now.already_stored else ""),
        ("left", "Left alone, as in an older session", counted(now.left_alone.total(), "video") if now.left_alone else ""),
    ]


def scans_in_words(now: Progress) -> str:
    """`3 listed, 1 could not be listed`."""
    words = {"done": "listed", "running": "being listed", "pending": "still to be listed", "failed": "could not be listed"}
    return ", ".join(f"{now.scans[state]:,} {word}" for state, word in words.items() if now.scans[state])


def files_in_words(session: DownloadSession) -> str:
    """`12 mp4, 1 mkv`, whatever was asked for; where another kind was, the reason."""
    kinds = session.now.containers
    words = ", ".join(f"{count:,} {kind or 'unknown'}" for kind, count in kinds.most_common())
    words += f" (of the first {MOST_FILES:,} looked at)" if session.now.videos["stored"] > MOST_FILES else ""
    choice = Options.of(session.options).choice
    wish = choice.container
    others = sum(count for kind, count in kinds.items() if kind not in (wish, ""))
    if not others or (choice.quality == "audio" and wish in CONTAINERS):  # sound alone comes as what it is
        return f"{words}."
    return f"{words}. Asked for was {wish}: what YouTube offered of {counted(others, 'video')} fits into another kind of file only."


def assets_in_words(now: Progress) -> str:
    """`Stored 3, Failed 1`; those that somebody has at this moment apart. Of too many failed ones nobody knows how many staff
    cancelled."""
    waiting, failed = now.assets["pending"], now.assets["failed"]
    numbers = {
        "Stored": now.assets["stored"],
        "In work": now.assets_in_work,
        "Waiting": waiting if waiting > MOST_COUNTED else waiting - now.assets_in_work,
        "YouTube has none": now.assets["absent"],
    }
    numbers |= (
        {"Failed or cancelled": failed}
        if failed > MOST_COUNTED
        else {"Cancelled": now.assets_cancelled, "Failed": failed - now.assets_cancelled}
    )
    return ", ".join(f"{words} {_up_to_most(count)}" for words, count in numbers.items() if count > 0)


def _up_to_most(count: int) -> str:
    """`9,999`, `10,000+`."""
    return f"{MOST_COUNTED:,}+" if count > MOST_COUNTED else f"{count:,}"


def held_by(session: DownloadSession) -> str:
    """Why what waits of a session is not begun, beside its own state; "" when nothing of the kind holds it."""
    now = session.now
    if now.is_over:
        return ""
    reasons = [now.hold.in_words()] if now.hold and now.videos["pending"] else []
    if now.closed_until:
        until = timezone.localtime(now.closed_until)
        reasons.append(f"No request to YouTube before {until:%a %d %b %H:%M} ({kind_words(now.requests.kind)}).")
    reasons += [f"{_held(reason, count)} held back: {reason}." for reason, count in sorted(now.held_videos.items())]
    reasons += [f"{counted(count, 'channel')} not listed: {reason}." for reason, count in sorted(now.held_scans.items())]
    if not reasons and session.state == State.RUNNING:
        reasons = _waits_by_itself(now)
    return " ".join(reasons)


def _held(reason: str, count: int) -> str:
    """What a paused channel holds is known, however much it is."""
    return f"{_up_to_most(count)} videos" if reason == VIDEO_PAUSED and count > MOST_COUNTED else counted(count, "video")


def _waits_by_itself(progress: Progress) -> list[str]:
    """Nothing holds it back: either its time has not come, or nobody is there to take it up."""
    if runs(progress):
        return []
    if not progress.has_workers:
        return ["No worker is running: nobody takes it up before one is started."]
    if progress.waits_beyond(timezone.now()) and progress.next_due_at:
        first = timezone.localtime(progress.next_due_at)
        return [f"What is left is tried again from {first:%a %d %b %H:%M} on; Resume tries it now, as far as YouTube gives it."]
    return []


def _running_row(one: Any) -> Values:
    row = live.download_row(str(one.video_id), one.video_id, one.title, one.bytes_done, one.bytes_total)
    percent = f" ({row['percent']} %)" if row["percent"] is not None else ""
    return {**row, "done": f"{row['done']}{percent}"}
