"""What is not stored, by kind: whether it goes on by itself, and what would retry it.

    steps = recovery_plan(session)                    what is to be done, in a constant number of queries
    retry_kinds(session, ["network"])                 do it

A kind is one of `errors.KINDS`, or SKIPPED (by staff, without being cancelled), or WAITING (its turn has not come, or it
runs). What ended in a kind that nothing but the outside can change (a private video), or because staff wanted it so, is
retried only when its kind is named.
"""

import shlex
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from django.db import transaction
from django.db.models import Count, Min, Q, QuerySet, Window
from django.db.models.functions import RowNumber
from django.utils import timezone

from ingestion import budget, dispatch, leases, steering
from ingestion.errors import KINDS, PermanentError, StaffError
from ingestion.models import DownloadSession, Limits, Scan
from ingestion.schedule import Hold, held_until
from people.models import Channel
from videos.models import Asset, Video
from videos.querysets import AssetQuerySet, VideoQuerySet
from videos.text import counted

SKIPPED, WAITING = "skipped", "waiting"
_MORE = {
    SKIPPED: ("staff", "Staff skipped it.", "Retry it to have it downloaded after all."),
    WAITING: ("", "Its turn has not come yet, or it is under way.", "Nothing to do while workers run: `manage.py workers`."),
}
HOPELESS = frozenset({"removed", "terminated", "payment", "copyright"})
"""Kinds that a retry changes nothing about, whatever is mended on our side."""
ONLY_WHEN_NAMED = {kind.slug for kind in KINDS.values() if issubclass(kind.type, PermanentError | StaffError)}

HELD_SESSIONS = (DownloadSession.State.PAUSED, DownloadSession.State.CANCELLED)
REASONS = ("everything", "session", "channel", "video")
"""What may hold a video, the widest first."""
MOST_NAMED = 5
"""Channels, or videos, that one command names."""


class UnknownKind(ValueError):
    """A kind that there is not; the message says which there are."""


@dataclass(frozen=True)
class Step:
    """All of one kind. `videos`, `channels` and `assets` ended without success (of channels: their scans); the waiting ones go
    on by themselves, the first at `next_at`, but for those `held` by staff: {"everything", "session", "channel" or "video": number}.

    `command` would retry what has ended; "" when nothing has, or when a retry changes nothing. `resume` lets what is held
    go on, but for the `unnamed` channels and videos, which are more than a command should name.
    """

    kind: str
    treatment: str
    meaning: str
    advice: str
    videos: int = 0
    channels: int = 0
    assets: int = 0
    waiting_videos: int = 0
    waiting_channels: int = 0
    waiting_assets: int = 0
    held: Counter = field(default_factory=Counter)
    next_at: datetime | None = None
    command: str = ""
    resume: tuple[str, ...] = ()
    unnamed: Counter = field(default_factory=Counter)

    @property
    def ended(self) -> int:
        return self.videos + self.channels + self.assets

    @property
    def waiting(self) -> int:
        return self.waiting_videos + self.waiting_channels + self.waiting_assets

    @property
    def outlook(self) -> str:
        """What becomes of it, and what to do, in one sentence."""
        return "; ".join([*self._of_ended(), *self._of_waiting()]) + "."

    def _of_ended(self) -> Iterator[str]:
        if self.ended and not self.command:
            yield f"{self._count()} ended, and a retry changes nothing"
        elif self.ended:
            yield f"{self._count()} ended, retry with `{self.command}`"

    def _count(self) -> str:
        counts = ((self.videos, "video"), (self.channels, "channel"), (self.assets, "asset"))
        return " and ".join(counted(count, what) for count, what in counts if count)

    def _of_waiting(self) -> Iterator[str]:
        held = self.held.total()
        if alone := self.waiting - held:
            when = f", the first at {self.next_at:%Y-%m-%d %H:%M} UTC" if self.next_at and self.next_at > timezone.now() else ""
            yield f"{alone:,} {'waits or runs and goes on by itself' if alone == 1 else 'wait or run and go on by themselves'}{when}"
        if held:
            commands = " and ".join(f"`{command}`" for command in self.resume)
            more = " and ".join(counted(count, f"more {what}") for what, count in self.unnamed.items())
            yield f"{held:,} held back by staff, let go on with {commands}" + (f", and {more}: see the admin" if more else "")

    def as_data(self) -> dict[str, Any]:
        """Plain data, with the outlook."""
        next_at = self.next_at and self.next_at.isoformat(timespec="seconds")
        plain = {"held": dict(self.held), "unnamed": dict(self.unnamed), "next_at": next_at, "resume": list(self.resume)}
        return {**vars(self), **plain, "outlook": self.outlook}


