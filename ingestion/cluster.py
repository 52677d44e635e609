"""One django-q2 cluster in a process of its own, made to end as a whole and to stop on time.

`manage.py workers` runs one of these for each queue. What a stock cluster lacks is added through public interfaces: no
process outlives its parent, a wake-up is acknowledged before the work (an hour-long download is not delivered again),
and stopping is a flag in shared memory that workers read without a lock.
"""

import ctypes
import logging
import os
import signal
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.sharedctypes import RawValue

from django.db import DatabaseError, InterfaceError, connection

logger = logging.getLogger(__name__)

GRACE_SECONDS = 20
STOP_SECONDS = 20
PR_SET_PDEATHSIG = 1
STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT)
SUPERVISOR_VARIABLE = "WORKERS_SUPERVISOR"
PARENT_VARIABLE = "WORKERS_PARENT"

_stop_at = RawValue("d", 0.0)  # monotonic time at which running work must be handed back; 0: no stop was asked for


def is_stopping() -> bool:
    """Take no new work."""
    return _stop_at.value > 0


def must_stop_now() -> bool:
    """Hand running work back."""
    return 0 < _stop_at.value <= time.monotonic()


def owner() -> str:
    """This process's name on a lease: host, supervisor, process id."""
    return f"{supervisor_prefix(os.environ.get(SUPERVISOR_VARIABLE, 'none'))}{os.getpid()}"


def supervisor_prefix(token: str) -> str:
    return f"{socket.gethostname()[:60]}:{token}:"


def end_with_parent(signal_number: int = signal.SIGKILL, *, parent: int | None = None) -> None:
    """Ask the kernel to send this process a signal when the thread that started it ends.

    `parent` is the process that started this one; without it PARENT_VARIABLE of the environment tells. Of a parent that
    ended before it could be asked for the kernel says nothing: then the signal comes from here.
    """
    parent = parent or int(os.environ.get(PARENT_VARIABLE) or 0) or os.getppid()
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal_number, 0, 0, 0)
    if os.getppid() != parent:
        os.kill(os.getpid(), signal_number)


def end_forks_with_parent() -> None:
    """The same for every process that this one forks, and for theirs."""
    me = os.getpid()

    def after_fork() -> None:
        nonlocal me
        parent, me = me, os.getpid()
        end_with_parent(parent=parent)

    os.register_at_fork(after_in_child=after_fork)


@contextmanager
def signals_held_back() -> Iterator[None]:
    """No STOP_SIGNALS arrive inside; they come afterwards. A process that is started inside holds them back as well."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, STOP_SIGNALS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def run() -> int:
    """Run the cluster named by Q_CLUSTER_NAME until told to stop; returns the exit code.

    SIGTERM lets running work go on for GRACE_SECONDS, SIGINT hands it back at once; both take nothing new.
    """
    from django_q.cluster import Cluster
    from django_q.signals import post_spawn, pre_execute

    end_with_parent()
    end_forks_with_parent()
    pre_execute.connect(_acknowledge_first, weak=False)
    post_spawn.connect(_enlist, weak=False)
    cluster = Cluster()
    signal.signal(signal.SIGTERM, lambda *_: _ask_to_stop(GRACE_SECONDS))
    signal.signal(signal.SIGINT, lambda *_: _ask_to_stop(0))
    signal.pthread_sigmask(signal.SIG_UNBLOCK, STOP_SIGNALS)
    cluster.start()
    while not is_stopping():
        time.sleep(0.1)
        if not cluster.sentinel.is_alive():
            return 1
    return _stop(cluster)


def _ask_to_stop(grace: float) -> None:
    asked = time.monotonic() + grace
    _stop_at.value = min(_stop_at.value, asked) if _stop_at.value else asked


def _stop(cluster) -> int:
    """Stop within bounds: `Cluster.stop` waits for every worker, and one may hang."""
    thread = threading.Thread(target=cluster.stop, daemon=True)
    thread.start()
    while thread.is_alive() and time.monotonic() < _stop_at.value + STOP_SECONDS:
        thread.join(0.2)
    return 1 if thread.is_alive() else 0


def _enlist(sender, **kwargs) -> None:
    """In a new worker process. A handler that raises would end it; who is missing is written down with the first work."""
    from ingestion import roster

    try:
        roster.enlist(owner(), os.environ.get("Q_CLUSTER_NAME", ""))
    except (DatabaseError, InterfaceError, OSError):
        connection.close()


def _acknowledge_first(sender, func, task, **kwargs) -> None:
    """A signal handler that raises would end the worker; a wake-up that stays is delivered once more, no harm done."""
    from django_q.brokers import get_broker

    from ingestion.brokers import BrokerAway

    if ack_id := task.pop("ack_id", None):
        try:
            get_broker().acknowledge(ack_id)
        except (DatabaseError, InterfaceError, OSError, BrokerAway):
            connection.close()
