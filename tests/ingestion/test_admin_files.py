"""Stored files from the admin: through this site where the storage is a folder, by a signed address where it is a bucket."""

from datetime import timedelta
from urllib.parse import parse_qs, unquote, urlsplit

import pytest
import requests
from django.core.files.storage import storages
from django.urls import reverse

from ingestion.admin.files import asked_range
from ingestion.store import Store
from tests.factories import make_asset, make_video
from tests.ingestion.media.fixtures import moto_endpoint
from tests.ingestion.media.stores import make_folder_store, make_s3_storage
from tests.pages import page_of, staff_with
from videos.models import Video

__all__ = ["moto_endpoint"]
pytestmark = pytest.mark.django_db

CONTENT = bytes(range(256)) * 40
KEY = "ann-1/UC1/abc/u-1.mp4"


def file_of(video: Video) -> str:
    return reverse("admin:videos_video_file", args=[video.pk])


def asset_file_of(asset) -> str:
    return reverse("admin:videos_video_asset", args=[asset.video_id, asset.pk])


def put(store: Store, key: str, content: bytes = CONTENT) -> None:
    store.put(key, content, content_type="video/mp4", metadata={})


def body(response) -> bytes:
    """All of it; the test client closes the file at its end."""
    return b"".join(response.streaming_content) if response.streaming else response.content


def look(client, address: str, **headers: str):
    """The answer without its body."""
    response = client.get(address, headers=headers)
    body(response)
    return response


@pytest.fixture
def folder(monkeypatch, tmp_path) -> Store:
    """The storage of the settings is a folder, with one object."""
    store = make_folder_store(tmp_path)
    monkeypatch.setitem(storages._storages, "videos", store._place.storage)
    put(store, KEY)
    return store


@pytest.fixture
def bucket(monkeypatch, moto_endpoint) -> Store:
    """The storage of the settings is a bucket of an S3 server, with one object."""
    storage = make_s3_storage(moto_endpoint, "videos")
    monkeypatch.setitem(storages._storages, "videos", storage)
    store = Store(storage)
    put(store, KEY)
    return store


@pytest.fixture
def video() -> Video:
    return make_video(title="What? A <film>/\u202eé", external_id="dQw4w9WgXcQ", status="stored", storage_key=KEY, duration=7200)


@pytest.mark.parametrize(
    ("header", "total", "asked"),
    [
        ("bytes=0-", 10, (0, 9)),
        ("bytes=2-5", 10, (2, 5)),
        ("bytes=9-99", 10, (9, 9)),
        ("bytes=-3", 10, (7, 9)),
        ("bytes=-99", 10, (0, 9)),
        ("bytes=10-", 10, (0, -1)),
        ("bytes=-0", 10, (0, -1)),
        ("bytes=-1", 0, (0, -1)),
        ("bytes=0-", 0, (0, -1)),
        ("", 10, None),
        ("bytes=-", 10, None),
        ("bytes=5-2", 10, None),
        ("bytes=0-1,4-5", 10, None),
        ("lines=0-1", 10, None),
        ("bytes=\u0661-", 10, None),
        (f"bytes={'9' * 30}-", 10, None),
    ],
)
def test_a_range_is_understood_or_all_is_given(header, total, asked):
    assert asked_range(header, total) == asked


@pytest.mark.usefixtures("folder")
def test_a_file_in_a_folder_comes_through_this_site(admin_client, video):
    response = admin_client.get(file_of(video))
    assert (response.status_code, response["Content-Type"], response["Accept-Ranges"]) == (200, "video/mp4", "bytes")
    assert (body(response), response["Content-Length"]) == (CONTENT, str(len(CONTENT)))
    assert response["Content-Disposition"].startswith("inline;")
    assert "private" in response["Cache-Control"]


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize(
    ("header", "first", "last"), [("bytes=100-199", 100, 199), ("bytes=10000-", 10000, 10239), ("bytes=-7", 10233, 10239)]
)
def test_a_range_of_a_file_is_sent_alone(admin_client, video, header, first, last):
    response = admin_client.get(file_of(video), headers={"range": header})
    assert (response.status_code, response["Content-Range"]) == (206, f"bytes {first}-{last}/10240")
    assert body(response) == CONTENT[first : last + 1]


