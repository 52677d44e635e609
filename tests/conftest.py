from collections.abc import Iterator

import pytest

from demo.object_store import S3Server, serve_s3
from demo.youtube_twin import Twin


@pytest.fixture(scope="session")
def django_db_modify_db_settings(django_db_modify_db_settings_xdist_suffix):
    """The tests' own PostgreSQL need not outlive a power cut."""
    import psycopg
    from django.conf import settings

    from massdl_site.embedded import postgres_url

    with psycopg.connect(postgres_url(settings.VAR_DIR / "postgres"), autocommit=True) as connection:
        connection.execute("ALTER SYSTEM SET fsync = off")
        connection.execute("SELECT pg_reload_conf()")


@pytest.fixture(scope="session")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    """A real S3 server with one bucket; it wants parts in order beyond 256 MiB."""
    with serve_s3(tmp_path_factory.mktemp("s3")) as server:
        yield server


@pytest.fixture(scope="session")
def twin() -> Iterator[Twin]:
    """A local YouTube. Its media stay between runs; its log, faults and settings are shared by the tests: see `fresh_twin`."""
    from django.conf import settings

    with Twin(settings.VAR_DIR / "twin") as running:
        yield running


@pytest.fixture
def downloads_in_the_tests_transaction(monkeypatch: pytest.MonkeyPatch) -> None:
    """What has begun cannot become a transaction of one moment; tests/ingestion/test_download_transactions.py begins none."""
    from ingestion.exports import answers

    monkeypatch.setattr(answers, "ONE_MOMENT", "SET TRANSACTION READ ONLY")


@pytest.fixture
def fresh_twin(twin: Twin) -> Iterator[Twin]:
    """The same, with an empty log, no faults and its first settings; and left so."""
    twin.reset()
    yield twin
    twin.reset()
