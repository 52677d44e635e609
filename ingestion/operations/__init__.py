"""Operations: something done to many rows at once, in the background, with progress, and an undo where there can be one.

verb, steered, verbs   what can be done, to which rows, in which words
pieces                 the rows it is about, fixed when it is asked for, and what they were before
working                piece after piece, each in one transaction, by any worker
verifying              the one verb that reads the storage
words                  what is asked and what has come of it, in sentences

    operation = ask(find_verb(Video, "retry"), Video.objects.filter(person=3), user)   # nothing is changed yet
    begin(operation)                                                                  # a small one is done by then
    undo(operation)

A worker that dies in the middle loses nothing: the piece it had is worked again, and none is worked twice.
"""

from typing import Any

from django.db import transaction
from django.db.models import QuerySet
from django.db.models.functions import Now

from ingestion import dispatch
from ingestion.models import Operation, OperationPiece
from ingestion.operations.pieces import PIECE, cut, put_piece_back, renew_piece
from ingestion.operations.verb import Asker, Verb
from ingestion.operations.verbs import find_verb
from ingestion.operations.working import carry_out, next_piece, work_piece
from videos import tallies

__all__ = [
    "Verb",
    "ask",
    "begin",
    "find_verb",
    "is_small",
    "next_piece",
    "put_piece_back",
    "renew_piece",
    "stop",
    "undo",
    "undoable",
    "work_piece",
]

State, PieceState = Operation.State, OperationPiece.State
MOST_VIDEOS_AT_ONCE = 20_000
"""Of channels and sessions whose steering somebody waits for."""


def ask(verb: Verb, chosen: QuerySet[Any], asker: Asker) -> Operation | None:
    """Write down what is to be done, and to which rows; nothing is done to them. None when the verb fits none of them."""
    with transaction.atomic():
        operation = Operation.objects.create(verb=verb.name, model=chosen.model._meta.label_lower, chosen=0, total=0, created_by=asker)
        operation.total = cut(operation, verb.fits(chosen), verb)
        if not operation.total:
            operation.delete()
            return None
        operation.chosen = max(chosen.order_by().count(), operation.total)
        operation.save(update_fields=["chosen", "total"])
    return operation


def begin(operation: Operation) -> bool:
    """Do what was asked: a small one at once, a larger one by the workers. False, and nothing done, when it has begun before."""
    began = Operation.objects.filter(pk=operation.pk, state=State.ASKED).update(state=State.RUNNING, began_at=Now())
    if began:
        _go_on(operation)
    return bool(began)


def stop(operation: Operation) -> bool:
    """Do no more of it; what is done stays so. False when it was not running."""
    running = Operation.objects.filter(pk=operation.pk, state=State.RUNNING)
    return bool(running.update(state=State.STOPPED, finished_at=Now()))


def undoable(operation: Operation) -> bool:
    """Whether its rows can be put back: what they were is kept for a week."""
    verb = find_verb(operation.model, operation.verb)
    is_over = operation.state in (State.DONE, State.STOPPED) and operation.changed > 0
    return bool(verb and verb.restored and is_over and operation.pieces.exclude(before={}).exists())


def undo(operation: Operation) -> bool:
    """Put the changed rows back as they were, those that nothing else has changed since. False when it cannot be undone."""
    if not undoable(operation):
        return False
    over = Operation.objects.filter(pk=operation.pk, state__in=[State.DONE, State.STOPPED])
    began = over.update(state=State.UNDOING, finished_at=None)
    if began:
        _go_on(operation)
    return bool(began)


def _go_on(operation: Operation) -> None:
    if is_small(operation):
        carry_out(operation)
    else:
        dispatch.ring(dispatch.SCANS)


def is_small(operation: Operation) -> bool:
    """Whether it is done within a moment: a piece of rows, and not many videos behind them."""
    verb = find_verb(operation.model, operation.verb)
    if operation.total > PIECE or (verb and verb.examines):
        return False
    counted = {"people.channel": tallies.of_channels, "ingestion.downloadsession": tallies.of_sessions}.get(operation.model)
    if counted is None:
        return True
    rows = [pk for rows in operation.pieces.values_list("rows", flat=True) for pk in rows]
    return sum(tally.videos.total() for tally in counted(rows).values()) <= MOST_VIDEOS_AT_ONCE
