"""Stored videos whose files are the same to the byte: the same film published more than once.

A video of YouTube is stored once, however many channels and playlists show it: its id is unique. These have ids of their
own.
"""

from collections.abc import Iterator

from django.db.models import Count

from videos.models import Video


def identical_videos() -> Iterator[list[Video]]:
    """Groups of two or more, the largest files first; in each the one that was stored first comes first.

    Reads the checksums of all stored videos, which takes seconds where there are millions.
    """
    same = Video.objects.stored().order_by().values("checksum", "part_size", "file_size")
    groups = same.annotate(count=Count("pk")).filter(count__gt=1).order_by("-file_size", "checksum")
    for group in groups.values("checksum", "part_size", "file_size").iterator(chunk_size=500):
        videos = Video.objects.stored().filter(**group).select_related("person", "channel").order_by("stored_at", "pk")
        yield list(videos.defer("description"))
