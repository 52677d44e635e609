"""The real workers with each broker, to the end; and with a Redis that is killed."""

from collections.abc import Iterator

import psycopg
import pytest

from demo.world import World
from massdl_site.embedded import postgres_url
from tests.e2e.conftest import Outcome, run, start
from tests.e2e.test_workers import stop, until
from tests.queue_servers import RedisServer, serve_redis, serve_sqs

STORED = """SELECT count(*) FROM videos_video v JOIN people_channel c ON c.id = v.channel_id
            WHERE c.canonical_url LIKE '%%@' || %s AND v.status = 'stored'"""


@pytest.fixture
def ask(world: World) -> Iterator:
    """The one row that the world's database answers a query with."""
    with psycopg.connect(postgres_url(world.folder / "postgres"), autocommit=True) as connection:
        yield lambda query, *values: connection.execute(query, values).fetchone()


@pytest.fixture
def redis_server() -> Iterator[RedisServer]:
    with serve_redis() as server:
        yield server


@pytest.fixture
def sqs_environment() -> Iterator[dict[str, str]]:
    with serve_sqs() as endpoint:
        yield {"MASSDL_BROKER": "sqs", "MASSDL_SQS_ENDPOINT_URL": endpoint}


def enlist(world: World, channel: str, env: dict[str, str]) -> Outcome:
    """Leave a channel to whatever workers there are."""
    outcome = run(world, "mass_download", "--channel", f"@{channel}", "--detach", env=env)
    assert outcome.code == 0, outcome.said
    return outcome


def rows_made_by_postgres_broker(ask) -> int:
    number, is_called = ask("SELECT last_value, is_called FROM django_q_ormq_id_seq")
    return number if is_called else 0


@pytest.mark.parametrize(("broker", "channel"), [("postgres", "tiny4"), ("redis", "tiny5"), ("sqs", "tiny6")])
def test_workers_are_woken_by_any_broker(request, world, ask, broker, channel):
    environment = {
        "postgres": lambda: {"MASSDL_BROKER": "postgres"},
        "redis": lambda: request.getfixturevalue("redis_server").environment,
        "sqs": lambda: request.getfixturevalue("sqs_environment"),
    }[broker]()
    before = rows_made_by_postgres_broker(ask)
    with start(world, "workers", env=environment) as workers:
        enlist(world, channel, environment)
        until(lambda: ask(STORED, channel)[0] == int(channel.removeprefix("tiny")), "all videos are stored")
        code, said = stop(workers)
    assert code == 0, said
    assert "Traceback" not in said
    assert (rows_made_by_postgres_broker(ask) > before) == (broker == "postgres"), "its wake-ups went another way"


def test_work_that_is_asked_for_while_redis_is_away_is_done_when_it_is_back(world, ask, redis_server):
    environment = redis_server.environment
    with start(world, "workers", env=environment) as workers:
        enlist(world, "tiny7", environment)
        until(lambda: ask(STORED, "tiny7")[0] == 7, "the workers work")
        redis_server.kill()
        assert "no wake-up could be sent to the queue control" in enlist(world, "tiny8", environment).said
        redis_server.start()
        until(lambda: ask(STORED, "tiny8")[0] == 8, "all videos are stored", seconds=60)
        code, said = stop(workers)
    assert code == 0, said
    assert "could not be asked for its size" in said or "Failed to pull task from broker" in said
