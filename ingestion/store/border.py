"""Exceptions of S3 and of the file system, mapped to ours where they arise."""

import errno
import random
import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

from botocore import exceptions as boto

from ingestion.errors import ArchiveError, error
from ingestion.store.codes import meaning_of

MISSING_UPLOAD = "NoSuchUpload"
UPLOAD_ID = re.compile(r"\?uploadId=[^\s\"']*", re.IGNORECASE)
LATER = timedelta(seconds=25)
"""How long whatever met an outage or throttling waits at least; twice as long at most, so that not all come back at once."""

_CREDENTIALS = (
    boto.NoCredentialsError,
    boto.PartialCredentialsError,
    boto.CredentialRetrievalError,
    boto.UnknownCredentialError,
    boto.NoAuthTokenError,
    boto.TokenRetrievalError,
    boto.SSOError,
    boto.ProfileNotFound,
)
_UNREACHABLE = (boto.HTTPClientError, boto.ConnectionError, boto.MetadataRetrievalError)
_ADDRESS = (boto.ParamValidationError, boto.ValidationError, boto.UnknownRegionError, boto.BaseEndpointResolverError)
_FOLDER_KINDS = {
    "storage_credentials": (errno.EACCES, errno.EPERM, errno.EROFS),
    "storage_missing": (errno.ENOTDIR, errno.ENAMETOOLONG, errno.EEXIST, errno.ELOOP, errno.ENODEV, errno.ENXIO),
    "storage_full": (errno.ENOSPC, errno.EDQUOT),
    "storage_too_large": (errno.EFBIG,),
    "storage_unreachable": (
        *(errno.ESTALE, errno.ETIMEDOUT, errno.EHOSTDOWN, errno.EHOSTUNREACH),
        *(errno.ENETDOWN, errno.ENETUNREACH, errno.ENOTCONN, errno.ECONNRESET, errno.ECONNREFUSED),
    ),
}
_FOLDER_ADVICE = {
    "storage_credentials": "Let the workers write there, or correct MASSDL_MEDIA_FOLDER.",
    "storage_missing": "Make the folder, or correct MASSDL_MEDIA_FOLDER.",
    "storage_full": "Make room, or correct MASSDL_MEDIA_FOLDER.",
    "storage_too_large": "Name a folder on another file system in MASSDL_MEDIA_FOLDER, or raise the workers' limit (ulimit -f).",
}


def storage_error(kind: str, message: str) -> ArchiveError:
    """An error of `kind`; one to come back after also says when."""
    if kind in ("storage_throttled", "storage_unreachable"):
        return error(kind, message, not_before=datetime.now(UTC) + LATER * (1 + random.random()))
    return error(kind, message)


@contextmanager
def s3_errors(doing: str) -> Iterator[None]:
    """What S3 raises inside becomes an ArchiveError of one of the storage's kinds (`ingestion.errors.STORAGE_KINDS`).

    The id of an upload in the text of a failed connection is left out, and that text is no cause: logs show causes.
    """
    try:
        yield
    except boto.ClientError as exc:
        raise _refusal(doing, exc) from exc
    except _CREDENTIALS as exc:
        sentence = "No S3 credentials: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY."
        raise storage_error("storage_credentials", f"{sentence} ({doing}: {type(exc).__name__})") from exc
    except _ADDRESS as exc:
        sentence = f"boto3 refused the request: correct the bucket, the region and the address of the S3 settings. ({doing}: {exc})"
        raise storage_error("storage_missing", sentence) from exc
    except _UNREACHABLE as exc:
        raise storage_error("storage_unreachable", f"{doing}: {UPLOAD_ID.sub('', str(exc))}") from None
    except boto.BotoCoreError as exc:
        raise storage_error("storage", f"{doing}: {exc}") from exc


@contextmanager
def folder_errors(doing: str) -> Iterator[None]:
    """What the file system raises inside becomes an ArchiveError of one of the storage's kinds."""
    try:
        yield
    except OSError as exc:
        kind = next((kind for kind, numbers in _FOLDER_KINDS.items() if exc.errno in numbers), "storage")
        raise storage_error(kind, " ".join(filter(None, [f"{doing}: {exc}.", _FOLDER_ADVICE.get(kind)]))) from exc


def code_of(exc: BaseException | None) -> str:
    """S3's error code of a ClientError, or of the one an ArchiveError came from; else empty."""
    cause = exc.__cause__ if isinstance(exc, ArchiveError) else exc
    return cause.response.get("Error", {}).get("Code", "") if isinstance(cause, boto.ClientError) else ""


def status_of(exc: boto.ClientError) -> int | None:
    return exc.response.get("ResponseMetadata", {}).get("HTTPStatusCode")


def _refusal(doing: str, exc: boto.ClientError) -> ArchiveError:
    kind, sentence = meaning_of(code_of(exc), status_of(exc))
    return storage_error(kind, f"{sentence} ({doing}: {exc})" if sentence else f"{doing}: {exc}")
