"""What browsers are told of our pages, and that these do as they say."""

import re

import pytest
from botocore.config import Config
from django.conf import settings
from django.http import HttpResponse

from ingestion import roles
from massdl_site.policy import google_sources, policy, s3_sources
from tests.addresses import place
from tests.ingestion.media.stores import make_s3_storage

HEADER = "Content-Security-Policy"
STRICT = {
    "default-src": "'self'",
    "script-src": "'self' 'unsafe-eval'",
    "object-src": "'none'",
    "base-uri": "'self'",
    "form-action": "'self'",
    "frame-ancestors": "'none'",
}
HANDLER = re.compile(r"<[^>]*\son\w+\s*=", re.IGNORECASE)
SCRIPT = re.compile(r"<script(?![^>]*\ssrc=)(?![^>]*type=\"application/json\")[^>]*>", re.IGNORECASE)


def policy_of(response: HttpResponse) -> dict[str, str]:
    return dict(directive.strip().split(" ", 1) for directive in response[HEADER].split(";") if directive.strip())


@pytest.mark.django_db
@pytest.mark.usefixtures("downloads_in_the_tests_transaction")
@pytest.mark.parametrize("key", sorted(roles.pages()))
def test_every_page_has_the_policy_and_no_script_of_its_own(key, admin_client):
    response = admin_client.get(place(key))
    if response.streaming:
        b"".join(response)  # which closes the file
    assert policy_of(response).items() >= STRICT.items()
    assert response["X-Frame-Options"] == "DENY" and response["X-Content-Type-Options"] == "nosniff"
    assert response["Referrer-Policy"] == "same-origin" and response["Cross-Origin-Opener-Policy"] == "same-origin"
    if response["Content-Type"].startswith("text/html"):
        assert not HANDLER.findall(response.text) and not SCRIPT.findall(response.text)


@pytest.mark.parametrize("address", ["/admin/login/", "/static/massdl/confirm.js", "/nowhere/"])
@pytest.mark.django_db
def test_strangers_get_it_too(client, address):
    response = client.get(address)
    if response.streaming:
        b"".join(response)
    assert policy_of(response).items() >= STRICT.items()


def test_nothing_is_reported_to_anybody():
    assert not {"report-uri", "report-to"} & set(policy(["https://bucket"])["DIRECTIVES"])


def test_without_a_bucket_everything_is_our_own():
    told = policy([])["DIRECTIVES"]
    assert not [source for sources in told.values() for source in sources if "//" in source]
    assert settings.BUCKET_SOURCES == []


def test_the_bucket_shows_pictures_and_films_and_never_scripts():
    told = policy(["https://b.s3.example.org"])["DIRECTIVES"]
    assert {name for name, sources in told.items() if "https://b.s3.example.org" in sources} == {"img-src", "media-src", "connect-src"}


BUCKETS = [
    (None, "us-east-1", "auto", "videos"),
    (None, "us-east-1", "virtual", "videos"),
    (None, "us-east-1", "path", "videos"),
    (None, "eu-central-1", "auto", "videos"),
    (None, "eu-central-1", "auto", "videos.example.org"),
    (None, "eu-central-1", "path", "videos"),
    (None, "cn-north-1", "auto", "videos"),
    ("https://s3.example.org", "us-east-1", "path", "videos"),
    ("https://s3.example.org:8443", "us-east-1", "virtual", "videos"),
    ("http://storage.localhost:8333", "eu-central-1", "path", "videos.old"),
]


@pytest.mark.parametrize(("endpoint", "region", "style", "bucket"), BUCKETS)
def test_the_source_of_a_bucket_is_where_signed_links_lead(endpoint, region, style, bucket):
    signing = Config(s3={"addressing_style": style}, signature_version="s3v4")
    link = make_s3_storage(endpoint, bucket, region_name=region, client_config=signing).url("a/clip.mp4")
    sources = s3_sources(bucket, endpoint=endpoint, region=region, style=style)
    assert [source for source in sources if link.startswith(source if source.endswith("/") else f"{source}/")]
    assert all(bucket in source for source in sources)


def test_a_bucket_at_google_is_one_folder_of_its_server():
    assert google_sources("videos", emulator=None) == ["https://storage.googleapis.com/videos/"]
    assert google_sources("videos", emulator="http://127.0.0.1:4443/") == ["http://127.0.0.1:4443/videos/"]
    assert google_sources(None, emulator=None) == s3_sources(None, endpoint=None, region="us-east-1", style="auto") == []


def test_a_bucket_cannot_add_to_the_policy():
    (source,) = s3_sources("videos; script-src *", endpoint="https://s3.example.org", region="us-east-1", style="path")
    assert not set("; *") & set(source)
