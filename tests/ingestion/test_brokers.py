import logging
import os
import socket
import subprocess
import sys
from uuid import uuid4

import pytest
from django.db import transaction
from django_q.brokers import get_broker
from django_q.conf import Conf
from django_q.models import OrmQ
from django_q.signing import SignedPackage

from ingestion import checks, cluster, dispatch
from ingestion.brokers import BrokerAway, redis, sqs
from ingestion.models import Scan
from tests.factories import make_channel, make_session, make_video
from tests.ingestion.media.stores import unused_port
from tests.queue_servers import serve_redis, serve_sqs

CLASSES = {"redis": "ingestion.brokers.redis.Redis", "sqs": "ingestion.brokers.sqs.Sqs"}


@pytest.fixture(scope="module")
def redis_server():
    with serve_redis() as server:
        yield server


@pytest.fixture(scope="module")
def sqs_endpoint():
    with serve_sqs() as endpoint:
        yield endpoint


@pytest.fixture
def choose(settings, monkeypatch):
    """Use another broker, with queues of this test's own; addresses as the settings have them."""

    def choose(name: str, **addresses: str) -> None:
        settings.BROKER, settings.QUEUE_PREFIX = name, f"test-{uuid4().hex[:8]}"
        monkeypatch.setattr(Conf, "BROKER_CLASS", CLASSES[name])
        monkeypatch.setattr(sqs, "WAIT_SECONDS", 0)
        for setting, value in addresses.items():
            setattr(settings, setting, value)

    settings.SQS_ACCESS_KEY_ID = settings.SQS_SECRET_ACCESS_KEY = "any"
    return choose


@pytest.fixture
def use_redis(choose, redis_server):
    choose("redis", REDIS_URL=redis_server.url)


@pytest.fixture
def use_sqs(choose, sqs_endpoint):
    choose("sqs", SQS_ENDPOINT_URL=sqs_endpoint)


@pytest.fixture(params=["redis", "sqs"])
def broker(request):
    """The name of the broker in use; its server runs."""
    request.getfixturevalue(f"use_{request.param}")
    return request.param


@pytest.fixture(params=["redis", "sqs"])
def absent_broker(request, choose):
    """The name of the broker in use; nobody listens where it should be."""
    nowhere = f"127.0.0.1:{unused_port()}"
    choose(request.param, REDIS_URL=f"redis://:hush-hush@{nowhere}/0", SQS_ENDPOINT_URL=f"http://{nowhere}")
    return request.param


def take(queue: str) -> list[tuple]:
    return get_broker(queue).dequeue() or []


# --- wake-ups ---------------------------------------------------------------------------------------------------------


def test_a_wake_up_reaches_the_workers_of_its_queue_alone(broker):
    dispatch.send(dispatch.SCANS)
    assert take(dispatch.DOWNLOADS) == []
    [(_, message)] = take(dispatch.SCANS)
    assert SignedPackage.loads(message)["func"] == "ingestion.tasks.scan_due"


def test_a_wake_up_that_was_taken_is_not_counted_and_not_given_again(broker):
    dispatch.send(dispatch.DOWNLOADS, 2)
    assert get_broker("download").queue_size() == 2
    assert len(take("download") + take("download") + take("download")) == 2


def test_installations_on_one_server_do_not_hear_each_other(broker, settings):
    dispatch.send(dispatch.DOWNLOADS)
    settings.QUEUE_PREFIX += "-other"
    assert take("download") == []


@pytest.mark.django_db(transaction=True)
def test_a_wake_up_leaves_when_the_rows_can_be_seen_and_not_before(broker):
    with transaction.atomic():
        dispatch.ring(dispatch.DOWNLOADS)
        assert take("download") == []
    assert len(take("download")) == 1


@pytest.mark.django_db(transaction=True)
def test_work_that_is_taken_back_rings_for_nobody(broker):
    with pytest.raises(ZeroDivisionError), transaction.atomic():
        dispatch.ring(dispatch.DOWNLOADS)
        raise ZeroDivisionError
    assert take("download") == []


@pytest.mark.django_db
def test_in_postgresql_a_wake_up_is_part_of_the_transaction():
    with pytest.raises(ZeroDivisionError), transaction.atomic():
        dispatch.ring(dispatch.DOWNLOADS)
        assert OrmQ.objects.count() == 1
        raise ZeroDivisionError
    assert OrmQ.objects.count() == 0


@pytest.mark.django_db
def test_ticks_ring_once_for_what_is_due(broker, django_capture_on_commit_callbacks):
    make_video(), make_video()
    Scan.objects.create(session=make_session(), channel=make_channel())
    for _ in range(3):
        with django_capture_on_commit_callbacks(execute=True):
            dispatch.tick()
    assert (get_broker("download").queue_size(), get_broker("control").queue_size()) == (2, 1)
    assert OrmQ.objects.count() == 0


# --- SQS --------------------------------------------------------------------------------------------------------------


@pytest.mark.django_db
def test_what_sqs_does_not_count_yet_is_not_sent_again(use_sqs, django_capture_on_commit_callbacks):
    """Messages that somebody holds are not counted either: to the sender both look the same."""
    with django_capture_on_commit_callbacks(execute=True):
        dispatch.top_up(dispatch.DOWNLOADS, 3)
    assert len(take("download") + take("download") + take("download")) == 3
    with django_capture_on_commit_callbacks(execute=True):
        dispatch.top_up(dispatch.DOWNLOADS, 4)
    assert len(take("download") + take("download")) == 1


