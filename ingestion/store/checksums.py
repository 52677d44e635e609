"""Checksums of an object that arrives in parts, in any order."""

import base64
import hashlib
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from functools import reduce

from ingestion.store.pieces import Data, blocks_of

CRC32_POLYNOMIAL = 0xEDB88320
CRC32C_POLYNOMIAL = 0x82F63B78


@dataclass(frozen=True)
class Part:
    """One part: its size in bytes, CRC-32, SHA-256 (base64) and by what the storage knows it: S3's ETag, Google's CRC-32C."""

    size: int
    crc32: int
    sha256: str
    etag: str = ""

    @classmethod
    def of(cls, data: Data) -> "Part":
        crc32, digest = 0, hashlib.sha256()
        for block in blocks_of(data):
            crc32 = zlib.crc32(block, crc32)
            digest.update(block)
        return cls(len(data), crc32, base64.b64encode(digest.digest()).decode())

    def as_json(self) -> dict:
        return asdict(self)


@dataclass(frozen=True)
class Stored:
    """A whole object: `checksum` is S3's composite SHA-256 (see `composite`), `crc32` eight hex digits over the whole file."""

    key: str
    size: int
    checksum: str
    crc32: str
    part_size: int

    @classmethod
    def of(cls, key: str, parts: Sequence[Part], part_size: int) -> "Stored":
        """From the parts in their order."""
        return cls(key, sum(part.size for part in parts), composite(parts), f"{whole_crc32(parts):08x}", part_size)


def composite(parts: Sequence[Part]) -> str:
    """What S3 itself calls the checksum of a multipart object: base64(SHA-256 of the parts' SHA-256s)-N."""
    together = hashlib.sha256(b"".join(base64.b64decode(part.sha256) for part in parts)).digest()
    return f"{base64.b64encode(together).decode()}-{len(parts)}"


def whole_crc32(parts: Iterable[Part]) -> int:
    """CRC-32 of the parts put together, without reading them again."""
    return reduce(lambda whole, part: combine_crc32(whole, part.crc32, part.size), parts, 0)


def crc32_header(crc32: int) -> str:
    """As S3 and Google want it in a header; of a CRC-32 or a CRC-32C."""
    return base64.b64encode(crc32.to_bytes(4, "big")).decode()


def combine_crc32(first: int, second: int, second_size: int, polynomial: int = CRC32_POLYNOMIAL) -> int:
    """CRC-32 of two pieces put together, from theirs and the size of the second in bytes (zlib's crc32_combine)."""
    one_bit = [polynomial, *(1 << bit for bit in range(31))]
    operator = _square(_square(one_bit))  # four zero bits; squared once more in the loop: one zero byte
    while second_size:
        operator = _square(operator)
        if second_size & 1:
            first = _times(operator, first)
        second_size >>= 1
    return first ^ second


def _times(matrix: list[int], vector: int) -> int:
    """A matrix over GF(2) applied to a vector."""
    result = 0
    for column in matrix:
        if not vector:
            break
        if vector & 1:
            result ^= column
        vector >>= 1
    return result


def _square(matrix: list[int]) -> list[int]:
    return [_times(matrix, column) for column in matrix]
