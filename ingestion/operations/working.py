"""Working operations: by any worker that comes round, or at once by whoever asked for something small."""

import logging
from collections import Counter
from collections.abc import Callable
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
from ingestion.operations.verb import Result, Verb
from ingestion.operations.verbs import find_verb
from ingestion.operations.verifying import verify
from ingestion.store import Store
from videos.models import Video

logger = logging.getLogger(__name__)

STORAGE_LOOK = timedelta(minutes=1)
"""After which a storage that was away is asked again."""
MOST_NOTES = 1000


def work_piece(piece: OperationPiece, *, store: Store | None = None, check: Callable[[], None] = lambda: None) -> None:
    """Do what a claimed piece is for; nothing when it is not ours any more by then.

    `check` is called while the storage is read, and may raise to stop it: whoever claimed the piece then gives it back. A
    storage that is away puts it off.
    """
    operation = piece.operation
    verb, found = find_verb(operation.model, operation.verb), None
    if verb and verb.examines:
        try:
            found = verify(piece.rows, store or Store.default(), check)
        except ArchiveError as failure:
            _put_off(piece, failure)
            return
    with transaction.atomic():
        if verb and verb.steers:
            leases.lock_limits()
        ours = lock_piece(piece)
        if ours and ours.state == PieceState.TODO:
            _finish(ours, found, {}) if found else _finish(ours, *_do(ours, operation, verb))
        elif ours:
            _undo(ours, operation)
    finish_operations(operation.pk)


def _do(piece: OperationPiece, operation: Operation, verb: Verb | None) -> tuple[Result, Before]:
    """A verb of an older release, that this one does not know any more, changes nothing."""
    if verb is None or verb.work is None:
        return Result(Counter()), {}
    rows = rows_of(piece, operation)
    if not verb.restored:
        return verb.work(rows, operation.created_by), {}
    # Channels and sessions are locked last by everybody: the limits are the mutex of what steers them
    held = rows.select_for_update(no_key=True, of=("self",)) if rows.model is Video else rows
    before = look(held, verb.restored)
    result = verb.work(rows, operation.created_by)
    return result, differences(before, look(rows, verb.restored))


def rows_of(piece: OperationPiece, operation: Operation) -> QuerySet[Any]:
    return apps.get_model(operation.model)._default_manager.filter(pk__in=piece.rows)


def _finish(piece: OperationPiece, result: Result, before: Before) -> None:
    OperationPiece.objects.filter(pk=piece.pk).update(state=PieceState.DONE, before=before, claim_id=None, lease_expires_at=None)
    row = Operation.objects.select_for_update().get(pk=piece.operation_id)
    counts = Counter(row.counts) + result.counts
    changed = counts.pop("changed", 0)
    Operation.objects.filter(pk=row.pk).update(
        handled=F("handled") + len(piece.rows),
        changed=F("changed") + changed,
        counts=counts,
        notes=[*row.notes, *result.notes][:MOST_NOTES],
        waits_for="",
        not_before=None,
    )


def _undo(piece: OperationPiece, operation: Operation) -> None:
    restored = put_back(apps.get_model(operation.model), piece.before)
    OperationPiece.objects.filter(pk=piece.pk).update(state=PieceState.UNDONE, claim_id=None, lease_expires_at=None)
    Operation.objects.filter(pk=operation.pk).update(restored=F("restored") + restored)


def _put_off(piece: OperationPiece, failure: ArchiveError) -> None:
    logger.warning("an operation waits for the storage: %s", failure, extra={"operation": piece.operation_id})
    put_piece_back(piece)
    Operation.objects.filter(pk=piece.operation_id).update(waits_for=failure.message, not_before=Now() + STORAGE_LOOK)


def finish_operations(pk: int) -> None:
    """Close an operation whose pieces are all done: asked after each of them, and so by whoever ends the last."""
    for state, end in ((State.RUNNING, State.DONE), (State.UNDOING, State.UNDONE)):
        left = OperationPiece.objects.filter(operation=OuterRef("pk"), state=BUSY[state])
        Operation.objects.filter(~Exists(left), pk=pk, state=state).update(state=end, finished_at=Now())


def next_piece(*, examines: bool = False) -> OperationPiece | None:
    """Claim a piece of the oldest operation that has one: of those that change rows, or of those that read the storage, which
    takes hours and can wait for everything else."""
    for operation in Operation.objects.due().order_by("pk").select_related("created_by"):
        verb = find_verb(operation.model, operation.verb)
        if bool(verb and verb.examines) == examines and (piece := _next_of(operation)):
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
