"""One request at a time by libcurl, read bit by bit; its errors come out as yt-dlp's."""

import re
import select
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial, wraps
from typing import Any

import pycurl
from yt_dlp.networking.exceptions import CertificateVerifyError, IncompleteRead, ProxyError, RequestError, SSLError, TransportError

LOOK_SECONDS = 1.0  # so long does `read_into` wait at most
MOST_CONNECTIONS = 2  # kept by one handle; the hosts of media change with every video
NOTHING = memoryview(bytearray())
STATUS_LINE = re.compile(r"HTTP/[\d.]+ (\d{3}) ?(.*)")

# What yt-dlp raises for libcurl's errors; TransportError for all others
ERRORS: Mapping[int, type[RequestError]] = {
    pycurl.E_UNSUPPORTED_PROTOCOL: RequestError,
    pycurl.E_URL_MALFORMAT: RequestError,
    pycurl.E_COULDNT_RESOLVE_PROXY: ProxyError,
    pycurl.E_SSL_CONNECT_ERROR: SSLError,
    pycurl.E_SSL_CIPHER: SSLError,
    pycurl.E_PEER_FAILED_VERIFICATION: CertificateVerifyError,
    pycurl.E_SSL_CACERT_BADFILE: CertificateVerifyError,
}


@contextmanager
def border() -> Iterator[None]:
    """What libcurl refuses at once, as an option that makes no sense, is yt-dlp's RequestError."""
    try:
        yield
    except (pycurl.error, UnicodeError) as exc:
        raise RequestError(cause=exc) from exc


def _keeps_exceptions(callback: Callable[["CurlHandle", bytes], int | None]) -> Callable[["CurlHandle", bytes], int | None]:
    """For what libcurl calls: it knows no exceptions, so they end the transfer and are raised when it has returned."""

    @wraps(callback)
    def call(handle: "CurlHandle", data: bytes) -> int | None:
        try:
            return callback(handle, data)
        except BaseException as exc:  # noqa: BLE001 - `_until` raises it
            handle._interrupted_by = exc
            return 0  # of the bytes were taken

    return call


