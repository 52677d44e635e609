import json
from pathlib import Path

from django.core.management.base import CommandError

from ingestion.audit import differences
from ingestion.management.tables import TablesCommand
from ingestion.store import Store
from videos.models import Asset, Video
from videos.text import counted

REMEDY = (
    "What is missing or damaged is stored anew by a sheet that names the video, with the settings `skip_existing: false` and, to have "
    "its assets made anew as well, `assets` with their kinds; objects that have no row are removed by `manage.py clean_storage`."
)


class Command(TablesCommand):
    help = (
        "Read every stored object and compare it with its row: size, checksums, nothing missing, nothing left over. "
        "Exit code 1 on any difference."
    )

    def add_arguments(self, parser):
        parser.add_argument("--report", metavar="FILE", help="also compare a report that `mass_download --report-file` wrote")

    def handle(self, *args, report, **options):
        try:
            told = json.loads(Path(report).read_text()) if report else None
        except (OSError, ValueError) as exc:
            raise CommandError(f"{report} cannot be read as a report: {exc}", returncode=2) from exc
        found = 0
        for sentence in differences(Store.default(), told):
            found += 1
            self.stdout.write(sentence)
        read = f"{counted(Video.objects.stored().count(), 'stored video')} and {counted(Asset.objects.stored().count(), 'asset')} read"
        self.stdout.write(f"{read}, {counted(found, 'difference')}.")
        if found:
            self.stdout.write(REMEDY)
            raise SystemExit(1)
