from ingestion import steering
from ingestion.management.scoped import ScopedCommand, running, words_of


class Command(ScopedCommand):
    help = "Begin nothing more of everything, a session, a channel or a video, until `resume`. It survives restarts."
    verb = "pause"

    def sentences(self, scope, name, options):
        done = steering.pause(scope, now=options["now"], reason=options["reason"])
        if not done.changed and not done.stopped:
            return [f"{name}: nothing to pause."]
        return [f"{name}: paused. {running(done, now=options['now'])} Go on with `manage.py resume {words_of(options)}`."]
