"""What a verb is: something that can be done to many rows at once."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from django.contrib.auth.models import AbstractBaseUser
from django.db.models import Model, QuerySet

Filter = Callable[[QuerySet[Any]], QuerySet[Any]]
Asker = AbstractBaseUser | None


def note(row: Model, text: str) -> dict[str, Any]:
    """A sentence about a row, with what leads to its page."""
    return {"model": row._meta.label_lower, "pk": row.pk, "text": text}


@dataclass(frozen=True)
class Result:
    """What came of a piece. `counts` are numbers by name: `changed`, of its rows or of the verb's noun, and those that
    `words.also` knows."""

    counts: Counter[str]
    notes: list[dict[str, Any]] = field(default_factory=list)


Check = Callable[[], None]
"""May raise, to stop what takes long."""
Work = Callable[[QuerySet[Any], Asker, Check], Result]
"""Does it to the rows of a piece that the verb still fits, for whoever asked."""
Hold = Callable[[QuerySet[Any], Asker], object]
"""Holds rows back until their own work comes to them."""
PIECE = 500
"""Rows that are changed in one transaction: a moment's work."""
HOLD, VIDEOS = "change", "change_videos"
"""Permissions, as the admin of the rows checks them."""


@dataclass(frozen=True)
class Verb:
    """`question` asks with {rows}, the number of those that `fits` finds; `warning` says what will happen to them, `left` why
    others are left alone (one of them, many of them). `noun` is what is counted where that is not the rows themselves.

    `restored` are the columns that an undo puts back, and that must be as it left them; without them there is no undo.
    `steers`: the limits are locked first, as `steering` does it. `in_steps`: behind one row may stand millions of videos, so its
    work has transactions of its own, which may be done twice; `hold` is what is done of it while somebody waits. All other
    work is done in the transaction that notes it. `examines`: it reads the storage, and has no `work`.
    """

    name: str
    button: str
    hint: str
    question: str
    warning: str
    done: str
    left: tuple[str, str]
    fits: Filter
    work: Work | None = None
    permission: str = HOLD
    restored: tuple[str, ...] = ()
    undo_words: str = "It can be undone for a week, where nothing else has changed meanwhile."
    noun: str = ""
    steers: bool = False
    is_grave: bool = False
    examines: bool = False
    in_steps: bool = False
    hold: Hold | None = None

    @property
    def rows_of_a_piece(self) -> int:
        """As many as a worker should go through before it looks what else there is to do."""
        return 1 if self.examines or self.in_steps else PIECE

    @property
    def answer(self) -> str:
        """Of whoever agrees; "Cancel" alone would be taken for leaving the question."""
        return f"Yes, {self.button.lower()}" if self.is_grave else self.button

    @property
    def description(self) -> str:
        """As the list of actions has it."""
        return f"{self.button}: {self.hint}" if self.hint else self.button
