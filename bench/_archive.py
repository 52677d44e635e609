"""An archive of any size for pages to be looked at: made by SQL, with what years of work would have left."""

from collections.abc import Iterator
from contextlib import contextmanager

import psycopg

from bench._pending import Database

VIDEOS_OF_A_PERSON = 500
CHANNELS_OF_A_PERSON = 2
SESSIONS = 200
SCANS_OF_A_CHANNEL = 10
RUNNING = 8
BIG_SHARE = 50  # one video in so many is of the first channel, as of a broadcaster among teachers

COMMON = ("lesson", "concert", "interview", "lecture", "rehearsal", "trailer", "match", "review", "talk", "journey")
COMMON += ("recipe", "workshop", "portrait", "update", "debate", "exercise", "highlights", "tutorial", "premiere", "story")
"""One of these stands in every title."""
SYLLABLES = ("ba", "do", "ke", "li", "mu", "na", "po", "ri", "sa", "tu")
FIRST_NAMES = ("Ann", "Bob", "Carla", "Deniz", "Emma", "Farid", "Greta", "Hugo", "Ines", "Jonas", "Kira", "Luca", "Mona", "Nils")
FIRST_NAMES += ("Olga", "Paul", "Quinn", "Rosa", "Said", "Tara", "Uwe", "Vera", "Wim", "Xenia", "Yann", "Zoe")
NAME_PARTS = ("hand", "berg", "vogt", "fisch", "wein", "korn", "gold", "stern", "wald", "feld")


def _one_of(words: tuple[str, ...], number: str) -> str:
    """SQL for one of the words, by a number that is not negative."""
    return f"(ARRAY[{', '.join(repr(word) for word in words)}])[1 + ({number}) %% {len(words)}]"


def _joined(parts: tuple[str, ...], number: str) -> str:
    """SQL for one of a thousand words of three parts each."""
    return " || ".join(_one_of(parts, f"({number}) / {step}") for step in (1, 10, 100))


