"""Stored videos whose files are the same to the byte: the same film published more than once.

A video of YouTube is stored once, however many channels and playlists show it: its id is unique. These have ids of their
own.
"""

from collections.abc import Iterator
from itertools import groupby

from django.db.models import Count, F, Window

from videos.models import Video

CONTENT = ("file_size", "checksum", "part_size")


def identical_videos() -> Iterator[list[Video]]:
    """Groups of two or more, the largest files first; in each the one that was stored first comes first.

    One query, read as it comes. It sorts the checksums of all stored videos, which takes seconds where there are millions.
    """
    copies = Window(Count("pk"), partition_by=[F(name) for name in CONTENT])
    same = Video.objects.stored().annotate(copies=copies).filter(copies__gt=1).order_by("-file_size", *CONTENT[1:], "stored_at", "pk")
    rows = same.select_related("person", "channel").defer("description").iterator(chunk_size=500)
    for _, group in groupby(rows, key=lambda video: [getattr(video, name) for name in CONTENT]):
        yield list(group)
