"""The rows of an operation: fixed when it is asked for, taken piece by piece, and what each was before."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import uuid4

from django.db import connection, transaction
from django.db.models import Model, Q, QuerySet
from django.db.models.functions import Now

from ingestion.leases import lease_length
from ingestion.models import Operation, OperationPiece
from ingestion.models.operations import BUSY
from ingestion.operations.verb import Verb

State, PieceState = Operation.State, OperationPiece.State
AT_A_TIME = 500
"""Rows that are written by one statement of an undo."""
Before = dict[str, dict[str, tuple[Any, Any]]]

CUT = """
INSERT INTO ingestion_operationpiece (operation_id, number, rows)
SELECT %s, place / %s, array_agg(id ORDER BY id)
FROM (SELECT id, row_number() OVER (ORDER BY id) - 1 AS place FROM ({rows}) AS chosen (id)) AS numbered
GROUP BY place / %s
"""


def cut(operation: Operation, rows: QuerySet[Any], verb: Verb) -> int:
    """Write down which rows the operation is about, as one statement sees them; returns how many."""
    size = verb.rows_of_a_piece
    wanted, values = rows.order_by().values("pk").query.sql_with_params()
    with connection.cursor() as cursor:
        cursor.execute(CUT.format(rows=wanted), [operation.pk, size, *values, size])
        cursor.execute("SELECT coalesce(sum(cardinality(rows)), 0) FROM ingestion_operationpiece WHERE operation_id = %s", [operation.pk])
        return int(cursor.fetchone()[0])


def claim_piece(operation: Operation, *, is_undo: bool = False) -> OperationPiece | None:
    """Take the next piece that is to be worked, or undone, and is in nobody's hands; None when there is none."""
    wanted = operation.pieces.filter(state=PieceState.DONE if is_undo else PieceState.TODO)
    free = wanted.filter(Q(lease_expires_at=None) | Q(lease_expires_at__lt=Now()))
    with transaction.atomic():
        piece = free.order_by("number").select_for_update(skip_locked=True).first()
        if piece:
            piece.claim_id = uuid4()
            OperationPiece.objects.filter(pk=piece.pk).update(claim_id=piece.claim_id, lease_expires_at=Now() + lease_length())
    return piece


def renew_piece(piece: OperationPiece) -> str | None:
    """Lengthen the claim; None when it is somebody else's, or the operation was stopped."""
    ours = OperationPiece.objects.filter(pk=piece.pk, claim_id=piece.claim_id, operation__state__in=list(BUSY))
    return "" if ours.update(lease_expires_at=Now() + lease_length()) else None


def put_piece_back(piece: OperationPiece) -> None:
    """Give a piece up unworked, for anybody to take."""
    OperationPiece.objects.filter(pk=piece.pk, claim_id=piece.claim_id).update(claim_id=None, lease_expires_at=None)


def lock_piece(piece: OperationPiece) -> OperationPiece | None:
    """Hold the piece until the transaction around ends; None when it is not ours any more, or is not to be worked now."""
    ours = OperationPiece.objects.filter(pk=piece.pk, claim_id=piece.claim_id).select_for_update(of=("self",)).first()
    state = Operation.objects.filter(pk=piece.operation_id).values_list("state", flat=True).get()
    return ours if ours and BUSY.get(State(state)) == ours.state else None


# --- what rows were, for an undo


def look(rows: QuerySet[Any], columns: Sequence[str]) -> dict[int, dict[str, Any]]:
    return {row.pop("pk"): row for row in rows.order_by("pk").values("pk", *columns)}


def differences(before: Mapping[int, Mapping[str, Any]], after: Mapping[int, Mapping[str, Any]]) -> Before:
    """All columns of the rows that have changed between two looks, as JSON can hold them."""
    changed = {pk: row for pk, row in before.items() if row != after[pk]}
    return {str(pk): {name: (_plain(was), _plain(after[pk][name])) for name, was in row.items()} for pk, row in changed.items()}


def put_back(model: type[Model], before: Before) -> int:
    """Make rows what they were, where they are still what they were made. Returns how many."""
    columns = sorted({name for row in before.values() for name in row})
    locked = model._default_manager.filter(pk__in=map(int, before)).order_by("pk").select_for_update(no_key=True, of=("self",))
    rows = [row for row in locked.only(*columns) if _restore(row, before[str(row.pk)])]
    model._default_manager.bulk_update(rows, columns, batch_size=AT_A_TIME) if rows else None
    return len(rows)


def _restore(row: Model, changes: Mapping[str, Sequence[Any]]) -> bool:
    fields = {name: row._meta.get_field(name) for name in changes}
    if any(getattr(row, name) != field.to_python(changes[name][1]) for name, field in fields.items()):
        return False
    for name, field in fields.items():
        setattr(row, name, field.to_python(changes[name][0]))
    return True


def _plain(value: Any) -> Any:
    return value.isoformat() if isinstance(value, datetime) else value
