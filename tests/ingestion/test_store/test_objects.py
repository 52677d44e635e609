import errno
import os

import pytest
from botocore import exceptions as boto
from django.core.files.storage import InMemoryStorage, storages

from ingestion.errors import SetupError, TransientError
from ingestion.store import Store
from ingestion.store.border import folder_errors, s3_errors
from tests.ingestion.media.stores import make_folder_store, make_s3_storage, unused_port


def put(store: Store, key: str, content: bytes) -> None:
    upload = store.begin(key, content_type="video/mp4", metadata={}, expected_size=len(content))
    upload.put_part(1, content)
    upload.complete(len(content))


def test_keys_are_listed_by_prefix_with_their_sizes(store):
    for key, content in (("ann-1/UC1/a.mp4", b"12"), ("ann-1/UC2/b.mp4", b"123"), ("bob-2/c.mp4", b"1")):
        put(store, key, content)
    assert sorted(store.list_keys()) == [("ann-1/UC1/a.mp4", 2), ("ann-1/UC2/b.mp4", 3), ("bob-2/c.mp4", 1)]
    assert sorted(store.list_keys("ann-1/")) == [("ann-1/UC1/a.mp4", 2), ("ann-1/UC2/b.mp4", 3)]


def test_what_is_not_there_has_no_size_and_may_be_deleted(store):
    assert store.size("nothing.mp4") is None
    store.delete("nothing.mp4")
    put(store, "something.mp4", b"1")
    store.delete("something.mp4")
    assert store.size("something.mp4") is None


def test_reading_what_is_not_there_is_an_error_of_ours(store):
    with pytest.raises(TransientError, match="nothing"):
        store.open("nothing.mp4")
    with pytest.raises(TransientError):
        store.examine("nothing.mp4", 1000)


def test_a_probe_leaves_nothing(store):
    store.probe()
    assert list(store.list_keys()) == []


def test_a_missing_bucket_is_named_with_its_setting(moto_endpoint):
    store = Store(make_s3_storage(moto_endpoint, "missing"))
    with pytest.raises(SetupError, match="MASSDL_S3_BUCKET"):
        store.probe()


def test_wrong_keys_are_named_with_their_setting(s3):
    store = Store(make_s3_storage(s3.endpoint_url, s3.bucket, secret_key="wrong", access_key=s3.access_key))
    with pytest.raises(SetupError, match="AWS_SECRET_ACCESS_KEY"):
        store.probe()


def test_a_server_that_does_not_answer_fails_the_probe_and_only_delays_a_video():
    store = Store(make_s3_storage(f"http://127.0.0.1:{unused_port()}", "videos"))
    with pytest.raises(SetupError, match="start it, or correct its address"):
        store.probe()
    with pytest.raises(TransientError) as caught:
        put(store, "a.mp4", b"1")
    assert caught.value.kind == "storage"


def test_a_folder_without_rights_fails_the_probe(tmp_path, monkeypatch):
    store = make_folder_store(tmp_path / "file" / "below")
    (tmp_path / "file").write_text("a file, not a folder")
    with pytest.raises(SetupError, match="MASSDL_MEDIA_FOLDER"):
        store.probe()


def test_a_storage_that_gives_back_other_bytes_fails_the_probe(folder_store, monkeypatch):
    monkeypatch.setattr(folder_store._place, "blocks", lambda key, size: iter([b"massdl was her3"]))
    with pytest.raises(SetupError, match="other bytes"):
        folder_store.probe()


def test_a_storage_of_another_kind_is_refused():
    with pytest.raises(SetupError, match="InMemoryStorage"):
        Store(InMemoryStorage())


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("NoSuchBucket", SetupError),
        ("403", SetupError),
        ("AccessDenied", SetupError),
        ("ExpiredToken", SetupError),
        ("RequestTimeTooSkewed", SetupError),
        ("SlowDown", TransientError),
        ("InternalError", TransientError),
        ("ServiceUnavailable", TransientError),
        ("BadDigest", TransientError),
        ("NeverSeenBefore", TransientError),
    ],
)
def test_refusals_of_s3_are_told_apart_by_their_code(code, expected):
    with pytest.raises(expected), s3_errors("try"):
        raise boto.ClientError({"Error": {"Code": code, "Message": "m"}}, "UploadPart")


def every_boto_error() -> list[type[Exception]]:
    found = [value for value in vars(boto).values() if isinstance(value, type) and issubclass(value, Exception)]
    return [cls for cls in found if not issubclass(cls, (boto.ClientError, Warning)) and cls.__module__ == boto.__name__]


def test_no_exception_of_botocore_passes_the_border():
    about_boto_itself = {boto.UndefinedModelAttributeError, boto.MissingServiceIdError}
    for cls in set(every_boto_error()) - about_boto_itself:
        with pytest.raises((SetupError, TransientError)), s3_errors("try"):
            raise cls.__new__(cls)


@pytest.mark.parametrize(
    ("number", "expected"),
    [(errno.ENOSPC, TransientError), (errno.EIO, TransientError), (errno.EACCES, SetupError), (errno.EROFS, SetupError)],
)
def test_errors_of_the_file_system_are_told_apart(number, expected):
    with pytest.raises(expected, match="try"), folder_errors("try"):
        raise OSError(number, os.strerror(number))


def test_the_default_store_is_that_of_the_settings(settings, tmp_path):
    settings.STORAGES = {
        **settings.STORAGES,
        "videos": {"BACKEND": "django.core.files.storage.FileSystemStorage", "OPTIONS": {"location": tmp_path}},
    }
    put(Store.default(), "a.mp4", b"1")
    assert (tmp_path / "a.mp4").read_bytes() == b"1"
    assert Store.default() is Store.default()


def test_a_forked_process_gets_a_client_of_its_own(settings, moto_endpoint, monkeypatch):
    storage = make_s3_storage(moto_endpoint, "videos")
    monkeypatch.setitem(storages._storages, "videos", storage)
    mine = Store.default()
    monkeypatch.setattr(os, "getpid", lambda: -1)
    other = Store.default()
    assert other._place.client is not mine._place.client
    assert other._place.client is not storage.bucket.meta.client
