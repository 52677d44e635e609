from ingestion import steering
from ingestion.management.scoped import ScopedCommand, running, words_of
from ingestion.steering import Scope, Videos
from videos.models import Asset


class Command(ScopedCommand):
    help = "Begin nothing more of everything, a session, a channel or a video, until `resume`. It survives restarts."
    verb = "pause"

    def sentences(self, scope, name, options):
        done = steering.pause(scope, now=options["now"], reason=options["reason"])
        if not done.changed and not done.stopped:
            return [f"{name}: nothing to pause.{_owed(scope)}"]
        return [f"{name}: paused. {running(done, now=options['now'])} Go on with `manage.py resume {words_of(options)}`."]


def _owed(scope: Scope) -> str:
    """What a pause of videos does not hold back."""
    if not isinstance(scope, Videos) or not scope.assets().filter(status=Asset.Status.PENDING).exists():
        return ""
    return " What a stored video still lacks beside it is held back with its session or channel."
