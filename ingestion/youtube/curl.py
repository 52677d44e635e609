"""Ranges of media by libcurl: one more request handler for yt-dlp, at less than half the CPU time of Python's own TLS.

yt-dlp gives a handler its proxy, cookies, certificates, headers and timeout, and asks the next handler when one says that it
does not support a request: all but ranges, and what libcurl is not told of here, goes the usual way.
"""

import io
import ssl
import threading
from collections.abc import Callable, Iterator
from ipaddress import ip_address
from typing import Any
from urllib.parse import urlsplit

import certifi
import pycurl
from yt_dlp.networking.common import Features, HTTPHeaderDict, Request, RequestHandler, Response
from yt_dlp.networking.exceptions import HTTPError, RequestError, UnsupportedRequest
from yt_dlp.utils.networking import select_proxy

from ingestion.youtube.curl_handle import CurlHandle

MOST_IDLE = 8

ALWAYS: tuple[tuple[int, Any], ...] = (
    (pycurl.NOSIGNAL, 1),  # there are threads
    (pycurl.HTTP_VERSION, pycurl.CURL_HTTP_VERSION_1_1),  # a connection for each range: with one for all, a slow one holds all up
    (pycurl.BUFFERSIZE, 32 << 10),
    (pycurl.FOLLOWLOCATION, 1),
    (pycurl.MAXREDIRS, 5),
    (pycurl.REDIR_PROTOCOLS, pycurl.PROTO_HTTP | pycurl.PROTO_HTTPS),
)


class RangesRH(RequestHandler):
    """Answers requests for a range; several threads may send at once."""

    RH_NAME = "libcurl"
    _SUPPORTED_URL_SCHEMES = ("http", "https")
    _SUPPORTED_PROXY_SCHEMES = ("http", "https", "socks4", "socks4a", "socks5", "socks5h")
    _SUPPORTED_FEATURES = (Features.NO_PROXY, Features.ALL_PROXY)

    def __init__(self, **options: Any):
        super().__init__(**options)
        self._lock = threading.Lock()
        self._idle: list[CurlHandle] = []
        self._closed = False

    def close(self) -> None:
        """Those in use are closed with their answers."""
        with self._lock:
            self._closed, idle, self._idle = True, self._idle, []
        for handle in idle:
            handle.close()

    def _validate(self, request: Request) -> None:
        super()._validate(request)
        if request.method != "GET" or "Range" not in request.headers:
            raise UnsupportedRequest("libcurl is for ranges only")
        if self.legacy_ssl_support or self._client_cert:
            raise UnsupportedRequest("libcurl is not told of old TLS and of client certificates")

    def _check_extensions(self, extensions: dict[str, Any]) -> None:
        super()._check_extensions(extensions)
        for name in ("cookiejar", "timeout"):
            extensions.pop(name, None)

    def _send(self, request: Request) -> Response:
        handle = self._handle_for(request.url)
        body = _Body(handle, self._calculate_timeout(request), self._give_back)
        try:
            handle.start((*ALWAYS, *self._options(request)))
            body.await_first()
        except BaseException:
            body.close()
            raise
        answer = Answer(body, handle.url, handle.headers, status=handle.status, reason=handle.reason)
        if not 200 <= answer.status < 300:
            raise HTTPError(answer, redirect_loop=handle.redirected_too_often)
        return answer

    def _options(self, request: Request) -> Iterator[tuple[int, Any]]:
        """libcurl's options for a request. It reads proxies from the environment, unless it is given an empty one."""
        headers = HTTPHeaderDict(self._get_headers(request))
        cookies = headers.pop("Cookie", None) or self._get_cookiejar(request).get_cookie_header(request.url)
        if cookies:
            yield pycurl.COOKIE, cookies  # libcurl keeps them from other hosts when it is sent on
        yield pycurl.URL, request.url
        yield pycurl.HTTPHEADER, [_header(name, value) for name, value in headers.items()]
        yield pycurl.PROXY, select_proxy(request.url, self._get_proxies(request)) or ""
        yield pycurl.CONNECTTIMEOUT_MS, int(self._calculate_timeout(request) * 1000)
        yield from self._certificates()
        if self.source_address:
            yield from _from_address(self.source_address)

    def _certificates(self) -> Iterator[tuple[int, Any]]:
        """The same as those of yt-dlp's other handlers."""
        if self.verify:
            trusted = ssl.get_default_verify_paths().cafile if self.prefer_system_certs else certifi.where()
            yield pycurl.CAINFO, trusted
            yield pycurl.PROXY_CAINFO, trusted
            return
        checks = (pycurl.SSL_VERIFYPEER, pycurl.SSL_VERIFYHOST, pycurl.PROXY_SSL_VERIFYPEER, pycurl.PROXY_SSL_VERIFYHOST)
        yield from ((check, 0) for check in checks)

    def _handle_for(self, url: str) -> CurlHandle:
        """An idle handle, rather one with a connection to this host."""
        host = urlsplit(url).netloc
        with self._lock:
            if self._idle:
                place = max(range(len(self._idle)), key=lambda number: (self._idle[number].host == host, number))
                handle = self._idle.pop(place)
            else:
                handle = CurlHandle()
        handle.host = host
        return handle

    def _give_back(self, handle: CurlHandle) -> None:
        handle.leave()
        with self._lock:
            if not self._closed and len(self._idle) < MOST_IDLE:
                self._idle.append(handle)
                return
        handle.close()


class Answer(Response):
    """`readinto` gives what came in, as it comes; `read` waits for all that was asked for. Both raise RequestError."""

    fp: "_Body"

    def read(self, amt: int | None = None) -> bytes:
        if amt is None:
            return self.fp.readall()
        buffer, filled = bytearray(amt), 0
        while filled < amt and (size := self.fp.readinto(memoryview(buffer)[filled:])):
            filled += size
        return bytes(buffer[:filled])

    def readinto(self, buffer: memoryview) -> int:
        """At least one byte; 0 at the end, or when there is no room."""
        return self.fp.readinto(buffer)


class _Body(io.RawIOBase):
    """The bytes of one answer. Closing it gives the handle back."""

    def __init__(self, handle: CurlHandle, timeout: float, give_back: Callable[[CurlHandle], None]):
        self._handle, self._timeout, self._give_back = handle, timeout, give_back

    def readable(self) -> bool:
        return True

    def await_first(self) -> None:
        self._handle.await_first(self._timeout)

    def readinto(self, buffer: Any) -> int:
        return self._handle.read_into(memoryview(buffer), self._timeout)

    def close(self) -> None:
        if not self.closed:
            super().close()
            self._give_back(self._handle)


def preference(handler: RequestHandler, request: Request) -> int:
    """For yt-dlp's director: before all of its own."""
    return 1000 if isinstance(handler, RangesRH) else 0


def _header(name: str, value: str) -> str:
    """As libcurl wants it: an empty one would be left out."""
    if "\r" in value or "\n" in value:
        raise RequestError(f"the header {name} has more than one line")
    return f"{name}: {value}" if value else f"{name};"


def _from_address(address: str) -> Iterator[tuple[int, Any]]:
    """yt-dlp's users write 0.0.0.0 or :: for any address of that kind."""
    ip = ip_address(address)
    yield pycurl.IPRESOLVE, pycurl.IPRESOLVE_V6 if ip.version == 6 else pycurl.IPRESOLVE_V4
    if not ip.is_unspecified:
        yield pycurl.INTERFACE, f"host!{address}"
