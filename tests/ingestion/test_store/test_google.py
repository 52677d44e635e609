"""Uploads into Google Cloud Storage: what no other storage does."""

import json
import logging
import os
import random

import pytest
import requests
from flask import Response

from ingestion.errors import ArchiveError, TransientError
from ingestion.store import FilePiece, Store
from tests.ingestion.media.gcs_server import refusal
from tests.ingestion.media.stores import make_gcs_store, unused_port

GRANULE = 256 << 10
PART = 2 * GRANULE
CONTENT = random.Random(2).randbytes(2 * PART + 1000)
KEY = "a/clip.mp4"


def piece(number: int) -> bytes:
    return CONTENT[(number - 1) * PART : number * PART]


def begin(store: Store, **over):
    return store.begin(
        KEY, **{"content_type": "video/mp4", "metadata": {"youtube-id": "abc"}, "expected_size": None, "part_size": PART, **over}
    )


def places(server) -> list[str]:
    """What was said to be sent, in order."""
    return [place for _, _, place in server.requests if place]


def held(server) -> list[int]:
    return [len(session.body) for session in server.sessions.values()]


def finish(store: Store, upload) -> None:
    for number in range(len(upload.parts) + 1, 4):
        upload.put_part(number, piece(number))
    stored = upload.complete(len(CONTENT))
    assert store.examine(KEY, PART) == stored
    with store.open(KEY) as body:
        assert body.read() == CONTENT


def test_nothing_appears_before_the_last_step(gcs_store, gcs_server):
    upload = begin(gcs_store)
    for number in (1, 2, 3):
        upload.put_part(number, piece(number))
    assert held(gcs_server) == [2 * PART]
    assert gcs_store.size(KEY) is None
    finish(gcs_store, upload)
    about, _ = gcs_server.objects[f"archive/{KEY}"]
    assert (about["contentType"], about["metadata"]) == ("video/mp4", {"youtube-id": "abc"})


def test_a_size_of_whole_granules_ends_with_an_empty_request(gcs_store, gcs_server):
    upload = begin(gcs_store)
    upload.put_part(1, piece(1))
    assert upload.complete(PART).size == gcs_store.size(KEY) == PART
    assert places(gcs_server) == [f"bytes 0-{PART - 1}/*", f"bytes */{PART}"]


def test_parts_of_odd_sizes_are_sent_in_granules(gcs_store):
    upload = begin(gcs_store, part_size=100_000)
    for number, start in enumerate(range(0, len(CONTENT), 100_000), 1):
        upload.put_part(number, CONTENT[start : start + 100_000])
    stored = upload.complete(len(CONTENT))
    assert gcs_store.examine(KEY, 100_000) == stored


def test_a_chunk_of_which_google_took_a_part_goes_on_from_there(gcs_store, gcs_server):
    upload = begin(gcs_store)
    gcs_server.take = GRANULE
    upload.put_part(1, piece(1))
    assert places(gcs_server) == [
        f"bytes 0-{PART - 1}/*",
        "bytes */*",
        f"bytes {GRANULE}-{PART - 1}/*",
    ]
    finish(gcs_store, upload)


def test_another_host_goes_on_within_a_part_from_a_file(gcs_store, gcs_server, tmp_path):
    """The first was killed while Google had half of the second part."""
    upload = begin(gcs_store)
    upload.put_part(1, piece(1))
    state = json.loads(json.dumps(upload.state))
    next(iter(gcs_server.sessions.values())).body.extend(piece(2)[:GRANULE])
    again = begin(make_gcs_store(gcs_server), state=state)
    assert sorted(again.parts) == [1]
    (tmp_path / "media").write_bytes(CONTENT)
    with (tmp_path / "media").open("rb") as file:
        again.put_part(2, FilePiece(file.fileno(), PART, PART))
        assert places(gcs_server)[-1] == f"bytes {PART + GRANULE}-{2 * PART - 1}/*"
    finish(gcs_store, again)


def test_bytes_that_google_has_and_nobody_noted_are_not_sent_again(gcs_store, gcs_server):
    upload = begin(gcs_store)
    session = next(iter(gcs_server.sessions.values()))
    session.body += piece(1) + piece(2)
    again = begin(gcs_store, state=upload.state)
    assert dict(again.parts) == {}
    before = places(gcs_server)
    again.put_part(1, piece(1))
    again.put_part(2, piece(2))
    assert places(gcs_server) == before
    finish(gcs_store, again)


def test_a_whole_that_differs_from_what_was_sent_never_appears(gcs_store, gcs_server):
    """Half a part of another file was there: the parts are right, the whole is not."""
    upload = begin(gcs_store)
    next(iter(gcs_server.sessions.values())).body.extend(os.urandom(GRANULE))
    again = begin(gcs_store, state=upload.state)
    for number in (1, 2, 3):
        again.put_part(number, piece(number))
    with pytest.raises(TransientError) as caught:
        again.complete(len(CONTENT))
    assert caught.value.kind == "storage"
    assert gcs_store.size(KEY) is None


