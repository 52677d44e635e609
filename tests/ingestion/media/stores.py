"""Stores over real storages: a folder, rclone's S3 server, moto's S3 server."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from botocore.config import Config
from django.core.files.storage import FileSystemStorage
from moto.s3 import models as moto_s3
from moto.server import ThreadedMotoServer
from storages.backends.s3 import S3Storage

from ingestion.store import Store

LOCATION = "archive"


def make_s3_storage(
    endpoint_url: str, bucket: str, *, access_key: str = "key", secret_key: str = "secret", retries: int = 1, **over
) -> S3Storage:
    """As in the settings, with fewer retries."""
    options = {
        "bucket_name": bucket,
        "endpoint_url": endpoint_url,
        "access_key": access_key,
        "secret_key": secret_key,
        "region_name": "us-east-1",
        "location": LOCATION,
        "default_acl": None,
        "file_overwrite": True,
        "client_config": Config(
            s3={"addressing_style": "path", "payload_signing_enabled": False},
            signature_version="s3v4",
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
            max_pool_connections=16,
            retries={"mode": "standard", "max_attempts": retries},
            connect_timeout=2,
            read_timeout=20,
        ),
    }
    return S3Storage(**{**options, **over})


def make_folder_store(folder) -> Store:
    return Store(FileSystemStorage(location=folder))


@contextmanager
def serve_moto(bucket: str = "videos") -> Iterator[str]:
    """The endpoint of a server that takes parts of any size."""
    smallest, moto_s3.S3_UPLOAD_PART_MIN_SIZE = moto_s3.S3_UPLOAD_PART_MIN_SIZE, 1
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    try:
        endpoint = f"http://{host}:{port}"
        make_s3_storage(endpoint, bucket).connection.create_bucket(Bucket=bucket)
        yield endpoint
    finally:
        server.stop()
        moto_s3.S3_UPLOAD_PART_MIN_SIZE = smallest


def uploads_left(store: Store) -> list:
    """Multipart uploads that were begun and neither completed nor aborted; of a folder, the files of such."""
    place = store._place
    if isinstance(place.storage, S3Storage):
        try:
            return place.client.list_multipart_uploads(Bucket=place.bucket).get("Uploads", [])
        except place.client.exceptions.NoSuchUpload:  # how rclone says that there is none
            return []
    return list(Path(place.storage.location).rglob("*.part"))


def empty(store: Store) -> Store:
    """The same store without the objects and uploads of other tests."""
    for key, _ in store.list_keys():
        store.delete(key)
    for upload in uploads_left(store):
        store._place.client.abort_multipart_upload(Bucket=store._place.bucket, Key=upload["Key"], UploadId=upload["UploadId"])
    return store


def unused_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
