"""Django's own applications, made to measure."""

import os

from django.contrib.admin.apps import SimpleAdminConfig

NO_PAGES_VARIABLE = "WORKERS_NO_PAGES"
"""In the environment of processes that show no page."""


class AdminConfig(SimpleAdminConfig):
    """The admin; processes that show no page do without its pages, and eleven megabytes smaller."""

    def ready(self) -> None:
        super().ready()
        if NO_PAGES_VARIABLE not in os.environ:
            self.module.autodiscover()