def test_an_object_with_another_checksum_is_removed(gcs_store, gcs_server, monkeypatch):
    """A server that does not look at the claim."""
    upload = begin(gcs_store)
    upload.put_part(1, piece(1))
    send = gcs_store._place.send

    def lie(session, body, place, headers=None):
        return send(session, body, place)

    monkeypatch.setattr(gcs_store._place, "send", lie)
    upload._parts[1] = type(upload.parts[1])(PART, 0, upload.parts[1].sha256, "00000001")
    with pytest.raises(TransientError, match="CRC-32C"):
        upload.complete(PART)
    assert gcs_store.size(KEY) is None


def test_a_lost_answer_to_the_last_step_is_no_loss(gcs_store, gcs_server):
    upload = begin(gcs_store)
    upload.put_part(1, b"small")
    state = upload.state
    lost = iter([True])

    def lose_one(request):
        if "/5" in request.headers.get("Content-Range", "") and next(lost, False):
            session = next(iter(gcs_server.sessions))
            del gcs_server.sessions[session]
            gcs_store.put(KEY, b"small", content_type="video/mp4", metadata={})
            return Response(status=503)
        return None

    gcs_server.fault = lose_one
    assert upload.complete(5).size == 5
    gcs_server.fault = None
    again = begin(gcs_store, state=state)
    assert again.upload_id != state["upload_id"], "what is finished or gone begins anew"


def test_bytes_that_google_lost_end_the_upload(gcs_store, gcs_server):
    upload = begin(gcs_store)
    upload.put_part(1, piece(1))
    next(iter(gcs_server.sessions.values())).body.clear()
    with pytest.raises(TransientError, match="0 bytes are left of"):
        upload.put_part(2, piece(2))


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        ((401, "Invalid Credentials", "authError"), "storage_credentials"),
        ((403, "no access", "forbidden"), "storage_credentials"),
        ((403, "full", "quotaExceeded"), "storage_full"),
        ((429, "slow down", "rateLimitExceeded"), "storage_throttled"),
        ((503, "unwell", "backendError"), "storage_unreachable"),
    ],
    ids=["401", "403", "quota", "429", "503"],
)
@pytest.mark.parametrize("during", ["check", "begin", "put"])
def test_what_google_answers_is_told_apart(answer, kind, during, gcs_server):
    store = make_gcs_store(gcs_server, patience=0.05)
    gcs_server.fault = lambda request: refusal(*answer)
    deeds = {
        "check": store.check,
        "begin": lambda: begin(store),
        "put": lambda: store.put("a.json", b"{}", content_type="application/json", metadata={}),
    }
    with pytest.raises(ArchiveError) as caught:
        deeds[during]()
    assert caught.value.kind == kind


def test_an_outage_in_the_middle_of_an_upload_is_one_to_come_back_after(gcs_server):
    store = make_gcs_store(gcs_server, patience=0.05)
    upload = begin(store)
    gcs_server.fault = lambda request: Response(status=503)
    with pytest.raises(ArchiveError) as caught:
        upload.put_part(1, piece(1))
    assert (caught.value.kind, upload.upload_id in str(caught.value)) == ("storage_unreachable", False)
    gcs_server.fault = None
    finish(store, begin(store, state=upload.state))


def test_no_log_tells_the_address_of_an_upload(gcs_server, caplog):
    """Not even one that shows where an error came from."""
    store = make_gcs_store(gcs_server, patience=0.05)
    upload = begin(store)
    store._place.http.mount(store._place.client.api_endpoint, NoConnection())
    for deed in (lambda: upload.put_part(1, piece(1)), upload.abort):
        with pytest.raises(ArchiveError) as caught:
            deed()
        logging.getLogger("tests").error("it failed", exc_info=caught.value)
    assert caplog.text.count("storage_unreachable") == 2
    assert "upload_id=" in upload.upload_id and "upload_id=" not in caplog.text


class NoConnection(requests.adapters.BaseAdapter):
    """Fails as requests does, with the address in the text."""

    def send(self, request, **options):
        raise requests.ConnectionError(f"Max retries exceeded with url: {request.url}")

    def close(self) -> None:
        pass


def test_a_bucket_that_is_not_there_is_named_with_its_setting(gcs_server):
    with pytest.raises(ArchiveError, match="MASSDL_GCS_BUCKET") as caught:
        make_gcs_store(gcs_server, "nobodys").check()
    assert caught.value.kind == "storage_missing"


def test_an_object_is_read_in_large_pieces_of_one_generation(gcs_store, gcs_server):
    content = random.Random(3).randbytes(9 << 20)
    gcs_store.put(KEY, content, content_type="video/mp4", metadata={})
    with gcs_store.open(KEY) as body:
        assert body.read() == content
    assert len([path for _, path, _ in gcs_server.requests if path.startswith("/download/")]) == 3
    with gcs_store.open_range(KEY, 0, len(content)) as answer:
        answer.read(1 << 20)
        gcs_store.put(KEY, content[::-1], content_type="video/mp4", metadata={})
        with pytest.raises(TransientError) as caught:
            answer.read()
    assert caught.value.kind == "storage"


def test_the_state_of_another_storage_is_never_asked_for(gcs_store, gcs_server):
    state = {**begin(gcs_store).state, "upload_id": f"http://127.0.0.1:{unused_port()}/upload"}
    gcs_store.abort(state)
    assert begin(gcs_store, state=state).upload_id.startswith(gcs_server.endpoint)
