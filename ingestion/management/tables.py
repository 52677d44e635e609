"""Commands that work on our tables say what to do where there are none."""

from django.core.management.base import BaseCommand, CommandError

from ingestion import checks, console

BAD_INPUT = 2


class TablesCommand(BaseCommand):
    """Refuses to begin with a database that does not answer, or that lacks migrations."""

    def execute(self, *args, **options):
        bad = next((finding for check in (checks.database, checks.migrations) if not (finding := check()).good), None)
        if bad:
            raise CommandError("\n".join(console.finding_lines([bad])), returncode=BAD_INPUT)
        return super().execute(*args, **options)