def test_what_was_sent_long_ago_counts_no_more(use_sqs, monkeypatch):
    dispatch.send(dispatch.DOWNLOADS)
    take("download")
    assert get_broker("download").queue_size() == 1
    monkeypatch.setattr(sqs, "COUNT_LAG_SECONDS", 0)
    assert get_broker("download").queue_size() == 0


def test_an_acknowledged_wake_up_does_not_come_back(use_sqs, monkeypatch):
    monkeypatch.setattr(Conf, "RETRY", 0)  # seen again at once
    monkeypatch.setattr(Conf, "CLUSTER_NAME", "download")
    dispatch.send(dispatch.DOWNLOADS)
    take("download")
    [(ack_id, _)] = take("download")
    cluster._acknowledge_first(None, None, {"ack_id": ack_id})
    assert take("download") == []


def test_a_queue_that_somebody_deleted_is_made_again(use_sqs):
    dispatch.send(dispatch.DOWNLOADS)
    broker = get_broker("download")
    broker._client.delete_queue(QueueUrl=broker._url)
    assert checks.broker().good
    assert len(take("download")) == 1


# --- a broker that is away --------------------------------------------------------------------------------------------


def test_a_cluster_may_start_before_its_broker(absent_broker):
    broker = get_broker("download")
    with pytest.raises(BrokerAway):
        broker.dequeue()


@pytest.mark.parametrize("name", ["redis", "sqs"])
def test_a_server_that_takes_the_call_and_says_nothing_is_away_too(choose, monkeypatch, name):
    monkeypatch.setattr(redis, "ANSWER_SECONDS", 0.2)
    monkeypatch.setattr(sqs, "ANSWER_SECONDS", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as mute:
        address = f"127.0.0.1:{mute.getsockname()[1]}"
        choose(name, REDIS_URL=f"redis://{address}/0", SQS_ENDPOINT_URL=f"http://{address}")
        with pytest.raises(BrokerAway):
            dispatch.send(dispatch.SCANS)


@pytest.mark.django_db(transaction=True)
def test_staff_can_start_work_while_the_broker_is_away(absent_broker, caplog):
    with transaction.atomic():
        channel = make_channel()
        dispatch.ring(dispatch.SCANS, 5)
    channel.refresh_from_db()
    assert [record.levelno for record in caplog.records] == [logging.WARNING], "said once, at the first of five"
    assert "no wake-up could be sent to the queue control" in caplog.text


@pytest.mark.django_db
def test_a_tick_survives_a_broker_that_is_away(absent_broker, caplog):
    make_video()
    dispatch.tick()
    assert "the queue download could not be asked for its size" in caplog.text


def test_a_worker_survives_when_it_cannot_acknowledge(choose):
    choose("sqs", SQS_ENDPOINT_URL=f"http://127.0.0.1:{unused_port()}")
    task = {"ack_id": "7"}
    cluster._acknowledge_first(None, None, task)
    assert task == {}


# --- settings and the check -------------------------------------------------------------------------------------------


def test_the_check_says_which_broker_answers(broker):
    assert checks.broker() == checks.Finding("broker", f"{broker}: took a wake-up for each queue")


def test_the_check_says_what_to_mend_and_shows_no_secret(absent_broker):
    finding = checks.broker()
    assert not finding.good
    assert finding.seen.startswith(f"{absent_broker}: ")
    assert "hush-hush" not in finding.seen
    assert {"redis": "MASSDL_REDIS_URL", "sqs": "SendMessage"}[absent_broker] in finding.fix


def test_the_check_has_nothing_to_say_of_postgresql():
    assert checks.broker() == checks.Finding("broker", "PostgreSQL")


def read_settings(**environment: str) -> subprocess.CompletedProcess:
    """What django-q2 makes of the settings in a fresh process."""
    program = "from django_q.conf import Conf, settings; print(Conf.BROKER_CLASS or Conf.ORM, settings.QUEUE_PREFIX)"
    needed = {"DATABASE_URL": "postgres://nobody@localhost/none", "MASSDL_SECRET_KEY": "x"}
    environment = {"PATH": os.environ["PATH"], "DJANGO_SETTINGS_MODULE": "massdl_site.settings", **needed, **environment}
    return subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=False)


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({}, "default massdl"),
        ({"MASSDL_BROKER": "postgres"}, "default massdl"),
        ({"MASSDL_BROKER": "redis", "MASSDL_REDIS_URL": "redis://localhost"}, f"{CLASSES['redis']} massdl"),
        ({"MASSDL_BROKER": "sqs", "MASSDL_QUEUE_PREFIX": "archive"}, f"{CLASSES['sqs']} archive"),
    ],
    ids=["by default", "postgres", "redis", "sqs"],
)
def test_one_variable_chooses_the_broker(environment, expected):
    result = read_settings(**environment)
    assert (result.returncode, result.stdout.strip()) == (0, expected), result.stderr


def test_redis_without_an_address_is_refused_in_a_sentence():
    result = read_settings(MASSDL_BROKER="redis")
    assert result.returncode != 0
    assert "MASSDL_REDIS_URL is needed; allowed: redis://HOST" in result.stderr
