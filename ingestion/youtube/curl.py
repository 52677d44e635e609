"""Ranges of media by libcurl: one more request handler for yt-dlp, at half the CPU time of Python's own TLS.

yt-dlp gives a handler its proxy, cookies, certificates, headers and timeout, and asks the next handler when one says that it
does not support a request: all but ranges, and what libcurl is not told of here, goes the usual way.
"""

import io
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
READ_SIZE = 64 << 10
CHECKS_OF_CERTIFICATES = (pycurl.SSL_VERIFYPEER, pycurl.SSL_VERIFYHOST, pycurl.PROXY_SSL_VERIFYPEER, pycurl.PROXY_SSL_VERIFYHOST)

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
        self._lock = threading.RLock()  # the collector of garbage may give back an answer while it is held
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
        if self.legacy_ssl_support or self._client_cert or self.prefer_system_certs:
            raise UnsupportedRequest("libcurl is told of certifi's authorities only, and of no old TLS")
        if len(set(filter(None, self._get_proxies(request).values()))) > 1:
            raise UnsupportedRequest("libcurl keeps its proxy wherever it is sent on to")
        if self.source_address and not _is_address(self.source_address):
            raise UnsupportedRequest("libcurl is told of addresses by their numbers")

    def _check_extensions(self, extensions: dict[str, Any]) -> None:
        super()._check_extensions(extensions)
        for name in ("cookiejar", "timeout"):
            extensions.pop(name, None)

    def _send(self, request: Request) -> Response:
        handle = self._handle_for(request.url)
        body = _Body(handle, self._calculate_timeout(request), self._give_back)
        try:
            handle.start((*ALWAYS, *self._options(request)))
            body.await_answer()
        except BaseException:
            body.close()
            raise
        answer = Answer(body, handle.url, handle.headers, status=handle.status, reason=handle.reason)
        if not 200 <= answer.status < 300:
            raise HTTPError(answer, redirect_loop=handle.redirected_too_often)
        return answer

    def _options(self, request: Request) -> Iterator[tuple[int, Any]]:
        """libcurl's options for a request. What it would read from the environment is given, be it empty."""
        headers = HTTPHeaderDict(self._get_headers(request))
        cookies = headers.pop("Cookie", None) or self._get_cookiejar(request).get_cookie_header(request.url)
        if cookies:
            yield pycurl.COOKIE, _one_line(cookies)  # libcurl keeps them from other hosts when it is sent on
        yield pycurl.URL, request.url
        yield pycurl.HTTPHEADER, [_header(name, value) for name, value in headers.items()]
        yield pycurl.PROXY, select_proxy(request.url, self._get_proxies(request)) or ""
        yield pycurl.NOPROXY, ""
        yield pycurl.CONNECTTIMEOUT_MS, int(self._calculate_timeout(request) * 1000)
        if self.verify:
            yield from ((option, certifi.where()) for option in (pycurl.CAINFO, pycurl.PROXY_CAINFO))
        else:
            yield from ((option, 0) for option in CHECKS_OF_CERTIFICATES)
        if self.source_address:
            yield from _from_address(self.source_address)

    def _handle_for(self, url: str) -> CurlHandle:
        """An idle handle, rather one with a connection to this host."""
        host = urlsplit(url).netloc
        with self._lock:
            same = [number for number, handle in enumerate(self._idle) if handle.host == host]
            handle = self._idle.pop(same[-1] if same else -1) if self._idle else None
        handle = handle or CurlHandle()
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
        buffer, filled = bytearray(READ_SIZE if amt is None or amt < 0 else amt), 0
        while (size := self.fp.readinto(memoryview(buffer)[filled:])) != 0:
            filled += size or 0
            if filled == len(buffer) and (amt is None or amt < 0):
                buffer += bytes(READ_SIZE)
        return bytes(memoryview(buffer)[:filled])

    def readinto(self, buffer: memoryview) -> int | None:
        """0 at the end, or when there is no room; None when nothing came for a second, which is no end."""
        return self.fp.readinto(buffer)


class _Body(io.RawIOBase):
    """The bytes of one answer. Closing it gives the handle back."""

    def __init__(self, handle: CurlHandle, timeout: float, give_back: Callable[[CurlHandle], None]):
        self._handle, self._timeout, self._give_back = handle, timeout, give_back

    def readable(self) -> bool:
        return True

    def await_answer(self) -> None:
        self._handle.await_answer(self._timeout)

    def readinto(self, buffer: Any) -> int | None:
        if self.closed:
            raise ValueError("this answer is closed, and its handle may have another")
        return self._handle.read_into(memoryview(buffer), self._timeout)

    def close(self) -> None:
        if not self.closed:
            super().close()
            self._give_back(self._handle)


def preference(handler: RequestHandler, request: Request) -> int:
    """For yt-dlp's director: a little before the one it prefers itself, and behind what a user's options prefer."""
    return 150 if isinstance(handler, RangesRH) else 0


def _header(name: str, value: str) -> str:
    """As libcurl wants it: an empty one would be left out."""
    return _one_line(f"{name}: {value}" if value else f"{name};")


def _one_line(text: str) -> str:
    if set(text) & {"\r", "\n", "\0"}:
        raise RequestError("a header has more than one line")
    return text


def _is_address(text: str) -> bool:
    try:
        return bool(ip_address(text))
    except ValueError:
        return False


def _from_address(address: str) -> Iterator[tuple[int, Any]]:
    """yt-dlp's users write 0.0.0.0 or :: for any address of that kind."""
    ip = ip_address(address)
    yield pycurl.IPRESOLVE, pycurl.IPRESOLVE_V6 if ip.version == 6 else pycurl.IPRESOLVE_V4
    if not ip.is_unspecified:
        yield pycurl.INTERFACE, f"host!{address}"
