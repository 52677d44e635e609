"""Rows against objects, to the byte: does the archive hold exactly what its record says?"""

import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from ingestion.errors import KINDS, ArchiveError
from ingestion.models import Scan
from ingestion.store import Store
from videos.models import Asset, Video

Recorded = tuple[int | None, str, str]
NAMED = ("video__external_id", "kind", "language", "ext")
"""What tells one asset from another."""


def differences(store: Store, report: Mapping[str, Any] | None = None) -> Iterator[str]:
    """A sentence for each disagreement between rows, objects and (when given) a session's report; none is the proof.

    Every stored object is read whole and its size and checksums are computed anew.
    """
    objects = dict(store.list_keys())
    yield from _rows_against_objects(store, objects)
    yield from _objects_without_rows(objects)
    yield from _failures_without_reason()
    if report is not None:
        yield from _report_against_rows(report["videos"])


def _rows_against_objects(store: Store, objects: Mapping[str, int]) -> Iterator[str]:
    columns = ("storage_key", "file_size", "checksum", "crc32", "part_size")
    videos = Video.objects.stored().values_list("external_id", *columns).iterator(chunk_size=500)
    found = Asset.objects.stored().order_by().values_list(*NAMED, *columns).iterator(chunk_size=500)
    assets = ((asset_name(*row[: len(NAMED)]), *row[len(NAMED) :]) for row in found)
    for name, key, size, checksum, crc32, part_size in itertools.chain(videos, assets):
        if key not in objects:
            yield f"{name} is stored, but there is no object {key}"
            continue
        yield from _object_against_row(store, name, key, part_size, (size, checksum, crc32))


def asset_name(video: str, kind: str, language: str = "", ext: str = "") -> str:
    """`asset subtitles en vtt of dQw4w9WgXcQ`: the film may be well."""
    return f"asset {' '.join(filter(None, (kind, language, ext if ext != kind else '')))} of {video}"


def _object_against_row(store: Store, name: str, key: str, part_size: int, recorded: Recorded) -> Iterator[str]:
    try:
        yield from (f"{name}: {sentence}" for sentence in compare(store, key, part_size, recorded))
    except ArchiveError as exc:
        yield f"{name}: the object {key} cannot be read: {exc}"


def compare(store: Store, key: str, part_size: int, recorded: Recorded, *, check: Callable[[], None] = lambda: None) -> Iterator[str]:
    """What differs between the record of a file (size, checksum, CRC-32) and its object, which is read whole; `check` is called
    all the while. Raises ArchiveError when it cannot be read."""
    seen = store.examine(key, part_size, check=check)
    for what, row, there in zip(("size", "checksum", "CRC-32"), recorded, (seen.size, seen.checksum, seen.crc32), strict=True):
        if row != there:
            yield f"{what} is {row} in the row, {there} in the object {key}"


def _objects_without_rows(objects: Iterable[str]) -> Iterator[str]:
    known = set(Video.objects.exclude(storage_key="").values_list("storage_key", flat=True))
    known |= set(Asset.objects.exclude(storage_key="").order_by().values_list("storage_key", flat=True))
    for key in objects:
        if key not in known:
            yield f"the object {key} has no row"


def _failures_without_reason() -> Iterator[str]:
    for name, kind in Video.objects.retriable().exclude(status="skipped").values_list("external_id", "error_kind"):
        if kind not in KINDS:
            yield f"{name} is not stored, and its kind {kind!r} has no advice"
    for *name, kind in Asset.objects.filter(status=Asset.Status.FAILED).values_list(*NAMED, "error_kind"):
        if kind not in KINDS:
            yield f"{asset_name(*name)} failed, and its kind {kind!r} has no advice"
    for scan, kind in Scan.objects.filter(state=Scan.State.FAILED).values_list("pk", "error_kind"):
        if kind not in KINDS:
            yield f"scan {scan} failed, and its kind {kind!r} has no advice"


def _report_against_rows(told: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    told = {video["id"]: video for video in told}
    rows = Video.objects.filter(pk__in=told).values_list("pk", "status", "storage_key", "file_size", "checksum", "error_kind")
    for pk, *row in rows:
        said = [told[pk][name] for name in ("status", "key", "size", "checksum", "error_kind")]
        if said != row:
            yield f"the report says {said} of video {pk}, its row {row}"
    yield from (f"video {pk} of the report has no row" for pk in told.keys() - {row[0] for row in rows})