@pytest.mark.usefixtures("folder")
def test_a_range_behind_the_end_is_refused_with_the_size(admin_client, video):
    response = admin_client.get(file_of(video), headers={"range": "bytes=10240-"})
    assert (response.status_code, response["Content-Range"], response.content) == (416, "bytes */10240", b"")


@pytest.mark.usefixtures("folder")
def test_a_range_of_what_was_another_file_is_answered_with_all(admin_client, video):
    etag = look(admin_client, file_of(video))["ETag"]
    assert look(admin_client, file_of(video), **{"range": "bytes=0-1", "if-range": etag}).status_code == 206
    assert body(admin_client.get(file_of(video), headers={"range": "bytes=0-1", "if-range": '"other"'})) == CONTENT


@pytest.mark.usefixtures("folder")
def test_a_look_at_a_file_takes_no_byte_of_it(admin_client, video):
    response = admin_client.head(file_of(video))
    assert (response.status_code, response["Content-Length"], response.content) == (200, "10240", b"")


@pytest.mark.usefixtures("folder")
def test_a_saved_file_is_named_after_its_video_and_only_by_what_file_systems_take(admin_client, video):
    said = look(admin_client, f"{file_of(video)}?save")["Content-Disposition"]
    assert said.startswith("attachment;")
    assert unquote(said.partition("''")[2]) == "What A film é [dQw4w9WgXcQ].mp4"


def test_what_the_folder_lost_is_told_and_no_error_of_ours(admin_client, folder, video):
    folder.delete(KEY)
    assert admin_client.get(file_of(video)).status_code == 404
    assert admin_client.get(file_of(make_video())).status_code == 404


def test_a_storage_that_is_away_is_told_with_what_to_do(admin_client, monkeypatch, video, tmp_path):
    (tmp_path / "file").write_text("no folder")
    monkeypatch.setitem(storages._storages, "videos", make_folder_store(tmp_path / "file")._place.storage)
    response = admin_client.get(file_of(video))
    assert response.status_code == 503
    assert "MASSDL_MEDIA_FOLDER" in response.text


def test_assets_are_saved_and_never_shown_but_for_pictures(admin_client, folder, video):
    names = {"info": "u-1.info.json", "nfo": "u-1.nfo", "subtitles": "u-1.en.vtt", "thumbnail": "u-1.jpg"}
    shown = {}
    for kind, name in names.items():
        key = f"ann-1/UC1/abc/{name}"
        put(folder, key, b"<script>")
        asset = make_asset(video=video, kind=kind, status="stored", storage_key=key, ext=name.rpartition(".")[2])
        response = admin_client.get(asset_file_of(asset))
        assert body(response) == b"<script>"
        shown[kind] = (response["Content-Disposition"].partition(";")[0], response["Content-Type"])
        assert name.partition(".")[2] in response["Content-Disposition"]
        assert asset_file_of(asset) in admin_client.get(page_of(video)).text
    assert shown == {
        "info": ("attachment", "application/octet-stream"),
        "nfo": ("attachment", "application/octet-stream"),
        "subtitles": ("attachment", "application/octet-stream"),
        "thumbnail": ("inline", "image/jpeg"),
    }


def test_an_asset_is_had_by_the_page_of_its_own_video_only(admin_client, folder, video):
    asset = make_asset(status="stored")
    assert admin_client.get(reverse("admin:videos_video_asset", args=[video.pk, asset.pk])).status_code == 404
    assert admin_client.get(asset_file_of(make_asset(video=video))).status_code == 404


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize(
    ("codenames", "statuses"),
    [((), [403, 403]), (("view_asset",), [403, 403]), (("view_video",), [200, 403]), (("view_video", "view_asset"), [200, 200])],
    ids=["nothing", "assets", "videos", "both"],
)
def test_files_are_for_those_who_may_view_them(client, video, codenames, statuses):
    asset = make_asset(video=video, status="stored", storage_key=KEY)  # its own table, where the key is free
    pages = (file_of(video), asset_file_of(asset))
    for page in pages:
        assert client.get(page).url.startswith(reverse("admin:login"))
    client.force_login(staff_with(*codenames))
    assert [look(client, page).status_code for page in pages] == statuses
    assert client.post(pages[0]).status_code == 405


