from django.core.management.base import CommandError

from ingestion import steering
from ingestion.management.scoped import BAD_INPUT, MAY_END, ScopedCommand, running
from ingestion.models import Scan
from ingestion.steering import Everything, Scope
from videos.models import Asset, Video
from videos.text import counted


class Command(ScopedCommand):
    help = "Give up what is not stored yet of everything, a session, a channel or a video. What is stored stays."
    verb = "cancel"

    def add_arguments(self, parser):
        super().add_arguments(parser)
        parser.add_argument("--yes", action="store_true", help="--all wants it, and without it only says how much it would give up")

    def sentences(self, scope, name, options):
        if isinstance(scope, Everything) and not options["yes"]:
            raise CommandError(f"This would give up {owed_words(scope)}, on all hosts; --yes does it.", returncode=BAD_INPUT)
        runs = scope.videos().filter(status=Video.Status.DOWNLOADING).exists()
        done = steering.cancel(scope, now=options["now"], reason=options["reason"])
        if not done.changed and not done.scans:
            return [f"{name}: nothing was left to cancel."]
        said = [f"{name}: cancelled, {counted(done.videos, 'video')} given up and {counted(done.scans, 'listing')} ended."]
        if done.assets:
            said.append(f"{counted(done.assets, 'asset')} of stored videos given up.")
        if options["now"]:
            said.append(running(done, now=True))
        elif runs:
            said.append(MAY_END)
        if done.videos:
            said.append("A retry in the admin brings videos back.")
        return [" ".join(said)]


def owed_words(scope: Scope) -> str:
    """What `cancel` would give up."""
    scans = scope.scans().filter(state__in=[Scan.State.PENDING, Scan.State.RUNNING]).count()
    assets = scope.assets().filter(status=Asset.Status.PENDING).count()
    beside = f", with {counted(assets, 'asset')} of stored videos" if assets else ""
    return f"{counted(scope.videos().unfinished().count(), 'video')} and {counted(scans, 'listing')}{beside}"
