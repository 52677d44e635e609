"""`manage.py storage_policy`: what the storage's own tools take."""

import json
import os
import subprocess
import sys
from io import StringIO
from pathlib import Path

import pytest
from django.core.files.storage import storages
from django.core.management import call_command

from tests.ingestion.media.stores import make_s3_storage

ROOT = Path(__file__).resolve().parents[3]


def policy(storage, monkeypatch: pytest.MonkeyPatch) -> tuple[str, str]:
    monkeypatch.setitem(storages._storages, "videos", storage)
    said, advised = StringIO(), StringIO()
    call_command("storage_policy", stdout=said, stderr=advised, no_color=True)
    return said.getvalue(), advised.getvalue()


def test_s3_takes_the_rule_as_it_is_printed(moto_endpoint, monkeypatch):
    storage = make_s3_storage(moto_endpoint, "videos")
    said, advised = policy(storage, monkeypatch)
    client = storage.bucket.meta.client
    client.put_bucket_lifecycle_configuration(Bucket="videos", LifecycleConfiguration=json.loads(said))
    (rule,) = client.get_bucket_lifecycle_configuration(Bucket="videos")["Rules"]
    assert rule["AbortIncompleteMultipartUpload"] == {"DaysAfterInitiation": 7}
    assert (rule["Status"], rule["Filter"]) == ("Enabled", {"Prefix": "archive/"})
    assert "aws s3api put-bucket-lifecycle-configuration --bucket videos" in advised and "replaces all" in advised


def test_a_folder_has_no_rule_and_its_command_is_named(folder_store, monkeypatch):
    said, advised = policy(folder_store._place.storage, monkeypatch)
    assert said == "" and "clean_storage" in advised


def run(command: str, **environment: str) -> subprocess.CompletedProcess:
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("MASSDL_S3", "AWS_"))}
    return subprocess.run(
        [sys.executable, "manage.py", command], cwd=ROOT, env={**clean, **environment}, capture_output=True, text=True, check=False
    )


def test_google_is_reached_by_the_settings_alone(gcs_server):
    bucket = {"MASSDL_GCS_BUCKET": "videos", "MASSDL_GCS_PREFIX": "archive/", "STORAGE_EMULATOR_HOST": gcs_server.endpoint}
    result = run("storage_policy", **bucket)
    assert result.returncode == 0, result.stderr
    (rule,) = json.loads(result.stdout)["rule"]
    assert rule == {"action": {"type": "AbortIncompleteMultipartUpload"}, "condition": {"age": 7, "matchesPrefix": ["archive/"]}}
    assert "gcloud storage buckets update gs://videos --lifecycle-file=policy.json" in result.stderr


def test_two_buckets_are_one_too_many():
    result = run("storage_policy", MASSDL_GCS_BUCKET="videos", MASSDL_S3_BUCKET="videos")
    assert result.returncode != 0
    assert "MASSDL_S3_BUCKET and MASSDL_GCS_BUCKET are both set" in result.stderr


def test_google_without_credentials_is_told_with_the_setting(tmp_path):
    result = run("storage_policy", MASSDL_GCS_BUCKET="videos", GOOGLE_APPLICATION_CREDENTIALS=str(tmp_path / "none.json"))
    assert result.returncode == 2
    assert "GOOGLE_APPLICATION_CREDENTIALS" in result.stderr and "Traceback" not in result.stderr
