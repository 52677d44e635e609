"""Fixtures that the tests of the store and of the streams share; imported by their conftest files."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from demo.object_store import S3Server
from ingestion.store import Store
from tests.ingestion.media.gcs_server import GcsServer, serve_gcs
from tests.ingestion.media.stores import empty, make_folder_store, make_gcs_store, make_s3_storage, serve_moto


@pytest.fixture(scope="session")
def moto_endpoint() -> Iterator[str]:
    with serve_moto() as endpoint:
        yield endpoint


@pytest.fixture
def moto_store(moto_endpoint: str) -> Store:
    return empty(Store(make_s3_storage(moto_endpoint, "videos")))


@pytest.fixture
def rclone_store(s3: S3Server) -> Store:
    storage = make_s3_storage(s3.endpoint_url, s3.bucket, access_key=s3.access_key, secret_key=s3.secret_key)
    return empty(Store(storage, in_order=True))


@pytest.fixture
def folder_store(tmp_path: Path) -> Store:
    return make_folder_store(tmp_path / "store")


@pytest.fixture(scope="session")
def google() -> Iterator[GcsServer]:
    with serve_gcs() as server:
        yield server


@pytest.fixture
def gcs_server(google: GcsServer) -> GcsServer:
    """A stand-in for Google Cloud Storage, empty and well-behaved."""
    google.clear()
    return google


@pytest.fixture
def gcs_store(gcs_server: GcsServer) -> Store:
    return make_gcs_store(gcs_server)


@pytest.fixture(params=["folder", "moto", "rclone"])
def store(request: pytest.FixtureRequest) -> Store:
    """Each kind in turn: a folder, S3 with parts in any order, S3 with parts in order."""
    return request.getfixturevalue(f"{request.param}_store")
