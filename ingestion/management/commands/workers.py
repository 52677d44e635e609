import signal

from django.conf import settings
from django.core.management.base import BaseCommand

from ingestion import cluster, dispatch
from ingestion.arguments import count
from ingestion.supervisor import Supervisor


class Command(BaseCommand):
    help = "Run workers on this host: they scan channels and download videos until SIGTERM (finish first) or Ctrl-C (hand back)."

    def add_arguments(self, parser):
        parser.add_argument(
            "--max-concurrent",
            type=count,
            default=settings.DOWNLOAD_WORKERS,
            metavar="N",
            help="videos this host downloads at the same time (default: MASSDL_DOWNLOAD_WORKERS)",
        )
        parser.add_argument("--stop-with-parent", action="store_true", help="stop when the process that started this one ends")
        parser.add_argument("--cluster", choices=sorted(dispatch.TASKS), help="run one queue's cluster only; the supervisor does this")

    def handle(self, *args, **options):
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, _end_quietly)
        if options["cluster"]:
            raise SystemExit(cluster.run())
        if options["stop_with_parent"]:
            cluster.end_with_parent(signal.SIGINT)
        Supervisor(download_workers=options["max_concurrent"]).run()


def _end_quietly(number: int, frame: object) -> None:
    """Until the supervisor or the cluster has handlers of its own: there is nothing yet to finish or to hand back."""
    raise SystemExit(0)
