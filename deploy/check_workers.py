"""Health check of a workers' container: exit 0 when the supervisor that runs here was heard of in the last seconds."""

import os
import socket
import sys


def main() -> int:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "massdl_site.settings")
    import django

    django.setup()
    from django.db import Error

    from ingestion.roster import live_supervisors

    try:
        alive = live_supervisors().filter(name__startswith=f"{socket.gethostname()[:60]}:").exists()
    except Error as exc:
        sys.stderr.write(f"the database does not answer: {exc}\n")
        return 1
    sys.stderr.write("the supervisor is alive\n" if alive else "nothing was heard of the supervisor of this host\n")
    return 0 if alive else 1


if __name__ == "__main__":
    sys.exit(main())
