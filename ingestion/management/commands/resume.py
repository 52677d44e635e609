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
        waited = f" {counted(done.videos, 'waiting video')} may be tried at once." if done.videos else ""
        return [f"{name}: goes on.{waited}"]
