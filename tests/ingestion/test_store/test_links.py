"""Addresses under which browsers read objects from the storage itself."""

from datetime import timedelta
from urllib.parse import parse_qs, unquote, urlsplit

import pytest
import requests
from google.auth.credentials import AnonymousCredentials
from google.cloud.storage import Client
from google.oauth2.service_account import Credentials
from storages.backends.gcloud import GoogleCloudStorage

from ingestion.errors import SetupError
from ingestion.store import Store
from tests.ingestion.media.stores import make_s3_storage

KEY = "ann-1/UC1/a.mp4"
CONTENT = bytes(range(256))


@pytest.fixture
def bucket(moto_store) -> Store:
    moto_store.put(KEY, CONTENT, content_type="video/mp4", metadata={})
    return moto_store


def query(address: str) -> dict[str, list[str]]:
    return parse_qs(urlsplit(address).query)


def test_whoever_has_an_address_reads_the_object_and_ranges_of_it(bucket):
    address = bucket.url(KEY, filename="A film.mp4")
    whole = requests.get(address, timeout=10)
    assert (whole.status_code, whole.content, whole.headers["Content-Type"]) == (200, CONTENT, "video/mp4")
    part = requests.get(address, headers={"Range": "bytes=10-19"}, timeout=10)
    assert (part.status_code, part.content, part.headers["Content-Range"]) == (206, CONTENT[10:20], "bytes 10-19/256")


def test_an_address_tells_the_storage_what_the_file_is_called(moto_store):
    moto_store.put(KEY, CONTENT, content_type="video/mp4", metadata={})
    saved = moto_store.url(KEY, filename='Ünder "way"; a\r\nfilm.mp4', as_attachment=True)
    said = requests.get(saved, timeout=10).headers["Content-Disposition"]
    assert said.startswith("attachment;") and unquote(said.partition("''")[2]) == 'Ünder "way"; a\r\nfilm.mp4'
    assert "\n" not in said and "%0D%0A" in said
    shown = requests.get(moto_store.url(KEY, filename="A film.mp4"), timeout=10)
    assert shown.headers["Content-Disposition"] == 'inline; filename="A film.mp4"'
    assert "response-content-disposition" not in query(moto_store.url(KEY))


def test_an_address_lasts_an_hour_or_as_long_as_is_asked(bucket):
    asked = [{}, *({"lifetime": lifetime} for lifetime in (timedelta(minutes=1), timedelta(0), timedelta(days=30)))]
    lasting = [query(bucket.url(KEY, **lifetime))["X-Amz-Expires"] for lifetime in asked]
    assert lasting == [["3600"], ["60"], ["1"], ["604800"]]


def test_an_address_that_was_changed_serves_nobody(s3):
    store = Store(make_s3_storage(s3.endpoint_url, s3.bucket, access_key=s3.access_key, secret_key=s3.secret_key))
    store.put(KEY, CONTENT, content_type="video/mp4", metadata={})
    address = store.url(KEY)
    changed = address.replace("X-Amz-Expires=3600", "X-Amz-Expires=7200")
    assert requests.get(changed, timeout=10).status_code == 403
    assert requests.get(address, timeout=10).content == CONTENT


def test_without_keys_nothing_is_signed(moto_endpoint, monkeypatch, tmp_path):
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    for name in ("AWS_SHARED_CREDENTIALS_FILE", "AWS_CONFIG_FILE"):
        monkeypatch.setenv(name, str(tmp_path / "none"))
    store = Store(make_s3_storage(moto_endpoint, "videos", access_key=None, secret_key=None))
    with pytest.raises(SetupError) as caught:
        store.url(KEY)
    assert caught.value.kind == "storage_credentials"


def test_a_folder_has_no_addresses_and_a_server_without_real_ranges_none_that_a_browser_can_use(folder_store, rclone_store):
    assert folder_store.url(KEY, filename="a.mp4") is None
    assert rclone_store.url(KEY, filename="a.mp4") is None


class Signer:
    """Signs nothing, but like a private key."""

    key_id = "1"

    def sign(self, message: bytes) -> bytes:
        return b"signed"


def google_store(credentials) -> Store:
    storage = GoogleCloudStorage(bucket_name="videos", location="archive")
    storage._client = Client(project="tests", credentials=credentials)
    return Store(storage)


def test_the_key_of_a_service_account_signs_for_google():
    store = google_store(Credentials(Signer(), "archive@tests.example", "https://oauth2.example/token"))
    address = store.url(KEY, filename="A film.mp4", as_attachment=True, lifetime=timedelta(minutes=5))
    assert urlsplit(address)._replace(query="").geturl() == f"https://storage.googleapis.com/videos/archive/{KEY}"
    assert query(address)["X-Goog-Expires"] == ["300"]
    assert query(address)["response-content-disposition"] == ['attachment; filename="A film.mp4"']


def test_credentials_without_a_key_sign_nothing_and_the_site_passes_the_file_on():
    assert google_store(AnonymousCredentials()).url(KEY) is None
