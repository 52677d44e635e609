"""Stores over real storages (a folder, rclone's S3 server, moto's S3 server) and over a stand-in for Google's."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path

from botocore.awsrequest import AWSResponse
from botocore.config import Config
from django.core.files.storage import FileSystemStorage
from moto.s3 import models as moto_s3
from moto.server import ThreadedMotoServer
from storages.backends.s3 import S3Storage
from urllib3.response import HTTPResponse

from ingestion.store import Store
from tests.ingestion.media.gcs_server import GcsServer

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


def make_gcs_store(server: GcsServer, bucket: str = "videos", *, patience: float = 5.0) -> Store:
    """As in the settings, with waits of no length."""
    from google.auth.credentials import AnonymousCredentials
    from google.cloud.storage import Client
    from storages.backends.gcloud import GoogleCloudStorage

    storage = GoogleCloudStorage(bucket_name=bucket, location=LOCATION, file_overwrite=True)
    storage._client = Client(project="tests", credentials=AnonymousCredentials(), client_options={"api_endpoint": server.endpoint})
    store = Store(storage)
    store._place.retry = store._place.retry.with_delay(initial=0.001, maximum=0.001).with_timeout(patience)
    store._place.server = server
    return store


def refuse(store: Store, operation: str, status: int, code: str, *, after: int = 0) -> None:
    """The S3 server answers an operation with an error, but for the first `after` times; all others have real answers."""
    body = f"<Error><Code>{code}</Code><Message>no</Message></Error>".encode()
    answered = iter(range(after))

    def answer(request, **about):
        if next(answered, None) is not None:
            return None
        raw = HTTPResponse(BytesIO(body), status=status, preload_content=False)
        return AWSResponse(request.url, status, {}, raw)

    store._place.client.meta.events.register(f"before-send.s3.{operation}", answer)


def uploads_left(store: Store) -> list:
    """Multipart uploads that were begun and neither completed nor aborted; of a folder, the files of such."""
    place = store._place
    if hasattr(place, "server"):
        return place.server.open_sessions()
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
