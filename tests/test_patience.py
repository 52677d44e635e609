"""What a page asks the database has an end, and who waited is told."""

import pytest
from django.db import OperationalError, connection
from django.urls import reverse

from massdl_site import patience

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def bounded(settings):
    """A fresh connection of a process that serves pages; gives what the server says to others."""
    settings.WEB_STATEMENT_SECONDS = 7
    before = _shown("statement_timeout", "jit")
    connection.close()
    patience.bound_statements()
    yield before
    patience.connection_created.disconnect(dispatch_uid="web_statement_seconds")
    connection.close()


def test_connections_of_a_process_that_serves_pages_have_the_bound_and_no_others_have(bounded):
    before = bounded
    assert _shown("statement_timeout", "jit") == ["7s", "off"] != before
    patience.connection_created.disconnect(dispatch_uid="web_statement_seconds")
    connection.close()
    assert _shown("statement_timeout", "jit") == before


def _shown(*names: str) -> list[str]:
    with connection.cursor() as cursor:
        return [cursor.execute(f"SHOW {name}").fetchone()[0] for name in names]


def _sleep(**_) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SET statement_timeout = '10ms'")
        cursor.execute("SELECT pg_sleep(60)")


def test_a_page_that_takes_too_long_says_so_and_what_to_do(admin_client, monkeypatch):
    monkeypatch.setattr("ingestion.dashboard.look", _sleep)
    try:
        response = admin_client.get(reverse("admin:index"))
    finally:
        connection.close()
    assert response.status_code == 503
    assert "Choose narrower filters, or fewer rows." in " ".join(response.text.split())


def test_what_else_is_wrong_with_the_database_is_not_taken_for_it(admin_client, monkeypatch):
    def away(**_):
        raise OperationalError("the connection is lost")

    monkeypatch.setattr("ingestion.dashboard.look", away)
    admin_client.raise_request_exception = False
    assert admin_client.get(reverse("admin:index")).status_code == 500
