import zlib
from base64 import b64encode
from hashlib import sha256

from google_crc32c import value as crc32c
from hypothesis import given
from hypothesis import strategies as st

from ingestion.store import part_size_for
from ingestion.store.checksums import Part, composite, crc32_header, whole_crc32, whole_crc32c

MIB = 1 << 20
GIB = 1 << 30


@given(pieces=st.lists(st.binary()))
def test_the_crc32_of_any_parts_is_that_of_the_whole(pieces):
    assert whole_crc32([Part.of(piece) for piece in pieces]) == zlib.crc32(b"".join(pieces))


@given(pieces=st.lists(st.binary()))
def test_the_crc32c_of_any_parts_is_that_of_the_whole(pieces):
    assert whole_crc32c([(crc32c(piece), len(piece)) for piece in pieces]) == crc32c(b"".join(pieces))


def test_large_parts_are_put_together_as_fast_as_small_ones():
    a, b = bytes(3 * MIB), b"x" * (5 * MIB + 1)
    assert whole_crc32([Part.of(a), Part.of(b)]) == zlib.crc32(a + b)
    assert whole_crc32c([(crc32c(a), len(a)), (crc32c(b), len(b))]) == crc32c(a + b)


def test_the_composite_is_what_s3_calls_so():
    expected = b64encode(sha256(sha256(b"one").digest() + sha256(b"two").digest()).digest()).decode()
    assert composite([Part.of(b"one"), Part.of(b"two")]) == f"{expected}-2"


def test_a_crc32_keeps_its_leading_zeros_in_the_header():
    assert crc32_header(1) == "AAAAAQ=="


def test_part_sizes_grow_with_the_object_and_stay_within_ten_thousand():
    assert part_size_for(0) == part_size_for(70 * GIB) == 8 * MIB
    assert part_size_for(71 * GIB) == 16 * MIB
    assert part_size_for(None) == 64 * MIB
    for size in (GIB, 100 * GIB, 5000 * GIB):
        assert size / part_size_for(size) < 10_000
