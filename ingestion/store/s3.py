"""Objects in an S3 bucket, by the client of django-storages' configured S3Storage."""

import base64
import hashlib
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import replace
from typing import IO, Any
from urllib.parse import quote

from botocore.exceptions import ClientError
from storages.backends.s3 import S3Storage

from ingestion.errors import ArchiveError
from ingestion.store.border import MISSING_UPLOAD, code_of, s3_errors, status_of, storage_error
from ingestion.store.bucket import BucketPlace
from ingestion.store.checksums import Part, Stored, crc32_header
from ingestion.store.contents import OpenUpload, StoredObject, StoredRange
from ingestion.store.pieces import Data, blocks_of
from ingestion.store.policies import Policy, s3_policy
from ingestion.store.upload import OnState, State, Upload

# Servers without checksums (Cloudflare R2 among them) say so at the begin; parts then carry Content-MD5.
NO_CHECKSUMS = ("NotImplemented", "InvalidArgument")


class S3Place(BucketPlace):
    """The bucket of one S3Storage. `in_order`: the server takes parts only one after the other."""

    def __init__(self, storage: S3Storage, *, in_order: bool):
        super().__init__(storage)
        self.in_order = in_order
        self.bucket = storage.bucket_name
        with s3_errors("connect to S3"):
            self.client = storage.bucket.meta.client  # one client serves all threads

    def check(self) -> None:
        """A GET: the answer to a HEAD has no code in it."""
        with s3_errors(f"look at bucket {self.bucket}"):
            try:
                self.client.list_objects_v2(Bucket=self.bucket, Prefix=self.location, MaxKeys=1)
            except ClientError as exc:
                if code_of(exc) == "NoSuchBucket" or status_of(exc) != 404:
                    raise
                sentence = "There is no S3 server, or none with this bucket: correct AWS_S3_ENDPOINT_URL or MASSDL_S3_BUCKET."
                raise storage_error("storage_missing", f"{sentence} ({exc})") from exc

    def policy(self, days: int) -> Policy:
        return s3_policy(self.bucket, self.location, days)

    def begin(self, key: str, *, part_size: int, content_type: str, metadata: Mapping[str, str], on_state: OnState | None) -> "S3Upload":
        with s3_errors(f"begin {key}"):
            upload_id, checksums = self._create(self._parameters(key, content_type, metadata))
        state = {"upload_id": upload_id, "key": key, "part_size": part_size, "checksums": checksums}
        return S3Upload(self, state, on_state)

    def _parameters(self, key: str, content_type: str, metadata: Mapping[str, str]) -> dict[str, Any]:
        return {
            **self.storage.get_object_parameters(key),
            "ContentType": content_type,
            "Metadata": {name: _ascii(value) for name, value in metadata.items()},
            "Bucket": self.bucket,
            "Key": self.name(key),
        }

    def _create(self, parameters: Mapping[str, Any]) -> tuple[str, bool]:
        try:
            answer = self.client.create_multipart_upload(**parameters, ChecksumAlgorithm="CRC32", ChecksumType="FULL_OBJECT")
            return answer["UploadId"], True
        except ClientError as exc:
            if code_of(exc) not in NO_CHECKSUMS:
                raise
        return self.client.create_multipart_upload(**parameters)["UploadId"], False

    def resume(self, state: State, on_state: OnState | None) -> "S3Upload | None":
        """The upload of `state` with the parts the bucket has; None when it is gone. A part whose sender died before it
        could say that it had arrived counts too, when it is the one that was announced."""
        listing = self.client.get_paginator("list_parts").paginate(**self.upload_names(state))
        try:
            with s3_errors(f"look for the parts of {state['key']}"):
                held = {str(part["PartNumber"]): part for page in listing for part in page.get("Parts", ())}
        except ArchiveError as exc:
            if code_of(exc) == MISSING_UPLOAD:
                return None
            raise
        known = {number: part for number, part in state["parts"].items() if _same(part, held.get(number))}
        for number, part in state.get("sending", {}).items():
            if number not in known and _is_announced(part, held.get(number)):
                known[number] = {**part, "etag": held[number]["ETag"]}
        return S3Upload(self, {**state, "parts": known}, on_state)

    def upload_names(self, state: Mapping[str, Any]) -> dict[str, str]:
        return {"Bucket": self.bucket, "Key": self.name(state["key"]), "UploadId": state["upload_id"]}

    def abort(self, state: Mapping[str, Any]) -> None:
        try:
            with s3_errors(f"abort {state['key']}"):
                self.client.abort_multipart_upload(**self.upload_names(state))
        except ArchiveError as exc:
            if code_of(exc) != MISSING_UPLOAD:
                raise

    def size(self, key: str) -> int | None:
        with s3_errors(f"look at {key}"):
            try:
                return self.client.head_object(Bucket=self.bucket, Key=self.name(key))["ContentLength"]
            except ClientError as exc:
                if code_of(exc) in ("404", "NoSuchKey", "NotFound"):
                    return None
                raise

    def delete(self, key: str) -> None:
        with s3_errors(f"delete {key}"):
            self.client.delete_object(Bucket=self.bucket, Key=self.name(key))

    def open(self, key: str) -> IO[bytes]:
        with s3_errors(f"open {key}"):
            return self.client.get_object(Bucket=self.bucket, Key=self.name(key))["Body"]

    def blocks(self, key: str, size: int) -> Iterator[bytes]:
        with s3_errors(f"read {key}"), closing(self.open(key)) as body:
            while block := body.read(size):
                yield block

    def open_range(self, key: str, first: int, last: int) -> StoredRange:
        with s3_errors(f"read {key}"):
            answer = self.client.get_object(Bucket=self.bucket, Key=self.name(key), Range=f"bytes={first}-{last}")
        place, _, total = answer["ContentRange"].removeprefix("bytes ").partition("/")
        first, last = map(int, place.split("-"))
        return StoredRange(key, first, last, int(total), answer["ETag"], answer["Body"], s3_errors)

    def url(self, key: str, *, disposition: str | None, seconds: int) -> str | None:
        """Signed here, without a request. None of a server that wants parts in order, which is rclone's: it answers with a part of
        an object as if that were all of it, and no browser can seek in that."""
        if self.in_order:
            return None
        with s3_errors(f"sign an address of {key}"):
            return self.storage.url(key, parameters={"ResponseContentDisposition": disposition} if disposition else {}, expire=seconds)

    def put(self, key: str, data: bytes, part: Part, *, content_type: str, metadata: Mapping[str, str]) -> None:
        parameters = self._parameters(key, content_type, metadata)
        with s3_errors(f"put {key}"):
            try:
                self.client.put_object(**parameters, Body=data, ChecksumCRC32=crc32_header(part.crc32))
            except ClientError as exc:
                if code_of(exc) not in NO_CHECKSUMS:
                    raise
                self.client.put_object(**parameters, Body=data, ContentMD5=_in_base64(_md5(data)))

    def objects(self, prefix: str) -> Iterator[StoredObject]:
        location = self.location
        pages = self.client.get_paginator("list_objects_v2").paginate(Bucket=self.bucket, Prefix=location + prefix)
        with s3_errors("list the bucket"):
            for page in pages:
                for entry in page.get("Contents", ()):
                    yield StoredObject(entry["Key"].removeprefix(location), entry["Size"], entry["LastModified"])

    def uploads(self) -> Iterator[OpenUpload]:
        """As old as their beginning."""
        location = self.location
        pages = self.client.get_paginator("list_multipart_uploads").paginate(Bucket=self.bucket, Prefix=location)
        try:
            with s3_errors("list the unfinished uploads"):
                for page in pages:
                    for entry in page.get("Uploads", ()):
                        yield OpenUpload(entry["Key"].removeprefix(location), entry["UploadId"], entry["Initiated"])
        except ArchiveError as exc:
            if code_of(exc) != MISSING_UPLOAD:  # how rclone says that there is none
                raise