def test_a_file_in_a_bucket_is_had_by_a_signed_address_from_the_bucket_itself(admin_client, bucket, video):
    response = admin_client.get(file_of(video))
    assert (response.status_code, response["Cache-Control"]) == (302, "private, no-store")
    assert parse_qs(urlsplit(response.url).query)["X-Amz-Expires"] == ["10800"]  # an hour, and as long as the film is
    answer = requests.get(response.url, headers={"Range": "bytes=100-199"}, timeout=10)
    assert (answer.status_code, answer.content) == (206, CONTENT[100:200])
    saved = requests.get(admin_client.get(f"{file_of(video)}?save").url, timeout=10)
    assert (saved.status_code, saved.content) == (200, CONTENT)
    asked = parse_qs(urlsplit(admin_client.get(f"{file_of(video)}?save").url).query)["response-content-disposition"][0]
    assert asked.startswith("attachment;") and unquote(asked).endswith("What A film é [dQw4w9WgXcQ].mp4")


@pytest.mark.usefixtures("bucket")
def test_no_address_of_the_bucket_stands_on_a_page(admin_client, video, moto_endpoint):
    text = admin_client.get(page_of(video)).text
    assert "X-Amz" not in text and moto_endpoint not in text


def test_a_server_that_answers_parts_as_if_they_were_all_is_read_by_this_site(admin_client, video, monkeypatch, settings, s3):
    storage = make_s3_storage(s3.endpoint_url, s3.bucket, access_key=s3.access_key, secret_key=s3.secret_key)
    monkeypatch.setitem(storages._storages, "videos", storage)
    settings.S3_PARTS_IN_ORDER = True
    put(Store(storage, in_order=True), KEY)
    response = admin_client.get(file_of(video), headers={"range": "bytes=100-199"})
    assert (response.status_code, response["Content-Range"]) == (206, "bytes 100-199/10240")
    assert body(response) == CONTENT[100:200]


def test_where_browsers_shall_not_go_to_the_bucket_this_site_passes_the_bytes_on(admin_client, video, monkeypatch, settings, s3):
    storage = make_s3_storage(s3.endpoint_url, s3.bucket, access_key=s3.access_key, secret_key=s3.secret_key)
    monkeypatch.setitem(storages._storages, "videos", storage)
    settings.S3_LINKS = False
    put(Store(storage, in_order=True), KEY)
    response = admin_client.get(file_of(video), headers={"range": "bytes=100-199"})
    assert (response.status_code, response["Content-Range"]) == (206, "bytes 100-199/10240")
    assert body(response) == CONTENT[100:200]


@pytest.mark.parametrize(
    ("fields", "plays", "words"),
    [
        ({}, "<video", "Download the file"),
        ({"storage_key": "a/u-1.webm"}, "<video", "Download the file"),
        ({"storage_key": "a/u-1.m4a"}, "<audio", "Download the file"),
        ({"vcodec": "hvc1.1.6.L93.B0"}, "<video", "Some browsers cannot play"),
        ({"storage_key": "a/u-1.mkv"}, "", "Browsers cannot play MKV files."),
        ({"storage_key": "a/u-1.ts"}, "", "Browsers cannot play TS files."),
    ],
)
def test_the_page_plays_what_browsers_play_and_says_so_of_all_else(admin_client, fields, plays, words):
    video = make_video(**{"status": "stored", "storage_key": KEY, **fields})
    text = admin_client.get(page_of(video)).text
    assert words in text
    assert [tag for tag in ("<video", "<audio") if tag in text] == ([plays] if plays else [])
    assert not plays or ('preload="none"' in text and f'src="{file_of(video)}"' in text)
    assert f"{file_of(video)}?save" in text


def test_a_video_that_is_not_stored_has_no_player(admin_client):
    text = admin_client.get(page_of(make_video())).text
    assert "<video" not in text and "Watch and download" not in text


def test_the_stored_picture_is_shown_before_the_film_plays_to_those_who_may_see_it(admin_client, client, video):
    asset = make_asset(video=video, kind="thumbnail", ext="jpg", status="stored")
    assert f'poster="{asset_file_of(asset)}"' in admin_client.get(page_of(video)).text
    client.force_login(staff_with("view_video"))
    assert "poster=" not in client.get(page_of(video)).text


def test_links_last_as_long_as_is_asked(bucket):
    seconds = parse_qs(urlsplit(bucket.url(KEY, lifetime=timedelta(minutes=5))).query)["X-Amz-Expires"]
    longest = parse_qs(urlsplit(bucket.url(KEY, lifetime=timedelta(days=30))).query)["X-Amz-Expires"]
    assert (seconds, longest) == (["300"], ["604800"])
