"""Settings of the plain admin that `bench.admin` compares with ours: Django's own pages over the same tables."""

from massdl_site.settings import *  # noqa: F403
from massdl_site.settings import DATABASES, INSTALLED_APPS, TEMPLATES

INSTALLED_APPS = [app for app in INSTALLED_APPS if app.partition(".")[0] not in ("unfold", "import_export", "demo")]
TEMPLATES = [{**engine, "DIRS": []} for engine in TEMPLATES]
ROOT_URLCONF = "bench._naive_urls"
# nobody waits longer, and the bench has to end some day
MOST_SECONDS = 30
DATABASES["default"]["OPTIONS"]["options"] = f"-c statement_timeout={MOST_SECONDS}s"
