from ingestion import steering
from ingestion.management.scoped import ScopedCommand, number_of, running


class Command(ScopedCommand):
    help = "Give up what is not stored yet of everything, a session, a channel or a video. What is stored stays."
    verb = "cancel"

    def sentences(self, scope, name, options):
        done = steering.cancel(scope, now=options["now"], reason=options["reason"])
        if not done.changed and not done.scans:
            return [f"{name}: nothing was left to cancel."]
        given_up = f"{number_of(done.videos, 'video')} and {number_of(done.scans, 'scan')} given up"
        return [f"{name}: cancelled, {given_up}. {running(done, now=options['now'])} A retry in the admin brings videos back."]
