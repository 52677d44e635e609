"""A stand-in for Google Cloud Storage: the part of its JSON API that a store speaks, as strict as the real one.

https://cloud.google.com/storage/docs/performing-resumable-uploads and https://cloud.google.com/storage/docs/json_api/v1.
What is kept of it: chunks are multiples of 256 KiB but for the last, a session goes on from the byte it says and ends with
499 when it is cancelled, an object appears with its last byte and only when a claimed CRC-32C is right, a generation is
part of a condition, and errors come as Google's JSON.
"""

import base64
import itertools
import json
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import google_crc32c
from flask import Flask, Response, jsonify, request
from werkzeug.serving import make_server

GRANULE = 256 << 10
PAGE = 3


@dataclass
class Session:
    """One resumable upload."""

    about: dict[str, Any]
    body: bytearray = field(default_factory=bytearray)
    done: dict[str, Any] | None = None
    cancelled: bool = False


@dataclass
class GcsServer:
    """What is in it, and how it misbehaves: `fault` is asked before each request and may answer instead."""

    bucket: str
    endpoint: str = ""
    objects: dict[str, tuple[dict[str, Any], bytes]] = field(default_factory=dict)
    sessions: dict[str, Session] = field(default_factory=dict)
    requests: list[tuple[str, str, str]] = field(default_factory=list)
    fault: Callable[[Any], Response | None] | None = None
    take: int | None = None
    """Bytes of a chunk that are kept when the connection then breaks, once."""
    lock: threading.Lock = field(default_factory=threading.Lock)
    numbers: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    def open_sessions(self) -> list[str]:
        return [address for address, session in self.sessions.items() if not session.done and not session.cancelled]

    def clear(self) -> None:
        self.objects.clear()
        self.sessions.clear()
        self.requests.clear()
        self.fault = self.take = None


def refusal(status: int, message: str, reason: str = "") -> Response:
    errors = [{"message": message, "domain": "global", "reason": reason}]
    answer = jsonify(error={"code": status, "message": message, "errors": errors})
    answer.status_code = status
    return answer


@contextmanager
def serve_gcs(bucket: str = "videos") -> Iterator[GcsServer]:
    state = GcsServer(bucket)
    server = make_server("127.0.0.1", 0, _app(state), threaded=True)
    state.endpoint = f"http://127.0.0.1:{server.port}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield state
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def _app(state: GcsServer) -> Flask:
    app = Flask("gcs")

    @app.before_request
    def look() -> Response | None:
        request.get_data()  # a body that nobody reads would break the connection
        state.requests.append((request.method, request.path, request.headers.get("Content-Range", "")))
        answer = state.fault(request) if state.fault else None
        if answer is None and (found := re.search(r"/b/([^/]+)/o", request.path)) and found[1] != state.bucket:
            return refusal(404, "The specified bucket does not exist.", "notFound")
        return answer

    @app.get("/storage/v1/b/<bucket>")
    def about(bucket: str) -> Response:
        return jsonify(kind="storage#bucket", name=bucket, projectNumber="1", location="EU", locationType="region")

    @app.get("/storage/v1/b/<bucket>/o")
    def listing(bucket: str) -> Response:
        prefix, after = request.args.get("prefix", ""), request.args.get("pageToken", "")
        size = min(int(request.args.get("maxResults", PAGE)), PAGE)
        names = sorted(name for name in state.objects if name.startswith(prefix) and name > after)
        more = {"nextPageToken": names[size - 1]} if len(names) > size else {}
        return jsonify(kind="storage#objects", items=[state.objects[name][0] for name in names[:size]], **more)

    @app.get("/storage/v1/b/<bucket>/o/<path:name>")
    def metadata(bucket: str, name: str) -> Response:
        found = state.objects.get(name)
        return jsonify(found[0]) if found else refusal(404, f"No such object: {bucket}/{name}", "notFound")

    @app.delete("/storage/v1/b/<bucket>/o/<path:name>")
    def delete(bucket: str, name: str) -> Response:
        found = state.objects.pop(name, None)
        return Response(status=204) if found else refusal(404, f"No such object: {bucket}/{name}", "notFound")

    @app.get("/download/storage/v1/b/<bucket>/o/<path:name>")
    def media(bucket: str, name: str) -> Response:
        return _media(state, bucket, name)

    @app.post("/upload/storage/v1/b/<bucket>/o")
    def upload(bucket: str) -> Response:
        return _begin(state) if request.args["uploadType"] == "resumable" else _whole(state)

    @app.put("/upload/storage/v1/b/<bucket>/o")
    def chunk(bucket: str) -> Response:
        with state.lock:
            return _chunk(state)

    @app.delete("/upload/storage/v1/b/<bucket>/o")
    def cancel(bucket: str) -> Response:
        session = state.sessions.get(request.args["upload_id"])
        if session is None or session.done:
            return Response(status=404)
        session.cancelled = True
        return Response(status=499)

    return app


