"""What lies in the storage for nothing: objects that no row points to, and uploads that nobody will go on with.

`clear_rows` removes what attempts remember of uploads that are over; `clean` also looks through the whole bucket. Both
may run at any time, on several hosts at once, beside all workers. What makes that safe:

- An object becomes a video's only by its claim, under the key of the claiming attempt or of an upload that an attempt
  remembers. So neither is touched while the video may still be worked.
- What attempts remember is taken from them first, under the lock of the video's row and only when the video is over, and
  removed then. A worker that takes the video up later finds nothing to go on with, and begins anew.
- The rows are looked at again right before each removal.
- Only what this very database has an attempt for is taken for ours: an older or an empty database on the same bucket
  removes nothing that another one has stored.
"""

import logging
import random
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import islice
from typing import Any, NamedTuple
from uuid import UUID

from django.db import transaction
from django.db.models import Exists, Max, Min, OuterRef, QuerySet
from django.utils import timezone

from ingestion.errors import ArchiveError
from ingestion.models import Attempt
from ingestion.store import PROBE, OpenUpload, Store, StoredObject
from ingestion.uploads import COLUMNS, pairs, uploads_in
from videos.keys import read_key
from videos.models import Asset, Video

logger = logging.getLogger(__name__)

AT_ONCE = 1000
"""Entries of the bucket that are compared with the database by the same queries."""
MOST_FAILURES = 3
"""Removals that the storage may refuse before the rest is left for the next time."""
PROBE_LASTS = timedelta(minutes=1)
UNFINISHED = (Video.Status.PENDING, Video.Status.DOWNLOADING)

Tell = Callable[[str], None]
Item = StoredObject | OpenUpload


@dataclass
class Cleaning:
    """What was removed, or would be; `remembered` are attempts that had an upload to forget. `strange` objects and uploads
    have keys that are not ours, `unknown` ones are of no attempt of this database. `failures` could not be removed."""

    remembered: int = 0
    objects: int = 0
    bytes: int = 0
    uploads: int = 0
    strange: int = 0
    unknown: int = 0
    failures: list[str] = field(default_factory=list)

    def fail(self, failure: ArchiveError) -> None:
        """Note it; raises the last one that is bearable."""
        logger.warning("an orphan stays in the storage: %s", failure)
        self.failures.append(str(failure))
        if len(self.failures) >= MOST_FAILURES:
            raise failure


def are_remembered() -> bool:
    """Whether there is something for `clear_rows` to do; one look at a small index."""
    return _over().exists()


def clear_rows(limit: int = AT_ONCE, *, store: Store | None = None) -> int:
    """Remove what attempts at videos that are over remember of uploads, of at most `limit` attempts, and make them forget
    it. Returns how many did. What the storage refuses stays remembered, for the next time; nothing is raised for it.
    """
    done = Cleaning()
    try:
        _clear_rows(store or Store.default(), limit, done)
    except ArchiveError as failure:
        logger.warning("the storage is not cleared any further for now: %s", failure)
    return done.remembered


def clear_video(video: int, *, store: Store) -> None:
    """The same for one video, as soon as it is over."""
    try:
        _clear_video(video, store, Cleaning())
    except ArchiveError as failure:
        logger.warning("what was begun to upload for video %d stays for now: %s", video, failure)


def clean(
    store: Store,
    *,
    older_than: timedelta,
    dry_run: bool = False,
    unknown: bool = False,
    objects: bool = True,
    tell: Tell | None = None,
) -> Cleaning:
    """Remove all orphans; those that no attempt remembers only when they are older than `older_than`. Without `objects`
    only unfinished uploads are looked for, which are few and quick to list.

    `unknown` also removes objects and uploads with keys of our form that are of no attempt of this database, as when
    rows were deleted by hand. `tell` gets a sentence for each orphan; with `dry_run` nothing else happens.

    Raises ArchiveError when the storage cannot be listed, or refuses MOST_FAILURES removals.
    """
    return _Broom(store, timezone.now() - older_than, dry_run, unknown, tell or logger.info).sweep(objects=objects)


# --- by rows


def _begun() -> QuerySet[Attempt]:
    """Attempts that remember an upload and did not record it as stored: what the index attempt_begun_upload holds."""
    return Attempt.objects.filter(upload__isnull=False).exclude(outcome=Attempt.Outcome.STORED)


def _over() -> QuerySet[Attempt]:
    return _begun().exclude(video__status__in=UNFINISHED)


def _clear_rows(store: Store, limit: int, done: Cleaning) -> None:
    for video in _videos_over(limit):
        _clear_video(video, store, done)


def _videos_over(limit: int) -> Iterable[int]:
    """Of at most `limit` attempts, in order from a random one on and around: those which the storage refuses must not keep
    back the others for ever."""
    ends = _begun().aggregate(first=Min("video_id"), last=Max("video_id"))
    if ends["first"] is None:
        return []
    start = random.randint(ends["first"], ends["last"])
    videos = _over().order_by("video_id").values_list("video_id", flat=True)
    found = list(videos.filter(video_id__gte=start)[:limit])
    found += videos.filter(video_id__lt=start)[: limit - len(found)]
    return dict.fromkeys(found)


def _clear_video(video: int, store: Store, done: Cleaning) -> None:
    states = _forget(video)
    try:
        while states:
            attempt, state = next(iter(states.items()))
            for upload in uploads_in(state):
                if "upload_id" in upload:
                    store.abort(upload)
                _delete_unless_stored(store, upload["key"])
            del states[attempt]
            done.remembered += 1
    except ArchiveError as failure:
        for attempt, state in states.items():
            Attempt.objects.filter(pk=attempt, upload__isnull=True).update(upload=state)
        done.fail(failure)


