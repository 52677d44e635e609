import json
from pathlib import Path

from django.core.management.base import CommandError

from ingestion.audit import differences
from ingestion.management.tables import TablesCommand
from ingestion.store import Store
from videos.models import Video


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
        self.stdout.write(f"{Video.objects.stored().count()} stored videos read, {found} differences.")
        if found:
            raise SystemExit(1)
