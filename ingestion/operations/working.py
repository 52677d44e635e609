"""Working operations: by any worker that comes round, or at once by whoever asked for something small."""

import logging
from collections import Counter
from datetime import timedelta
from typing import Any

from django.apps import apps
from django.db import transaction
from django.db.models import Exists, F, OuterRef, QuerySet
from django.db.models.functions import Now

from ingestion import leases
from ingestion.errors import ArchiveError
from ingestion.models import Operation, OperationPiece
from ingestion.models.operations import BUSY
from ingestion.operations.pieces import (
    Before,
    PieceState,
    State,
    claim_piece,
    differences,
    lock_piece,
    look,
    put_back,
    put_piece_back,
)
from ingestion.operations.verb import Check, Result, Verb
from ingestion.operations.verbs import find_verb
from ingestion.operations.verifying import verify
from ingestion.store import Store
from videos.models import Video

logger = logging.getLogger(__name__)

STORAGE_LOOK = timedelta(minutes=1)
"""After which a storage that was away is asked again."""
MOST_NOTES = 1000
MOST_FAILURES = 3
"""After which a piece is set aside."""


def _go_on() -> None:
    """A check that nobody else has a say in."""


class _Stopped(Exception):
    """It was stopped and is being undone: what was just done must not be."""


def work_piece(piece: OperationPiece, *, store: Store | None = None, check: Check = _go_on) -> None:
    """Do what a claimed piece is for; nothing when it is not ours any more by then.

    `check` is called while something takes long, and may raise to stop it: whoever claimed the piece then gives it back. A
    storage that is away puts the operation off.
    """
    operation = piece.operation
    verb, found = find_verb(operation.model, operation.verb), None
    if verb and operation.state == State.RUNNING and (verb.examines or verb.in_steps):
        try:
            found = _do_slowly(piece, operation, verb, store, check)
        except ArchiveError as failure:
            put_piece_back(piece)
            put_off(failure, Operation.objects.filter(pk=operation.pk))
            return
    try:
        with transaction.atomic():
            if verb and verb.steers:
                leases.lock_limits()
            ours = lock_piece(piece)
            if ours and ours.state == PieceState.TODO:
                _finish(ours, found, {}) if found else _finish(ours, *_do(ours, operation, verb))
            elif ours:
                _undo(ours, operation)
    except _Stopped:
        put_piece_back(piece)
    finish_operations(operation.pk)


def _do_slowly(piece: OperationPiece, operation: Operation, verb: Verb, store: Store | None, check: Check) -> Result:
    if verb.work is None:
        return verify(piece.rows, store or Store.default(), check)
    return verb.work(_still_fitting(piece, operation, verb), operation.created_by, check)


def _do(piece: OperationPiece, operation: Operation, verb: Verb | None) -> tuple[Result, Before]:
    """A verb of an older release, that this one does not know any more, changes nothing."""
    if verb is None or verb.work is None:
        return Result(Counter()), {}
    rows = _still_fitting(piece, operation, verb)
    if not verb.restored:
        return verb.work(rows, operation.created_by, _go_on), {}
    before = look(rows, verb.restored)
    result = verb.work(rows, operation.created_by, _go_on)
    return result, differences(before, look(rows, verb.restored))


def _still_fitting(piece: OperationPiece, operation: Operation, verb: Verb) -> QuerySet[Any]:
    """Those rows, whatever becomes of them. Videos are held until the transaction ends; channels and sessions are locked last by
    everybody, and the limits are the mutex of what steers them."""
    rows = apps.get_model(operation.model)._default_manager
    if rows.model is Video:
        held = rows.filter(pk__in=piece.rows).order_by("pk").select_for_update(no_key=True, of=("self",))
        list(held.values_list("pk", flat=True))
    return rows.filter(pk__in=list(verb.fits(rows.filter(pk__in=piece.rows)).order_by().values_list("pk", flat=True)))


