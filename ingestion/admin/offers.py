"""Which actions can do something for one row at this moment: the others have no button on its page."""

from django.db.models import Exists, OuterRef, Q
from django.db.models.functions import Now
from django.utils import timezone

from ingestion.models import DownloadSession, Scan
from ingestion.operations.verbs import FIRST
from people.models import Channel
from videos.models import Asset, Video

State, Status, Wanted = DownloadSession.State, Video.Status, Video.Wanted
OPEN_SCANS = (Scan.State.PENDING, Scan.State.RUNNING)
LATER = Q(next_attempt_at__gt=Now())


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
    videos, scans = Video.objects.filter(channel=OuterRef("pk")), Scan.objects.filter(channel=OuterRef("pk"))
    assets = Asset.objects.filter(video__channel=OuterRef("pk"), status=Asset.Status.PENDING)
    open_scans = scans.filter(state__in=OPEN_SCANS)
    held = [State.PAUSED, State.CANCELLED]
    facts = (
        Channel.objects.filter(pk=channel.pk)
        .annotate(
            runs=Exists(videos.filter(status=Status.DOWNLOADING))
            | Exists(scans.filter(state=Scan.State.RUNNING))
            | Exists(assets.in_work()),
            waits=Exists(videos.waiting()) | Exists(open_scans.filter(LATER)) | Exists(assets.filter(LATER)),
            owes=Exists(videos.unfinished()) | Exists(open_scans) | Exists(assets),
            is_listed=Exists(open_scans.exclude(session__state__in=held)),
        )
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
