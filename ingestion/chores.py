"""What is done every so often, by whichever worker on whichever host comes first."""

import logging
import threading
from collections.abc import Collection
from datetime import timedelta

from django.db import connection
from django.db.models import Q, QuerySet
from django.db.models.functions import Now

from ingestion import orphans
from ingestion.errors import ArchiveError
from ingestion.models import Chore, Operation
from ingestion.outages import DATABASE_AWAY
from ingestion.store import Store
from videos import tallies

logger = logging.getLogger(__name__)

UPLOADS, BUCKET, TALLIES, RECOUNT = "clean uploads", "clean bucket", "fold tallies", "count videos again"
OPERATIONS = "forget old operations"
EVERY = {
    UPLOADS: timedelta(hours=1),
    BUCKET: timedelta(days=1),
    TALLIES: timedelta(minutes=5),
    RECOUNT: timedelta(days=1),
    OPERATIONS: timedelta(days=1),
}
IN_VAIN_AFTER = timedelta(hours=1)
"""A chore that has not ended by then is taken for one whose worker died, or found the storage away. Two at it harm nothing."""
OLDER_THAN = timedelta(hours=1)
"""What is younger may be somebody's work: far more than a lease."""


def are_due() -> bool:
    """Whether there is one to be taken."""
    return set(EVERY) != set(Chore.objects.filter(name__in=EVERY).values_list("name", flat=True)) or _due().exists()


def take(name: str) -> bool:
    """Whether it is time for a chore of EVERY and nobody else has taken it. Who is told so does it, and calls `note_end`."""
    if _due().filter(name=name).update(began_at=Now(), ended_at=None):
        return True
    _, is_first = Chore.objects.get_or_create(name=name)
    return is_first


def note_end(name: str) -> None:
    Chore.objects.filter(name=name).update(ended_at=Now())


def put_off() -> None:
    """Nobody can do what is due now: it is tried again after IN_VAIN_AFTER."""
    for name in EVERY:
        take(name)


def _due() -> QuerySet[Chore]:
    due = Q(ended_at=None, began_at__lte=Now() - IN_VAIN_AFTER)
    for name, every in EVERY.items():
        due |= Q(name=name, began_at__lte=Now() - every)
    return Chore.objects.filter(due)


def clean_now_and_then(store: Store) -> threading.Thread | None:
    """Keep the tallies of videos short and right, forget what operations need no more, and remove from the storage what lies
    there for nothing: unfinished uploads every hour, everything every day.

    In a thread, which is returned: a listing of millions of objects takes minutes, and the caller has other work.
    """
    taken = [name for name in EVERY if take(name)]
    if not taken:
        return None
    thread = threading.Thread(target=_do, args=(store, taken), name="chores", daemon=True)
    thread.start()
    return thread


def _do(store: Store, taken: Collection[str]) -> None:
    try:
        _tidy_rows(taken)
        if of_storage := [name for name in (UPLOADS, BUCKET) if name in taken]:
            _clean(store, of_storage)
    except DATABASE_AWAY as exc:
        logger.warning("the database went away while something was tidied: %s", exc)
    finally:
        connection.close()


def _tidy_rows(taken: Collection[str]) -> None:
    if TALLIES in taken:
        tallies.fold()
        note_end(TALLIES)
    if RECOUNT in taken:
        if wrong := tallies.mend():
            logger.error("%d tallies of videos were wrong, and are right again: something wrote past the triggers", wrong)
        note_end(RECOUNT)
    if OPERATIONS in taken:
        Operation.objects.forget_old()
        note_end(OPERATIONS)


def _clean(store: Store, taken: Collection[str]) -> None:
    try:
        done = orphans.clean(store, older_than=OLDER_THAN, objects=BUCKET in taken)
        logger.info("the storage was cleaned: %d objects and %d uploads removed", done.objects, done.uploads)
        for name in taken:
            note_end(name)
    except ArchiveError as failure:
        logger.warning("the storage was not cleaned, it is tried again in an hour: %s", failure)