PEOPLE = f"""
INSERT INTO people_person (name, email, type, created_at)
SELECT {_one_of(FIRST_NAMES, "n")} || ' ' || initcap({_joined(NAME_PARTS, "n")}), 'person' || n || '@example.org',
       (ARRAY['artist', 'teacher', 'pupil', 'club'])[1 + n %% 4], now() - n * interval '1 minute'
FROM generate_series(1, %(people)s) n
"""
CHANNELS = """
INSERT INTO people_channel (person_id, url, canonical_url, external_id, title, created_at, last_scanned_at, seen, expected)
SELECT p.id, 'https://www.youtube.com/@c' || p.id || '-' || n, 'https://www.youtube.com/@c' || p.id || '-' || n, 'UC' || p.id || '-' || n,
       p.name || CASE n WHEN 1 THEN '' ELSE ' plays' END, p.created_at, now() - n * interval '1 hour', 250, 260
FROM people_person p CROSS JOIN generate_series(1, %(channels)s) n
"""
SESSIONS_MADE = """
INSERT INTO ingestion_downloadsession (uuid, source, options, problems, state)
SELECT gen_random_uuid(), 'people' || n || '.csv', '{}', '[]', CASE WHEN n > %(sessions)s - 5 THEN 'running' ELSE 'finished' END
FROM generate_series(1, %(sessions)s) n
"""
# of 100 videos 70 are stored, 18 wait (2 of them after a failure), 5 failed, 5 are not to be had and 2 were left alone
VIDEOS = f"""
WITH c AS (SELECT id, person_id, row_number() OVER (ORDER BY id) AS place FROM people_channel),
v AS (
    SELECT n, CASE WHEN n %% {BIG_SHARE} = 0 THEN 1 ELSE 1 + n %% (SELECT count(*) FROM people_channel) END AS place,
           (hashint8(n) & 2147483647) %% 100 AS fate, (hashint8(-n) & 2147483647) / 2147483648.0 AS luck,
           hashint8(n + 1000000000) & 2147483647 AS word, hashint8(n + 2000000000) & 2147483647 AS other,
           (hashint8(n + 3000000000) & 2147483647) / 2147483648.0 AS size, (hashint8(n + 4000000000) & 2147483647) / 2147483648.0 AS age
    FROM generate_series(1, %(videos)s::bigint) n
)
INSERT INTO videos_video (uuid, external_id, person_id, channel_id, session_id, title, description, duration, upload_date, status,
                          error_kind, storage_key, file_size, checksum, stored_at, height, container, attempts)
SELECT gen_random_uuid(), 'v' || lpad(v.n::text, 10, '0'), c.person_id, c.id,
       (SELECT min(id) FROM ingestion_downloadsession) + c.id %% %(sessions)s,
       initcap({_one_of(COMMON, "word")}) || ' ' || {_joined(SYLLABLES, "word / 20")} || ' ' || {_joined(SYLLABLES, "other")}
           || ' ' || left(md5(v.n::text), 8),
       repeat('What it is about. ', 20), 60 + v.n %% 3600, date '2010-01-01' + (v.luck * 5800)::int,
       CASE WHEN fate < 70 THEN 'stored' WHEN fate < 88 THEN 'pending' WHEN fate < 93 THEN 'failed' WHEN fate < 98 THEN 'unavailable'
            ELSE 'skipped' END,
       CASE WHEN fate BETWEEN 86 AND 92 THEN (ARRAY['network', 'members_only', 'network', 'incomplete', 'storage', 'no_formats',
                                                    'lost'])[fate - 85]
            WHEN fate BETWEEN 93 AND 97 THEN (ARRAY['private', 'removed', 'members_only', 'geo_blocked', 'copyright'])[fate - 92]
            ELSE '' END,
       CASE WHEN fate < 70 THEN 'k/' || v.n || '.mp4' ELSE '' END,
       CASE WHEN fate < 70 THEN 5000000 + (v.size * v.size * 9000000000)::bigint END,
       CASE WHEN fate < 70 THEN 'c' || v.n || '-1' ELSE '' END,
       CASE WHEN fate < 70 THEN now() - v.age * interval '700 days' END, 1080, CASE WHEN fate < 70 THEN 'mp4' ELSE '' END,
       CASE WHEN fate BETWEEN 70 AND 85 OR fate > 97 THEN 0 WHEN other %% 10 < 6 THEN 1 WHEN other %% 10 < 9 THEN 2 ELSE 3 END
FROM v JOIN c USING (place)
"""
# the last attempt at a video ended as the video's status says, those before it were to be tried again
ATTEMPTS = """
INSERT INTO ingestion_attempt (video_id, session_id, number, worker, started_at, finished_at, outcome, error_kind, way, bytes_stored)
SELECT v.id, v.session_id, n, 'host-' || v.id %% 4 || ':supervisor:' || v.id %% 8, t.began, t.began + interval '1 minute',
       CASE WHEN n < v.attempts OR v.status = 'pending' THEN 'retry' ELSE v.status END,
       CASE WHEN n < v.attempts THEN 'network' ELSE v.error_kind END, CASE WHEN v.status = 'stored' THEN 'mux' ELSE '' END,
       CASE WHEN n = v.attempts THEN coalesce(v.file_size, 0) ELSE 0 END
FROM videos_video v CROSS JOIN LATERAL generate_series(1, v.attempts) n
CROSS JOIN LATERAL (SELECT coalesce(v.stored_at, now() - interval '1 day') - (v.attempts - n) * interval '1 hour' AS began) t
"""
SCANS = """
INSERT INTO ingestion_scan (session_id, channel_id, state, seen, expected, new, already_stored, error_kind, started_at, finished_at)
SELECT (SELECT min(id) FROM ingestion_downloadsession) + (c.id + n * (%(sessions)s / %(scans)s)) %% %(sessions)s, c.id,
       CASE WHEN (c.id + n) %% 40 = 0 THEN 'failed' ELSE 'done' END, 250, 260, CASE n WHEN 0 THEN 250 ELSE 0 END,
       CASE n WHEN 0 THEN 0 ELSE 250 END, CASE WHEN (c.id + n) %% 40 = 0 THEN 'network' ELSE '' END, now(), now()
FROM generate_series(0, %(scans)s - 1) n CROSS JOIN people_channel c
"""
ASSETS = """
INSERT INTO videos_asset (video_id, session_id, kind, language, ext, status, storage_key, file_size, checksum, part_size, stored_at,
                          error_kind)
SELECT v.id, v.session_id, a.kind, a.language, a.ext, CASE WHEN lost THEN 'failed' ELSE 'stored' END,
       CASE WHEN lost THEN '' ELSE 'a/' || v.id || '.' || a.ext END, 20000, 'c', 8000000, v.stored_at,
       CASE WHEN lost THEN 'network' ELSE '' END
FROM videos_video v CROSS JOIN (VALUES ('thumbnail', '', 'jpg'), ('subtitles', 'en', 'vtt')) a (kind, language, ext)
CROSS JOIN LATERAL (SELECT v.id %% 200 = 0 AND a.kind = 'subtitles' AS lost) f
WHERE v.status = 'stored' AND v.id %% 10 = 0
"""
BEGIN = """
INSERT INTO ingestion_attempt (video_id, session_id, number, worker, started_at)
SELECT id, session_id, 1, 'host:supervisor:1', now() - interval '5 minutes'
FROM videos_video WHERE status = 'pending' ORDER BY id LIMIT %(running)s
"""
RUN = """
UPDATE videos_video v SET status = 'downloading', claim_id = a.id, lease_owner = a.worker, lease_expires_at = now() + interval '1 hour'
FROM ingestion_attempt a WHERE a.video_id = v.id AND a.outcome = ''
"""
PROGRESS = """
INSERT INTO ingestion_liveprogress (attempt_id, bytes_done, bytes_total)
SELECT id, 50000000, 200000000 FROM ingestion_attempt WHERE outcome = ''
"""
DAYS = """
INSERT INTO ingestion_daytotal (day, videos, bytes)
SELECT stored_at::date, count(*), sum(file_size) FROM videos_video WHERE status = 'stored' GROUP BY 1
"""
WORKERS = "INSERT INTO ingestion_worker (name, host, pid, queue) VALUES ('host:s', 'host', 1, 'all'), ('host:s:1', 'host', 2, 'download')"
LIMITS = "INSERT INTO ingestion_limits (id) VALUES (1) ON CONFLICT DO NOTHING"
FILLED = {
    "people_person": PEOPLE,
    "people_channel": CHANNELS,
    "ingestion_downloadsession": SESSIONS_MADE,
    "videos_video": VIDEOS,
    "ingestion_attempt": ATTEMPTS,
    "ingestion_scan": SCANS,
    "videos_asset": ASSETS,
}
AFTERWARDS = (BEGIN, RUN, PROGRESS, DAYS, WORKERS, LIMITS)

