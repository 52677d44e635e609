"""Brokers other than PostgreSQL, for django-q2: they carry wake-ups ("there is work") from one host to another.

PostgreSQL's own comes from django-q2. These two are ours, because of what its own do when the server is away: a cluster
could not start without SQS, a web request would wait for minutes, and each library has errors of its own. Here every
error is a `BrokerAway`, after a few seconds; and the queues bear the installation's name, for servers are shared.
"""

from collections.abc import Iterator
from contextlib import contextmanager


class BrokerAway(Exception):
    """The broker did not answer, or refused; the message is its own first line, without secrets."""


@contextmanager
def mapped(*errors: type[Exception]) -> Iterator[None]:
    """Raise BrokerAway for these errors of a broker's library."""
    try:
        yield
    except errors as exc:
        raise BrokerAway((str(exc).strip().splitlines() or [type(exc).__name__])[0]) from exc
