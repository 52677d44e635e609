"""Short words for an operation in a test: asked for, begun, worked off, and what came of it."""

from ingestion import operations
from ingestion.models import Operation
from ingestion.operations import ask, begin, find_verb, words
from videos.models import Video


def asked(name: str, rows, user=None) -> Operation:
    return ask(find_verb(rows.model, name), rows, user)


def done(name: str, rows, user=None) -> Operation:
    operation = asked(name, rows, user)
    assert begin(operation)
    operation.refresh_from_db()
    return operation


def work_all(**how) -> int:
    """As workers do; returns how many pieces there were."""
    count = 0
    while piece := operations.next_piece() or operations.next_piece(examines=True):
        operations.work_piece(piece, **how)
        count += 1
    return count


def statuses() -> list[str]:
    return list(Video.objects.order_by("pk").values_list("status", flat=True))


def tell(operation: Operation) -> str:
    operation.refresh_from_db()
    return words.outcome(operation, find_verb(operation.model, operation.verb))


def state_of(operation: Operation) -> str:
    operation.refresh_from_db()
    return operation.state
