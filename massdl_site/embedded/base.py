"""Django's PostgreSQL backend over the embedded server: HOST is the folder of its data, and the first connection starts it."""

from pathlib import Path

import psycopg
from django.db.backends.postgresql import base

from massdl_site.embedded import postgres_url


class DatabaseWrapper(base.DatabaseWrapper):
    def get_connection_params(self):
        params = super().get_connection_params()
        server = psycopg.conninfo.conninfo_to_dict(postgres_url(Path(params["host"])))
        return {**params, "host": server["host"], "user": server["user"]}
