"""Files as answers to requests: all of a file is of one moment, and one that is not whole does not look so."""

import logging
from collections.abc import Callable, Generator, Iterator
from contextlib import closing
from datetime import timedelta
from time import monotonic

from django.db import connection, transaction
from django.http import StreamingHttpResponse
from django.utils import timezone
from django.utils.http import content_disposition_header

from ingestion.exports.workbook import Table, workbook_chunks
from ingestion.exports.writing import csv_chunks, json_chunks

logger = logging.getLogger(__name__)
Chunks = Generator[bytes, None, None]

CONTENT_TYPES = {
    "csv": "text/csv; charset=utf-8",
    "json": "application/json",
    "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
}
FORMATS: dict[str, Callable[[Table], Chunks]] = {
    "csv": lambda table: csv_chunks(table.header, table.rows),
    "json": lambda table: json_chunks(table.header, table.rows),
    "xlsx": lambda table: workbook_chunks([table]),
}

LONGEST = timedelta(hours=1)
"""That a file may take. Until its end it keeps one of the site's few threads, and PostgreSQL keeps all that has changed since
it began as it was then."""
STATEMENT = timedelta(minutes=10)
"""That one statement may take: more than a page's, for headers are sent before the first row is there."""
SILENCE = timedelta(minutes=10)
"""Between two statements: who reads so slowly, or not at all, loses the transaction even while a thread waits for them."""
ONE_MOMENT = "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY"
SETTINGS = """
    SELECT set_config('statement_timeout', %s, true), set_config('idle_in_transaction_session_timeout', %s, true),
           set_config('cursor_tuple_fraction', '1', true)
"""
"""The first query, whose moment is that of the file. Of itself PostgreSQL plans for the first rows of a cursor: by the key through
the whole table, however few rows are wanted of it."""
NOT_WHOLE = {"csv": b'"THIS FILE IS NOT WHOLE: the download broke off here. Download it again."\r\n'}
"""For a format whose beginning looks like a whole file; the others have an end by which they are known."""


def table_answer(table: Table, form: str, name: str) -> StreamingHttpResponse:
    """The table in one of FORMATS."""
    return file_answer(FORMATS[form](table), form, name)


def file_answer(chunks: Chunks, form: str, name: str) -> StreamingHttpResponse:
    """A file to save, `name` with today's date. Whatever the chunks ask of the database is as it was when the first was sent."""
    file = f"{name}-{timezone.localdate().isoformat()}.{form}"
    headers = {"Content-Disposition": content_disposition_header(True, file), "Cache-Control": "private, no-store"}
    return StreamingHttpResponse(_whole_or_broken(chunks, form, file), content_type=CONTENT_TYPES[form], headers=headers)


def _whole_or_broken(chunks: Chunks, form: str, file: str) -> Iterator[bytes]:
    """What breaks a file off is raised again when its last words are said: the server then cuts the connection."""
    try:
        yield from _of_one_moment(chunks)
    except Exception:
        logger.exception("The download of %s broke off.", file, extra={"file": file})
        if words := NOT_WHOLE.get(form):
            yield words
        raise


def _of_one_moment(chunks: Chunks) -> Iterator[bytes]:
    """In a transaction that begins with the first chunk. Who goes away closes it, and with it the cursors of the database.

    Raises TimeoutError when it takes longer than LONGEST.
    """
    ends_at = monotonic() + LONGEST.total_seconds()
    with transaction.atomic(durable=True), closing(chunks):
        _begin()
        for chunk in chunks:
            if monotonic() > ends_at:
                raise TimeoutError(f"not sent within {LONGEST}: whoever takes it reads too slowly")
            yield chunk


def _begin() -> None:
    with connection.cursor() as cursor:
        cursor.execute(ONE_MOMENT)
        cursor.execute(SETTINGS, [f"{bound.total_seconds():.0f}s" for bound in (STATEMENT, SILENCE)])
