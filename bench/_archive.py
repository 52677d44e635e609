"""An archive of any size for pages to be looked at: made by SQL, with what years of work would have left."""

from collections.abc import Iterator
from contextlib import contextmanager

import psycopg

from bench._pending import Database

INDEXES = """
SELECT indexname, indexdef FROM pg_indexes
WHERE tablename = 'videos_video' AND indexname NOT IN (SELECT conname FROM pg_constraint WHERE conrelid = 'videos_video'::regclass)
"""
VIDEOS_OF_A_PERSON = 500
CHANNELS_OF_A_PERSON = 2
SESSIONS = 200
RUNNING = 8

PEOPLE = """
INSERT INTO people_person (name, email, type, created_at)
SELECT 'Person ' || md5(n::text), 'person' || n || '@example.org', 'artist', now() - n * interval '1 minute'
FROM generate_series(1, %(people)s) n
"""
CHANNELS = """
INSERT INTO people_channel (person_id, url, canonical_url, external_id, title, created_at)
SELECT p.id, 'https://www.youtube.com/@c' || p.id || '-' || n, 'https://www.youtube.com/@c' || p.id || '-' || n, 'UC' || p.id || '-' || n,
       'Channel ' || p.id || '-' || n, now()
FROM people_person p CROSS JOIN generate_series(1, %(channels)s) n
"""
SESSIONS_MADE = """
INSERT INTO ingestion_downloadsession (uuid, source, options, problems, state)
SELECT gen_random_uuid(), 'people' || n || '.csv', '{}', '[]', CASE WHEN n > 195 THEN 'running' ELSE 'finished' END
FROM generate_series(1, %(sessions)s) n
"""
# of 100 videos 70 are stored, 18 wait, 5 failed, 5 are not to be had and 2 were left alone; a channel is of one session
VIDEOS = """
WITH c AS (SELECT id, person_id, row_number() OVER (ORDER BY id) AS place FROM people_channel),
v AS (
    SELECT n, 1 + n %% (SELECT count(*) FROM people_channel) AS place,
           (hashint8(n) & 2147483647) %% 100 AS fate, (hashint8(-n) & 2147483647) / 2147483648.0 AS luck
    FROM generate_series(1, %(videos)s::bigint) n
)
INSERT INTO videos_video (uuid, external_id, person_id, channel_id, session_id, title, description, duration, upload_date, status,
                          error_kind, storage_key, file_size, checksum, stored_at, height, attempts)
SELECT gen_random_uuid(), 'v' || v.n, c.person_id, c.id, (SELECT min(id) FROM ingestion_downloadsession) + c.id %% %(sessions)s,
       'Video ' || md5(v.n::text), repeat('What it is about. ', 20), 60 + v.n %% 3600, date '2010-01-01' + (v.luck * 5800)::int,
       CASE WHEN fate < 70 THEN 'stored' WHEN fate < 88 THEN 'pending' WHEN fate < 93 THEN 'failed' WHEN fate < 98 THEN 'unavailable'
            ELSE 'skipped' END,
       CASE WHEN fate BETWEEN 88 AND 92 THEN (ARRAY['network', 'incomplete', 'storage', 'no_formats', 'lost'])[fate - 87]
            WHEN fate BETWEEN 93 AND 97 THEN (ARRAY['private', 'removed', 'members_only', 'geo_blocked', 'copyright'])[fate - 92]
            ELSE '' END,
       CASE WHEN fate < 70 THEN 'k/' || v.n ELSE '' END,
       CASE WHEN fate < 70 THEN 5000000 + (v.luck * 900000000)::bigint END,
       CASE WHEN fate < 70 THEN 'c' || v.n || '-1' ELSE '' END,
       CASE WHEN fate < 70 THEN now() - v.luck * interval '700 days' END, 1080, 1
FROM v JOIN c USING (place)
"""
ATTEMPTS = """
INSERT INTO ingestion_attempt (video_id, session_id, number, worker, started_at)
SELECT id, session_id, 1, 'host:supervisor:1', now() - interval '5 minutes'
FROM videos_video WHERE status = 'pending' ORDER BY id LIMIT %(running)s
"""
RUN = """
UPDATE videos_video v SET status = 'downloading', claim_id = a.id, lease_owner = a.worker, lease_expires_at = now() + interval '1 hour'
FROM ingestion_attempt a WHERE a.video_id = v.id
"""
PROGRESS = "INSERT INTO ingestion_liveprogress (attempt_id, bytes_done, bytes_total) SELECT id, 50000000, 200000000 FROM ingestion_attempt"
DAYS = """
INSERT INTO ingestion_daytotal (day, videos, bytes)
SELECT stored_at::date, count(*), sum(file_size) FROM videos_video WHERE status = 'stored' GROUP BY 1
"""
WORKERS = "INSERT INTO ingestion_worker (name, host, pid, queue) VALUES ('host:s', 'host', 1, 'all'), ('host:s:1', 'host', 2, 'download')"


def fill(database: Database, videos: int) -> None:
    """So many videos of people with VIDEOS_OF_A_PERSON each; counted, and with fresh statistics."""
    values = {
        "people": max(videos // VIDEOS_OF_A_PERSON, 1),
        "channels": CHANNELS_OF_A_PERSON,
        "sessions": SESSIONS,
        "videos": videos,
        "running": RUNNING,
    }
    with database.connect() as connection:
        connection.execute("SET session_replication_role = replica")  # no check of foreign keys and no counting, row by row
        for statement in (PEOPLE, CHANNELS, SESSIONS_MADE):
            _execute(connection, statement, values)
        with _without_indexes(connection):
            _execute(connection, VIDEOS, values)
        for statement in (ATTEMPTS, RUN, PROGRESS, DAYS, WORKERS):
            _execute(connection, statement, values)
        connection.execute("INSERT INTO ingestion_limits (id) VALUES (1) ON CONFLICT DO NOTHING")
    database.settle()


@contextmanager
def _without_indexes(connection: psycopg.Connection) -> Iterator[None]:
    """Made anew at the end: many times quicker than to keep them while a million rows come in any order."""
    indexes = connection.execute(INDEXES).fetchall()
    for name, _ in indexes:
        connection.execute(f'DROP INDEX "{name}"')
    yield
    connection.execute("SET maintenance_work_mem = '512MB'")
    for _, definition in indexes:
        connection.execute(definition)


def _execute(connection: psycopg.Connection, statement: str, values: dict[str, int]) -> None:
    connection.execute(statement, {name: value for name, value in values.items() if f"%({name})s" in statement} or None)
