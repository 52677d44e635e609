"""Getting over a database that is away for a moment: a restart must cost nobody an attempt."""

import time
from collections.abc import Callable
from contextlib import suppress
from typing import ParamSpec, TypeVar

from django.db import DatabaseError, InterfaceError, OperationalError, connection

P = ParamSpec("P")
T = TypeVar("T")

DATABASE_AWAY = (OperationalError, InterfaceError)
TRIES = 6


def insist(act: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Call `act` again through a restart of the database, for about a quarter of a minute; then its error is raised."""
    for attempt in range(TRIES - 1):
        try:
            return act(*args, **kwargs)
        except DATABASE_AWAY:
            close_connection()
            time.sleep(0.5 * 2**attempt)
    return act(*args, **kwargs)


def close_connection() -> None:
    """Let go of a connection that may be dead already; the next query opens another."""
    with suppress(DatabaseError, InterfaceError):
        connection.close()
