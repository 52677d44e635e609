"""Makes the bucket that the settings name, unless it is there: python -m deploy.make_bucket

The storage server may say that it is up before it can store, so this tries for a minute.
"""

import os
import sys
import time

ATTEMPTS = 20
PAUSE_SECONDS = 3


def main() -> int:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "massdl_site.settings")
    from django.core.files.storage import storages

    videos = storages["videos"]
    if not hasattr(videos, "bucket"):
        sys.stderr.write("MASSDL_S3_BUCKET is not set: no bucket is needed.\n")
        return 0
    for attempt in range(1, ATTEMPTS + 1):
        problem = make(videos.bucket)
        if not problem:
            sys.stderr.write(f"The bucket {videos.bucket_name} is there.\n")
            return 0
        sys.stderr.write(f"The bucket {videos.bucket_name} cannot be made (attempt {attempt} of {ATTEMPTS}): {problem}\n")
        time.sleep(PAUSE_SECONDS if attempt < ATTEMPTS else 0)
    return 1


def make(bucket) -> str:
    """Make the bucket unless it is there; returns what went wrong, or ""."""
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        bucket.meta.client.head_bucket(Bucket=bucket.name)
    except ClientError as exc:
        if exc.response.get("ResponseMetadata", {}).get("HTTPStatusCode") != 404:
            return str(exc)
    except BotoCoreError as exc:
        return str(exc)
    else:
        return ""
    try:
        bucket.create(**place(bucket.meta.client.meta.region_name))
    except (BotoCoreError, ClientError) as exc:
        return str(exc)
    return ""


def place(region: str) -> dict:
    """AWS wants the region said again, except for us-east-1, where it refuses it."""
    return {} if region == "us-east-1" else {"CreateBucketConfiguration": {"LocationConstraint": region}}


if __name__ == "__main__":
    sys.exit(main())
