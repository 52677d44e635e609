"""Typed factories: a valid row of each kind, with what the test cares about given by name."""

import itertools
from typing import Any

from ingestion.models import Attempt, DownloadSession, Operation, Scan
from people.models import Channel, Person
from videos.models import Asset, Video

_count = itertools.count(1)


def make_person(**over: Any) -> Person:
    number = next(_count)
    return Person.objects.create(**{"name": f"Person {number}", "email": f"person{number}@example.org", **over})


def make_channel(**over: Any) -> Channel:
    number = next(_count)
    handle = f"https://www.youtube.com/@channel{number}"
    fields = {"url": handle, "canonical_url": handle, "title": f"Channel {number}", **over}
    return Channel.objects.create(**{"person": over.get("person") or make_person(), **fields})


def make_session(**over: Any) -> DownloadSession:
    return DownloadSession.objects.create(**{"source": "test", **over})


def make_scan(**over: Any) -> Scan:
    fields = {"session": over.get("session") or make_session(), "channel": over.get("channel") or make_channel()}
    if over.get("state") == "failed":
        fields |= {"error_kind": "network"}
    return Scan.objects.create(**{**fields, **over})


def make_attempt(**over: Any) -> Attempt:
    return Attempt.objects.create(**{"video": over.get("video") or make_video(), "number": 1, "worker": "host:supervisor:1", **over})


def make_video(**over: Any) -> Video:
    number = next(_count)
    channel = over.pop("channel", None) or make_channel()
    fields = {"external_id": f"video{number:06d}", "title": f"Video {number}", "channel": channel, "person": channel.person}
    if over.get("status") == "stored":
        fields |= {"storage_key": f"key/{number}", "file_size": 1000, "checksum": "c2hhMjU2-1"}
    if over.get("status") in ("failed", "unavailable"):
        fields |= {"error_kind": "network"}
    return Video.objects.create(**{**fields, **over})


def make_asset(**over: Any) -> Asset:
    """Of a stored video of its own; the kind needs no language."""
    fields = {"video": over.get("video") or make_video(status="stored"), "kind": "nfo", "ext": "nfo"}
    if over.get("status") == "stored":
        fields |= {"storage_key": f"key/{next(_count)}.nfo", "file_size": 10, "checksum": "c2hhMjU2-1", "part_size": 10}
    return Asset.objects.create(**{**fields, **over})


def make_operation(**over: Any) -> Operation:
    """Asked for and not begun; about no row."""
    return Operation.objects.create(**{"verb": "retry", "model": "videos.video", "chosen": 0, "total": 0, **over})