def _media(state: GcsServer, bucket: str, name: str) -> Response:
    about, body = state.objects.get(name, ({}, b""))
    if not about:
        return refusal(404, f"No such object: {bucket}/{name}", "notFound")
    if request.args.get("ifGenerationMatch", about["generation"]) != about["generation"]:
        return refusal(412, "At least one of the pre-conditions you specified did not hold.", "conditionNotMet")
    wanted = re.fullmatch(r"bytes=(\d+)-(\d*)", request.headers.get("Range", ""))
    if not wanted:
        return Response(body)
    first, last = int(wanted[1]), min(int(wanted[2] or len(body) - 1), len(body) - 1)
    if first > last:
        return Response(status=416)
    return Response(body[first : last + 1], 206, {"Content-Range": f"bytes {first}-{last}/{len(body)}"})


def _begin(state: GcsServer) -> Response:
    about = {**(request.get_json(silent=True) or {}), "contentType": request.headers.get("X-Upload-Content-Type")}
    number = f"session-{next(state.numbers)}"
    state.sessions[number] = Session({**about, "name": request.args.get("name") or about["name"]})
    return Response(headers={"Location": f"{request.base_url}?uploadType=resumable&upload_id={number}"})


def _whole(state: GcsServer) -> Response:
    """A multipart/related request: metadata, then the bytes."""
    boundary = b"--" + request.mimetype_params["boundary"].encode()
    parts = [part.partition(b"\r\n\r\n")[2].removesuffix(b"\r\n") for part in request.get_data().split(boundary)]
    about, body = json.loads(parts[1]), parts[2]
    return _store(state, about, body, about.get("crc32c"))


def _chunk(state: GcsServer) -> Response:
    session = state.sessions.get(request.args["upload_id"])
    if session is None or session.cancelled:
        return Response(status=404 if session is None else 499)
    if session.done:
        return jsonify(session.done)
    body = request.get_data()
    first, total = re.fullmatch(r"bytes (\*|\d+)(?:-\d+)?/(\*|\d+)", request.headers["Content-Range"]).groups()
    if first != "*" and int(first) != len(session.body):
        return refusal(503, f"the upload is at byte {len(session.body)}", "backendError")
    if total == "*" and len(body) % GRANULE:
        return refusal(400, "A chunk must be a multiple of 256 KiB.", "badRequest")
    if state.take is not None:
        session.body += body[: state.take]
        state.take = None
        return refusal(503, "The connection broke.", "backendError")
    session.body += body
    if total == "*" or len(session.body) < int(total):
        held = {"Range": f"bytes=0-{len(session.body) - 1}"} if session.body else {}
        return Response(status=308, headers=held)
    claimed = request.headers.get("X-Goog-Hash", "").removeprefix("crc32c=")
    answer = _store(state, session.about, bytes(session.body), claimed)
    session.done = answer.get_json() if answer.status_code == 200 else None
    return answer


def _store(state: GcsServer, about: dict[str, Any], body: bytes, claimed: str | None) -> Response:
    crc32c = base64.b64encode(google_crc32c.Checksum(body).digest()).decode()
    if claimed and claimed != crc32c:
        return refusal(400, f"Provided CRC32C {claimed} doesn't match calculated CRC32C {crc32c}.", "invalid")
    made = f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%S.%f}Z"
    told = {"generation": str(next(state.numbers)), "size": str(len(body)), "crc32c": crc32c, "timeCreated": made, "updated": made}
    state.objects[about["name"]] = ({**about, "bucket": state.bucket, **told}, body)
    return jsonify(state.objects[about["name"]][0])
