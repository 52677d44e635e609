"""Checksums of an object that arrives in parts, in any order."""

import base64
import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache, reduce

from isal import isal_zlib

from ingestion.store.pieces import Data, blocks_of

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
            crc32 = isal_zlib.crc32(block, crc32)
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
    return reduce(lambda whole, part: isal_zlib.crc32_combine(whole, part.crc32, part.size), parts, 0)


def whole_crc32c(parts: Iterable[tuple[int, int]]) -> int:
    """CRC-32C of parts put together, each given by its CRC-32C and its size in bytes. Google's library has no such function;
    this is zlib's crc32_combine with another polynomial."""
    return reduce(lambda whole, part: _product(_power(part[1]), whole) ^ part[0], parts, 0)


@lru_cache
def _power(size: int) -> int:
    """x to the 8 * `size`, modulo the polynomial: what `size` bytes of zeros make of a CRC. Parts have few sizes."""
    result, factor = 1 << 31, 1 << 23
    while size:
        if size & 1:
            result = _product(factor, result)
        factor = _product(factor, factor)
        size >>= 1
    return result


def _product(one: int, other: int) -> int:
    """Of two polynomials over GF(2), modulo that of CRC-32C; the highest bit is x to the 0."""
    result = 0
    for bit in range(31, -1, -1):
        if one >> bit & 1:
            result ^= other
        other = other >> 1 ^ (CRC32C_POLYNOMIAL if other & 1 else 0)
    return result


def crc32_header(crc32: int) -> str:
    """As S3 and Google want it in a header; of a CRC-32 or a CRC-32C."""
    return base64.b64encode(crc32.to_bytes(4, "big")).decode()