def _finish(piece: OperationPiece, result: Result, before: Before) -> None:
    row = Operation.objects.defer("notes").select_for_update().get(pk=piece.operation_id)
    if row.state not in (State.RUNNING, State.STOPPED):
        raise _Stopped
    OperationPiece.objects.filter(pk=piece.pk).update(state=PieceState.DONE, before=before, claim_id=None, lease_expires_at=None)
    counts = Counter(row.counts) + result.counts
    changed = counts.pop("changed", 0)
    also = {"notes": [*row.notes, *result.notes][:MOST_NOTES]} if result.notes else {}
    Operation.objects.filter(pk=row.pk).update(
        handled=F("handled") + len(piece.rows), changed=F("changed") + changed, counts=counts, waits_for="", not_before=None, **also
    )


def _undo(piece: OperationPiece, operation: Operation) -> None:
    restored = put_back(apps.get_model(operation.model), piece.before)
    OperationPiece.objects.filter(pk=piece.pk).update(state=PieceState.UNDONE, claim_id=None, lease_expires_at=None)
    Operation.objects.filter(pk=operation.pk).update(restored=F("restored") + restored)


def note_failure(piece: OperationPiece, why: str) -> None:
    """Give a piece back that failed for a reason nobody foresaw; one that does so again and again is set aside, with a note."""
    OperationPiece.objects.filter(pk=piece.pk, claim_id=piece.claim_id).update(failures=F("failures") + 1)
    with transaction.atomic():
        ours = lock_piece(piece)
        if ours and ours.failures >= MOST_FAILURES:
            _set_aside(ours, why)
        elif ours:
            put_piece_back(piece)
    finish_operations(piece.operation_id)


def _set_aside(piece: OperationPiece, why: str) -> None:
    is_undo = piece.state == PieceState.DONE
    state = PieceState.UNDONE if is_undo else PieceState.DONE
    OperationPiece.objects.filter(pk=piece.pk).update(state=state, claim_id=None, lease_expires_at=None)
    row = Operation.objects.select_for_update().get(pk=piece.operation_id)
    what = "Undoing it" if is_undo else "It"
    text = f"{what} failed {MOST_FAILURES} times here, and {len(piece.rows):,} rows were left as they are: {why}"
    notes = [*row.notes, {"model": row.model, "pk": piece.rows[0], "text": text}][:MOST_NOTES]
    Operation.objects.filter(pk=row.pk).update(handled=F("handled") + (0 if is_undo else len(piece.rows)), notes=notes)


def put_off(failure: ArchiveError, waiting: QuerySet[Operation] | None = None) -> None:
    """Whatever reads the storage waits, and tells why: these operations, or all that do."""
    logger.warning("operations wait for the storage: %s", failure)
    rows = Operation.objects.due() if waiting is None else waiting
    pks = [row.pk for row in rows.only("model", "verb") if _examines(row)]
    Operation.objects.filter(pk__in=pks).update(waits_for=failure.message, not_before=Now() + STORAGE_LOOK)


def _examines(operation: Operation) -> bool:
    verb = find_verb(operation.model, operation.verb)
    return bool(verb and verb.examines)


def finish_operations(pk: int) -> None:
    """Close an operation whose pieces are all done: asked after each of them, and so by whoever ends the last."""
    for state, end in ((State.RUNNING, State.DONE), (State.UNDOING, State.UNDONE)):
        left = OperationPiece.objects.filter(operation=OuterRef("pk"), state=BUSY[state])
        Operation.objects.filter(~Exists(left), pk=pk, state=state).update(state=end, finished_at=Now())


def next_piece(*, examines: bool = False) -> OperationPiece | None:
    """Claim a piece of the oldest operation that has one: of those that change rows, or of those that read the storage, which
    takes hours and gives way to all else after each video."""
    for operation in Operation.objects.due().order_by("pk").select_related("created_by"):
        if _examines(operation) == examines and (piece := _next_of(operation)):
            return piece
    return None


def _next_of(operation: Operation) -> OperationPiece | None:
    """Where there is none it may be over: whoever did the last piece may have died before saying so."""
    piece = claim_piece(operation, is_undo=operation.state == State.UNDOING)
    if piece is None:
        finish_operations(operation.pk)
    return piece


def carry_out(operation: Operation) -> None:
    """Work all pieces of a small operation here and now; what somebody else has taken meanwhile is theirs."""
    operation.refresh_from_db()
    while piece := _next_of(operation):
        work_piece(piece)
