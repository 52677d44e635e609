"""Who works where: a row for each supervisor and each of its workers, for the health page and for whoever needs workers."""

import os
import socket
from collections.abc import Callable
from datetime import timedelta
from importlib.metadata import version
from typing import Any

from django.db.models import QuerySet
from django.db.models.functions import Now
from django.utils import timezone

from ingestion.models import Worker

SUPERVISOR = "all"
"""The queue of a supervisor: it serves both."""
ALIVE = timedelta(seconds=15)
FORGOTTEN = timedelta(hours=1)


def live_supervisors() -> QuerySet[Worker]:
    """Supervisors that were heard of lately, on any host."""
    return Worker.objects.filter(queue=SUPERVISOR, heartbeat_at__gt=Now() - ALIVE)


def enlist(name: str, queue: str, **also: Any) -> None:
    """Write down this process, once; what its supervisor says of it later is kept."""
    mine = Worker(name=name, host=socket.gethostname()[:60], pid=os.getpid(), queue=queue, version=f"yt-dlp {version('yt-dlp')}", **also)
    Worker.objects.bulk_create([mine], ignore_conflicts=True)


def note_wake_up(name: str, queue: str) -> None:
    """A wake-up reached this process: its cluster hangs nowhere."""
    if not Worker.objects.filter(name=name).update(woken_at=Now()):
        enlist(name, queue, woken_at=timezone.now())


def hears_wake_ups(prefix: str, queue: str, within: timedelta) -> bool:
    """Whether one of the queue's workers whose names begin with `prefix` was woken lately."""
    return Worker.objects.filter(name__startswith=prefix, queue=queue, woken_at__gt=Now() - within).exists()


def report(name: str, prefix: str, is_alive: Callable[[int], bool]) -> None:
    """A supervisor's word for itself and for its workers, whose names begin with `prefix`; its dead ones are struck off,
    and so is whoever was not heard of for FORGOTTEN."""
    enlist(name, SUPERVISOR)
    ours = Worker.objects.filter(name__startswith=prefix)
    pids = dict(ours.values_list("name", "pid"))
    alive = [worker for worker, pid in pids.items() if pid and is_alive(pid)]
    ours.filter(name__in=alive).update(heartbeat_at=Now())
    ours.filter(name__in=pids.keys() - set(alive)).delete()
    Worker.objects.filter(heartbeat_at__lt=Now() - FORGOTTEN).delete()


def strike_off(prefix: str) -> None:
    """A supervisor ends, and all of its workers with it."""
    Worker.objects.filter(name__startswith=prefix).delete()
