"""What the error codes of S3 servers mean for us, by kind, with the setting to correct.

The codes are those of https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html, of MinIO (cmd/api-errors.go), and
for throttling those that botocore itself takes for it (botocore/retries/standard.py). A code that is not here is judged by
its HTTP status.
"""

from collections.abc import Mapping

CREDENTIALS: Mapping[str, str] = {
    "InvalidAccessKeyId": "The S3 server does not know the access key: correct AWS_ACCESS_KEY_ID.",
    "SignatureDoesNotMatch": "The S3 server refused the signature: correct AWS_SECRET_ACCESS_KEY.",
    "ExpiredToken": "The S3 credentials ran out: renew AWS_SESSION_TOKEN.",
    "ExpiredTokenException": "The S3 credentials ran out: renew AWS_SESSION_TOKEN.",
    "TokenRefreshRequired": "The S3 credentials ran out: renew AWS_SESSION_TOKEN.",
    "InvalidToken": "The S3 server refused the session token: correct AWS_SESSION_TOKEN.",
    "InvalidSecurity": "The S3 server refused the credentials: correct AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY.",
    "AccessDenied": "The S3 server refused: allow the access key to put, get, list, delete and abort in the bucket.",
    "UnauthorizedAccess": "The S3 server refused: the credentials are of another part of AWS than the bucket; correct AWS_ACCESS_KEY_ID.",
    "AccountProblem": "The S3 account is locked: ask its owner.",
    "AllAccessDisabled": "The bucket is locked: ask its owner.",
    "NotSignedUp": "The account of the access key has no S3: correct AWS_ACCESS_KEY_ID.",
    "KMS.DisabledException": "The key that encrypts the bucket is disabled: enable it.",
    "RequestTimeTooSkewed": "This host's clock is wrong by minutes: set it.",
    "RequestExpired": "This host's clock is wrong by minutes: set it.",
}
MISSING: Mapping[str, str] = {
    "NoSuchBucket": "There is no such bucket: create it, or correct MASSDL_S3_BUCKET.",
    "InvalidBucketName": "The bucket's name is not allowed: correct MASSDL_S3_BUCKET.",
    "PermanentRedirect": "The bucket is in another region: correct AWS_DEFAULT_REGION.",
    "AuthorizationHeaderMalformed": "The S3 server expects another region: correct AWS_DEFAULT_REGION.",
    "InvalidRegion": "The S3 server does not know the region: correct AWS_DEFAULT_REGION.",
    "IllegalLocationConstraintException": "The bucket is in another region: correct AWS_DEFAULT_REGION.",
    "MethodNotAllowed": "This is no S3 server: correct AWS_S3_ENDPOINT_URL.",
}
FULL: Mapping[str, str] = dict.fromkeys(
    (
        "QuotaExceeded",
        "QuotaExceededException",
        "InsufficientStorage",
        "InsufficientStorageSpace",
        "StorageFull",
        "StorageCapExceeded",
        "XMinioStorageFull",
        "XMinioAdminBucketQuotaExceeded",
    ),
    "The bucket of MASSDL_S3_BUCKET takes no more: make room, or raise its quota.",
)
TOO_LARGE: Mapping[str, str] = {"EntityTooLarge": "The S3 server takes no file of this size: a lower quality makes a smaller one."}
THROTTLED = frozenset(
    {
        *("Throttling", "ThrottlingException", "ThrottledException", "RequestThrottledException", "RequestThrottled"),
        *("TooManyRequests", "TooManyRequestsException", "RequestLimitExceeded", "BandwidthLimitExceeded", "LimitExceededException"),
        *("SlowDown", "SlowDownRead", "SlowDownWrite", "PriorRequestNotComplete", "EC2ThrottledException"),
        *("XMinioTooManyRequests", "OperationMaxedOut"),
    }
)
UNREACHABLE = frozenset(
    {
        *("InternalError", "ServiceUnavailable", "RequestTimeout", "BusyError", "ServerNotInitialized", "OperationTimedOut"),
        *("XMinioServerNotInitialized", "XMinioBackendDown", "XMinioReadQuorum", "XMinioWriteQuorum"),
    }
)

BY_CODE: Mapping[str, tuple[str, str]] = {
    **{code: ("storage_credentials", sentence) for code, sentence in CREDENTIALS.items()},
    **{code: ("storage_missing", sentence) for code, sentence in MISSING.items()},
    **{code: ("storage_full", sentence) for code, sentence in FULL.items()},
    **{code: ("storage_too_large", sentence) for code, sentence in TOO_LARGE.items()},
    **dict.fromkeys(THROTTLED, ("storage_throttled", "")),
    **dict.fromkeys(UNREACHABLE, ("storage_unreachable", "")),
}
BY_STATUS: Mapping[int, tuple[str, str]] = {
    301: BY_CODE["PermanentRedirect"],
    401: BY_CODE["AccessDenied"],
    403: BY_CODE["AccessDenied"],
    405: BY_CODE["MethodNotAllowed"],
    408: ("storage_unreachable", ""),
    429: ("storage_throttled", ""),
    500: ("storage_unreachable", ""),
    502: ("storage_unreachable", ""),
    503: ("storage_unreachable", ""),
    504: ("storage_unreachable", ""),
    507: BY_CODE["InsufficientStorage"],
}
"""Answers without a code of S3, as of HEAD and of proxies, and codes that nobody has listed."""


def meaning_of(code: str, status: int | None) -> tuple[str, str]:
    """The kind, and the sentence that names the setting ('' where there is none)."""
    if code in BY_CODE:
        return BY_CODE[code]
    if code.isdigit():  # botocore's code where the answer had none
        status = int(code)
    return BY_STATUS.get(status or 0, ("storage", ""))
