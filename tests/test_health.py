import socket
import threading
from collections.abc import Iterator
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from types import SimpleNamespace

import pytest
from django.core.files.storage import storages
from django.db import OperationalError
from django.db.models.functions import Now
from django.test import RequestFactory
from django.urls import Resolver404, resolve

from demo.object_store import S3Server
from deploy import check_web, check_workers, make_bucket
from ingestion.models import Worker
from massdl_site import health


def test_the_site_answers_under_healthz():
    try:
        assert resolve("/healthz").func is health.healthz
    except Resolver404:
        pytest.fail('massdl_site/urls.py has no path("healthz", health.healthz)')


@pytest.mark.django_db
def test_a_site_with_a_database_is_well():
    response = health.healthz(RequestFactory().get("/healthz"))
    assert (response.status_code, response.content) == (200, b"ok\n")
    assert "no-store" in response["Cache-Control"]


def test_a_site_without_a_database_is_not_well_and_tells_strangers_no_reason(monkeypatch, caplog):
    def refuse():
        raise OperationalError("connection to 10.0.0.7 as massdl failed")

    monkeypatch.setattr(health, "connection", SimpleNamespace(cursor=refuse))
    response = health.healthz(RequestFactory().get("/healthz"))
    assert response.status_code == 503
    assert b"10.0.0.7" not in response.content
    assert "10.0.0.7" in caplog.text


def test_health_is_asked_not_changed():
    assert health.healthz(RequestFactory().post("/healthz")).status_code == 405


@pytest.mark.parametrize(
    ("allowed_hosts", "host"),
    [
        ("", "localhost"),
        ("*", "localhost"),
        ("archive.example.org,localhost", "archive.example.org"),
        (" .example.org ", "example.org"),
        ("[::1]", "[::1]"),
    ],
)
def test_the_health_check_asks_by_a_name_the_site_answers_to(allowed_hosts, host):
    assert check_web.host(allowed_hosts) == host


@pytest.mark.django_db
@pytest.mark.filterwarnings("ignore:No directory at")  # static files are collected when the image is built
def test_a_site_that_forces_https_on_one_name_answers_its_own_health_check(client, settings):
    settings.ALLOWED_HOSTS = ["archive.example.org"]
    settings.SECURE_SSL_REDIRECT = True
    settings.SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
    headers = {"Host": check_web.host("archive.example.org"), "X-Forwarded-Proto": "https"}
    assert client.get(check_web.PATH, headers=headers).status_code == 200


class _Answer(BaseHTTPRequestHandler):
    status = 200

    def do_GET(self):
        self.send_response(self.status if self.path == "/healthz" else 404)
        self.end_headers()

    def log_message(self, *arguments):
        pass


@pytest.fixture
def site() -> Iterator[HTTPServer]:
    with HTTPServer(("127.0.0.1", 0), _Answer) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.mark.parametrize(("status", "exit_code"), [(200, 0), (503, 1), (301, 1), (400, 1)])
def test_only_200_passes_the_health_check(site, monkeypatch, status, exit_code):
    monkeypatch.setattr(check_web, "PORT", site.server_port)
    monkeypatch.setattr(_Answer, "status", status)
    assert check_web.main() == exit_code


def test_a_site_that_is_not_there_fails_the_health_check(monkeypatch, unused_port):
    monkeypatch.setattr(check_web, "PORT", unused_port)
    assert check_web.main() == 1


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("host", "seconds_ago", "exit_code"),
    [(socket.gethostname()[:60], 1, 0), (socket.gethostname()[:60], 120, 1), ("another-host", 1, 1)],
    ids=["alive", "silent", "elsewhere"],
)
def test_workers_are_well_when_their_own_supervisor_was_heard_of_lately(host, seconds_ago, exit_code):
    heard = Now() - timedelta(seconds=seconds_ago)
    Worker.objects.create(name=f"{host}:token:7", queue="all", heartbeat_at=heard)
    assert check_workers.main() == exit_code


@pytest.fixture
def unused_port() -> int:
    with HTTPServer(("127.0.0.1", 0), _Answer) as server:
        return server.server_port


@pytest.fixture
def videos_storage(settings, s3: S3Server):
    def configure(bucket_name: str):
        options = {
            "bucket_name": bucket_name,
            "endpoint_url": s3.endpoint_url,
            "access_key": s3.access_key,
            "secret_key": s3.secret_key,
            "region_name": "us-east-1",
        }
        settings.STORAGES = {**settings.STORAGES, "videos": {"BACKEND": "storages.backends.s3.S3Storage", "OPTIONS": options}}

    return configure


def test_the_bucket_is_made_once_and_found_the_second_time(videos_storage, s3, capsys):
    videos_storage("made-for-this-test")
    assert make_bucket.main() == 0
    assert (s3.folder.parent / "made-for-this-test").is_dir()
    assert make_bucket.main() == 0
    assert "is there" in capsys.readouterr().err


def test_a_storage_that_never_answers_is_reported(videos_storage, monkeypatch, capsys, unused_port):
    monkeypatch.setattr(make_bucket, "ATTEMPTS", 2)
    monkeypatch.setattr(make_bucket, "PAUSE_SECONDS", 0)
    videos_storage("never")
    monkeypatch.setattr(storages["videos"], "endpoint_url", f"http://127.0.0.1:{unused_port}")
    assert make_bucket.main() == 1
    assert "attempt 2 of 2" in capsys.readouterr().err


def test_no_bucket_is_needed_where_videos_go_to_a_folder(settings, tmp_path):
    local = {"BACKEND": "django.core.files.storage.FileSystemStorage", "OPTIONS": {"location": tmp_path}}
    settings.STORAGES = {**settings.STORAGES, "videos": local}
    assert make_bucket.main() == 0


def test_aws_is_told_the_region_only_where_it_wants_to_hear_it():
    assert make_bucket.place("us-east-1") == {}
    assert make_bucket.place("eu-central-1") == {"CreateBucketConfiguration": {"LocationConstraint": "eu-central-1"}}
