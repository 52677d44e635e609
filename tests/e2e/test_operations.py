"""A large operation in the hands of real workers that are killed in the middle."""

import psutil

from tests.e2e.conftest import run, start, until

ROWS = 60_000
TWO = {"MASSDL_DOWNLOAD_WORKERS": "2", "MASSDL_LEASE_SECONDS": "5"}
FILL = """
WITH person AS (INSERT INTO people_person (name, email, created_at) VALUES ('Ann', 'ann@example.org', now()) RETURNING id),
channel AS (
    INSERT INTO people_channel (person_id, url, canonical_url, title, state, created_at)
    SELECT id, 'https://www.youtube.com/@many', 'https://www.youtube.com/@many', 'Many', 'paused', now() FROM person RETURNING id, person_id
)
INSERT INTO videos_video (uuid, external_id, person_id, channel_id, status, error_kind)
SELECT gen_random_uuid(), 'many' || n, person_id, channel.id, 'failed', 'network' FROM channel, generate_series(1, %s) n RETURNING 1
"""
BEGIN = (
    "from ingestion.operations import ask, begin, find_verb; from videos.models import Video; "
    "begin(ask(find_verb(Video, 'retry'), Video.objects.all(), None))"
)


def kill_all(workers) -> None:
    everybody = [psutil.Process(workers.pid), *psutil.Process(workers.pid).children(recursive=True)]
    for process in everybody:
        process.kill()
    psutil.wait_procs(everybody, timeout=15)


def test_nothing_is_lost_or_done_twice_when_all_workers_are_killed(world, ask):
    ask(FILL, ROWS)
    assert run(world, "shell", "-c", BEGIN).code == 0

    def operation() -> tuple:
        return ask("SELECT state, handled, changed FROM ingestion_operation")[0]

    def retried() -> int:
        return ask("SELECT count(*) FROM videos_video WHERE status = 'pending'")[0][0]

    with start(world, "workers", env=TWO) as workers:
        until(lambda: operation()[1] > 0, "the first pieces are done")
        kill_all(workers)
    state, handled, changed = operation()
    assert (state, handled, changed) == ("running", retried(), retried())
    assert 0 < handled < ROWS
    with start(world, "workers", env=TWO) as workers:
        until(lambda: operation()[0] == "done", "all pieces are done", seconds=60)
        kill_all(workers)
    assert operation() == ("done", ROWS, ROWS)
    assert retried() == ROWS
