"""Real media of every format and length asked for, made on first demand and kept on disk."""

import fcntl
import hashlib
import os
import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from email.utils import formatdate
from pathlib import Path

from demo.youtube_twin import encoding
from demo.youtube_twin.formats import FORMATS, HLS_TRACKS, JOINED

CHUNK = 1 << 20
HUES = 24


class MediaFile:
    """A finished file. Its ETag and date are the same for every process and every start."""

    def __init__(self, path: Path):
        status = path.stat()
        self.path = path
        self.size = status.st_size
        self.modified = formatdate(status.st_mtime, usegmt=True)
        self.etag = f'"{hashlib.md5(path.name.encode()).hexdigest()[:16]}-{self.size:x}"'  # a name, not a secret

    def chunks(self, start: int, end: int, *, size: int = CHUNK) -> Iterator[memoryview]:
        """The bytes from start up to end, in pieces that are valid until the next one is asked for."""
        buffer = memoryview(bytearray(min(size, max(end - start, 1))))
        with self.path.open("rb", buffering=0) as file:
            file.seek(start)
            while start < end:
                count = file.readinto(buffer[: end - start])
                if not count:
                    raise OSError(f"{self.path} became shorter")
                yield buffer[:count]
                start += count


class Library:
    """The media of the twin in one folder, which several processes may share.

    `scale` multiplies the bit rate of ordinary pictures: 1 gives some hundred KB a video, 4 some MB.
    """

    def __init__(self, folder: Path, *, scale: float = 1.0):
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.scale = scale
        self._lock = threading.RLock()
        self._is_locked = False  # the folder, by this process
        self._files: dict[str, MediaFile] = {}

    def file(self, itag: int, seconds: int, grade: str = "plain") -> MediaFile:
        """The file behind a format's address: a track, or both in one."""
        return self._joined(itag, seconds, grade) if itag in JOINED else self._track(itag, seconds, grade)

    def playlist(self, itag: int, seconds: int, grade: str = "plain") -> str:
        """The m3u8 of an HLS variant; its segments are named seg0.ts, seg1.ts ..."""
        return (self._segments(itag, seconds, grade) / "index.m3u8").read_text()

    def segment(self, itag: int, seconds: int, name: str, grade: str = "plain") -> MediaFile | None:
        path = self._segments(itag, seconds, grade) / Path(name).name
        return MediaFile(path) if path.is_file() else None

    def thumbnail(self, video_id: str) -> MediaFile:
        """A picture whose colour depends on the id."""
        hue = hashlib.md5(video_id.encode()).digest()[0] % HUES * (360 // HUES)
        return self._made(f"thumbnail-{hue}.jpg", lambda to: encoding.draw_thumbnail(to, hue=hue))

    def _track(self, itag: int, seconds: int, grade: str) -> MediaFile:
        format = FORMATS[itag]
        name = f"{self._stem(itag, grade)}-{seconds}s.{format.container}"
        return self._made(name, lambda to: encoding.repeat_piece(self._piece(itag, grade), to, format, seconds=seconds))

    def _piece(self, itag: int, grade: str) -> Path:
        format = FORMATS[itag]
        name = f"{self._stem(itag, grade)}-piece.{encoding.piece_suffix(format)}"
        return self._made(name, lambda to: encoding.encode_piece(to, format, grade=grade, scale=self.scale)).path

    def _joined(self, itag: int, seconds: int, grade: str) -> MediaFile:
        name = f"{self._stem(itag, grade)}-{seconds}s.mp4"
        return self._made(name, lambda to: encoding.join_tracks([self._track(one, seconds, grade).path for one in JOINED[itag]], to))

    def _segments(self, itag: int, seconds: int, grade: str) -> Path:
        folder = self.folder / f"{self._stem(itag, grade)}-{seconds}s.hls"
        if not folder.exists():
            with self._alone(), _fresh_folder(folder) as temporary:
                encoding.cut_segments([self._track(track, seconds, grade).path for track in HLS_TRACKS[itag]], temporary)
        return folder

    def _stem(self, itag: int, grade: str) -> str:
        return f"{itag}-{grade}" if grade != "plain" or self.scale == 1 else f"{itag}-x{self.scale:g}"

    def _made(self, name: str, make: Callable[[Path], None]) -> MediaFile:
        """The file of that name, made by `make(temporary path)` unless it is there."""
        if found := self._files.get(name):
            return found
        path = self.folder / name
        if not path.exists():
            with self._alone():
                if not path.exists():
                    temporary = path.with_name(f".{name}.part")
                    make(temporary)
                    os.replace(temporary, path)
        return self._files.setdefault(name, MediaFile(path))

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """One maker at a time, among the threads of this process and among processes. May be entered again within."""
        with self._lock:
            if self._is_locked:
                yield
                return
            with (self.folder / ".lock").open("w") as file:
                fcntl.flock(file, fcntl.LOCK_EX)
                self._is_locked = True
                try:
                    yield
                finally:
                    self._is_locked = False


@contextmanager
def _fresh_folder(folder: Path) -> Iterator[Path]:
    """A temporary folder that takes the name of `folder` at the end, unless somebody else was first."""
    temporary = folder.with_name(f".{folder.name}.part")
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir()
    yield temporary
    if not folder.exists():
        os.rename(temporary, folder)
