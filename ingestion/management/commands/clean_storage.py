from datetime import timedelta

from django.core.management.base import CommandError

from ingestion.arguments import age
from ingestion.errors import ArchiveError, SetupError
from ingestion.management.tables import TablesCommand
from ingestion.orphans import Cleaning, clean
from ingestion.store import Store
from videos.text import counted, counted_bytes

NOT_ALL, BAD_SETUP = 1, 2


class Command(TablesCommand):
    help = (
        "Remove from the storage what lies there for nothing: objects without a row, and uploads that nobody will finish. "
        "May run at any time, beside workers. Exit codes: 0 done, 1 the storage refused something, 2 it cannot be used."
    )

    def add_arguments(self, parser):
        parser.add_argument(
            "--older-than", type=age, default=3600.0, metavar="S", help="leave alone what is younger, in seconds (default: an hour)"
        )
        parser.add_argument("--dry-run", action="store_true", help="name what would be removed; remove nothing")
        parser.add_argument(
            "--unknown",
            action="store_true",
            help="also remove what no attempt of this database has made, as after rows were deleted by hand; "
            "never where another database uses the same bucket",
        )

    def handle(self, *args, older_than, dry_run, unknown, verbosity, **options):
        tell = self.stdout.write if dry_run or verbosity > 1 else None
        try:
            done = clean(Store.default(), older_than=timedelta(seconds=older_than), dry_run=dry_run, unknown=unknown, tell=tell)
        except SetupError as exc:
            raise CommandError(exc.message, returncode=BAD_SETUP) from exc
        except ArchiveError as exc:
            raise CommandError(f"The storage does not answer as it should, try again later: {exc.message}", returncode=NOT_ALL) from exc
        for line in summary(done, dry_run=dry_run):
            self.stdout.write(line)
        if done.failures:
            raise CommandError("\n".join(f"Not removed: {failure}" for failure in done.failures), returncode=NOT_ALL)


def summary(done: Cleaning, *, dry_run: bool) -> list[str]:
    objects = f"{counted(done.objects, 'object')} without a row ({counted_bytes(done.bytes)})"
    uploads = f"{counted(done.uploads, 'upload')} that nobody knows"
    remembered = f"what {counted(done.remembered, 'attempt')} had begun to upload"
    lines = [f"{'Would remove' if dry_run else 'Removed'}: {objects}, {uploads}, {remembered}."]
    if done.unknown:
        lines.append(f"Left alone: {done.unknown:,} of attempts that this database does not know; --unknown removes them.")
    if done.strange:
        lines.append(f"Left alone: {done.strange:,} with names that are not ours.")
    return lines
