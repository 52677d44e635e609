"""The admin of the work: sessions, scans, attempts, and what all hosts share."""

from django.contrib import admin
from django_q.models import Failure, OrmQ, Schedule, Success

from ingestion.admin import attempts, channels, fleet, operations, people, scans, sessions, videos

__all__ = ["attempts", "channels", "fleet", "operations", "people", "scans", "sessions", "videos"]

# The queue carries wake-ups only: its pages would show nothing of the work and offer to delete what drives it.
for model in (Success, Failure, Schedule, OrmQ):
    if admin.site.is_registered(model):
        admin.site.unregister(model)
