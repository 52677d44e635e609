"""Every verb there is, by the model of its rows: what the lists of the admin offer for a selection, or for all they show."""

from collections import Counter
from collections.abc import Mapping
from typing import Any

from django.db.models import Exists, Model, OuterRef, QuerySet

from ingestion.api import look_again
from ingestion.models import DownloadSession, Scan
from ingestion.operations.steered import STEERED_CHANNELS, STEERED_SESSIONS, STEERED_VIDEOS, in_batches
from ingestion.operations.verb import VIDEOS, Asker, Check, Filter, Result, Verb, Work, note
from people.models import Channel
from videos.models import Asset, Video

State, Status = DownloadSession.State, Video.Status
FIRST = 100
"""The priority of what goes before all others."""
AFRESH = ("status", "wanted", "attempts", "losses", "error_kind", "error_message", "next_attempt_at")
DID_NOT_FAIL = ("it did not fail", "they did not fail")
NOTHING_FAILED = ("nothing of it failed", "nothing of them failed")


def _changes(method: str, **values: Any) -> Work:
    """The work of a method of the rows' manager, which returns how many it changed."""

    def work(rows: QuerySet[Any], asker: Asker, check: Check) -> Result:
        return Result(Counter(changed=getattr(rows, method)(**values)))

    return work


def _have_failed(model: type[Model], link: str) -> Filter:
    """Rows to which something failed belongs."""
    return lambda rows: rows.filter(Exists(model.objects.filter(**{link: OuterRef("pk")}, status="failed")))


def _retry_assets(videos: QuerySet[Video], asker: Asker, check: Check) -> Result:
    return Result(Counter(changed=Asset.objects.filter(video__in=videos.order_by().values("pk")).retry()))


def _retry_of_sessions(model: type[Video] | type[Asset]) -> Work:
    """What failed of the sessions, in steps; those that were over go on."""

    def work(sessions: QuerySet[DownloadSession], asker: Asker, check: Check) -> Result:
        concerned = list(sessions.values_list("pk", flat=True))
        failed = model.objects.filter(session__in=concerned, status=model.Status.FAILED)
        tried = in_batches(failed, lambda rows: rows.retry(), check)
        DownloadSession.objects.filter(pk__in=concerned, state=State.FINISHED).update(state=State.RUNNING, finished_at=None)
        return Result(Counter(changed=tried))

    return work


def _look_again(channels: QuerySet[Channel], asker: Asker, check: Check) -> Result:
    sessions = look_again(channels, user=asker)
    number = Scan.objects.filter(session__in=sessions).count()
    return Result(Counter(changed=number), [note(session, str(session)) for session in sessions])


RETRY_ASSETS = {
    "name": "retry_assets",
    "button": "Retry assets",
    "hint": "only what failed beside the videos",
    "warning": "The pictures, subtitles and files of information that failed are tried again. The videos stay as they are.",
    "done": "will be tried again",
    "noun": "asset",
}
OF_VIDEOS = (
    Verb(
        "retry",
        "Retry",
        "failed, unavailable and skipped ones",
        "Retry {rows}?",
        "They are downloaded as soon as it is their turn, with all their attempts before them. What YouTube refuses for good, such as "
        "private videos, fails again until its owner changes that.",
        "will be tried again",
        DID_NOT_FAIL,
        lambda videos: videos.retriable(),
        _changes("retry"),
        restored=AFRESH,
    ),
    Verb(
        **RETRY_ASSETS,
        question="Retry what failed beside {rows}?",
        left=NOTHING_FAILED,
        fits=_have_failed(Asset, "video"),
        work=_retry_assets,
    ),
    *STEERED_VIDEOS.verbs()[:3],
    Verb(
        "skip",
        "Skip",
        "do not download",
        "Skip {rows}?",
        "They are not downloaded until somebody retries them, whoever looks for new videos of their channels.",
        "will be skipped",
        ("it is stored, being downloaded or skipped already", "they are stored, being downloaded or skipped already"),
        lambda videos: videos.skippable(),
        _changes("skip"),
        restored=AFRESH,
    ),
    *STEERED_VIDEOS.verbs()[3:],
    Verb(
        "prioritise",
        "Go first",
        "before all others",
        "Let {rows} go first?",
        "They are downloaded before all others, as soon as a worker is free and neither their session nor their channel is paused.",
        "will go first",
        ("it is over, or goes first already", "they are over, or go first already"),
        lambda videos: videos.unfinished().exclude(priority=FIRST),
        _changes("update", priority=FIRST),
        restored=("priority",),
    ),
    Verb(
        "in_turn",
        "Go in turn",
        "as all others",
        "Let {rows} go in turn?",
        "They are downloaded when it is their turn, as all others are.",
        "will go in turn",
        ("it is over, or goes in turn already", "they are over, or go in turn already"),
        lambda videos: videos.unfinished().exclude(priority=0),
        _changes("update", priority=0),
        restored=("priority",),
    ),
    Verb(
        "verify",
        "Verify",
        "compare the stored files with the record",
        "Verify {rows}?",
        "Every stored file, of the videos and of what lies beside them, is read whole and compared with its record: size and "
        "checksums. Nothing is changed. Large archives take hours.",
        "looked at",
        ("it is not stored", "they are not stored"),
        lambda videos: videos.stored(),
        examines=True,
    ),
    Verb(
        "store_again",
        "Store again",
        "download stored ones once more",
        "Download {rows} once more?",
        "They are downloaded again as soon as it is their turn, and replace what is stored once they are whole. Until then, and "
        "when YouTube does not give them any more, the stored ones stay.",
        "will be stored again",
        ("it is not stored", "they are not stored"),
        lambda videos: videos.stored(),
        _changes("store_again"),
        restored=AFRESH,
        is_grave=True,
    ),
)
OF_CHANNELS = (
    *STEERED_CHANNELS.verbs(),
    Verb(
        "look_for_new_videos",
        "Look for new videos now",
        "",
        "Look for new videos of {rows}?",
        "They are listed again with the settings of their newest session, and what is new is downloaded.",
        "will be looked at",
        ("it is paused, gone, a single video, or being listed already", "each is paused, gone, a single video, or being listed already"),
        lambda channels: channels.filter(state=Channel.State.ACTIVE).exclude(kind=Channel.Kind.VIDEO),
        _look_again,
    ),
)
OF_SESSIONS = (
    *STEERED_SESSIONS.verbs(),
    Verb(
        "retry_failed",
        "Retry failed videos",
        "",
        "Retry what failed of {rows}?",
        "The failed videos are downloaded as soon as it is their turn, with all their attempts before them.",
        "will be tried again",
        NOTHING_FAILED,
        _have_failed(Video, "session"),
        _retry_of_sessions(Video),
        VIDEOS,
        noun="video",
        in_steps=True,
    ),
    Verb(
        **RETRY_ASSETS,
        question="Retry what failed beside the videos of {rows}?",
        left=NOTHING_FAILED,
        fits=_have_failed(Asset, "session"),
        work=_retry_of_sessions(Asset),
        permission=VIDEOS,
        in_steps=True,
    ),
)
VERBS: Mapping[str, Mapping[str, Verb]] = {
    model._meta.label_lower: {verb.name: verb for verb in verbs}
    for model, verbs in {Video: OF_VIDEOS, Channel: OF_CHANNELS, DownloadSession: OF_SESSIONS}.items()
}


def find_verb(model: str | type[Model], name: str) -> Verb | None:
    """A verb by the rows' model, or its label (`videos.video`), and its own name; None when this release has none."""
    label = model if isinstance(model, str) else model._meta.label_lower
    return VERBS.get(label, {}).get(name)
