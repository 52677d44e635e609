import os
import signal
import subprocess
import sys
import threading
from multiprocessing.sharedctypes import RawValue
from types import SimpleNamespace

import pytest
from django.conf import settings
from django.db import OperationalError

from ingestion import cluster


def python(code, **variables):
    """A Python process that has `cluster` and `os`, with these variables in its environment."""
    command = [sys.executable, "-c", f"import os, signal\nfrom ingestion import cluster\n{code}"]
    pipes = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "text": True}
    return subprocess.Popen(command, cwd=settings.BASE_DIR, env={**os.environ, **variables}, **pipes)


def answer(code, **variables):
    """Its exit code, and what it wrote."""
    with python(code, **variables) as process:
        said, _ = process.communicate(timeout=20)
        return process.returncode, said


def ended_process() -> int:
    with subprocess.Popen(["true"]) as process:
        process.wait()
    return process.pid


@pytest.fixture
def told(monkeypatch):
    """No stop was asked for yet; a function that asks for one with so many seconds of grace."""
    monkeypatch.setattr(cluster, "_stop_at", RawValue("d", 0.0))
    return cluster._ask_to_stop


def test_a_process_whose_parent_is_gone_before_it_could_ask_ends_at_once():
    assert answer("cluster.end_with_parent()\nprint('alive')", WORKERS_PARENT=str(ended_process())) == (-signal.SIGKILL, "")


@pytest.mark.parametrize("parent", ["", "its own"])
def test_a_process_whose_parent_lives_goes_on(parent):
    variables = {"WORKERS_PARENT": str(os.getpid()) if parent else ""}
    assert answer("cluster.end_with_parent()\nprint('alive', flush=True)", **variables) == (0, "alive\n")


def test_a_fork_whose_parent_is_gone_ends_at_once():
    code = """
cluster.end_forks_with_parent()
os.getppid = lambda: 1
if not (pid := os.fork()):
    os._exit(0)
print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
"""
    assert answer(code) == (0, f"{-signal.SIGKILL}\n")


def test_children_and_their_children_end_with_the_first_process():
    code = """
cluster.end_forks_with_parent()
ready, tell = os.pipe()
if not os.fork():
    if not os.fork():
        os.write(tell, b"x")
    signal.pause()
os.read(ready, 1)
print("ready", flush=True)
signal.pause()
"""
    with python(code) as process:
        assert process.stdout.readline() == "ready\n"
        process.kill()
        said, _ = process.communicate(timeout=20)  # comes back when nobody holds the output any more
    assert said == ""


def test_stop_signals_wait_until_they_can_be_handled():
    heard = []
    before = signal.signal(signal.SIGTERM, lambda *_: heard.append("TERM"))
    try:
        with cluster.signals_held_back():
            # to this thread: one of another test's threads, which block nothing, would take a signal to the process
            signal.pthread_kill(threading.get_ident(), signal.SIGTERM)
            assert heard == []
        assert heard == ["TERM"]
    finally:
        signal.signal(signal.SIGTERM, before)


def test_running_work_has_the_grace_to_finish(told):
    assert not cluster.is_stopping()
    told(20)
    assert (cluster.is_stopping(), cluster.must_stop_now()) == (True, False)


def test_a_second_signal_may_shorten_the_grace_but_not_lengthen_it(told):
    told(20)
    told(0)
    told(20)
    assert cluster.must_stop_now()


def test_a_cluster_that_stops_ends_well(told):
    told(0)
    assert cluster._stop(SimpleNamespace(stop=lambda: None)) == 0


def test_a_cluster_that_hangs_is_not_waited_for(told, monkeypatch):
    monkeypatch.setattr(cluster, "STOP_SECONDS", 0)
    told(0)
    hang = threading.Event()
    try:
        assert cluster._stop(SimpleNamespace(stop=hang.wait)) == 1
    finally:
        hang.set()


def test_a_wake_up_is_acknowledged_before_the_work(monkeypatch):
    acknowledged = []
    monkeypatch.setattr("django_q.brokers.get_broker", lambda: SimpleNamespace(acknowledge=acknowledged.append))
    task = {"ack_id": "7"}
    cluster._acknowledge_first(None, None, task)
    assert (acknowledged, task) == (["7"], {})


def test_a_wake_up_that_cannot_be_acknowledged_ends_no_worker(monkeypatch):
    def refuse(ack_id):
        raise OperationalError("the server is away")

    closed = []
    monkeypatch.setattr("django_q.brokers.get_broker", lambda: SimpleNamespace(acknowledge=refuse))
    monkeypatch.setattr(cluster, "connection", SimpleNamespace(close=lambda: closed.append(True)))
    cluster._acknowledge_first(None, None, {"ack_id": "7"})
    assert closed == [True]
