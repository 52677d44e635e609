"""What comes in and what goes out, free of sockets."""

import json
import time
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from demo.youtube_twin.media import MediaFile

# (how a host ends, how a path begins) -> the word under which it is counted
KINDS = (
    ("www.youtube.com", "/watch", "watch"),
    ("www.youtube.com", "/youtubei/v1/player", "player"),
    ("www.youtube.com", "/youtubei/v1/browse", "browse"),
    ("www.youtube.com", "/youtubei/", "innertube"),
    ("www.youtube.com", "/api/timedtext", "captions"),
    ("manifest.googlevideo.com", "/", "manifest"),
    (".googlevideo.com", "/", "media"),
    (".ytimg.com", "/", "image"),
    (".ggpht.com", "/", "image"),
)


@dataclass(frozen=True)
class Request:
    """`target` is path and query as sent; `body` the JSON of a POST, {} without; `asked_at` when it came, in seconds of the epoch."""

    method: str
    host: str
    target: str
    range: str | None = None
    body: dict[str, Any] = field(default_factory=dict)
    asked_at: float = field(default_factory=time.time, compare=False)

    @cached_property
    def path(self) -> str:
        return urlsplit(self.target).path

    @cached_property
    def query(self) -> dict[str, str]:
        return dict(parse_qsl(urlsplit(self.target).query))

    @property
    def client(self) -> str | None:
        """The innertube client that asks, such as WEB."""
        return self.body.get("context", {}).get("client", {}).get("clientName")

    @property
    def line(self) -> str:
        """What faults are matched against."""
        return f"{self.method} {self.host}{self.target} {self.range or ''}"

    @property
    def kind(self) -> str:
        return next((kind for host, path, kind in KINDS if self.host.endswith(host) and self.path.startswith(path)), "page")


@dataclass(frozen=True)
class Response:
    """`body` is bytes, or a file of which ranges may be asked. `refused` says with what word the whole twin refuses to answer."""

    status: int
    content_type: str
    body: bytes | MediaFile = b""
    refused: str | None = None

    @classmethod
    def json(cls, value: Any, status: int = 200) -> "Response":
        return cls(status, "application/json; charset=UTF-8", json.dumps(value).encode())

    @classmethod
    def html(cls, page: bytes, status: int = 200) -> "Response":
        return cls(status, "text/html; charset=utf-8", page)

    @classmethod
    def text(cls, text: str, status: int = 200, content_type: str = "text/plain") -> "Response":
        return cls(status, content_type, text.encode())

    @classmethod
    def file(cls, file: MediaFile, content_type: str) -> "Response":
        return cls(200, content_type, file)


def parse_json(raw: bytes) -> dict[str, Any]:
    """The object in a request's body; {} for anything else."""
    try:
        value = json.loads(raw) if raw else {}
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}