class CurlHandle:
    """libcurl's easy handle in a multi handle of its own, so that reading can stop half-way and go on.

    One request at a time, in one thread at a time; connections are kept for the next. What comes in goes into the buffer that
    is read into; what has no room there waits in `_spare`, and libcurl with it.
    """

    def __init__(self):
        self.host = ""
        self._easy, self._multi = pycurl.Curl(), pycurl.CurlMulti()
        self._multi.setopt(pycurl.M_MAXCONNECTS, MOST_CONNECTIONS)
        self._is_busy = False
        self._forget()

    def _forget(self) -> None:
        self.headers: dict[str, str] = {}
        self.reason, self._status_told = "", 0
        self.redirected_too_often = False
        self._make_failure: Callable[[], RequestError] | None = None  # an exception that was raised holds on to buffers
        self._interrupted_by: BaseException | None = None
        self._is_refused = self._is_done = self._is_paused = False
        self._target, self._filled, self._spare, self._received = NOTHING, 0, b"", 0
        self._silent_since: float | None = None  # while somebody waits

    def start(self, options: Iterable[tuple[int, Any]]) -> None:
        self._forget()
        self._easy.reset()
        with border():
            for option, value in options:
                self._easy.setopt(option, value)
            self._easy.setopt(pycurl.HEADERFUNCTION, self._take_header)
            self._easy.setopt(pycurl.WRITEFUNCTION, self._take)
            self._multi.add_handle(self._easy)
        self._is_busy = True

    def leave(self) -> None:
        """Be free for the next request. The connection is closed when its answer was not read to the end."""
        if self._is_busy:
            if not (self._is_done or self._spare):
                self._multi.perform()  # the last byte may be read and the end not yet seen
            self._multi.remove_handle(self._easy)
        self._is_busy = False
        self._forget()

    def close(self) -> None:
        self.leave()
        self._easy.close()
        self._multi.close()

    @property
    def status(self) -> int:
        """Of the last answer, not of a proxy's; 0 as long as there is none."""
        return self._easy.getinfo(pycurl.RESPONSE_CODE)

    @property
    def url(self) -> str:
        """Of the last answer, after redirects."""
        return self._easy.getinfo(pycurl.EFFECTIVE_URL)

    def await_answer(self, timeout: float) -> None:
        """Until the headers are there, and a byte behind them unless they refuse. Raises RequestError."""
        while not self._until(lambda: self._spare or (self._is_refused and self.status >= 400), timeout):
            continue

    def read_into(self, buffer: memoryview, timeout: float) -> int | None:
        """Bytes that were put at the beginning of `buffer`, 0 at the end; None when nothing came for LOOK_SECONDS.

        Raises TransportError when nothing has come for `timeout` seconds, and whatever libcurl's error is called here.
        """
        self._target, self._filled = buffer, 0
        try:
            self._move(self._spare)
            if self._is_paused and self._filled < len(buffer):
                self._is_paused = False
                with border():
                    self._easy.pause(pycurl.PAUSE_CONT)
            arrived = self._until(lambda: self._filled or not buffer, timeout)
            return self._filled if arrived else None
        finally:
            self._target = NOTHING

    def _until(self, arrived: Callable[[], Any], timeout: float) -> bool:
        """False when nothing came for a while."""
        look_until = time.monotonic() + LOOK_SECONDS
        while not (arrived() or self._is_done):
            now = time.monotonic()
            self._silent_since = self._silent_since or now
            with border():
                _, running = self._multi.perform()
            if self._interrupted_by:
                raise self._interrupted_by
            if not running:
                self._conclude()
            elif self._silent_since and not arrived():
                if now > self._silent_since + timeout:
                    raise TransportError(f"timed out: nothing came for {timeout:g} s")
                if now > look_until:
                    return False
                self._wait(min(look_until, self._silent_since + timeout) - now)
        self._silent_since = None
        if self._make_failure and not arrived():
            raise self._make_failure()
        return True

    def _wait(self, seconds: float) -> None:
        """Until a socket is ready, libcurl has something to do, or so many seconds are over.

        Not by its own select, which a signal makes fail; like it, this does not see sockets numbered 1024 and more.
        """
        due = self._multi.timeout()  # milliseconds, -1 for never
        poll, events = select.poll(), Counter()
        for sockets, event in zip(self._multi.fdset(), (select.POLLIN, select.POLLOUT, select.POLLPRI), strict=True):
            events.update(dict.fromkeys(sockets, event))  # one may wait for two: their bits add up
        for socket, wanted in events.items():
            poll.register(socket, wanted)
        most = int(max(seconds, 0) * 1000) + 1
        poll.poll(most if due < 0 else min(due, most))

    def _conclude(self) -> None:
        """The transfer is over. What went wrong is told when all that came before is read."""
        self._is_done = True
        _, _, failed = self._multi.info_read()
        for _, number, message in failed:
            self.redirected_too_often = number == pycurl.E_TOO_MANY_REDIRECTS
            self._make_failure = None if self.redirected_too_often else self._failure(number, message)

    def _failure(self, number: int, message: str) -> Callable[[], RequestError]:
        if number == pycurl.E_PARTIAL_FILE:
            return partial(IncompleteRead, self._received, cause=message)
        if self._easy.getinfo(pycurl.HTTP_CONNECTCODE) not in (0, 200):
            return partial(ProxyError, message)
        return partial(ERRORS.get(number, TransportError), message)

    @_keeps_exceptions
    def _take_header(self, line: bytes) -> None:
        """Each answer begins anew: those of a proxy and of redirects come first."""
        self._silent_since = None
        text = line.decode("latin-1").strip()
        if found := STATUS_LINE.fullmatch(text):
            self.headers, self._status_told, self.reason = {}, int(found[1]), found[2]
        elif ":" in text:
            name, _, value = text.partition(":")
            self.headers[name] = value.strip()
        elif not text:
            self._is_refused = self._status_told >= 400

    @_keeps_exceptions
    def _take(self, data: bytes) -> int | None:
        """None: taken, if need be with something to spare, and then no more before that is gone."""
        self._silent_since = None
        if self._spare:
            self._is_paused = True
            return pycurl.WRITEFUNC_PAUSE
        self._received += len(data)
        self._move(data)
        return None

    def _move(self, data: bytes) -> None:
        room = min(len(data), len(self._target) - self._filled)
        self._target[self._filled : self._filled + room] = data[:room]
        self._filled += room
        self._spare = data[room:]