@dataclass(frozen=True)
class Retried:
    """How many videos, channels and assets are due again, how many ended sessions run again; `paused` sessions hold theirs
    back."""

    videos: int
    channels: int
    reopened: int
    paused: tuple[int, ...] = ()
    assets: int = 0


def recovery_plan(session: DownloadSession | None = None, kinds: Collection[str] | None = None) -> list[Step]:
    """What is not stored of a session (None: of all), grouped by kind (None: every kind). Most first, what waits last.

    Raises UnknownKind.
    """
    kinds, found = _known(kinds), _Found(session)
    steps = [found.finished(step) for step in found.steps.values() if kinds is None or step.kind in kinds]
    return sorted(steps, key=lambda step: (step.kind == WAITING, -step.ended, -step.waiting, step.kind))


def retry_kinds(session: DownloadSession | None = None, kinds: Collection[str] | None = None) -> Retried:
    """Make due what has ended in these kinds, with all attempts before it, run its sessions on and wake the workers.

    With `kinds` None all of which a retry may change something by itself. A paused session stays paused. Raises UnknownKind.
    """
    kinds = _known(kinds)
    with transaction.atomic():
        leases.lock_limits()
        videos, scans = _ended_videos(session, kinds), _ended_scans(session, kinds)
        assets = _ended_assets(session, kinds)
        ids = _sessions_of(videos) | _sessions_of(scans) | _sessions_of(assets)
        video_count, scan_count, asset_count = videos.retry(), scans.update(**steering.AFRESH), assets.retry()
        sessions = DownloadSession.objects.filter(pk__in=ids)
        ended = sessions.filter(state__in=[DownloadSession.State.FINISHED, DownloadSession.State.CANCELLED])
        reopened = ended.update(state=DownloadSession.State.RUNNING, state_reason="", finished_at=None)
        paused = tuple(sessions.filter(state=DownloadSession.State.PAUSED).order_by("pk").values_list("pk", flat=True))
    dispatch.ring(dispatch.SCANS, min(scan_count + asset_count, dispatch.MOST_WAKE_UPS))
    dispatch.ring(dispatch.DOWNLOADS, min(video_count, dispatch.MOST_WAKE_UPS))
    return Retried(video_count, scan_count, reopened, paused, asset_count)


def _known(kinds: Collection[str] | None) -> set[str] | None:
    """Raises UnknownKind for one that neither the table nor the record has."""
    if not kinds:
        return None
    if not KINDS.keys() | _MORE.keys() >= set(kinds):
        there = {*KINDS, *_MORE, *(kind for rows in (Video.objects, Scan.objects, Asset.objects) for kind in _recorded_kinds(rows))}
        if unknown := sorted(set(kinds) - there):
            raise UnknownKind(f"There is no kind {', '.join(unknown)}; there are {', '.join(sorted(there))}.")
    return set(kinds)


def _recorded_kinds(rows: Any) -> QuerySet:
    """Those of older releases, too."""
    return rows.exclude(error_kind="").order_by().values_list("error_kind", flat=True).distinct()


# --- what there is


