"""States of videos and the transitions that staff may ask for; workers' own transitions stand in ingestion.leases."""

from django.db import models
from django.db.models import Q
from django.db.models.functions import Now


class VideoQuerySet(models.QuerySet):
    """Adjectives filter; verbs change rows in one UPDATE and return how many they changed."""

    def stored(self):
        return self.filter(status="stored")

    def unfinished(self):
        """Pending or downloading."""
        return self.filter(status__in=["pending", "downloading"])

    def due(self):
        """May be claimed now, as far as the video itself says."""
        return self.filter(status="pending", wanted="run", next_attempt_at__lte=Now())

    def abandoned(self):
        """Claimed by a worker whose lease ran out."""
        return self.filter(status="downloading", lease_expires_at__lt=Now())

    def retriable(self):
        """Ended without being stored: another try may be asked for."""
        return self.filter(status__in=["failed", "unavailable", "skipped"])

    def waiting(self):
        """Pending, but held back: by staff, or until a later attempt."""
        return self.filter(status="pending").filter(~Q(wanted="run") | Q(next_attempt_at__gt=Now()))

    def retry(self) -> int:
        """Make the retriable ones due at once, with all their attempts before them."""
        return self.retriable().update(status="pending", wanted="run", attempts=0, next_attempt_at=Now(), error_kind="", error_message="")

    def resume(self) -> int:
        """Make the waiting ones due at once; their spent attempts still count."""
        return self.waiting().update(wanted="run", next_attempt_at=Now())
