"""A PostgreSQL of the bench's own, a database in it for each case, and pending videos in any number."""

import atexit
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import psycopg

ROOT = Path(__file__).resolve().parent.parent
KEPT_VARIABLES = ("PATH", "HOME", "LANG", "TMPDIR", "XDG_RUNTIME_DIR")

SESSION = """
INSERT INTO ingestion_downloadsession (uuid, source, options, problems, state)
VALUES (gen_random_uuid(), 'bench', '{}', '[]', %(state)s) RETURNING id
"""
CHANNELS = """
WITH person AS (
    INSERT INTO people_person (name, created_at) SELECT 'Person ' || n, now() FROM generate_series(1, %(channels)s) n RETURNING id
)
INSERT INTO people_channel (person_id, url, canonical_url, external_id, created_at)
SELECT id, 'https://www.youtube.com/@c' || id, 'https://www.youtube.com/@c' || id, 'UC' || id, now() FROM person
"""
# the videos of a channel stand together, as a scan leaves them
VIDEOS = """
INSERT INTO videos_video (uuid, external_id, person_id, channel_id, session_id, title, upload_date)
SELECT gen_random_uuid(), %(session)s || '-' || c.id || '-' || n, c.person_id, c.id, %(session)s, 'Video ' || n, date '2020-01-01' + n
FROM people_channel c CROSS JOIN generate_series(1, %(each)s) n ORDER BY c.id, n
"""
BIG_CHANNEL = """
WITH person AS (INSERT INTO people_person (name, created_at) VALUES ('Big', now()) RETURNING id),
channel AS (
    INSERT INTO people_channel (person_id, url, canonical_url, external_id, created_at)
    SELECT id, 'https://www.youtube.com/@big', 'https://www.youtube.com/@big', 'UCbig', now() FROM person RETURNING id, person_id
)
INSERT INTO videos_video (uuid, external_id, person_id, channel_id, session_id, title, priority)
SELECT gen_random_uuid(), 'big-' || n, person_id, id, %(session)s, 'Big ' || n, 1 FROM channel CROSS JOIN generate_series(1, %(big)s) n
"""
WORKED_TABLES = "videos_video, ingestion_attempt, ingestion_turn, ingestion_liveprogress, ingestion_daytotal, django_q_ormq, django_q_task"


@dataclass(frozen=True)
class Database:
    """One database of the server, and the variables that make massdl use it."""

    name: str
    url: str
    folder: Path

    @property
    def environment(self) -> dict[str, str]:
        return {
            **{name: os.environ[name] for name in KEPT_VARIABLES if name in os.environ},
            "DJANGO_SETTINGS_MODULE": "massdl_site.settings",
            "DATABASE_URL": self.url,
            "MASSDL_SECRET_KEY": "of a run that nobody else sees",
            "MASSDL_VAR_DIR": str(self.folder / "var"),
            "MASSDL_LOG_LEVEL": "WARNING",
        }

    def connect(self) -> psycopg.Connection:
        return psycopg.connect(self.url, autocommit=True)

    def fill(self, *, channels: int, each: int, big: int = 0, state: str = "running") -> None:
        """So many pending videos of a new session in each channel; the channels are made if there are none.

        `big` are the videos of one channel more, which go before all others.
        """
        with self.connect() as connection:
            if not connection.execute("SELECT EXISTS (SELECT FROM people_channel)").fetchone()[0]:
                connection.execute(CHANNELS, {"channels": channels})
            session = connection.execute(SESSION, {"state": state}).fetchone()[0]
            connection.execute("SET session_replication_role = replica")  # no check of foreign keys, row by row
            connection.execute(VIDEOS, {"session": session, "each": each})
            if big:
                connection.execute(BIG_CHANNEL, {"session": session, "big": big})

    def settle(self) -> None:
        """Leave nothing for autovacuum to do in the middle of a measurement; statistics are fresh."""
        with self.connect() as connection:
            connection.execute("VACUUM ANALYZE")
            connection.execute("CHECKPOINT")

    def forget_statistics(self) -> None:
        """As after a first import, before autovacuum came by; it will not."""
        with self.connect() as connection:
            for table in ("videos_video", "ingestion_turn", "ingestion_attempt", "people_channel"):
                connection.execute(f"ALTER TABLE {table} SET (autovacuum_enabled = off)")
                connection.execute("SELECT pg_clear_relation_stats('public', %s)", [table])
                connection.execute(
                    "SELECT pg_clear_attribute_stats('public', tablename, attname, inherited) FROM pg_stats WHERE tablename = %s", [table]
                )

    def empty(self) -> None:
        with self.connect() as connection:
            connection.execute(f"TRUNCATE {WORKED_TABLES}")


class Server:
    """The embedded PostgreSQL with its own defaults (every commit reaches the disk) in a folder."""

    def __init__(self, folder: Path, url: str):
        self.folder = folder
        self.url = url

    def create(self, name: str, *, like: str = "template1") -> Database:
        with psycopg.connect(self.url, autocommit=True) as connection:
            connection.execute(f'CREATE DATABASE "{name}" TEMPLATE "{like}" STRATEGY file_copy')
        return Database(name, self.url.replace("/postgres?", f"/{name}?"), self.folder)

    def drop(self, database: Database) -> None:
        with psycopg.connect(self.url, autocommit=True) as connection:
            connection.execute(f'DROP DATABASE "{database.name}" WITH (FORCE)')

    def configure(self, name: str, value: str) -> None:
        """For every session, from a moment later on."""
        with psycopg.connect(self.url, autocommit=True) as connection:
            connection.execute(f"ALTER SYSTEM SET {name} = '{value}'")
            connection.execute("SELECT pg_reload_conf()")

    @property
    def log(self) -> Path:
        return self.folder / "postgres" / "log"


def start_postgres() -> Server:
    """In a temporary folder, until this process ends, SIGTERM included. The database `migrated` is there to be copied."""
    from massdl_site.embedded import postgres_url

    signal.signal(signal.SIGTERM, signal.default_int_handler)
    folder = Path(tempfile.mkdtemp(prefix="massdl-bench-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)  # before the server registers its own end: runs after it
    server = Server(folder, postgres_url(folder / "postgres"))
    server.configure("log_line_prefix", "%n %d ")
    migrate(server)
    return server


def migrate(server: Server) -> None:
    """Make the database `migrated`, which is there to be copied."""
    migrated = server.create("migrated")
    command = [sys.executable, str(ROOT / "manage.py"), "migrate", "--verbosity", "0"]
    subprocess.run(command, check=True, env=migrated.environment)