class _Found:
    """Steps by kind, filled from the record."""

    def __init__(self, session: DownloadSession | None):
        self.session = session
        self.steps: dict[str, Step] = {}
        self._names: dict[tuple[str, str], set[Any]] = {}
        """What staff hold back, by kind and reason: sessions, addresses of channels, ids of a few of the videos."""
        limits = Limits.row()
        self._all_held = limits.paused
        self._closed_until = budget.state().closed_until
        self._hold = held_until(limits, timezone.now())
        self._add_videos()
        self._add_scans()
        self._add_assets()
        self._add_names()

    def of(self, kind: str) -> Step:
        return self.steps.setdefault(kind, _step(kind))

    def finished(self, step: Step) -> Step:
        """With the commands."""
        scope = f" --session {self.session.pk}" if self.session else ""
        command = f"manage.py recovery_plan{scope} --kind {step.kind} --apply"
        names = {reason: sorted(self._names.get((step.kind, reason), ())) for reason in REASONS if reason in step.held}
        return replace(
            step,
            command=command if step.ended and step.kind not in HOPELESS else "",
            resume=tuple(_resume(reason, named) for reason, named in names.items()),
            unnamed=+Counter(channel=len(names.get("channel", ())) - MOST_NAMED, video=step.held["video"] - MOST_NAMED),
        )

    def _add_videos(self) -> None:
        rows = _of_session(Video.objects.exclude(status=Video.Status.STORED), self.session).order_by()
        fields = ("status", "error_kind", "wanted", "channel__state", "session_id", "session__state")
        for row in rows.values(*fields).annotate(count=Count("id"), due_at=Min("next_attempt_at")):
            if row["status"] == Video.Status.PENDING:
                kind, held = row["error_kind"] or WAITING, row["wanted"] != Video.Wanted.RUN
                self._add_waiting(kind, row, self._hold, held="video" if held else "", waiting_videos=row["count"])
            elif row["status"] == Video.Status.DOWNLOADING:
                self._add(WAITING, waiting_videos=row["count"])
            else:
                self._add(_kind_of_ended(row["status"], row["error_kind"]), videos=row["count"])

    def _add_scans(self) -> None:
        rows = _of_session(Scan.objects.exclude(state=Scan.State.DONE), self.session).order_by()
        fields = ("state", "error_kind", "channel__state", "session_id", "session__state")
        for row in rows.values(*fields).annotate(count=Count("id"), due_at=Min("next_attempt_at")):
            if row["state"] == Scan.State.PENDING:
                self._add_waiting(row["error_kind"] or WAITING, row, None, waiting_channels=row["count"])
            elif row["state"] == Scan.State.RUNNING:
                self._add(WAITING, waiting_channels=row["count"])
            else:
                self._add(row["error_kind"], channels=row["count"])

    def _add_assets(self) -> None:
        unfinished = Asset.objects.filter(status__in=[Asset.Status.PENDING, Asset.Status.FAILED])
        rows = _of_session(unfinished, self.session).order_by()
        fields = ("status", "error_kind", "video__channel__state", "session_id", "session__state")
        for row in rows.values(*fields).annotate(count=Count("id"), due_at=Min("next_attempt_at")):
            if row["status"] == Asset.Status.FAILED:
                self._add(row["error_kind"], assets=row["count"])
            else:
                row["channel__state"] = row["video__channel__state"]
                self._add_waiting(row["error_kind"] or WAITING, row, None, waiting_assets=row["count"])

    def _add_waiting(self, kind: str, row: Mapping[str, Any], hold: Hold | None, *, held: str = "", **more: int) -> None:
        """The reasons of a claim to pass something over, the widest first."""
        if self._all_held:
            held = "everything"
        elif row["session__state"] in HELD_SESSIONS:
            held = "session"
            self._name(kind, held, row["session_id"])
        elif row["channel__state"] == Channel.State.PAUSED:
            held = "channel"
        self._add(kind, **more)
        if held:
            self.of(kind).held[held] += row["count"]
        else:
            due_at = max(filter(None, (row["due_at"], self._closed_until, hold and hold.until)))
            self.steps[kind] = replace(self.of(kind), next_at=min(self.of(kind).next_at or due_at, due_at))

    def _add_names(self) -> None:
        """Of the channels and videos that are held for themselves, in four queries more, and in none where there are none."""
        reasons = {reason for step in self.steps.values() for reason in step.held}
        if "channel" in reasons:
            for pending in (Video.objects.filter(status=Video.Status.PENDING), Scan.objects.filter(state=Scan.State.PENDING)):
                held = self._not_held_above(pending).filter(channel__state=Channel.State.PAUSED).order_by()
                for kind, address in held.values_list("error_kind", "channel__canonical_url").distinct():
                    self._name(kind or WAITING, "channel", address)
            assets = Asset.objects.filter(status=Asset.Status.PENDING, video__channel__state=Channel.State.PAUSED).order_by()
            for kind, address in self._not_held_above(assets).values_list("error_kind", "video__channel__canonical_url").distinct():
                self._name(kind or WAITING, "channel", address)
        if "video" in reasons:
            paused = Video.objects.filter(status=Video.Status.PENDING).exclude(wanted=Video.Wanted.RUN)
            held = self._not_held_above(paused).exclude(channel__state=Channel.State.PAUSED).order_by()
            first = held.annotate(place=Window(RowNumber(), partition_by="error_kind", order_by="id")).filter(place__lte=MOST_NAMED)
            for kind, video in first.values_list("error_kind", "external_id"):
                self._name(kind or WAITING, "video", video)

    def _not_held_above(self, rows: QuerySet) -> QuerySet:
        return _of_session(rows, self.session).exclude(session__state__in=HELD_SESSIONS)

    def _name(self, kind: str, reason: str, name: Any) -> None:
        self._names.setdefault((kind, reason), set()).add(name)

    def _add(self, kind: str, **more: int) -> None:
        step = self.of(kind)
        self.steps[kind] = replace(step, **{name: getattr(step, name) + count for name, count in more.items()})