def _forget(video: int) -> dict[int, dict[str, Any]]:
    """Take from a video's attempts what they remember; nothing when it is worked again, or somebody else is at it."""
    with transaction.atomic():
        row = Video.objects.filter(pk=video).exclude(status__in=UNFINISHED).select_for_update(skip_locked=True)
        if not row.values_list("pk").first():
            return {}
        begun = _begun().filter(video_id=video)
        states = dict(begun.values_list("pk", "upload"))
        begun.filter(pk__in=states).update(upload=None)
    return states


def _delete_unless_stored(store: Store, key: str) -> None:
    if not Video.objects.filter(storage_key=key).exists():
        store.delete(key)


# --- by the bucket


class _Attempt(NamedTuple):
    """An attempt, with what its video is now, and whether assets are being made beside it."""

    uuid: UUID
    status: str
    claim_id: int | None
    makes_assets: bool


@dataclass(frozen=True)
class _Known:
    """What the database knows of some keys: attempts by their id, (key, upload id) of what attempts remember, keys of
    stored objects."""

    attempts: Mapping[int, _Attempt]
    remembered: Collection[tuple[str, str | None]]
    stored: Collection[str]

    @classmethod
    def of(cls, keys: Collection[str]) -> "_Known":
        """In three queries, and in this order: a video or an asset that is recorded meanwhile is seen in work or stored."""
        ids = {found[1] for key in keys if (found := read_key(key))}
        of_video = ("video__uuid", "video__status", "video__claim_id", Exists(Asset.objects.in_work().filter(video=OuterRef("video"))))
        rows = list(Attempt.objects.filter(pk__in=ids).values_list("pk", "video_id", *of_video))
        begun = _begun().filter(video_id__in={video for _, video, *_ in rows}).values_list(*COLUMNS)
        remembered = {pair for columns in begun for pair in pairs(columns)}
        videos, assets = (rows.objects.filter(storage_key__in=keys).order_by().values_list("storage_key") for rows in (Video, Asset))
        stored = {key for (key,) in videos.union(assets, all=True)}
        return cls({pk: _Attempt(*attempt) for pk, _, *attempt in rows}, remembered, stored)

    def attempt(self, key: str) -> _Attempt | None:
        """The one that the key names; None when this database has none of that number at that video."""
        uuid, number = read_key(key)
        attempt = self.attempts.get(number)
        return attempt if attempt and attempt.uuid == uuid else None

    def needs(self, item: Item) -> bool:
        """An object that is a video's or may become one's; an upload that somebody may go on with, or that `clear_rows`
        removes."""
        attempt = self.attempt(item.key)
        if attempt and (attempt.claim_id == read_key(item.key)[1] or attempt.makes_assets):
            return True
        if isinstance(item, OpenUpload):
            return (item.key, item.upload_id) in self.remembered
        may_become = attempt and attempt.status in UNFINISHED and any(item.key == key for key, _ in self.remembered)
        return item.key in self.stored or bool(may_become)


@dataclass
class _Broom:
    """One pass over the storage; `before` is when an orphan must have been there."""

    store: Store
    before: datetime
    dry_run: bool
    unknown: bool
    tell: Tell
    done: Cleaning = field(default_factory=Cleaning)
    named: set[str] = field(default_factory=set)
    """Keys that a dry run has told of already; else their objects are gone by then."""

    def sweep(self, *, objects: bool) -> Cleaning:
        self._remembered()
        for batch in _batches(self.store.objects() if objects else ()):
            self._sweep(batch)
        for batch in _batches(self.store.uploads()):
            self._sweep(batch)
        return self.done

    def _remembered(self) -> None:
        if self.dry_run:
            for columns in _over().values_list(*COLUMNS).iterator(chunk_size=AT_ONCE):
                self.done.remembered += 1
                for key, _ in pairs(columns):
                    self.named.add(key)
                    self.tell(f"{key}: an attempt remembers its upload, which is over")
            return
        found = -1
        while found < self.done.remembered:
            found = self.done.remembered
            _clear_rows(self.store, AT_ONCE, self.done)

    def _sweep(self, batch: Sequence[Item]) -> None:
        ours = []
        for item in batch:
            if item.key.startswith(PROBE):
                self._sweep_probe(item)
            elif read_key(item.key):
                ours.append(item)
            else:
                self.done.strange += 1
        known = _Known.of([item.key for item in ours])
        for item in ours:
            if item.since <= self.before and not known.needs(item) and not self._is_named(item):
                self._sweep_orphan(item, known)

    def _is_named(self, item: Item) -> bool:
        return isinstance(item, StoredObject) and item.key in self.named

    def _sweep_probe(self, item: Item) -> None:
        """What a host that died while it tried the storage has left."""
        if item.since <= min(self.before, timezone.now() - PROBE_LASTS):
            self._remove(item)

    def _sweep_orphan(self, item: Item, known: _Known) -> None:
        if not self.unknown and known.attempt(item.key) is None:
            self.done.unknown += 1
        elif not _Known.of([item.key]).needs(item):
            self._remove(item)

    def _remove(self, item: Item) -> None:
        try:
            if isinstance(item, OpenUpload):
                self.tell(f"{item.key}: an upload that nobody will finish")
                if not self.dry_run:
                    self.store.abort(item.state)
                self.done.uploads += 1
            else:
                self.tell(f"{item.key}: an object without a row")
                if not self.dry_run:
                    self.store.delete(item.key)
                self.done.objects += 1
                self.done.bytes += item.size
        except ArchiveError as failure:
            self.done.fail(failure)


def _batches(items: Iterable[Item]) -> Iterator[list[Item]]:
    items = iter(items)
    while batch := list(islice(items, AT_ONCE)):
        yield batch
