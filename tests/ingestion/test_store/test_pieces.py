"""Parts that are sent from where they are in a file."""

import hashlib
import os
import tempfile
from base64 import b64encode
from io import BytesIO

import pytest
from botocore.awsrequest import AWSResponse
from botocore.exceptions import ConnectionClosedError
from hypothesis import given
from hypothesis import strategies as st
from urllib3.response import HTTPResponse

from ingestion.store import FilePiece, Store
from ingestion.store import pieces as pieces_module
from ingestion.store.checksums import Part
from tests.ingestion.media.stores import make_s3_storage

CONTENT = os.urandom(700_001)


@pytest.fixture
def file():
    """An open file that holds a little before and behind CONTENT."""
    with tempfile.TemporaryFile() as file:
        file.write(b"before" + CONTENT + b"behind")
        file.flush()
        yield file.fileno()


def make_piece(file: int) -> FilePiece:
    return FilePiece(file, len(b"before"), len(CONTENT))


def read_in_steps(piece: FilePiece, size: int) -> bytes:
    return b"".join(iter(lambda: piece.read(size), b""))


@pytest.mark.parametrize("size", [1, 16_384, 1 << 20], ids=["a byte", "as urllib3 asks", "more than there is"])
def test_a_piece_reads_as_what_it_is_and_once_more_after_a_rewind(size, file):
    piece = make_piece(file)
    assert (len(piece), read_in_steps(piece, size), piece.tell()) == (len(CONTENT), CONTENT, len(CONTENT))
    assert piece.seek(0) == 0
    assert read_in_steps(piece, size) == CONTENT


@given(at=st.integers(0, 800_000), size=st.integers(-1, 800_000))
def test_a_piece_reads_as_a_file_would_but_for_larger_steps(at, size):
    with tempfile.TemporaryFile() as file:
        file.write(CONTENT)
        file.flush()
        piece, plain = FilePiece(file.fileno(), 0, len(CONTENT)), BytesIO(CONTENT)
        assert piece.seek(at) == plain.seek(at)
        read, least = piece.read(size), plain.read(size)
        assert read.startswith(least) and (not read) == (not least)
        assert CONTENT[at:].startswith(read)


def test_a_piece_seeks_from_its_end_and_from_where_it_is(file):
    piece = make_piece(file)
    assert piece.seek(-10, os.SEEK_END) == len(CONTENT) - 10
    assert piece.seek(4, os.SEEK_CUR) == len(CONTENT) - 6
    assert piece.read() == CONTENT[-6:]


def test_hashing_a_piece_leaves_its_position_alone(file):
    piece = make_piece(file)
    piece.seek(5)
    assert Part.of(piece) == Part.of(CONTENT)
    assert piece.tell() == 5


def test_a_file_that_ends_before_its_piece_is_an_error_and_no_short_part(file):
    piece = FilePiece(file, 0, len(CONTENT) + 100)
    with pytest.raises(OSError, match="88 bytes too early"):
        piece.read()
    with pytest.raises(OSError, match="too early"):
        Part.of(piece)


def test_pieces_become_the_object_they_are_pieces_of(store, file):
    upload = store.begin("a.mp4", content_type="video/mp4", metadata={}, expected_size=len(CONTENT), part_size=500_000)
    for number, (offset, size) in enumerate([(0, 500_000), (500_000, 200_001)], 1):
        upload.put_part(number, FilePiece(file, 6 + offset, size))
    stored = upload.complete(len(CONTENT))
    assert store.examine("a.mp4", 500_000) == stored
    with store.open("a.mp4") as body:
        assert body.read() == CONTENT


@pytest.mark.parametrize("status", [503, None], ids=["refused", "cut off"])
def test_a_part_that_is_sent_again_is_sent_whole(status, moto_endpoint, file, monkeypatch):
    """The first try has read more than half of the part when it fails."""
    store = Store(make_s3_storage(moto_endpoint, "videos", retries=3))
    upload = store.begin("again.mp4", content_type="video/mp4", metadata={}, expected_size=len(CONTENT), part_size=len(CONTENT))
    session = store._place.client._endpoint.http_session
    real, tries = session.send, []

    def send(request):
        tries.append(request.method)
        if len(tries) > 1:
            return real(request)
        request.body.read(400_000)
        if status is None:
            raise ConnectionClosedError(endpoint_url=request.url)
        return AWSResponse(request.url, status, {}, HTTPResponse(BytesIO(), status=status, preload_content=False))

    monkeypatch.setattr(session, "send", send)
    upload.put_part(1, make_piece(file))
    assert tries == ["PUT", "PUT"]
    monkeypatch.setattr(session, "send", real)
    stored = upload.complete(len(CONTENT))
    assert stored.crc32 == store.examine("again.mp4", len(CONTENT)).crc32
    store.delete("again.mp4")


def test_a_server_without_checksums_gets_the_md5_of_the_whole_piece(moto_store, file, monkeypatch):
    upload = moto_store.begin("md5.mp4", content_type="video/mp4", metadata={}, expected_size=None, part_size=len(CONTENT))
    again = moto_store.begin("md5.mp4", content_type="", metadata={}, expected_size=None, state={**upload.state, "checksums": False})
    client, sent = moto_store._place.client, []
    put = client.upload_part
    monkeypatch.setattr(client, "upload_part", lambda **parameters: sent.append(parameters) or put(**parameters))
    again.put_part(1, make_piece(file))
    assert sent[0]["ContentMD5"] == b64encode(hashlib.md5(CONTENT).digest()).decode()
    again.complete(len(CONTENT))


def test_few_system_calls_are_made_for_a_part(file, monkeypatch):
    reads = []
    real = os.pread
    monkeypatch.setattr(pieces_module.os, "pread", lambda *a: reads.append(a) or real(*a))
    read_in_steps(make_piece(file), 16_384)
    assert len(reads) <= len(CONTENT) / pieces_module.BLOCK_SIZE + 2
