"""People, the channels where they publish, and the sheets that tell of both."""

import uuid

from django.conf import settings
from django.core.validators import MinValueValidator
from django.db import models
from django.db.models import Case, F, Q, Value, When
from django.db.models.functions import Concat, Lower, Now


class Person(models.Model):
    """Somebody whose channels are archived; known by the sheet's `row_id`, else by e-mail, else by name."""

    row_id = models.CharField(max_length=100, blank=True, db_default="", default="", help_text="The sheet's own number for this person.")
    name = models.CharField(max_length=200)
    email = models.EmailField(blank=True, db_default="", default="")
    type = models.CharField(max_length=100, blank=True, db_default="", default="", help_text="A word of yours, such as teacher.")
    source_link = models.URLField(max_length=500, blank=True, db_default="", default="", help_text="Where this person was found.")
    notes = models.TextField(blank=True, db_default="", default="")
    created_at = models.DateTimeField(auto_now_add=True)
    natural_key = models.GeneratedField(
        expression=Case(
            When(row_id__gt="", then=Concat(Value("row:"), F("row_id"), output_field=models.CharField())),
            When(email__gt="", then=Concat(Value("email:"), Lower("email", output_field=models.CharField()))),
            default=Concat(Value("name:"), Lower("name"), output_field=models.CharField()),
        ),
        output_field=models.CharField(max_length=300),
        db_persist=True,
    )

    class Meta:
        verbose_name_plural = "people"
        ordering = ["name", "id"]
        permissions = [("import_person", "Can import people and channels"), ("export_person", "Can export people and channels")]
        constraints = [
            models.UniqueConstraint(
                fields=["natural_key"], name="person_natural_key", violation_error_message="This person is already here."
            ),
            models.CheckConstraint(condition=Q(name__gt=""), name="person_has_a_name"),
        ]
        indexes = [models.Index(Lower("email"), name="person_email", condition=Q(email__gt=""))]

    def __str__(self):
        return self.name


class Channel(models.Model):
    """Where a person publishes: a channel, a playlist or a single video.

    Known by YouTube's id (`external_id`) once a scan has seen it, by its canonical URL before. `seen` and `expected`
    say how complete the newest whole listing was; `listed_whole_at` is None until one listing reached its end.
    """

    class Kind(models.TextChoices):
        CHANNEL = "channel"
        PLAYLIST = "playlist"
        VIDEO = "video"

    class State(models.TextChoices):
        ACTIVE = "active"
        PAUSED = "paused"
        GONE = "gone"

    person = models.ForeignKey(Person, models.PROTECT, related_name="channels")
    url = models.CharField("URL as given", max_length=500)
    canonical_url = models.CharField("canonical URL", max_length=500)
    external_id = models.CharField("YouTube id", max_length=64, blank=True, db_default="", default="")
    kind = models.CharField(max_length=10, choices=Kind, db_default=Kind.CHANNEL, default=Kind.CHANNEL)
    title = models.CharField(max_length=300, blank=True, db_default="", default="")
    state = models.CharField(max_length=10, choices=State, db_default=State.ACTIVE, default=State.ACTIVE)
    max_concurrent_videos = models.PositiveSmallIntegerField(
        null=True,
        blank=True,
        validators=[MinValueValidator(1)],
        help_text="Videos of this channel that are downloaded at the same time. Blank: as the limits say.",
    )
    rescan_every_hours = models.PositiveSmallIntegerField(
        null=True,
        blank=True,
        validators=[MinValueValidator(1)],
        help_text="How often it is looked at for new videos. Blank: as the limits say.",
    )
    created_at = models.DateTimeField(auto_now_add=True)
    last_scanned_at = models.DateTimeField(null=True, blank=True)
    listed_whole_at = models.DateTimeField(null=True, blank=True)
    seen = models.PositiveIntegerField(null=True, blank=True)
    expected = models.PositiveIntegerField(null=True, blank=True)

    class Meta:
        ordering = ["title", "id"]
        constraints = [
            models.UniqueConstraint(fields=["canonical_url"], name="channel_canonical_url"),
            models.UniqueConstraint(fields=["external_id"], condition=Q(external_id__gt=""), name="channel_external_id"),
        ]
        indexes = [models.Index(fields=["title", "id"], name="channel_title")]

    def __str__(self):
        return self.title or self.canonical_url


class ChannelAlias(models.Model):
    """Another canonical URL of a channel, learnt when a scan found that two spellings are one channel."""

    channel = models.ForeignKey(Channel, models.CASCADE, related_name="aliases")
    canonical_url = models.CharField(max_length=500)

    class Meta:
        verbose_name_plural = "channel aliases"
        constraints = [models.UniqueConstraint(fields=["canonical_url"], name="channel_alias_canonical_url")]

    def __str__(self):
        return self.canonical_url


class SheetUpload(models.Model):
    """A sheet whose preview was shown to its owner. `page` is where its confirmation led to.

    It is for its owner alone and for a day: `people.uploads` finds, confirms and removes it.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    owner = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="+")
    name = models.CharField(max_length=200)
    data = models.BinaryField()
    created_at = models.DateTimeField(db_default=Now())
    confirmed_at = models.DateTimeField(null=True)
    page = models.CharField(max_length=200, blank=True, db_default="", default="")

    class Meta:
        default_permissions = ()

    def __str__(self):
        return self.name
