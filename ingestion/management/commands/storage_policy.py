from django.core.management.base import BaseCommand, CommandError

from ingestion.errors import ArchiveError
from ingestion.store import Store

DAYS = 7
BAD_SETUP = 2


class Command(BaseCommand):
    help = (
        "Print the rule by which the bucket itself ends uploads that nobody has finished for a week, as JSON for the storage's own "
        "tool; how to apply it is said on standard error. Nothing is changed. Exit codes: 0 printed, 2 the storage cannot be used."
    )
    requires_system_checks = ()

    def handle(self, *args, **options):
        try:
            policy = Store.default().policy(DAYS)
        except ArchiveError as exc:
            raise CommandError(exc.message, returncode=BAD_SETUP) from exc
        if policy.rules:
            self.stdout.write(policy.as_json)
        self.stderr.write(policy.advice)
