"""What a browser may load on our pages: the Content-Security-Policy, as settings for django-csp.

Scripts come from our own files only: no inline script, no inline handler. `unsafe-eval` is what Alpine, on which unfold's
pages stand, needs to read its attributes; inline styles are what unfold writes its colours with, and Alpine its transitions.
Pictures and films may come from the bucket as well, where there is one. Nothing is reported to anybody.
"""

from collections.abc import Sequence
from typing import Any
from urllib.parse import quote, urlsplit

SELF, NONE = "'self'", "'none'"
GOOGLE = "https://storage.googleapis.com"


def policy(bucket: Sequence[str]) -> dict[str, Any]:
    """For CONTENT_SECURITY_POLICY. `bucket` is where links to stored files lead, if they lead anywhere else."""
    stored = [SELF, *bucket]
    directives = {
        "default-src": [SELF],
        "script-src": [SELF, "'unsafe-eval'"],
        "style-src": [SELF, "'unsafe-inline'"],
        "img-src": stored,
        "media-src": stored,
        "connect-src": stored,
        "object-src": [NONE],
        "frame-src": [NONE],
        "worker-src": [NONE],
        "base-uri": [SELF],
        "form-action": [SELF],
        "frame-ancestors": [NONE],
    }
    return {"DIRECTIVES": directives}


def s3_sources(bucket: str | None, *, endpoint: str | None, region: str, style: str) -> list[str]:
    """The bucket's own addresses as links to its objects have them, hosts or folders of hosts; none without a bucket.

    `style` is boto3's: `path` puts the bucket behind the host, `virtual` and, at AWS, `auto` put it before.
    """
    return [_in_server(bucket, server, style) for server in _servers(endpoint, region)] if bucket else []


def _in_server(bucket: str, server: str, style: str) -> str:
    scheme, _, host = server.partition("://")
    if style == "path" or (style == "auto" and "." in bucket):  # a certificate covers no bucket with a dot in its name
        return f"{server}/{quote(bucket)}/"
    return f"{scheme}://{quote(bucket)}.{host}"


def _servers(endpoint: str | None, region: str) -> list[str]:
    """At AWS boto3 signs for the server of all regions, which may lead on to that of the region."""
    if endpoint:
        parts = urlsplit(endpoint)
        return [f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path.rstrip('/')}"]
    if region.startswith("cn-"):
        return [f"https://s3.{region}.amazonaws.com.cn"]
    return ["https://s3.amazonaws.com", f"https://s3.{region}.amazonaws.com"]


def google_sources(bucket: str | None, *, emulator: str | None) -> list[str]:
    """The same at Google, or at a stand-in for it."""
    return [f"{(emulator or GOOGLE).rstrip('/')}/{quote(bucket)}/"] if bucket else []
