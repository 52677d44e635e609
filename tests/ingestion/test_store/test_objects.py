import os
import resource

import pytest
from botocore.exceptions import ClientError
from django.core.files.storage import InMemoryStorage, storages

from ingestion.errors import DeferredError, PermanentError, SetupError, TransientError
from ingestion.store import Store
from tests.ingestion.media.stores import make_folder_store, make_s3_storage, refuse, unused_port, uploads_left


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


def test_a_range_is_read_with_the_size_of_the_whole(store):
    put(store, "a.mp4", b"0123456789")
    with store.open_range("a.mp4", 2, 5) as answer:
        assert (answer.first, answer.last, answer.total) == (2, 5, 10)
        assert (answer.read(3), answer.read(100), answer.read(1)) == (b"234", b"5", b"")
    with store.open_range("a.mp4", 8, 99) as answer:
        assert (answer.last, answer.read()) == (9, b"89")


def test_a_range_of_another_object_under_the_same_key_has_another_validator(store):
    validators = []
    for content in (b"one", b"another"):
        put(store, "a.mp4", content)
        with store.open_range("a.mp4", 0, 0) as answer:
            validators.append(answer.validator)
            answer.read()
        store.delete("a.mp4")
    assert all(validators) and len(set(validators)) == 2


def test_a_range_that_is_not_there_is_an_error_of_the_object(store):
    put(store, "a.mp4", b"0123456789")
    for key, first in (("a.mp4", 10), ("nothing.mp4", 0)):
        with pytest.raises(TransientError) as caught:
            store.open_range(key, first, first + 5)
        assert caught.value.kind == "storage"


def test_a_range_that_ends_early_is_an_error_and_no_short_read(folder_store, tmp_path):
    put(folder_store, "a.mp4", b"0123456789")
    with folder_store.open_range("a.mp4", 0, 9) as answer:
        os.truncate(tmp_path / "store" / "a.mp4", 4)
        assert answer.read() == b"0123"
        with pytest.raises(TransientError, match="6 bytes missing"):
            answer.read()


@pytest.mark.parametrize("content", [b"", b"small", bytes(9 << 20)], ids=["empty", "small", "more than a part"])
def test_a_small_object_is_stored_at_once_and_known_as_any_other(content, store):
    stored = store.put("a/clip.info.json", content, content_type="application/json", metadata={"youtube-id": "abc"})
    assert store.examine("a/clip.info.json", stored.part_size) == stored
    with store.open("a/clip.info.json") as body:
        assert body.read() == content
    assert uploads_left(store) == []


def test_a_small_object_goes_to_a_server_without_checksums_with_its_md5(moto_store, monkeypatch):
    client, sent = moto_store._place.client, []
    real = client.put_object

    def put_plainly(**parameters):
        if "ChecksumCRC32" in parameters:
            raise ClientError({"Error": {"Code": "NotImplemented"}}, "PutObject")
        sent.append(parameters)
        return real(**parameters)

    monkeypatch.setattr(client, "put_object", put_plainly)
    moto_store.put("a.json", b"{}", content_type="application/json", metadata={})
    assert sent[0]["ContentMD5"] and moto_store.size("a.json") == 2


def test_a_small_object_of_another_size_than_sent_is_removed(store, monkeypatch):
    real = store._place.size
    monkeypatch.setattr(store._place, "size", lambda key: real(key) and real(key) - 1)
    with pytest.raises(TransientError, match="4 bytes stored of 5"):
        store.put("a.json", b"small", content_type="application/json", metadata={})
    monkeypatch.undo()
    assert store.size("a.json") is None


def test_a_storage_that_works_is_checked_without_a_trace(store):
    store.check()
    assert list(store.list_keys()) == []


def kind_of_check(store: Store) -> str:
    with pytest.raises((SetupError, DeferredError)) as caught:
        store.check()
    return caught.value.kind


def test_a_check_tells_what_is_wrong_with_a_bucket(s3):
    def bucket(endpoint: str = s3.endpoint_url, name: str = s3.bucket, secret: str = s3.secret_key) -> Store:
        return Store(make_s3_storage(endpoint, name, secret_key=secret, access_key=s3.access_key))

    assert kind_of_check(bucket(secret="wrong")) == "storage_credentials"
    assert kind_of_check(bucket(name="nobodys-bucket")) == "storage_missing"
    assert kind_of_check(bucket(endpoint=f"http://127.0.0.1:{unused_port()}")) == "storage_unreachable"


@pytest.mark.parametrize(
    ("status", "code", "kind"),
    [(404, "", "storage_missing"), (503, "SlowDown", "storage_throttled"), (507, "XMinioStorageFull", "storage_full")],
    ids=["no S3 server", "slow down", "full"],
)
def test_a_check_tells_what_a_server_answers(status, code, kind, moto_store):
    refuse(moto_store, "ListObjectsV2", status, code)
    assert kind_of_check(moto_store) == kind


def test_a_check_is_one_request(moto_store):
    seen = []
    moto_store._place.client.meta.events.register("before-send.s3", lambda request, **about: seen.append(request.method))
    moto_store.check()
    assert seen == ["GET"]


def test_a_check_tells_what_is_wrong_with_a_folder(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("a file, not a folder")
    assert kind_of_check(make_folder_store(tmp_path / "file")) == "storage_missing"
    store = make_folder_store(tmp_path / "new" / "store")
    store.check()
    assert (tmp_path / "new" / "store").is_dir()
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    assert kind_of_check(store) == "storage_credentials"
    monkeypatch.undo()
    space = list(os.statvfs(tmp_path))
    space[3] = space[4] = 0
    monkeypatch.setattr(os, "statvfs", lambda path: os.statvfs_result(space))
    assert kind_of_check(store) == "storage_full"


def test_a_folder_without_room_says_so_and_leaves_no_half_object(tmp_path):
    store = make_folder_store(tmp_path)
    upload = store.begin("a.mp4", content_type="video/mp4", metadata={}, expected_size=5)
    (tmp_path / "a.mp4.part").unlink()
    (tmp_path / "a.mp4.part").symlink_to("/dev/full")
    with pytest.raises(SetupError) as caught:
        upload.put_part(1, b"small")
    assert caught.value.kind == "storage_full" and "MASSDL_MEDIA_FOLDER" in caught.value.message
    upload.abort()
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_the_file_system_takes_no_further_is_too_large_and_the_folder_not_full(tmp_path):
    store = make_folder_store(tmp_path)
    upload = store.begin("a.mp4", content_type="video/mp4", metadata={}, expected_size=9 << 20)
    upload.put_part(1, bytes(8 << 20))
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (8 << 20, hard))
    try:
        with pytest.raises(PermanentError) as caught:
            upload.put_part(2, bytes(1 << 20))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert caught.value.kind == "storage_too_large"
    upload.abort()
    assert list(tmp_path.iterdir()) == []


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
    with pytest.raises(DeferredError) as caught:
        put(store, "a.mp4", b"1")
    assert caught.value.kind == "storage_unreachable"


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
