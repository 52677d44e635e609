from django.conf import settings
from django.core.management.base import BaseCommand

from ingestion import cluster, dispatch
from ingestion.supervisor import Supervisor


class Command(BaseCommand):
    help = "Run workers on this host: they scan channels and download videos until SIGTERM (finish first) or Ctrl-C (hand back)."

    def add_arguments(self, parser):
        parser.add_argument(
            "--max-concurrent",
            type=int,
            default=settings.DOWNLOAD_WORKERS,
            metavar="N",
            help="videos this host downloads at the same time (default: MASSDL_DOWNLOAD_WORKERS)",
        )
        parser.add_argument("--stop-with-parent", action="store_true", help="stop when the process that started this one ends")
        parser.add_argument("--cluster", choices=sorted(dispatch.TASKS), help="run one queue's cluster only; the supervisor does this")

    def handle(self, *args, **options):
        if options["cluster"]:
            raise SystemExit(cluster.run())
        if options["stop_with_parent"]:
            import signal

            cluster.end_with_parent(signal.SIGINT)
        Supervisor(download_workers=options["max_concurrent"]).run()
