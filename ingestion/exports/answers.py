"""Files as answers to requests."""

from collections.abc import Callable, Iterable, Iterator

from django.db import transaction
from django.http import StreamingHttpResponse
from django.utils import timezone
from django.utils.http import content_disposition_header

from ingestion.exports.workbook import Table, workbook_chunks
from ingestion.exports.writing import csv_chunks, json_chunks

CONTENT_TYPES = {
    "csv": "text/csv; charset=utf-8",
    "json": "application/json",
    "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
}
FORMATS: dict[str, Callable[[Table], Iterator[bytes]]] = {
    "csv": lambda table: csv_chunks(table.header, table.rows),
    "json": lambda table: json_chunks(table.header, table.rows),
    "xlsx": lambda table: workbook_chunks([table]),
}


def table_answer(table: Table, form: str, name: str) -> StreamingHttpResponse:
    """The table in one of FORMATS."""
    return file_answer(FORMATS[form](table), form, name)


def file_answer(chunks: Iterable[bytes], form: str, name: str) -> StreamingHttpResponse:
    """A file to save, `name` with today's date. Its rows are read while it is sent, as they all were at one moment."""
    file = f"{name}-{timezone.localdate().isoformat()}.{form}"
    headers = {"Content-Disposition": content_disposition_header(True, file), "Cache-Control": "private, no-store"}
    return StreamingHttpResponse(_in_a_transaction(chunks), content_type=CONTENT_TYPES[form], headers=headers)


def _in_a_transaction(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """Begun with the first chunk. Who goes away closes it, and with it the cursors of the database."""
    with transaction.atomic():
        yield from chunks
