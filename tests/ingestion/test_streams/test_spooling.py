import errno
import fcntl
import os
import shutil
from collections import namedtuple
from pathlib import Path

import pytest

from ingestion.errors import ArchiveError, PermanentError, SetupError, TransientError
from ingestion.streams import spooling
from ingestion.streams.boxes import index_is_first, wants_remux
from tests.ingestion.media.clips import outermost_boxes, packets, run
from tests.ingestion.media.origin import HttpSource
from tests.ingestion.media.stores import uploads_left
from tests.ingestion.test_streams.transfers import make_format, move


def spool(made: str, *, origin, store, **over):
    """Transfer a format that only yt-dlp's own downloader can fetch; it makes the clip `made`."""
    hls = make_format(origin, "both.mp4", protocol="m3u8_native", size=None)
    source = HttpSource((made, origin.files[made]))
    try:
        return move([hls], origin=origin, store=store, source=source, **over)
    finally:
        assert not source.spooled_to.exists()


@pytest.mark.parametrize(
    ("made", "container", "same"),
    [
        ("both.mp4", "mp4", True),
        ("vp9.webm", "mp4", False),
        ("both.ts", "mp4", False),
        ("index-last.mp4", "mp4", False),
    ],
)
def test_what_the_downloader_made_is_stored_with_its_index_first(made, container, same, origin, store, tmp_path, clips):
    moved = spool(made, origin=origin, store=store)
    assert (moved.way, moved.container, moved.bytes_fetched) == ("spool", container, len(origin.files[made]))
    path = tmp_path / f"object.{container}"
    with store.open(moved.stored.key) as body:
        path.write_bytes(body.read())
    assert (path.read_bytes() == origin.files[made]) == same
    boxes = outermost_boxes(path)
    assert boxes.index(b"moov") < boxes.index(b"mdat") and (b"moof" in boxes) == (store.in_order and not same)
    assert len(packets(str(path))) == len(packets(clips.path(made)))
    assert store.examine(moved.stored.key, moved.stored.part_size) == moved.stored
    assert uploads_left(store) == []


@pytest.mark.parametrize("made", ["both.mp4", "index-last.mp4"], ids=["as it is", "through ffmpeg"])
def test_what_is_stored_from_the_scratch_folder_counts_as_progress(made, origin, store):
    """Else the watch over workers would take a long upload for a dead one."""
    seen = []
    size = len(origin.files[made])
    moved = spool(made, origin=origin, store=store, progress=lambda *now: seen.append(now), part_size=100_000)
    done = [done for done, _ in seen]
    assert done == sorted(done) and done[-1] == size + moved.stored.size
    assert len({now for now in done if now > size}) > 5
    assert all(2 * size <= total <= 2 * size + moved.stored.size // 10 for _, total in seen), "some more for the index"


def test_a_picture_that_ends_early_is_found_in_a_file_on_disk_too(origin, store, clips, tmp_path):
    inputs = ("-t", "6", "-i", clips.path("picture.mp4"), "-i", clips.path("sound.m4a"))
    for name in ("half.mp4", "half.mkv", "half.ts"):
        run(*inputs, "-c", "copy", str(tmp_path / name))
        origin.files[name] = (tmp_path / name).read_bytes()
        with pytest.raises(TransientError, match=r"the picture lasts 6\.\d s") as caught:
            spool(name, origin=origin, store=store)
        assert caught.value.kind == "incomplete"
    assert (uploads_left(store), list(store.list_keys())) == ([], [])


def test_a_video_bigger_than_the_quota_is_refused(origin, moto_store, settings):
    settings.SCRATCH_LIMIT_GB = 0.0001
    with pytest.raises(PermanentError, match="MASSDL_SCRATCH_LIMIT_GB") as caught:
        spool("both.mp4", origin=origin, store=moto_store)
    assert caught.value.kind == "scratch_limit"
    assert list(moto_store.list_keys()) == []


def test_a_guess_of_the_size_refuses_nothing(tmp_path):
    quota = spooling._Quota(tmp_path, 100, lambda done, total: None)
    quota(50, 1000)
    with pytest.raises(PermanentError, match="MASSDL_SCRATCH_LIMIT_GB"):
        quota(101, None)


def test_the_quota_counts_what_is_in_the_folder(tmp_path, settings):
    quota = spooling._Quota(tmp_path, 100, lambda done, total: None)
    (tmp_path / "fragment").write_bytes(bytes(101))
    with pytest.raises(PermanentError, match="MASSDL_SCRATCH_LIMIT_GB"):
        quota.look()


@pytest.mark.parametrize(
    ("number", "kind"),
    [(errno.ENOSPC, "scratch_full"), (errno.EDQUOT, "scratch_full"), (errno.EIO, "media")],
    ids=["full", "quota", "broken"],
)
def test_a_disk_that_fails_in_the_middle_is_told_from_one_that_is_full(number, kind, origin, moto_store):
    def progress(done, total):
        raise OSError(number, os.strerror(number))

    with pytest.raises(ArchiveError, match=os.strerror(number)) as caught:
        spool("both.mp4", origin=origin, store=moto_store, progress=progress)
    assert (caught.value.kind, "MASSDL_SCRATCH_DIR" in caught.value.message) == (kind, kind == "scratch_full")


@pytest.mark.parametrize(("free", "kind"), [(0, "scratch_full"), (1 << 30, "media")], ids=["full", "roomy"])
def test_what_fails_without_saying_why_is_a_full_disk_where_nothing_is_free(free, kind, origin, moto_store, monkeypatch):
    def progress(done, total):
        raise TransientError("media", "Conversion failed!")

    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage(1 << 30, (1 << 30) - free, free))
    with pytest.raises(ArchiveError, match="Conversion failed!") as caught:
        spool("both.mp4", origin=origin, store=moto_store, progress=progress)
    assert caught.value.kind == kind


