import json

from ingestion.management.tables import TablesCommand
from videos.identical import identical_videos
from videos.models import Video
from videos.text import counted, counted_bytes


class Command(TablesCommand):
    help = (
        "Name the stored videos whose files are the same to the byte: one film under several ids. Nothing is removed. "
        "Exit codes: 0 there are none, 1 there are some."
    )

    def add_arguments(self, parser):
        parser.add_argument("--format", choices=["text", "json"], default="text")

    def handle(self, *args, format, **options):
        groups = list(identical_videos())
        self.stdout.write(
            json.dumps([[_data(video) for video in group] for group in groups], indent=1) if format == "json" else _text(groups)
        )
        if groups:
            raise SystemExit(1)


def _text(groups: list[list[Video]]) -> str:
    if not groups:
        return "No two stored videos are the same."
    lines = [line for group in groups for line in _lines(group)]
    spare = sum(len(group) - 1 for group in groups)
    size = sum((len(group) - 1) * group[0].file_size for group in groups)
    return "\n".join([*lines, f"{counted(spare, 'video')} stored more than once, {counted_bytes(size)} more than needed."])


def _lines(group: list[Video]) -> list[str]:
    first, *others = group
    lines = [f"{first.external_id} {first.title!r} of {first.person} ({counted_bytes(first.file_size)}) is also"]
    return lines + [f"    {video.external_id} {video.title!r} of {video.person}, {video.storage_key}" for video in others]


def _data(video: Video) -> dict[str, object]:
    return {
        "id": video.pk,
        "youtube_id": video.external_id,
        "title": video.title,
        "person": str(video.person),
        "channel": str(video.channel),
        "key": video.storage_key,
        "size": video.file_size,
        "checksum": video.checksum,
    }