def _step(slug: str) -> Step:
    """An empty one; a kind of an older release is told as `unknown`."""
    if slug in _MORE:
        return Step(slug, *_MORE[slug])
    kind = KINDS.get(slug, KINDS["unknown"])
    return Step(slug, kind.type.treatment, kind.meaning, kind.advice)


def _kind_of_ended(status: str, error_kind: str) -> str:
    """What was skipped keeps the kind it had before, and was skipped all the same."""
    return SKIPPED if status == Video.Status.SKIPPED and error_kind != "cancelled" else error_kind


def _resume(reason: str, names: Sequence[Any]) -> str:
    """The command that lets go on what is held for that reason, ready for a shell."""
    if reason == "everything":
        return "manage.py resume --all"
    named = names if reason == "session" else names[:MOST_NAMED]
    return " ".join(["manage.py resume", *(_option(f"--{reason}", str(name)) for name in named)])


def _option(option: str, value: str) -> str:
    """An id may begin like an option."""
    return f"{option}={value}" if value.startswith("-") else f"{option} {shlex.quote(value)}"


# --- what is retried


def _of_session(rows: QuerySet, session: DownloadSession | None) -> QuerySet:
    return rows.filter(session=session) if session else rows


def _ended_videos(session: DownloadSession | None, kinds: Collection[str] | None) -> VideoQuerySet:
    failed = Q(status__in=[Video.Status.FAILED, Video.Status.UNAVAILABLE])
    if kinds is None:
        chosen = failed & ~Q(error_kind__in=ONLY_WHEN_NAMED)
    else:
        chosen = (failed | Q(status=Video.Status.SKIPPED, error_kind="cancelled")) & Q(error_kind__in=kinds)
        if SKIPPED in kinds:
            chosen |= Q(status=Video.Status.SKIPPED) & ~Q(error_kind="cancelled")
    return _of_session(Video.objects.filter(chosen), session)


def _ended_scans(session: DownloadSession | None, kinds: Collection[str] | None) -> QuerySet[Scan]:
    failed = Scan.objects.filter(state=Scan.State.FAILED)
    chosen = failed.exclude(error_kind__in=ONLY_WHEN_NAMED) if kinds is None else failed.filter(error_kind__in=kinds)
    return _of_session(chosen, session)


def _ended_assets(session: DownloadSession | None, kinds: Collection[str] | None) -> AssetQuerySet:
    failed = Asset.objects.filter(status=Asset.Status.FAILED)
    chosen = failed.exclude(error_kind__in=ONLY_WHEN_NAMED) if kinds is None else failed.filter(error_kind__in=kinds)
    return _of_session(chosen, session)


def _sessions_of(rows: QuerySet) -> set[int | None]:
    return set(rows.order_by().values_list("session_id", flat=True).distinct())
