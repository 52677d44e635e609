"""Ranges by libcurl, through all of yt-dlp in front of it, from a server on this machine that says what it was asked."""

import gc
import http.client
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit

import psutil
import pytest
import trustme
from yt_dlp.networking import Request
from yt_dlp.networking.exceptions import (
    CertificateVerifyError,
    HTTPError,
    IncompleteRead,
    ProxyError,
    RequestError,
    TransportError,
)

from ingestion.errors import TransientError
from ingestion.extraction import MediaFormat
from ingestion.youtube import curl, curl_handle, media
from ingestion.youtube.client import Client

CONTENT = bytes(range(256)) * 4096  # 1 MiB
PATIENCE_SECONDS = 20


@dataclass
class Server:
    """`asked` are the requests in their order, `peers` the sockets they came from."""

    port: int
    asked: list[http.client.HTTPMessage] = field(default_factory=list)
    peers: list[tuple[str, int]] = field(default_factory=list)
    release: threading.Event = field(default_factory=threading.Event)

    def url(self, path: str, host: str = "127.0.0.1", scheme: str = "http") -> str:
        return f"{scheme}://{host}:{self.port}{path}"


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_seen: Server

    def log_message(self, *arguments):
        pass

    def do_GET(self):
        self.server_seen.asked.append(self.headers)
        self.server_seen.peers.append(self.client_address)
        path = urlsplit(self.path).path
        getattr(self, f"do{path.replace('/', '_')}")()

    def answer(self, status: int, body: bytes = b"", **headers: str) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(body)

    def do_film(self):
        first, last = map(int, self.headers["Range"].removeprefix("bytes=").split("-"))
        body = CONTENT[first : last + 1]
        self.answer(206, body, Content_Range=f"bytes {first}-{first + len(body) - 1}/{len(CONTENT)}", ETag='"one"')

    def do_sent_on(self):
        self.answer(302, b"elsewhere", Location=self.server_seen.url("/film", host="localhost"), X_Old="1")

    def do_round_and_round(self):
        self.answer(302, Location="/round_and_round")

    def do_to_a_file(self):
        self.answer(302, Location="file:///etc/hostname")

    def do_refused(self):
        self.answer(403, b"x" * 5000)

    def do_refused_with_half_a_page(self):
        self.send_response(403)
        self.send_header("Content-Length", "1000")
        self.end_headers()
        self.close_connection = True

    def do_refused_and_silent(self):
        self.do_refused_with_half_a_page()
        self.do_silence()

    def do_silence(self):
        self.server_seen.release.wait(PATIENCE_SECONDS)
        self.close_connection = True

    def do_stalled(self):
        self.send_response(206)
        self.send_header("Content-Length", "1000")
        self.send_header("Content-Range", "bytes 0-999/1000")
        self.end_headers()
        self.wfile.write(b"x" * 10)
        self.do_silence()

    def do_short(self):
        self.send_response(206)
        self.send_header("Content-Length", "1000")
        self.send_header("Content-Range", "bytes 0-999/1000")
        self.end_headers()
        self.wfile.write(b"x" * 600)
        self.close_connection = True


class Quiet(ThreadingHTTPServer):
    def handle_error(self, request, client_address):
        """Connections that are closed half-way are what some tests are about."""


