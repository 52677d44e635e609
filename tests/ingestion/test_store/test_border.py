"""What the storages raise, told apart."""

import errno
import os
import traceback
from datetime import UTC, datetime, timedelta

import pytest
import requests
from botocore import exceptions as boto
from botocore.retries.standard import ThrottledRetryableChecker
from google.api_core import exceptions as api
from google.auth import exceptions as auth

from ingestion.errors import KINDS, STORAGE_KINDS, ArchiveError
from ingestion.store.border import LATER, folder_errors, s3_errors, storage_error
from ingestion.store.codes import BY_CODE, BY_STATUS, THROTTLED
from ingestion.store.gcs_border import gcs_errors

CREDENTIALS, MISSING, FULL = "storage_credentials", "storage_missing", "storage_full"
THROTTLE, AWAY, TOO_LARGE = "storage_throttled", "storage_unreachable", "storage_too_large"


def kind_in(border, exc: Exception) -> str:
    with pytest.raises(ArchiveError) as caught, border("try"):
        raise exc
    assert "try" in caught.value.message
    return caught.value.kind


def refusal(code: str, status: int | None = None) -> boto.ClientError:
    return boto.ClientError({"Error": {"Code": code, "Message": "m"}, "ResponseMetadata": {"HTTPStatusCode": status}}, "UploadPart")


@pytest.mark.parametrize(
    ("code", "status", "kind"),
    [
        ("NoSuchBucket", 404, MISSING),
        ("AuthorizationHeaderMalformed", 400, MISSING),
        ("301", 301, MISSING),
        ("403", 403, CREDENTIALS),
        ("AccessDenied", 403, CREDENTIALS),
        ("ExpiredToken", 400, CREDENTIALS),
        ("RequestTimeTooSkewed", 403, CREDENTIALS),
        ("XMinioStorageFull", 507, FULL),
        ("QuotaExceeded", 403, FULL),
        ("EntityTooLarge", 400, TOO_LARGE),
        ("NeverSeenBefore", 507, FULL),
        ("SlowDown", 503, THROTTLE),
        ("RequestLimitExceeded", 503, THROTTLE),
        ("NeverSeenBefore", 429, THROTTLE),
        ("InternalError", 500, AWAY),
        ("ServiceUnavailable", 503, AWAY),
        ("502", 502, AWAY),
        ("NeverSeenBefore", 503, AWAY),
        ("BadDigest", 400, "storage"),
        ("InvalidPart", 400, "storage"),
        ("NoSuchKey", 404, "storage"),
        ("NeverSeenBefore", None, "storage"),
    ],
)
def test_refusals_of_s3_are_told_apart_by_their_code_then_by_their_status(code, status, kind):
    assert kind_in(s3_errors, refusal(code, status)) == kind


def test_every_code_has_a_kind_of_the_storage_and_those_that_wait_for_staff_a_setting_or_a_deed():
    for kind, sentence in (*BY_CODE.values(), *BY_STATUS.values()):
        assert kind in STORAGE_KINDS
        assert bool(sentence) == (KINDS[kind].type.treatment in ("setup", "permanent"))


def test_all_that_botocore_takes_for_throttling_is_throttling():
    assert set(ThrottledRetryableChecker._THROTTLED_ERROR_CODES) - {"TransactionInProgressException"} - THROTTLED == {
        "ProvisionedThroughputExceededException"  # both are of databases
    }


@pytest.mark.parametrize(
    ("exc", "kind"),
    [
        (boto.NoCredentialsError(), CREDENTIALS),
        (boto.TokenRetrievalError(provider="sso", error_msg="m"), CREDENTIALS),
        (boto.ProfileNotFound(profile="p"), CREDENTIALS),
        (boto.ParamValidationError(report="Invalid bucket name"), MISSING),
        (boto.InvalidRegionError(region_name="a b"), MISSING),
        (boto.EndpointConnectionError(endpoint_url="http://s3"), AWAY),
        (boto.ConnectTimeoutError(endpoint_url="http://s3"), AWAY),
        (boto.ReadTimeoutError(endpoint_url="http://s3"), AWAY),
        (boto.ConnectionClosedError(endpoint_url="http://s3"), AWAY),
        (boto.IncompleteReadError(actual_bytes=1, expected_bytes=2), "storage"),
    ],
    ids=lambda value: value if isinstance(value, str) else type(value).__name__,
)
def test_what_botocore_raises_without_an_answer_is_told_apart(exc, kind):
    assert kind_in(s3_errors, exc) == kind


