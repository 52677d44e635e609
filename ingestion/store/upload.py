"""One object on its way into the storage, part by part; what all storages have in common."""

import logging
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, Protocol

from django.db import Error as DatabaseError

from ingestion.errors import TransientError
from ingestion.store.checksums import Part, Stored
from ingestion.store.pieces import Data

logger = logging.getLogger(__name__)

State = dict[str, Any]
OnState = Callable[[State | None], None]
"""Returns once the state is saved; a database that does not take it is raised, as a `django.db.Error`."""

MIB = 1 << 20
SMALLEST_PART = 8 * MIB
MOST_PARTS = 9_000  # S3 allows 10,000; the announced size may be off by a little


def part_size_for(expected: int | None) -> int:
    """Bytes per part: 8 MiB up to 70 GiB, then doubled until `expected` bytes fit; None (unknown) gets 64 MiB."""
    if expected is None:
        return 8 * SMALLEST_PART
    part_size = SMALLEST_PART
    while expected > part_size * MOST_PARTS:
        part_size *= 2
    return part_size


class Place(Protocol):
    """Where objects are kept, as far as every upload needs it."""

    def abort(self, state: Mapping[str, Any]) -> None: ...

    def size(self, key: str) -> int | None: ...

    def delete(self, key: str) -> None: ...


class Upload(ABC):
    """Parts go in by `put_part`, from any thread; then `complete` makes the object appear, or `abort` leaves nothing.

    `state` is plain data from which another process goes on (`Store.begin(state=...)`). It is handed to `on_state` by
    `keep_state`, in the thread that calls it and never by `put_part`; None is handed over once nothing is left to go on with.
    `facts` is what the caller wants remembered in it. `goes_on` is False for an upload that nobody will go on with, only
    clear away.
    """

    def __init__(self, place: Place, state: State, *, on_state: OnState | None = None, in_order: bool = False):
        self._place = place
        self.key: str = state["key"]
        self.part_size: int = state["part_size"]
        self.upload_id: str = state["upload_id"]
        self.facts: dict[str, Any] = dict(state.get("facts") or {})
        self.goes_on = True
        self._parts = {int(number): Part(**part) for number, part in state.get("parts", {}).items()}
        self._sending: dict[int, Part] = {}
        self._on_state = on_state
        self._in_order = in_order
        self._turn = threading.Condition()
        self._left = False
        self._may_be_whole = False
        self._kept: tuple[int, frozenset[int], dict[str, Any]] | None = None  # what makes the state that was saved last
        self._refused: tuple[int, frozenset[int], dict[str, Any]] | None = None  # and the one that could not be saved

    @property
    def parts(self) -> Mapping[int, Part]:
        """The parts that are stored, by their number from 1."""
        with self._turn:
            return dict(self._parts)

    @property
    def state(self) -> State:
        """Plain data that `Store.begin` and `Store.abort` understand.

        `sending` are parts on their way: one that the storage has taken when its sender dies is taken over by the next.
        """
        with self._turn:
            parts, sending = dict(self._parts), dict(self._sending)
        return {
            "upload_id": self.upload_id,
            "key": self.key,
            "part_size": self.part_size,
            "facts": dict(self.facts),
            "parts": _as_json(parts),
            "sending": _as_json(sending),
        }

    def put_part(self, number: int, data: Data) -> Part:
        """Send one part and return once it is stored. On a storage that wants order it waits for the parts before.

        Raises an ArchiveError of a storage's kind; after `leave` or `abort` always TransientError.
        """
        with self._in_turn(number):
            part = self._announced(data)
            with self._turn:
                self._sending[number] = part
            part = replace(part, etag=self._put(number, data, part))  # one that fails may have arrived all the same
            with self._turn:
                self._parts[number] = part
                del self._sending[number]
            return part

    def keep_state(self) -> None:
        """Hand the state to `on_state` when it has changed. What the database does not take is handed over with the next
        change, or after `leave`: it must not end a download. Only the first state goes through with what it raises: nobody
        would know of the upload."""
        if self._on_state is None:
            return
        with self._turn:
            now = (len(self._parts), frozenset(self._sending), dict(self.facts))
        if now == self._kept or (now == self._refused and not self._left):
            return
        try:
            self._on_state(self.state)
        except DatabaseError as exc:
            if self._kept is None:
                raise
            self._refused = now
            logger.warning("the state of an upload was not saved: %s", exc, extra={"key": self.key})
        else:
            self._kept = now

    def complete(self, size: int) -> Stored:
        """Make the object appear; `size` is what the caller knows to have sent.

        Raises TransientError (`storage`), with the object gone, when the storage holds anything else, and what it raises.
        """
        parts = self._in_sequence(size)
        stored = Stored.of(self.key, parts, self.part_size)
        self._may_be_whole = True  # from here on, whatever is answered
        self._complete(parts, stored)
        self.leave()
        held = self._size_held()
        if held != size:
            self._delete()
            raise TransientError("storage", f"{self.key}: {held} bytes stored of {size}")
        return stored

    def leave(self) -> None:
        """Wake and refuse every `put_part`; what is stored stays for another process. May be called again."""
        with self._turn:
            self._left = True
            self._turn.notify_all()

    def abort(self) -> None:
        """Leave nothing behind. Raises what the storage raises; call it when no `put_part` runs any more."""
        self.leave()
        self._abort()
        if self._may_be_whole and self._size_held() is not None:
            self._delete()
        if self._on_state:
            self._forget(self._on_state)

    def _forget(self, on_state: OnState) -> None:
        """A database that keeps the state harms nothing: whoever goes on from it finds the upload gone."""
        try:
            on_state(None)
        except DatabaseError as exc:
            logger.warning("that an upload is gone was not saved: %s", exc, extra={"key": self.key})

    @contextmanager
    def _in_turn(self, number: int):
        with self._turn:
            if self._in_order:
                self._turn.wait_for(lambda: self._left or number == 1 or number - 1 in self._parts)
            if self._left:
                raise TransientError("storage", f"{self.key}: the upload was given up")
        yield
        with self._turn:
            self._turn.notify_all()

    def _in_sequence(self, size: int) -> list[Part]:
        """The parts in order. Raises TransientError (`incomplete`) unless they make up `size` bytes without a hole."""
        parts = [part for _, part in sorted(self.parts.items())]
        whole = list(self.parts) and max(self.parts) == len(parts) and all(part.size == self.part_size for part in parts[:-1])
        if not whole or sum(part.size for part in parts) != size:
            raise TransientError("incomplete", f"{self.key}: parts {sorted(self.parts)} do not make up {size} bytes")
        return parts

    def _announced(self, data: Data) -> Part:
        """The part before it is sent; its `etag` is the one to expect, '' where nobody knows."""
        return Part.of(data)

    @abstractmethod
    def _put(self, number: int, data: Data, part: Part) -> str:
        """Store the bytes of a part; returns by what the storage knows it."""

    @abstractmethod
    def _complete(self, parts: list[Part], stored: Stored) -> None: ...

    def _abort(self) -> None:
        self._place.abort(self.state)

    def _size_held(self) -> int | None:
        return self._place.size(self.key)

    def _delete(self) -> None:
        self._place.delete(self.key)


def _as_json(parts: Mapping[int, Part]) -> dict[str, dict]:
    return {str(number): part.as_json() for number, part in sorted(parts.items())}
