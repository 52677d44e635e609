"""What is done every so often, by whichever worker on whichever host comes first."""

import logging
import threading
from datetime import timedelta

from django.db import connection
from django.db.models.functions import Now

from ingestion import orphans
from ingestion.errors import ArchiveError
from ingestion.models import Chore
from ingestion.outages import DATABASE_AWAY
from ingestion.store import Store

logger = logging.getLogger(__name__)

UPLOADS, BUCKET = "clean uploads", "clean bucket"
UPLOADS_EVERY, BUCKET_EVERY = timedelta(hours=1), timedelta(days=1)
OLDER_THAN = timedelta(hours=1)
"""What is younger may be somebody's work: far more than a lease."""


def take(name: str, every: timedelta) -> bool:
    """Whether it is time for a chore and nobody else has taken it. Who is told so does it; a worker that dies over it leaves
    it for the next time."""
    if Chore.objects.filter(name=name, began_at__lte=Now() - every).update(began_at=Now()):
        return True
    _, is_first = Chore.objects.get_or_create(name=name)
    return is_first


def clean_now_and_then(store: Store) -> threading.Thread | None:
    """Remove from the storage what lies there for nothing: unfinished uploads every hour, everything every day.

    In a thread, which is returned: a listing of millions of objects takes minutes, and the caller has other work.
    """
    whole = take(BUCKET, BUCKET_EVERY)
    if not take(UPLOADS, UPLOADS_EVERY) and not whole:
        return None
    thread = threading.Thread(target=_clean, args=(store, whole), name="clean-storage", daemon=True)
    thread.start()
    return thread


def _clean(store: Store, whole: bool) -> None:
    try:
        done = orphans.clean(store, older_than=OLDER_THAN, objects=whole)
        logger.info("the storage was cleaned: %d objects and %d uploads removed", done.objects, done.uploads)
    except ArchiveError as failure:
        logger.warning("the storage was not cleaned, the next time it is: %s", failure)
    except DATABASE_AWAY as exc:
        logger.warning("the database went away while the storage was cleaned: %s", exc)
    finally:
        connection.close()
