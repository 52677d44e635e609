from ingestion import steering
from ingestion.management.scoped import ScopedCommand
from videos.text import counted


class Command(ScopedCommand):
    help = "Go on with what was paused; a cancelled session gets back what was cancelled with it."
    verb = "resume"
    can_stop_running = False

    def sentences(self, scope, name, options):
        done = steering.resume(scope)
        if not done.changed and not done.scans:
            return [f"{name}: was not paused, and nothing waited."]
        counts = ((done.videos, "waiting video"), (done.assets, "waiting asset"))
        waited = " and ".join(counted(count, noun) for count, noun in counts if count)
        return [f"{name}: goes on. {waited} may be tried at once." if waited else f"{name}: goes on."]