def test_a_scratch_folder_that_finds_no_room_is_a_full_disk(tmp_path, monkeypatch):
    def fill(path: Path, **about):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))

    monkeypatch.setattr(Path, "mkdir", fill)
    with pytest.raises(SetupError) as caught, spooling.scratch_folder(tmp_path / "scratch"):
        pass
    assert caught.value.kind == "scratch_full"


def test_a_file_that_ffmpeg_cannot_read_is_refused(origin, moto_store):
    origin.files["index-last.mp4"] = origin.files["index-last.mp4"][:-1000]
    with pytest.raises(TransientError) as caught:
        spool("index-last.mp4", origin=origin, store=moto_store)
    assert caught.value.kind == "media"
    assert (uploads_left(moto_store), list(moto_store.list_keys())) == ([], [])


def test_progress_stops_a_spool(origin, moto_store):
    class Stopped(Exception):
        keep_upload = True

    def progress(done, total):
        raise Stopped

    with pytest.raises(Stopped):
        spool("both.mp4", origin=origin, store=moto_store, progress=progress)
    assert uploads_left(moto_store) == []


def test_a_scratch_folder_that_cannot_be_made_is_named_with_its_setting(origin, moto_store, settings, tmp_path):
    (tmp_path / "file").write_text("")
    settings.SCRATCH_DIR = tmp_path / "file" / "scratch"
    with pytest.raises(SetupError, match="MASSDL_SCRATCH_DIR"):
        move([make_format(origin, "both.mp4", protocol="m3u8")], origin=origin, store=moto_store)


def test_folders_of_killed_processes_are_removed_and_those_of_others_are_not(tmp_path):
    abandoned, used = tmp_path / "video-abandoned", tmp_path / "video-used"
    for folder in (abandoned, used):
        folder.mkdir()
        (folder / "half.mp4").write_bytes(b"1")
    handle = os.open(used, os.O_RDONLY)
    fcntl.flock(handle, fcntl.LOCK_EX)
    with spooling.scratch_folder(tmp_path) as mine:
        assert (abandoned.exists(), used.exists(), mine.exists()) == (False, True, True)
    os.close(handle)
    assert not mine.exists()


@pytest.mark.parametrize(
    ("head", "first"),
    [
        (b"\0\0\0\x10ftypisom\0\0\0\0" + b"\0\0\1\0moov", True),
        (b"\0\0\0\x10ftypisom\0\0\0\0" + b"\0\0\0\x08free" + b"\0\0\1\0mdat", False),
        (b"\0\0\0\x10ftypisom\0\0\0\0" + b"\0\0\0\1mdat" + bytes(8), False),
        (b"\0\0\0\x10ftypisom", None),
        (b"", None),
        (bytes(32), False),
    ],
    ids=["index first", "media first", "large media first", "too short", "nothing", "no boxes"],
)
def test_the_head_of_a_file_tells_where_its_index_is(head, first):
    assert index_is_first(head) is first


@pytest.mark.parametrize(
    ("name", "wanted"), [("both.mp4", False), ("index-last.mp4", True), ("picture.mp4", True), ("both.ts", True), ("vp9.webm", False)]
)
def test_only_plain_mp4_with_its_index_first_stays_as_it_is(name, wanted, clips):
    assert wants_remux(clips.folder / name) is wanted
