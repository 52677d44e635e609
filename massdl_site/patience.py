"""How long a page may ask the database: one that takes longer is ended, and says so, before it slows down the workers' claims."""

from typing import Any

from django.conf import settings
from django.db import OperationalError
from django.db.backends.signals import connection_created
from django.http import HttpRequest, HttpResponse
from psycopg.errors import QueryCanceled

from massdl_site import refusals


def bound_statements() -> None:
    """From now on every statement of this process has WEB_STATEMENT_SECONDS, and none is compiled before it runs: for processes that
    serve pages and nothing else."""
    connection_created.connect(_bound, dispatch_uid="web_statement_seconds")


def _bound(connection: Any, **_: Any) -> None:
    """For the whole session, as a statement of its own: a pooler in session mode need not pass on the options of a connection.

    Statements of pages are large and read little: to compile one takes many times longer than to run it.
    """
    with connection.cursor() as cursor:
        seconds = f"{settings.WEB_STATEMENT_SECONDS}s"
        cursor.execute("SELECT set_config('statement_timeout', %s, false), set_config('jit', 'off', false)", [seconds])


class TellsWhatTookTooLong:
    """A middleware: a statement that was ended becomes a page with what to do."""

    def __init__(self, get_response: Any):
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        return self.get_response(request)

    def process_exception(self, request: HttpRequest, exception: Exception) -> HttpResponse | None:
        is_ended = isinstance(exception, OperationalError) and isinstance(exception.__cause__, QueryCanceled)
        return refusals.too_long(request) if is_ended else None
