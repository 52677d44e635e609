"""One request at a time by libcurl, read bit by bit; its errors come out as yt-dlp's."""

import re
import select
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import pycurl
from yt_dlp.networking.exceptions import CertificateVerifyError, IncompleteRead, ProxyError, RequestError, SSLError, TransportError

LOOK_MILLISECONDS = 1000  # between two looks whether it is over, at most
NOTHING = memoryview(bytearray())
STATUS_LINE = re.compile(r"HTTP/[\d.]+ \d{3} ?(.*)")

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


class CurlHandle:
    """libcurl's easy handle in a multi handle of its own, so that reading can stop half-way and go on.

    One request at a time, in one thread at a time; connections are kept for the next. What comes in goes into the buffer that
    is read into; what has no room there waits in `_spare`, and libcurl with it.
    """

    def __init__(self):
        self.host = ""
        self._easy, self._multi = pycurl.Curl(), pycurl.CurlMulti()
        self._begin()

    def _begin(self) -> None:
        self.headers: dict[str, str] = {}
        self.reason = ""
        self.redirected_too_often = False
        self._failure: RequestError | None = None
        self._is_busy = self._is_done = self._is_paused = False
        self._target, self._filled, self._spare, self._received = NOTHING, 0, b"", 0

    def start(self, options: Iterable[tuple[int, Any]]) -> None:
        self._begin()
        self._easy.reset()
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

    def close(self) -> None:
        self.leave()
        self._easy.close()
        self._multi.close()

    @property
    def status(self) -> int:
        return self._easy.getinfo(pycurl.RESPONSE_CODE)

    @property
    def url(self) -> str:
        """Of the last answer, after redirects."""
        return self._easy.getinfo(pycurl.EFFECTIVE_URL)

    def await_first(self, timeout: float) -> None:
        """Until the first byte behind the headers is there, or the end."""
        self._until(lambda: self._spare, timeout)

    def read_into(self, buffer: memoryview, timeout: float) -> int:
        """Raises TransportError when nothing comes for `timeout` seconds, and whatever libcurl's error is called here."""
        self._target, self._filled = buffer, 0
        try:
            self._move(self._spare)
            if self._is_paused and self._filled < len(buffer):
                self._is_paused = False
                self._easy.pause(pycurl.PAUSE_CONT)
            self._until(lambda: self._filled or not buffer, timeout)
            return self._filled
        finally:
            self._target = NOTHING

    def _until(self, arrived: Callable[[], Any], timeout: float) -> None:
        deadline = time.monotonic() + timeout
        while not arrived() and not self._is_done:
            _, running = self._multi.perform()
            if not running:
                self._conclude()
            elif not arrived():
                self._wait()
                if time.monotonic() > deadline:
                    raise TransportError(f"timed out: nothing came for {timeout:g} s")
        if self._failure and not arrived():
            raise self._failure

    def _wait(self) -> None:
        """Until a socket is ready or libcurl has something to do. Not by its own select, which a signal makes fail."""
        milliseconds = self._multi.timeout()
        poll, events = select.poll(), Counter()
        for sockets, event in zip(self._multi.fdset(), (select.POLLIN, select.POLLOUT, select.POLLPRI), strict=True):
            events.update(dict.fromkeys(sockets, event))  # one may wait for two: their bits add up
        for socket, wanted in events.items():
            poll.register(socket, wanted)
        poll.poll(LOOK_MILLISECONDS if milliseconds < 0 else min(milliseconds, LOOK_MILLISECONDS))

    def _conclude(self) -> None:
        """The transfer is over. What went wrong is told when all that came before is read."""
        self._is_done = True
        _, _, failed = self._multi.info_read()
        for _, number, message in failed:
            self.redirected_too_often = number == pycurl.E_TOO_MANY_REDIRECTS
            self._failure = None if self.redirected_too_often else self._error(number, message)

    def _error(self, number: int, message: str) -> RequestError:
        if number == pycurl.E_PARTIAL_FILE:
            return IncompleteRead(self._received, cause=message)
        if self._easy.getinfo(pycurl.HTTP_CONNECTCODE) not in (0, 200):
            return ProxyError(message)
        return ERRORS.get(number, TransportError)(message)

    def _take_header(self, line: bytes) -> None:
        """Each answer begins anew: those of a proxy and of redirects come first."""
        text = line.decode("latin-1").strip()
        if found := STATUS_LINE.fullmatch(text):
            self.headers, self.reason = {}, found[1]
        elif ":" in text:
            name, _, value = text.partition(":")
            self.headers[name] = value.strip()

    def _take(self, data: bytes) -> int | None:
        """None: taken, if need be with something to spare, and then no more before that is gone."""
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
