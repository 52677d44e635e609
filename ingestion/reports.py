"""What became of a session, exactly: as data for files and programs, grouped for people."""

import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing
from itertools import islice
from typing import Any

from django.db.models import QuerySet

from ingestion.errors import KINDS, advice_for
from ingestion.models import DownloadSession, Scan
from ingestion.progress import Progress, session_progress
from videos.models import Asset, Video

AT_ONCE = 500
"""Videos that are in memory at a time, each with its assets."""


def session_report(session: DownloadSession) -> dict[str, Any]:
    """The whole report as JSON-able data; every stored video with its key, size in bytes and checksums, and its assets.

    `completed` are videos that were stored before and got assets of this session.
    """
    return {name: list(part) if isinstance(part, Iterator) else part for name, part in report_parts(session).items()}


def report_parts(session: DownloadSession) -> dict[str, Any]:
    """The same with `videos` and `completed` as iterators, which read their rows while they are asked for them."""
    progress = session_progress(session, asset_kinds=True)
    return {
        "session": _session(session),
        "totals": totals(progress),
        "requests": progress.requests.as_data() if progress.requests else None,
        "failures": failures(progress),
        "channels": [_channel(scan) for scan in session.scans.select_related("channel__person").order_by("id")],
        "problems": session.problems,
        "videos": _videos(session),
        "completed": _completed(session),
    }


def report_chunks(parts: Mapping[str, Any]) -> Iterator[bytes]:
    """The report as the bytes of its file, which is JSON, however many videos there are."""
    before = "{"
    for name, part in parts.items():
        yield f"{before}\n {json.dumps(name)}: ".encode()
        yield from _array(part) if isinstance(part, Iterator) else [_indented(part, 1)]
        before = ","
    yield b"\n}\n"


def _array(items: Iterable[Any]) -> Iterator[bytes]:
    before = b"["
    for item in items:
        yield before + b"\n  " + _indented(item, 2)
        before = b","
    yield b"[]" if before == b"[" else b"\n ]"


def _indented(value: Any, depth: int) -> bytes:
    """As it stands so deep in a file that is indented by 1: within its texts no line ends."""
    return json.dumps(value, indent=1, ensure_ascii=False).replace("\n", "\n" + " " * depth).encode()


def totals(progress: Progress) -> dict[str, int]:
    return {
        "videos": progress.total,
        "stored": progress.videos["stored"],
        "bytes_stored": progress.bytes_stored,
        "waiting": progress.unfinished,
        "held_back": progress.held_videos.total(),
        "failed": progress.videos["failed"],
        "unavailable": progress.videos["unavailable"],
        "skipped": progress.videos["skipped"],
        "already_stored": progress.already_stored,
        "left_alone": progress.left_alone.total(),
        "assets_stored": progress.assets["stored"],
        "assets_waiting": progress.assets["pending"],
        "assets_absent": progress.assets["absent"],
        "assets_failed": progress.assets["failed"],
        "channels": progress.scans.total(),
        "channels_not_listed": progress.scans["failed"] + progress.scans_open,
    }


def failures(progress: Progress) -> list[dict[str, Any]]:
    """What is not stored, by kind: how many videos, channels and assets of stored videos, what it means, what to do. Most
    videos first. Assets are counted apart: a kind that only they met has no videos. The progress knows the kinds of assets."""
    kinds = {*progress.kinds, *progress.scan_kinds, *progress.asset_kinds, *progress.left_alone}
    rows = [_failure(kind, progress) for kind in kinds]
    return sorted(rows, key=lambda row: (-row["videos"], -row["known_before"], -row["channels"], row["kind"]))


def _failure(kind: str, progress: Progress) -> dict[str, Any]:
    known = KINDS.get(kind, KINDS["unknown"])
    return {
        "kind": kind,
        "videos": progress.kinds[kind],
        "channels": progress.scan_kinds[kind],
        "assets": progress.asset_kinds[kind],
        "known_before": progress.left_alone[kind],
        "treatment": known.type.treatment,
        "meaning": known.meaning,
        "advice": known.advice,
    }


def _session(session: DownloadSession) -> dict[str, Any]:
    return {
        "id": session.pk,
        "uuid": str(session.uuid),
        "source": session.source,
        "options": session.options,
        "state": session.state,
        "state_reason": session.state_reason,
        "created_at": session.created_at.isoformat(),
        "finished_at": session.finished_at.isoformat() if session.finished_at else None,
    }


def _channel(scan: Scan) -> dict[str, Any]:
    channel = scan.channel
    return {
        "person": channel.person.name,
        "url": channel.url,
        "canonical_url": channel.canonical_url,
        "youtube_id": channel.external_id,
        "kind": channel.kind,
        "title": channel.title,
        "scan": scan.state,
        "seen": scan.seen,
        "expected": scan.expected,
        "new": scan.new,
        "already_stored": scan.already_stored,
        "left_alone": scan.left_alone,
        "error_kind": scan.error_kind,
        "error_message": scan.error_message,
        "advice": advice_for(scan.error_kind) if scan.error_kind else "",
    }


def _videos(session: DownloadSession) -> Iterator[dict[str, Any]]:
    for video, assets in _with_assets(session.videos.select_related("person", "channel")):
        yield {
            "id": video.pk,
            "uuid": str(video.uuid),
            "youtube_id": video.external_id,
            "title": video.title,
            "person": video.person.name,
            "channel": video.channel.canonical_url,
            "status": video.status,
            "attempts": video.attempts,
            "next_attempt_at": video.next_attempt_at.isoformat() if video.status == Video.Status.PENDING else None,
            "key": video.storage_key,
            "size": video.file_size,
            "checksum": video.checksum,
            "crc32": video.crc32,
            "part_size": video.part_size,
            "container": video.container,
            "height": video.height,
            "duration": video.duration,
            "error_kind": video.error_kind,
            "error_message": video.error_message,
            "advice": advice_for(video.error_kind) if video.error_kind else "",
            "assets": [_asset(asset) for asset in assets],
        }


def _completed(session: DownloadSession) -> Iterator[dict[str, Any]]:
    known = Video.objects.filter(pk__in=session.assets.order_by().values("video")).exclude(session=session.pk)
    for video, assets in _with_assets(known):
        own = [_asset(asset) for asset in assets if asset.session_id == session.pk]
        yield {"id": video.pk, "youtube_id": video.external_id, "title": video.title, "key": video.storage_key, "assets": own}


def _with_assets(videos: QuerySet[Video]) -> Iterator[tuple[Video, list[Asset]]]:
    """Not by prefetch_related: it ties each video to itself, which then stays in memory until Python looks for such knots."""
    with closing(videos.order_by("id").iterator(chunk_size=AT_ONCE)) as rows:
        while some := list(islice(rows, AT_ONCE)):
            assets = defaultdict(list)
            for asset in Asset.objects.filter(video__in=[video.pk for video in some]).order_by("video_id", "kind", "language", "ext"):
                assets[asset.video_id].append(asset)
            yield from ((video, assets[video.pk]) for video in some)


def _asset(asset: Asset) -> dict[str, Any]:
    return {
        "kind": asset.kind,
        "language": asset.language,
        "is_automatic": asset.is_automatic,
        "format": asset.ext,
        "status": asset.status,
        "key": asset.storage_key,
        "size": asset.file_size,
        "checksum": asset.checksum,
        "error_kind": asset.error_kind,
        "error_message": asset.error_message,
        "advice": advice_for(asset.error_kind) if asset.error_kind else "",
    }
