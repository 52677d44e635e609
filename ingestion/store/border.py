"""Exceptions of S3 and of the file system, mapped to ours where they arise."""

import errno
from collections.abc import Iterator
from contextlib import contextmanager

from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    CredentialRetrievalError,
    InvalidRegionError,
    NoCredentialsError,
    ParamValidationError,
    PartialCredentialsError,
)

from ingestion.errors import ArchiveError, SetupError, TransientError

MISSING_UPLOAD = "NoSuchUpload"
_CREDENTIALS = (NoCredentialsError, PartialCredentialsError, CredentialRetrievalError)
_SENTENCES = {
    "NoSuchBucket": "There is no such bucket: create it, or correct MASSDL_S3_BUCKET.",
    "InvalidBucketName": "The bucket's name is not allowed: correct MASSDL_S3_BUCKET.",
    "InvalidAccessKeyId": "The S3 server does not know the access key: correct AWS_ACCESS_KEY_ID.",
    "SignatureDoesNotMatch": "The S3 server refused the signature: correct AWS_SECRET_ACCESS_KEY.",
    "ExpiredToken": "The S3 credentials ran out: renew AWS_SESSION_TOKEN.",
    "InvalidToken": "The S3 server refused the session token: correct AWS_SESSION_TOKEN.",
    "AccessDenied": "The S3 server refused: allow the access key to put, get, list, delete and abort in the bucket.",
    "AllAccessDisabled": "The bucket is locked: ask its owner.",
    "PermanentRedirect": "The bucket is in another region: correct AWS_DEFAULT_REGION.",
    "AuthorizationHeaderMalformed": "The S3 server expects another region: correct AWS_DEFAULT_REGION.",
    "RequestTimeTooSkewed": "This host's clock is wrong by minutes: set it.",
}
_SAME_AS = {"403": "AccessDenied", "Forbidden": "AccessDenied", "401": "AccessDenied", "301": "PermanentRedirect"}
_FOLDER_ERRORS = {errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.ENAMETOOLONG}


@contextmanager
def s3_errors(doing: str) -> Iterator[None]:
    """What S3 raises inside becomes a SetupError (keys, bucket, region) or a TransientError (`storage`: outage, throttling)."""
    try:
        yield
    except ClientError as exc:
        raise _refusal(doing, exc) from exc
    except _CREDENTIALS as exc:
        raise SetupError("misconfigured", "No S3 credentials: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY.") from exc
    except (ParamValidationError, InvalidRegionError) as exc:
        raise SetupError("misconfigured", f"{doing}: boto3 refused the request, correct the S3 settings: {exc}") from exc
    except BotoCoreError as exc:
        raise TransientError("storage", f"{doing}: {exc}") from exc


@contextmanager
def folder_errors(doing: str) -> Iterator[None]:
    """What the file system raises inside becomes a SetupError (rights) or a TransientError (`storage`: space, input/output)."""
    try:
        yield
    except OSError as exc:
        if exc.errno in _FOLDER_ERRORS:
            raise SetupError("misconfigured", f"{doing}: {exc}. Let the workers write there, or correct MASSDL_MEDIA_FOLDER.") from exc
        raise TransientError("storage", f"{doing}: {exc}") from exc


def code_of(exc: BaseException | None) -> str:
    """S3's error code of a ClientError, or of the one an ArchiveError came from; else empty."""
    cause = exc.__cause__ if isinstance(exc, ArchiveError) else exc
    return cause.response.get("Error", {}).get("Code", "") if isinstance(cause, ClientError) else ""


def _refusal(doing: str, exc: ClientError) -> ArchiveError:
    code = code_of(exc)
    sentence = _SENTENCES.get(_SAME_AS.get(code, code))
    if sentence:
        return SetupError("misconfigured", f"{sentence} ({doing}: {exc})")
    return TransientError("storage", f"{doing}: {exc}")