CONSTRAINTS = """
SELECT conname, pg_get_constraintdef(oid) FROM pg_constraint WHERE conrelid = %(table)s::regclass AND contype = 'u'
"""
INDEXES = """
SELECT indexname, indexdef FROM pg_indexes
WHERE tablename = %(table)s AND indexname NOT IN (SELECT conname FROM pg_constraint WHERE conrelid = %(table)s::regclass)
"""


def fill(database: Database, videos: int) -> None:
    """So many videos of people with VIDEOS_OF_A_PERSON each; counted, and with fresh statistics."""
    values = {
        "people": max(videos // VIDEOS_OF_A_PERSON, 1),
        "channels": CHANNELS_OF_A_PERSON,
        "sessions": SESSIONS,
        "scans": SCANS_OF_A_CHANNEL,
        "videos": videos,
        "running": RUNNING,
    }
    with database.connect() as connection:
        connection.execute("SET session_replication_role = replica")  # no check of foreign keys and no counting, row by row
        connection.execute("SET maintenance_work_mem = '1GB'")
        for table, statement in FILLED.items():
            with _without_indexes(connection, table):
                _execute(connection, statement, values)
            connection.execute(f"ANALYZE {table}")
        for statement in AFTERWARDS:
            _execute(connection, statement, values)
    database.settle()


@contextmanager
def _without_indexes(connection: psycopg.Connection, table: str) -> Iterator[None]:
    """Made anew at the end: many times quicker than to keep them while a million rows come in any order."""
    constraints = connection.execute(CONSTRAINTS, {"table": table}).fetchall()
    indexes = connection.execute(INDEXES, {"table": table}).fetchall()
    for name, _ in constraints:
        connection.execute(f'ALTER TABLE {table} DROP CONSTRAINT "{name}"')
    for name, _ in indexes:
        connection.execute(f'DROP INDEX "{name}"')
    yield
    for name, definition in constraints:
        connection.execute(f'ALTER TABLE {table} ADD CONSTRAINT "{name}" {definition}')
    for _, definition in indexes:
        connection.execute(definition)


def _execute(connection: psycopg.Connection, statement: str, values: dict[str, int]) -> None:
    connection.execute(statement, {name: value for name, value in values.items() if f"%({name})s" in statement})
