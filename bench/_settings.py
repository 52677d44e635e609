"""Settings of the two clusters that `bench.dispatch` compares; BENCH_WAY says which of them this process belongs to."""

import os

from massdl_site.settings import *  # noqa: F403
from massdl_site.settings import INSTALLED_APPS

if os.environ.get("BENCH_WAY") == "peer":
    Q_CLUSTER = {"name": "peer", "orm": "default", "workers": 2}  # all else as django-q2 has it
else:
    INSTALLED_APPS = [*INSTALLED_APPS, "bench._work.NoDownload"]
