"""States of videos and the transitions that staff may ask for; workers' own transitions stand in ingestion.leases."""

import re

from django.db import models
from django.db.models import Case, Q, Value, When
from django.db.models.functions import Now

from people.models import Person

SHORTEST_WORD = 3
"""Letters a trigram index needs; a shorter word alone would read the whole table."""
VIDEO_LINK = re.compile(r"(?:[?&]v=|youtu\.be/|/shorts/|/live/|/embed/)([\w-]{11})(?![\w-])")
MOST_PEOPLE = 100
AFRESH = {
    "status": "pending",
    "wanted": "run",
    "attempts": 0,
    "losses": 0,
    "error_kind": "",
    "error_message": "",
    "next_attempt_at": Now(),
}
"""Due at once, with all attempts before it."""


class VideoQuerySet(models.QuerySet):
    """Adjectives filter; verbs change rows in one UPDATE and return how many they changed."""

    known_count: int | None = None
    """How many these are, noted by somebody who knows; what is filtered further does not have it."""

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

    def failed_or_unavailable(self):
        """Ended without being stored, against everybody's wish: staff skipped none of these."""
        return self.filter(status__in=["failed", "unavailable"])

    def retriable(self):
        """Ended without being stored: another try may be asked for."""
        return self.filter(status__in=["failed", "unavailable", "skipped"])

    def skippable(self):
        """Not stored, and nobody is at it."""
        return self.filter(status__in=["pending", "failed", "unavailable"])

    def waiting(self):
        """Pending, but held back: by staff, or until a later attempt."""
        return self.filter(status="pending").filter(~Q(wanted="run") | Q(next_attempt_at__gt=Now()))

    def cancelled(self):
        """Left alone because staff cancelled them."""
        return self.filter(status="skipped", error_kind="cancelled")

    def identical_to(self, video):
        """Other stored ones whose file is the same to the byte."""
        if not video.checksum:
            return self.none()
        same = self.stored().filter(checksum=video.checksum, part_size=video.part_size, file_size=video.file_size)
        return same.exclude(pk=video.pk)

    def search(self, text: str):
        """By words of the title, a person's name, YouTube's id or a link; text of one or two letters only as an id.

        The people are fetched first: with their ids as constants PostgreSQL can join three index scans, which it
        cannot do with a subquery under OR.
        """
        text = text.strip().replace("\x00", "")
        if not text:
            return self
        link = VIDEO_LINK.search(text)
        found = Q(extractor="youtube", external_id=link[1] if link else text)
        words = text.split()
        if max(map(len, words)) >= SHORTEST_WORD:
            found |= _all_words("title", words) | Q(person__in=_people_named(words))
        return self.filter(found)

    def retry(self) -> int:
        """Make the retriable ones due at once, with all their attempts before them."""
        return self.retriable().update(**AFRESH)

    def store_again(self) -> int:
        """Make the stored ones due once more; what is stored of them stays until they are stored anew."""
        return self.stored().update(**AFRESH)

    def resume(self) -> int:
        """Make the waiting ones due at once, their spent attempts still count; running ones that were to be paused go on."""
        waiting = self.waiting().update(wanted="run", next_attempt_at=Now())
        return waiting + self.filter(status="downloading", wanted="pause").update(wanted="run")

    def pause(self) -> int:
        """Take the unfinished ones out of the work until they are resumed. A running one is not tried again after this try."""
        return self.unfinished().filter(wanted="run").update(wanted="pause")

    def cancel(self) -> int:
        """Leave the unfinished ones alone until a retry; a running one is left alone should this try not store it.

        One that was only to be stored anew is still stored as before.
        """
        over = Case(When(storage_key__gt="", then=Value("stored")), default=Value("skipped"))
        kind = Case(When(storage_key__gt="", then=Value("")), default=Value("cancelled"))
        pending = self.filter(status="pending").update(status=over, wanted="run", error_kind=kind, error_message="")
        return pending + self.filter(status="downloading").exclude(wanted="cancel").update(wanted="cancel")

    def skip(self) -> int:
        """Leave the unstored ones alone for good, or until a retry; what went wrong before stays on record."""
        return self.skippable().update(status="skipped")


class AssetQuerySet(models.QuerySet):
    """As VideoQuerySet."""

    def stored(self):
        return self.filter(status="stored")

    def in_work(self):
        """Some worker has it, or had it when it died."""
        return self.filter(claim_id__isnull=False)

    def abandoned(self):
        """Claimed by a worker whose lease ran out."""
        return self.in_work().filter(lease_expires_at__lt=Now())

    def retry(self, **changes) -> int:
        """Make the failed ones due at once, with all their attempts before them."""
        afresh = {**changes, "status": "pending", "attempts": 0, "losses": 0, "refusals": 0, "error_kind": "", "error_message": ""}
        return self.filter(status="failed").update(**afresh, next_attempt_at=Now())


def _all_words(field: str, words: list[str]) -> Q:
    return Q(*(Q(**{f"{field}__icontains": word}) for word in words))


def _people_named(words: list[str]) -> list[int]:
    return list(Person.objects.filter(_all_words("name", words)).order_by("id").values_list("pk", flat=True)[:MOST_PEOPLE])
