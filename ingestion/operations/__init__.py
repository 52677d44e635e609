"""Operations: something done to many rows at once, in the background, with progress, and an undo where there can be one.

verb, steered, verbs   what can be done, to which rows, in which words
pieces                 the rows it is about, fixed when it is asked for, and what they were before
working                piece after piece, by any worker; each in one transaction, but for those behind which much more stands
verifying              the one verb that reads the storage
words                  what is asked and what has come of it, in sentences

    operation = ask(find_verb(Video, "retry"), Video.objects.filter(person=3), user)   # nothing is changed yet
    begin(operation)                                                                  # a small one is done by then
    undo(operation)

A worker that dies in the middle loses nothing: the piece it had is worked again, and none is worked twice.
"""

import logging
from typing import Any

from django.apps import apps
from django.db import OperationalError, transaction
from django.db.models import QuerySet
from django.db.models.functions import Now

from ingestion import dispatch
from ingestion.models import Operation
from ingestion.operations.pieces import cut, put_piece_back, renew_piece
from ingestion.operations.verb import PIECE, Asker, Verb
from ingestion.operations.verbs import find_verb
from ingestion.operations.working import carry_out, next_piece, note_failure, put_off, work_piece
from videos import tallies

__all__ = [
    "Verb",
    "ask",
    "begin",
    "find_verb",
    "is_small",
    "next_piece",
    "note_failure",
    "put_off",
    "put_piece_back",
    "renew_piece",
    "stop",
    "undo",
    "undoable",
    "work_piece",
]

logger = logging.getLogger(__name__)

State = Operation.State
MOST_VIDEOS_AT_ONCE = 20_000
"""Not stored ones of the channels and sessions whose steering somebody waits for."""
MOST_STEPS_AT_ONCE = 50
"""Channels and sessions, one after the other."""


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
    with transaction.atomic():
        began = Operation.objects.filter(pk=operation.pk, state=State.ASKED).update(state=State.RUNNING, began_at=Now())
        verb = find_verb(operation.model, operation.verb)
        if began and verb and verb.hold:
            rows = apps.get_model(operation.model)._default_manager.filter(pk__in=_rows_of(operation))
            verb.hold(rows, operation.created_by)
    if began:
        _go_on(operation)
    return bool(began)


def stop(operation: Operation, by: Asker = None) -> bool:
    """Do no more of it; what is done stays so. False when it was not running."""
    running = Operation.objects.filter(pk=operation.pk, state=State.RUNNING)
    return bool(running.update(state=State.STOPPED, finished_at=Now(), stopped_by=by))


def undoable(operation: Operation) -> bool:
    """Whether its rows can be put back: what they were is kept for a week."""
    verb = find_verb(operation.model, operation.verb)
    is_over = operation.state in (State.DONE, State.STOPPED) and operation.changed > 0
    return bool(verb and verb.restored and is_over and operation.pieces.exclude(before={}).exists())


def undo(operation: Operation, by: Asker = None) -> bool:
    """Put the changed rows back as they were, those that nothing else has changed since. False when it cannot be undone."""
    if not undoable(operation):
        return False
    over = Operation.objects.filter(pk=operation.pk, state__in=[State.DONE, State.STOPPED])
    began = over.update(state=State.UNDOING, finished_at=None, undone_by=by)
    if began:
        _go_on(operation)
    return bool(began)


def _go_on(operation: Operation) -> None:
    """At once if that takes a moment only. What does not come to its end here, as the database has other things to do, is left
    to the workers."""
    if is_small(operation):
        try:
            carry_out(operation)
        except OperationalError as exc:
            logger.warning("an operation is left to the workers: %s", exc, extra={"operation": operation.pk})
        else:
            return
    dispatch.ring(dispatch.SCANS)
    dispatch.ring(dispatch.DOWNLOADS)


def is_small(operation: Operation) -> bool:
    """Whether it is done within a moment: few rows, and not many videos behind them that change as well."""
    verb = find_verb(operation.model, operation.verb)
    if verb is None or not verb.in_steps:
        return operation.total <= PIECE and not (verb and verb.examines)
    if operation.total > MOST_STEPS_AT_ONCE:
        return False
    counted = {"people.channel": tallies.of_channels, "ingestion.downloadsession": tallies.of_sessions}[operation.model]
    return sum(tally.videos.total() - tally.stored for tally in counted(_rows_of(operation)).values()) <= MOST_VIDEOS_AT_ONCE


def _rows_of(operation: Operation) -> list[int]:
    return [pk for rows in operation.pieces.values_list("rows", flat=True) for pk in rows]
