"""What a storage can do by itself about uploads that were left behind, as its own tools take it."""

import json
from dataclasses import dataclass
from typing import Any

RULE_ID = "massdl-unfinished-uploads"


@dataclass(frozen=True)
class Policy:
    """`rules` is what to print, None where there is nothing to apply; `advice` are lines for whoever applies it."""

    rules: dict[str, Any] | None
    advice: str

    @property
    def as_json(self) -> str:
        return json.dumps(self.rules, indent=2)


def s3_policy(bucket: str, prefix: str, days: int) -> Policy:
    """For `aws s3api put-bucket-lifecycle-configuration`."""
    rule = {
        "ID": RULE_ID,
        "Status": "Enabled",
        "Filter": {"Prefix": prefix},
        "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": days},
    }
    advice = (
        f"Keep this as policy.json, add the rules that bucket {bucket} has already (the command replaces all), and run:\n"
        f"  aws s3api put-bucket-lifecycle-configuration --bucket {bucket} --lifecycle-configuration file://policy.json\n"
        "On another server than AWS also name it: --endpoint-url, with the address in AWS_S3_ENDPOINT_URL."
    )
    return Policy({"Rules": [rule]}, advice)


def gcs_policy(bucket: str, prefix: str, days: int) -> Policy:
    """For `gcloud storage buckets update --lifecycle-file`."""
    condition = {"age": days, **({"matchesPrefix": [prefix]} if prefix else {})}
    advice = (
        "Google ends our own unfinished uploads after a week without any rule; this one ends what other tools leave behind.\n"
        f"Keep it as policy.json, add the rules that bucket {bucket} has already (the command replaces all), and run:\n"
        f"  gcloud storage buckets update gs://{bucket} --lifecycle-file=policy.json"
    )
    return Policy({"rule": [{"action": {"type": "AbortIncompleteMultipartUpload"}, "condition": condition}]}, advice)


def folder_policy(folder: str) -> Policy:
    return Policy(None, f"The videos are in the folder {folder}, which has no rules: let `manage.py clean_storage` run each day instead.")