class S3Upload(Upload):
    """A multipart upload; every part carries its CRC-32, and the whole is claimed with the CRC-32 of all of them."""

    def __init__(self, place: S3Place, state: State, on_state: OnState | None):
        super().__init__(place, state, on_state=on_state, in_order=place.in_order)
        self._checksums: bool = state["checksums"]
        self._are_listed = False  # the server has told a part's CRC-32, and will when it lists the parts
        self._names = place.upload_names(state)

    @property
    def state(self) -> State:
        return {**super().state, "checksums": self._checksums}

    def _announced(self, data: Data) -> Part:
        """With the MD5 that most servers use as the ETag: where they would not tell the CRC-32 either, for a part that another
        process may look for."""
        part = Part.of(data)
        is_asked_for = not self._checksums or (self.goes_on and not self._are_listed)
        return replace(part, etag=f'"{_md5(data)}"') if is_asked_for else part

    def _put(self, number: int, data: Data, part: Part) -> str:
        check = {"ChecksumCRC32": crc32_header(part.crc32)} if self._checksums else {"ContentMD5": _in_base64(part.etag.strip('"'))}
        with s3_errors(f"part {number} of {self.key}"):
            answer = self._place.client.upload_part(**self._names, PartNumber=number, Body=data, **check)
        self._are_listed = self._checksums and "ChecksumCRC32" in answer
        return answer["ETag"]

    def _complete(self, parts: list[Part], stored: Stored) -> None:
        listed = [{"PartNumber": number, **self._claim(part)} for number, part in enumerate(parts, 1)]
        whole = {"ChecksumType": "FULL_OBJECT", "ChecksumCRC32": crc32_header(int(stored.crc32, 16))} if self._checksums else {}
        try:
            with s3_errors(f"complete {self.key}"):
                self._place.client.complete_multipart_upload(**self._names, MultipartUpload={"Parts": listed}, **whole)
        except ArchiveError as exc:
            # The answer to an earlier try was lost: the key is this upload's own, its size is compared next.
            if code_of(exc) != MISSING_UPLOAD or self._size_held() != stored.size:
                raise

    def _claim(self, part: Part) -> dict[str, str]:
        return {"ETag": part.etag, **({"ChecksumCRC32": crc32_header(part.crc32)} if self._checksums else {})}


def _same(known: Mapping[str, Any], held: Mapping[str, Any] | None) -> bool:
    return held is not None and (held["ETag"], held["Size"]) == (known["etag"], known["size"])


def _is_announced(announced: Mapping[str, Any], held: Mapping[str, Any] | None) -> bool:
    """By the CRC-32 where the server lists it, else by the ETag, which is the MD5 unless the server encrypts with a key."""
    if held is None or held["Size"] != announced["size"]:
        return False
    return held.get("ChecksumCRC32") == crc32_header(announced["crc32"]) or held["ETag"] == announced["etag"]


def _md5(data: Data) -> str:
    digest = hashlib.md5(usedforsecurity=False)
    for block in blocks_of(data):
        digest.update(block)
    return digest.hexdigest()


def _in_base64(digits: str) -> str:
    return base64.b64encode(bytes.fromhex(digits)).decode()


def _ascii(value: str) -> str:
    """S3 metadata travels in headers."""
    return value if value.isascii() and value.isprintable() else quote(value)
