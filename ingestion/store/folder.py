"""Objects in a local folder: parts are written at their place into NAME.part, which becomes NAME when whole."""

import errno
import os
from collections.abc import Iterator, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any

from django.core.files.storage import FileSystemStorage

from ingestion.store.border import folder_errors, storage_error
from ingestion.store.checksums import Part, Stored
from ingestion.store.contents import OpenUpload, StoredObject, StoredRange, out_of_range
from ingestion.store.pieces import Data, FilePiece, blocks_of
from ingestion.store.policies import Policy, folder_policy
from ingestion.store.upload import OnState, State, Upload

UPLOAD_ID = "folder"
UNFINISHED = ".part"


class FolderPlace:
    """The folder of one FileSystemStorage. Content types and metadata are not kept."""

    in_order = False

    def __init__(self, storage: FileSystemStorage):
        self.storage = storage

    def path(self, key: str) -> Path:
        return Path(self.storage.path(key))

    def part_path(self, key: str) -> Path:
        return Path(self.storage.path(key) + UNFINISHED)

    def check(self) -> None:
        """Makes the folder where it is missing, as the first video would."""
        root = Path(self.storage.location)
        with folder_errors(f"look at {root}"):
            root.mkdir(parents=True, exist_ok=True)
            if not os.access(root, os.W_OK | os.X_OK):
                raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(root))
            space = os.statvfs(root)
        if space.f_blocks and not space.f_bavail:
            raise storage_error("storage_full", f"Nothing is free in {root}: make room, or correct MASSDL_MEDIA_FOLDER.")

    def policy(self, days: int) -> Policy:
        return folder_policy(self.storage.location)

    def begin(self, key: str, *, part_size: int, content_type: str, metadata: Mapping[str, str], on_state: OnState | None):
        with folder_errors(f"begin {key}"):
            path = self.part_path(key)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(b"")
        return FolderUpload(self, {"upload_id": UPLOAD_ID, "key": key, "part_size": part_size}, on_state)

    def resume(self, state: State, on_state: OnState | None) -> "FolderUpload | None":
        """The upload of `state`; None when its file is gone. A part whose writer died counts when it is there as announced."""
        path = self.part_path(state["key"])
        if state["upload_id"] != UPLOAD_ID or not path.exists():
            return None
        with folder_errors(f"look for the parts of {state['key']}"):
            found = {number: part for number, part in state.get("sending", {}).items() if _is_written(path, int(number), part, state)}
        return FolderUpload(self, {**state, "parts": {**found, **state["parts"]}}, on_state)

    def abort(self, state: Mapping[str, Any]) -> None:
        with folder_errors(f"abort {state['key']}"):
            self.part_path(state["key"]).unlink(missing_ok=True)

    def size(self, key: str) -> int | None:
        with folder_errors(f"look at {key}"):
            try:
                return self.path(key).stat().st_size
            except FileNotFoundError:
                return None

    def delete(self, key: str) -> None:
        with folder_errors(f"delete {key}"):
            self.path(key).unlink(missing_ok=True)

    def open(self, key: str) -> IO[bytes]:
        with folder_errors(f"open {key}"):
            return self.path(key).open("rb")

    def open_range(self, key: str, first: int, last: int) -> StoredRange:
        with folder_errors(f"read {key}"):
            file = self.path(key).open("rb")
            about = os.fstat(file.fileno())
            if not 0 <= first <= last or first >= about.st_size:
                file.close()
                raise out_of_range(key, first, about.st_size)
            file.seek(first)
        last = min(last, about.st_size - 1)
        return StoredRange(key, first, last, about.st_size, f"{about.st_mtime_ns}-{about.st_size}", file, folder_errors)

    def url(self, key: str, *, disposition: str | None, seconds: int) -> None:
        """A folder has no addresses."""

    def put(self, key: str, data: bytes, part: Part, *, content_type: str, metadata: Mapping[str, str]) -> None:
        upload = self.begin(key, part_size=max(len(data), 1), content_type=content_type, metadata=metadata, on_state=None)
        try:
            upload.put_part(1, data)
            upload.complete(len(data))
        except BaseException:
            upload.abort()
            raise

    def blocks(self, key: str, size: int) -> Iterator[bytes]:
        with folder_errors(f"read {key}"), self.open(key) as file:
            while block := file.read(size):
                yield block

    def objects(self, prefix: str) -> Iterator[StoredObject]:
        for key, path in self._files(prefix):
            if not key.endswith(UNFINISHED):
                with suppress(FileNotFoundError):
                    about = path.stat()
                    yield StoredObject(key, about.st_size, datetime.fromtimestamp(about.st_mtime, UTC))

    def uploads(self) -> Iterator[OpenUpload]:
        """As old as what was last written to them."""
        for key, path in self._files(""):
            if key.endswith(UNFINISHED):
                with suppress(FileNotFoundError):
                    yield OpenUpload(key.removesuffix(UNFINISHED), UPLOAD_ID, datetime.fromtimestamp(path.stat().st_mtime, UTC))

    def _files(self, prefix: str) -> Iterator[tuple[str, Path]]:
        root = Path(self.storage.location)
        with folder_errors("list the folder"):
            for folder, _, names in os.walk(root):
                for path in (Path(folder, name) for name in sorted(names)):
                    key = path.relative_to(root).as_posix()
                    if key.startswith(prefix):
                        yield key, path


class FolderUpload(Upload):
    """A file that grows at several places at once; a part counts once it is on the disk."""

    def __init__(self, place: FolderPlace, state: State, on_state: OnState | None):
        super().__init__(place, state, on_state=on_state)
        self._path = place.part_path(self.key)

    def _put(self, number: int, data: Data, part: Part) -> str:
        with folder_errors(f"part {number} of {self.key}"):
            file = os.open(self._path, os.O_WRONLY)
            try:
                _write_at(file, data, (number - 1) * self.part_size)
                os.fdatasync(file)
            finally:
                os.close(file)
        return ""

    def _complete(self, parts: list[Part], stored: Stored) -> None:
        with folder_errors(f"complete {self.key}"):
            os.truncate(self._path, stored.size)
            os.replace(self._path, self._place.path(self.key))
            _sync_folder(self._path.parent)


def _is_written(path: Path, number: int, part: Mapping[str, Any], state: State) -> bool:
    """Whether the announced part is in the file, byte for byte. A crash may have left any of its pages behind."""
    offset = (number - 1) * state["part_size"]
    if path.stat().st_size < offset + part["size"]:
        return False
    with path.open("rb") as file:
        return Part.of(FilePiece(file.fileno(), offset, part["size"])).as_json() == part


def _write_at(file: int, data: Data, offset: int) -> None:
    for block in blocks_of(data):
        with memoryview(block) as rest:
            written = 0
            while written < len(rest):
                written += os.pwrite(file, rest[written:], offset + written)
        offset += written


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
