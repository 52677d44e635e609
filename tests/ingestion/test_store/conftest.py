import pytest

from ingestion.store import Store
from tests.ingestion.media.fixtures import folder_store, gcs_server, gcs_store, google, moto_endpoint, moto_store, rclone_store

__all__ = ["folder_store", "gcs_server", "gcs_store", "google", "moto_endpoint", "moto_store", "rclone_store"]


@pytest.fixture(params=["folder", "moto", "rclone", "gcs"])
def store(request: pytest.FixtureRequest) -> Store:
    """Each kind in turn: a folder, S3 with parts in any order, S3 with parts in order, Google Cloud Storage."""
    return request.getfixturevalue(f"{request.param}_store")