@pytest.fixture
def serve() -> Iterator[Callable[..., Server]]:
    """Starts servers, over TLS with a context."""
    running = []

    def start(context: ssl.SSLContext | None = None) -> Server:
        handler = type("Seeing", (Handler,), {})
        http_server = Quiet(("127.0.0.1", 0), handler)
        if context:
            http_server.socket = context.wrap_socket(http_server.socket, server_side=True)
        handler.server_seen = Server(http_server.server_address[1])
        thread = threading.Thread(target=http_server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        running.append((http_server, thread, handler.server_seen))
        return handler.server_seen

    yield start
    for http_server, thread, seen in running:
        seen.release.set()
        http_server.shutdown()
        thread.join()
        http_server.server_close()


@pytest.fixture
def server(serve: Callable[..., Server]) -> Server:
    return serve()


@pytest.fixture
def make_client() -> Iterator[Callable[..., Client]]:
    made = []

    def make(**options) -> Client:
        made.append(Client({"socket_timeout": PATIENCE_SECONDS, "cachedir": False, "proxy": "", **options}))
        return made[-1]

    yield make
    for client in made:
        client.close()


@pytest.fixture
def client(make_client: Callable[..., Client]) -> Client:
    return make_client()


def handler_of(client: Client) -> curl.RangesRH:
    return next(handler for handler in client._request_director.handlers.values() if isinstance(handler, curl.RangesRH))


def sockets_of_this_process() -> set:
    return {(seen.laddr, seen.raddr) for seen in psutil.Process().net_connections("tcp4")}


def ask(client: Client, url: str, first: int = 0, last: int = 999, **headers: str):
    return client.urlopen(Request(url, headers={"Range": f"bytes={first}-{last}", **headers}))


def test_a_range_comes_by_libcurl_and_all_else_the_usual_way(client: Client, server: Server):
    with closing(ask(client, server.url("/film"), 5, 1004)) as answer:
        assert isinstance(answer, curl.Answer)
        assert (answer.status, answer.reason, answer.headers["ETag"]) == (206, "Partial Content", '"one"')
        assert answer.read() == CONTENT[5:1005]
    with closing(client.urlopen(Request(server.url("/film"), headers={"range": "bytes=0-9"}))) as answer:
        assert isinstance(answer, curl.Answer), "whatever the letters of its name"
    with pytest.raises(HTTPError) as raised:
        client.urlopen(Request(server.url("/refused")))
    assert not isinstance(raised.value.response, curl.Answer)


@pytest.mark.parametrize("option", [{"client_certificate": "c.pem"}, {"legacyserverconnect": True}], ids=["certificate", "old TLS"])
def test_what_libcurl_is_not_told_of_goes_the_usual_way(make_client, server: Server, option: dict, tmp_path: Path):
    if "client_certificate" in option:
        path = tmp_path / "client.pem"
        authority = trustme.CA().issue_cert("client.example")
        path.write_bytes(authority.private_key_pem.bytes() + authority.cert_chain_pems[0].bytes())
        option = {"client_certificate": str(path)}
    film = MediaFormat("251", server.url("/film"), "https", "webm", len(CONTENT), None, "opus")
    with closing(media.open_range(make_client(**option), film, 10, 5009)) as answer:
        assert not isinstance(answer._response, curl.Answer)
        buffer = bytearray(10_000)
        assert answer.readinto(memoryview(buffer)) == 5000
        assert answer.readinto(memoryview(buffer)) == 0
    assert buffer[:5000] == CONTENT[10:5010]


def test_bytes_come_whole_whatever_the_size_of_the_buffer(client: Client, server: Server):
    whole, buffer, size = b"", bytearray(100_000), 1
    with closing(ask(client, server.url("/film"), 0, len(CONTENT) - 1)) as answer:
        while got := answer.readinto(memoryview(buffer)[:size]):
            assert got <= size
            whole += buffer[:got]
            size = min(size * 3, len(buffer))
        assert answer.readinto(memoryview(buffer)) == 0
    assert whole == CONTENT


def test_a_connection_is_used_again_after_its_last_byte_and_not_before(client: Client, server: Server):
    for first in range(0, 500_000, 100_000):
        buffer, filled = bytearray(100_000), 0
        with closing(ask(client, server.url("/film"), first, first + 99_999)) as answer:
            while filled < len(buffer):  # the end behind the last byte is never asked for
                filled += answer.readinto(memoryview(buffer)[filled:])
    assert len(set(server.peers)) == 1
    ask(client, server.url("/film"), 0, len(CONTENT) - 1).close()
    ask(client, server.url("/film")).close()
    assert len(set(server.peers)) == 2


def test_a_refusal_leaves_its_connection_usable(client: Client, server: Server):
    for path in ("/refused", "/film", "/refused", "/film"):
        try:
            with closing(ask(client, server.url(path))) as answer:
                answer.read()
        except HTTPError as exc:
            assert (exc.status, exc.response.read()) == (403, b"x" * 5000)
    assert len(set(server.peers)) == 1


def test_several_answers_are_open_at_once_and_few_connections_are_kept(client: Client, server: Server):
    answers = [ask(client, server.url("/film"), first, first + 9) for first in range(0, 200, 10)]
    assert [answer.read() for answer in answers] == [CONTENT[first : first + 10] for first in range(0, 200, 10)]
    for answer in answers:
        answer.close()
    handler = handler_of(client)
    assert len(handler._idle) == curl.MOST_IDLE
    late = ask(client, server.url("/film"))
    client.close()
    assert handler._idle == []
    assert late.read() == CONTENT[:1000]
    late.close()
    assert handler._idle == [], "what comes back after the end is closed"


def test_of_many_hosts_few_connections_are_kept(make_client, serve):
    client, servers = make_client(), [serve() for _ in range(6)]
    for server in servers:
        with closing(ask(client, server.url("/film"))) as answer:
            answer.read()
    ports = {server.port for server in servers}
    kept = {remote.port for _, remote in sockets_of_this_process() if remote and remote.port in ports}
    assert len(handler_of(client)._idle) == 1
    assert 1 <= len(kept) <= curl_handle.MOST_CONNECTIONS


def test_an_answer_that_nobody_closes_comes_back_when_it_is_collected(client: Client, server: Server):
    """Even when the collector runs in the midst of taking a handle."""
    handler = handler_of(client)
    with handler._lock:
        ask(client, server.url("/film"))
        gc.collect()
    assert len(handler._idle) == 1


def test_a_failure_holds_on_to_no_buffer(client: Client, server: Server):
    buffer = bytearray(10_000)
    with pytest.raises(IncompleteRead), closing(ask(client, server.url("/short"))) as answer:
        while answer.readinto(memoryview(buffer)):
            continue
    gc.collect()
    buffer.extend(b"x")  # BufferError while a view of it is left


def test_a_closed_answer_gives_nothing_of_the_next(client: Client, server: Server):
    old = ask(client, server.url("/film"))
    old.close()
    with closing(ask(client, server.url("/film"))) as new:
        with pytest.raises(ValueError, match="closed"):
            old.readinto(memoryview(bytearray(10)))
        assert new.read() == CONTENT[:1000]


def test_headers_go_out_as_yt_dlp_has_them(make_client, server: Server, tmp_path: Path):
    cookies = tmp_path / "cookies.txt"
    cookies.write_text("# Netscape HTTP Cookie File\n127.0.0.1\tFALSE\t/\tFALSE\t0\tpass\tword\nexample.com\tFALSE\t/\tFALSE\t0\tno\tno\n")
    client = make_client(cookiefile=str(cookies), http_headers={"User-Agent": "Somebody/1"})
    ask(client, server.url("/film"), Accept_Encoding="identity", X_Empty="").close()
    asked = server.asked[-1]
    assert (asked["User-Agent"], asked["Cookie"], asked["Range"]) == ("Somebody/1", "pass=word", "bytes=0-999")
    assert asked["X_Empty"] == ""
    ask(client, server.url("/sent_on")).close()
    assert [asked["Cookie"] for asked in server.asked[-2:]] == ["pass=word", None], "another host"


@pytest.mark.parametrize(
    "headers", [{"X": "one\r\nX-Other: two"}, {"X: one\r\nX-Other": "two"}, {"Cookie": "a=b\r\nX-Other: two"}], ids=str
)
def test_a_header_of_two_lines_is_not_sent(client: Client, server: Server, headers: dict[str, str]):
    with pytest.raises(RequestError, match="more than one line"):
        ask(client, server.url("/film"), **headers)
    assert server.asked == []


@pytest.mark.parametrize("path", ["/refused_with_half_a_page", "/refused_and_silent"])
def test_a_refusal_is_one_even_if_its_page_never_comes(make_client, server: Server, path: str):
    film = MediaFormat("251", server.url(path), "https", "webm", len(CONTENT), None, "opus")
    with pytest.raises(TransientError) as raised:
        media.open_range(make_client(socket_timeout=0.2), film, 0, 999)
    assert raised.value.kind == "forbidden"


def test_whoever_waits_is_let_look_around(client: Client, server: Server, monkeypatch):
    """Nothing for a while is neither bytes nor the end."""
    monkeypatch.setattr(curl_handle, "LOOK_SECONDS", 0.01)
    with closing(ask(client, server.url("/stalled"))) as answer:
        buffer = memoryview(bytearray(1000))
        assert answer.readinto(buffer) == 10
        assert [answer.readinto(buffer) for _ in range(3)] == [None, None, None]


def test_the_time_between_two_reads_is_not_the_servers_silence(make_client, server: Server):
    client, buffer = make_client(socket_timeout=0.05), memoryview(bytearray(1000))
    with closing(ask(client, server.url("/film"), 0, len(CONTENT) - 1)) as answer:
        got = answer.readinto(buffer)
        waited = threading.Event()
        threading.Timer(0.2, waited.set).start()
        waited.wait(PATIENCE_SECONDS)
        while size := answer.readinto(buffer):
            got += size
    assert got == len(CONTENT)


def test_what_is_raised_while_libcurl_calls_us_is_raised_where_we_read(client: Client, server: Server, monkeypatch):
    class Stopped(BaseException):
        pass

    def stop(self, data):
        raise Stopped

    monkeypatch.setattr(curl_handle.CurlHandle, "_move", stop)
    with pytest.raises(Stopped):
        ask(client, server.url("/film"))
    monkeypatch.undo()
    ask(client, server.url("/film")).close()


def test_an_answer_may_send_us_on_but_not_for_ever_and_not_to_a_file(client: Client, server: Server):
    with closing(ask(client, server.url("/sent_on"), 7, 10)) as answer:
        assert (answer.url, answer.read()) == (server.url("/film", host="localhost"), CONTENT[7:11])
        assert (answer.headers["ETag"], answer.headers["X-Old"]) == ('"one"', None)
    with pytest.raises(HTTPError, match="redirect loop") as raised:
        ask(client, server.url("/round_and_round"))
    assert raised.value.status == 302
    with pytest.raises(RequestError, match="file"):
        ask(client, server.url("/to_a_file"))


@pytest.mark.parametrize("path", ["/silence", "/stalled"])
def test_a_server_that_falls_silent_is_given_up(make_client, server: Server, path: str):
    client = make_client(socket_timeout=0.2)
    with pytest.raises(TransportError, match="timed out"), closing(ask(client, server.url(path))) as answer:
        answer.read(10)
        answer.readinto(memoryview(bytearray(10)))


def test_what_came_before_the_end_is_read_before_it_is_missed(client: Client, server: Server):
    with closing(ask(client, server.url("/short"))) as answer:
        assert answer.read(600) == b"x" * 600
        with pytest.raises(IncompleteRead, match="600 bytes read"):
            answer.readinto(memoryview(bytearray(10)))


@pytest.mark.parametrize("host", ["127.0.0.1", "nowhere.invalid"])
def test_nobody_there_is_an_error_of_transport(client: Client, host: str):
    with closing(socket.create_server(("127.0.0.1", 0))) as taken:
        port = taken.getsockname()[1]
    with pytest.raises(TransportError):
        ask(client, f"http://{host}:{port}/film")


def test_a_proxy_of_the_environment_is_not_used_against_the_option(make_client, server: Server, monkeypatch):
    for name in ("http_proxy", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    ask(make_client(proxy=""), server.url("/film")).close()
    assert len(server.asked) == 1
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with pytest.raises(TransportError):
        ask(make_client(proxy="http://127.0.0.1:9"), server.url("/film"))


def test_proxies_that_depend_on_the_address_are_yt_dlps_own_affair(make_client, server: Server, monkeypatch):
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with closing(ask(make_client(proxy=None), server.url("/film"))) as answer:
        assert not isinstance(answer, curl.Answer)


def test_the_password_of_a_proxy_is_in_no_line_of_the_record(make_client, server: Server):
    film = MediaFormat("251", server.url("/film"), "https", "webm", len(CONTENT), None, "opus")
    with pytest.raises(TransientError) as raised:
        media.open_range(make_client(proxy="http://user:secret@127.0.0.1:99999"), film, 0, 999)
    assert "secret" not in str(raised.value)


def test_a_proxy_that_refuses_is_told_apart(make_client, twin):
    with pytest.raises(ProxyError, match="CONNECT"):
        ask(make_client(proxy=twin.proxy_url), "https://not-simulated.example/film")


@pytest.mark.parametrize("checked", [True, False])
def test_certificates_are_checked_unless_somebody_turned_that_off(make_client, serve, checked: bool):
    authority, context = trustme.CA(), ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    secure = serve(context)
    client = make_client(nocheckcertificate=not checked)
    if checked:
        with pytest.raises(CertificateVerifyError):
            ask(client, secure.url("/film", scheme="https"))
    else:
        ask(client, secure.url("/film", scheme="https")).close()


def test_a_certificate_of_a_known_authority_is_good(make_client, serve, monkeypatch, tmp_path: Path):
    authority, context = trustme.CA(), ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    authority.cert_pem.write_to_path(str(tmp_path / "known.pem"))
    monkeypatch.setattr("certifi.where", lambda: str(tmp_path / "known.pem"))
    secure = serve(context)
    with closing(ask(make_client(), secure.url("/film", scheme="https"))) as answer:
        assert answer.read() == CONTENT[:1000]
    with pytest.raises(CertificateVerifyError):
        ask(make_client(), secure.url("/film", host="localhost", scheme="https"))


def test_requests_leave_from_the_address_of_the_option(make_client, server: Server):
    ask(make_client(source_address="127.0.0.3"), server.url("/film")).close()
    assert server.peers[-1][0] == "127.0.0.3"
    with closing(ask(make_client(source_address="localhost"), server.url("/film"))) as answer:
        assert not isinstance(answer, curl.Answer), "libcurl would take it for a name of an interface"


def test_an_address_of_no_number_says_which_kind_is_wanted(make_client, server: Server):
    """The server has an IPv4 address only; localhost may have both."""
    ask(make_client(source_address="0.0.0.0"), server.url("/film", host="localhost")).close()
    with pytest.raises(TransportError):
        ask(make_client(source_address="::"), server.url("/film", host="localhost"))


def test_the_kinds_of_media_errors_are_ours(client: Client, server: Server):
    film = MediaFormat("251", server.url("/short"), "https", "webm", 1000, None, "opus")
    with closing(media.open_range(client, film, 0, 999)) as answer:
        buffer, filled = memoryview(bytearray(1000)), 0
        with pytest.raises(TransientError) as raised:
            while True:
                filled += answer.readinto(buffer[filled:])
    assert (raised.value.kind, filled) == ("network", 600)
