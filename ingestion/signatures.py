"""Addresses of YouTube's as they may be recorded: one that was signed for us names who we are, and serves whoever has it."""

import re
from urllib.parse import urlsplit

SIGNED = re.compile(
    r"googlevideo\.com|/api/(?:timedtext|manifest)|/videoplayback|[?&;](?:sig|lsig|signature|expire|ip|pot|key)=", re.IGNORECASE
)
WHOLE = re.compile(r"\s*(?:[a-z][a-z0-9+.-]*:)?//\S+\s*", re.IGNORECASE)
QUERY = re.compile(r"\?[^\s'\"<>()]+")
USER = re.compile(r"//[^\s/@'\"]+@")
SIGNED_PATH = re.compile(r"(/videoplayback|/api/manifest)/[^\s'\"<>()?]+", re.IGNORECASE)


def host_and_path(url: str) -> str:
    """What is safe to say of an address of a picture or of captions, whose secrets stand in the query."""
    parts = urlsplit(url)
    return f"{parts.hostname or ''}{parts.path}"


def is_signed(text: str) -> bool:
    """Whether it is an address and nothing else, and was signed."""
    return bool(WHOLE.fullmatch(text) and SIGNED.search(text))


def without_signatures(line: str) -> str:
    """A line of the record, whose addresses are cut where the signature begins and name no user and password; other addresses
    stay whole."""
    line = USER.sub("//", line)
    line = QUERY.sub(lambda query: "" if SIGNED.search(query[0]) else query[0], line)
    return SIGNED_PATH.sub(r"\1/...", line)
