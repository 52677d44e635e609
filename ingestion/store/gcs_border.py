"""Exceptions of Google Cloud Storage, mapped to ours where they arise. Imported only where such a bucket is in use.

What the statuses mean: https://cloud.google.com/storage/docs/json_api/v1/status-codes
"""

from collections.abc import Iterator
from contextlib import contextmanager

import requests
from google.api_core.exceptions import GoogleAPICallError, GoogleAPIError, RetryError
from google.auth import exceptions as auth
from google.cloud.storage.exceptions import DataCorruption, InvalidResponse

from ingestion.errors import ArchiveError
from ingestion.store.border import storage_error

TIMEOUT = (10, 60)  # seconds, to connect and to wait for an answer
GONE = (404, 410, 499)
"""Statuses of an upload that is over: 499 says that it was cancelled."""

_KEYS = "Google knows no credentials for us: set GOOGLE_APPLICATION_CREDENTIALS to the file of a service account."
_DENIED = "Google refused: give the service account the role Storage Object User on the bucket."
_NO_BUCKET = "There is no such bucket: create it, or correct MASSDL_GCS_BUCKET."
_FULL = "The bucket of MASSDL_GCS_BUCKET takes no more: make room, or raise its quota."
_TOO_LARGE = "Google takes no file of this size: a lower quality makes a smaller one."
_BY_STATUS = {
    400: ("storage", ""),
    401: ("storage_credentials", _KEYS),
    403: ("storage_credentials", _DENIED),
    408: ("storage_unreachable", ""),
    413: ("storage_too_large", _TOO_LARGE),
    429: ("storage_throttled", ""),
    507: ("storage_full", _FULL),
}
_BY_REASON = {
    "quotaExceeded": ("storage_full", _FULL),
    "uploadTooLarge": ("storage_too_large", _TOO_LARGE),
    "rateLimitExceeded": ("storage_throttled", ""),
    "userRateLimitExceeded": ("storage_throttled", ""),
}


@contextmanager
def gcs_errors(doing: str) -> Iterator[None]:
    """What Google's libraries raise inside becomes an ArchiveError of one of the storage's kinds.

    The text of a failed connection is left out, and no cause either, which logs would show: the address of an upload in it
    is as good as a key.
    """
    try:
        yield
    except (GoogleAPIError, InvalidResponse, DataCorruption, auth.GoogleAuthError, requests.RequestException) as exc:
        about = (exc.cause or exc) if isinstance(exc, RetryError) else exc
        raise _refusal(doing, about) from (None if isinstance(about, requests.RequestException | RetryError) else about)


def status_of(exc: BaseException) -> int | None:
    """The HTTP status of the answer behind an exception, of Google's or of ours; None where there was no answer."""
    cause = exc.__cause__ if isinstance(exc, ArchiveError) else exc
    if isinstance(cause, InvalidResponse):
        return cause.response.status_code
    return int(cause.code) if isinstance(cause, GoogleAPICallError) and cause.code else None


def _refusal(doing: str, exc: BaseException) -> ArchiveError:
    kind, sentence = _meaning(exc)
    said = f"{doing}: {_said(exc)}"
    return storage_error(kind, f"{sentence} ({said})" if sentence else said)


def _meaning(exc: BaseException) -> tuple[str, str]:
    status = status_of(exc)
    if status is not None:
        reason = next((_BY_REASON[name] for name in _reasons(exc) if name in _BY_REASON), None)
        server = ("storage_unreachable", "") if status >= 500 else ("storage", "")
        missing = status == 404 and "bucket does not exist" in str(exc)
        return ("storage_missing", _NO_BUCKET) if missing else reason or _BY_STATUS.get(status) or server
    if isinstance(exc, auth.TransportError | auth.TimeoutError | requests.ConnectionError | requests.Timeout):
        return "storage_unreachable", ""
    if isinstance(exc, auth.GoogleAuthError):
        return "storage_credentials", _KEYS
    if isinstance(exc, requests.exceptions.InvalidURL | requests.exceptions.MissingSchema | requests.exceptions.InvalidSchema):
        return "storage_missing", "This is no address: correct STORAGE_EMULATOR_HOST."
    return ("storage_unreachable", "") if isinstance(exc, requests.RequestException) else ("storage", "")


def _reasons(exc: BaseException) -> list[str]:
    """Of an answer to an upload the library leaves them unread."""
    errors = list(getattr(exc, "errors", ())) or _told(getattr(exc, "response", None))
    return [str(error.get("reason", "")) for error in errors if isinstance(error, dict)]


def _told(answer: requests.Response | None) -> list:
    try:
        return answer.json()["error"]["errors"]
    except (AttributeError, KeyError, TypeError, ValueError):  # no answer, or one of a proxy
        return []


def _said(exc: BaseException) -> str:
    if isinstance(exc, InvalidResponse):
        return f"status {exc.response.status_code} {exc.response.reason or ''}".strip()
    return type(exc).__name__ if isinstance(exc, requests.RequestException) else str(exc)
