"""Which actions can do something for one row at this moment: the others have no button on its page."""

from django.utils import timezone

from ingestion.models import DownloadSession
from ingestion.operations.steered import CHANNEL_IS_LISTED, CHANNEL_OWES, CHANNEL_RUNS, CHANNEL_WAITS
from ingestion.operations.verbs import FIRST
from people.models import Channel
from videos.models import Asset, Video

State, Status, Wanted = DownloadSession.State, Video.Status, Video.Wanted


def idle_for_video(video: Video) -> set[str]:
    """By its assets (`video.assets_known`)."""
    is_pending, runs = video.status == Status.PENDING, video.status == Status.DOWNLOADING
    is_held = video.wanted != Wanted.RUN or video.next_attempt_at > timezone.now()
    assets = {asset.status for asset in video.assets_known}
    useful = {
        "retry": video.status in (Status.FAILED, Status.UNAVAILABLE, Status.SKIPPED),
        "retry_assets": Asset.Status.FAILED in assets,
        "pause": (is_pending or runs) and video.wanted == Wanted.RUN,
        "pause_now": runs,
        "resume": (runs and video.wanted == Wanted.PAUSE) or (is_pending and is_held) or _asset_waits(video),
        "skip": video.status in (Status.PENDING, Status.FAILED, Status.UNAVAILABLE),
        "prioritise": (is_pending or runs) and video.priority != FIRST,
        "in_turn": (is_pending or runs) and bool(video.priority),
        "verify": video.status == Status.STORED,
        "store_again": video.status == Status.STORED,
        "cancel": ((is_pending or runs) and video.wanted != Wanted.CANCEL) or Asset.Status.PENDING in assets,
        "cancel_now": runs,
    }
    return _idle(useful)


def _asset_waits(video: Video) -> bool:
    now = timezone.now()
    return any(asset.status == Asset.Status.PENDING and asset.next_attempt_at > now for asset in video.assets_known)


def idle_for_session(session: DownloadSession) -> set[str]:
    """By the progress that its page shows (`session.now`)."""
    now, state = session.now, session.state
    runs = bool(now.videos["downloading"] or now.scans["running"] or now.assets_in_work)
    is_going = state in (State.RUNNING, State.PAUSED)
    useful = {
        "pause": state == State.RUNNING,
        "pause_now": is_going and runs,
        "resume": state in (State.PAUSED, State.CANCELLED) or (state == State.RUNNING and now.has_later),
        "cancel": is_going,
        "cancel_now": runs,
        "retry_failed": bool(now.videos["failed"]),
        "retry_assets": bool(now.assets["failed"]) and state != State.CANCELLED,
    }
    return _idle(useful)


def idle_for_channel(channel: Channel) -> set[str]:
    """One query."""
    facts = (
        Channel.objects.filter(pk=channel.pk)
        .annotate(runs=CHANNEL_RUNS, waits=CHANNEL_WAITS, owes=CHANNEL_OWES, is_listed=CHANNEL_IS_LISTED)
        .values("runs", "waits", "owes", "is_listed")
        .get()
    )
    is_paused = channel.state == Channel.State.PAUSED
    useful = {
        "pause": not is_paused,
        "pause_now": facts["runs"],
        "resume": is_paused or facts["waits"],
        "cancel": facts["owes"],
        "cancel_now": facts["runs"],
        "look_for_new_videos": channel.state == Channel.State.ACTIVE and channel.kind != Channel.Kind.VIDEO and not facts["is_listed"],
    }
    return _idle(useful)


def _idle(useful: dict[str, bool]) -> set[str]:
    return {name for name, can_do in useful.items() if not can_do}