def every_boto_error() -> list[type[Exception]]:
    found = [value for value in vars(boto).values() if isinstance(value, type) and issubclass(value, Exception)]
    return [cls for cls in found if not issubclass(cls, (boto.ClientError, Warning)) and cls.__module__ == boto.__name__]


def test_no_exception_of_botocore_passes_the_border():
    about_boto_itself = {boto.UndefinedModelAttributeError, boto.MissingServiceIdError}
    for cls in set(every_boto_error()) - about_boto_itself:
        assert kind_in(s3_errors, cls.__new__(cls)) in STORAGE_KINDS


@pytest.mark.parametrize(
    ("number", "kind"),
    [
        (errno.ENOSPC, FULL),
        (errno.EDQUOT, FULL),
        (errno.EFBIG, TOO_LARGE),
        (errno.EIO, "storage"),
        (errno.EACCES, CREDENTIALS),
        (errno.EROFS, CREDENTIALS),
        (errno.ENOTDIR, MISSING),
        (errno.ESTALE, AWAY),
    ],
    ids=lambda value: value if isinstance(value, str) else errno.errorcode[value],
)
def test_errors_of_the_file_system_are_told_apart(number, kind):
    assert kind_in(folder_errors, OSError(number, os.strerror(number))) == kind


@pytest.mark.parametrize(
    ("exc", "kind"),
    [
        (auth.DefaultCredentialsError("none"), CREDENTIALS),
        (auth.RefreshError("invalid_grant"), CREDENTIALS),
        (auth.TransportError("no route"), AWAY),
        (api.Unauthorized("no"), CREDENTIALS),
        (api.Forbidden("no"), CREDENTIALS),
        (api.Forbidden("no", errors=[{"reason": "quotaExceeded"}]), FULL),
        (api.Forbidden("no", errors=[{"reason": "rateLimitExceeded"}]), THROTTLE),
        (api.BadRequest("no", errors=[{"reason": "uploadTooLarge"}]), TOO_LARGE),
        (api.from_http_status(413, "no"), TOO_LARGE),
        (api.NotFound("The specified bucket does not exist."), MISSING),
        (api.NotFound("No such object: bucket/a.mp4"), "storage"),
        (api.TooManyRequests("slow"), THROTTLE),
        (api.ServiceUnavailable("busy"), AWAY),
        (api.RetryError("over", api.TooManyRequests("slow")), THROTTLE),
        (api.RetryError("over", requests.ConnectionError("no")), AWAY),
        (api.PreconditionFailed("changed"), "storage"),
    ],
)
def test_errors_of_google_are_told_apart(exc, kind):
    assert kind_in(gcs_errors, exc) == kind


def test_the_id_of_an_upload_is_not_told():
    address = "http://s3/videos/a.mp4?uploadId=SECRET&partNumber=3"
    with pytest.raises(ArchiveError) as caught, s3_errors("part 3 of a.mp4"):
        raise boto.ConnectionClosedError(endpoint_url=address)
    assert "http://s3/videos/a.mp4" in caught.value.message
    assert "SECRET" not in "".join(traceback.format_exception(caught.value))


def test_the_address_of_an_upload_at_google_is_not_told():
    with pytest.raises(ArchiveError) as caught, gcs_errors("part 1 of a.mp4"):
        raise requests.ConnectionError("Max retries exceeded with url: /upload?upload_id=SECRET")
    assert caught.value.message == "part 1 of a.mp4: ConnectionError"


@pytest.mark.parametrize("kind", [THROTTLE, AWAY])
def test_an_outage_is_looked_at_again_after_a_minute_or_two(kind):
    before = datetime.now(UTC)
    waits = [storage_error(kind, "m").not_before - before for _ in range(50)]
    assert min(waits) >= LATER and max(waits) <= 2 * LATER + timedelta(minutes=1)
    assert len(set(waits)) > 1
