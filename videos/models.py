"""Videos: what YouTube says of them, what was stored, and the work still to do."""

import uuid

from django.db import models
from django.db.models import Case, F, Q, Value, When
from django.db.models.functions import Coalesce, Now

from people.models import Channel, Person
from videos.querysets import AssetQuerySet, VideoQuerySet


class Video(models.Model):
    """One video of one channel, and the truth about its download.

        pending ──claim──> downloading ──> stored
           ^                    ├────────> unavailable   YouTube will not give it (a permanent kind of error)
           │                    ├────────> failed        its attempts are spent
           └── later attempt ───┴────────> skipped       a rule or staff said no

    `retry()` brings failed, unavailable and skipped ones back to pending. The lease columns are set while, and only
    while, the video is downloading; workers change a row only `where claim_id = theirs`. Never `.save()` a whole row.
    """

    class Status(models.TextChoices):
        PENDING = "pending"
        DOWNLOADING = "downloading"
        STORED = "stored"
        FAILED = "failed"
        UNAVAILABLE = "unavailable"
        SKIPPED = "skipped"

    class Wanted(models.TextChoices):
        RUN = "run"
        PAUSE = "pause"
        CANCEL = "cancel"

    # identity
    uuid = models.UUIDField(default=uuid.uuid4, editable=False)
    extractor = models.CharField(max_length=40, db_default="youtube", default="youtube")
    external_id = models.CharField("YouTube id", max_length=64)
    person = models.ForeignKey(Person, models.PROTECT, related_name="videos", db_index=False)
    channel = models.ForeignKey(Channel, models.PROTECT, related_name="videos", db_index=False)
    # the session this video is worked for; named by string, the one relation that points up the house
    session = models.ForeignKey("ingestion.DownloadSession", models.SET_NULL, null=True, blank=True, related_name="videos", db_index=False)

    # what YouTube says
    title = models.CharField(max_length=300, blank=True, db_default="", default="")
    description = models.TextField(blank=True, db_default="", default="")
    duration = models.PositiveIntegerField(null=True, blank=True, help_text="Seconds.")
    upload_date = models.DateField(null=True, blank=True)
    upload_date_is_exact = models.BooleanField(db_default=False, default=False)
    view_count = models.PositiveBigIntegerField(null=True, blank=True)
    live_status = models.CharField(max_length=20, blank=True, db_default="", default="")
    availability = models.CharField(max_length=20, blank=True, db_default="", default="")

    # what was stored
    status = models.CharField(max_length=12, choices=Status, db_default=Status.PENDING, default=Status.PENDING)
    storage_key = models.CharField(max_length=500, blank=True, db_default="", default="")
    file_size = models.PositiveBigIntegerField(null=True, blank=True, help_text="Bytes.")
    checksum = models.CharField(
        max_length=80, blank=True, db_default="", default="", help_text="SHA-256 over the SHA-256 of each part, as S3 writes it."
    )
    crc32 = models.CharField("CRC-32", max_length=8, blank=True, db_default="", default="", help_text="Of the whole file.")
    part_size = models.PositiveBigIntegerField(null=True, blank=True, help_text="Bytes of a part of the upload.")
    container = models.CharField(max_length=10, blank=True, db_default="", default="")
    width = models.PositiveIntegerField(null=True, blank=True)
    height = models.PositiveIntegerField(null=True, blank=True)
    fps = models.FloatField(null=True, blank=True)
    vcodec = models.CharField("video codec", max_length=40, blank=True, db_default="", default="")
    acodec = models.CharField("audio codec", max_length=40, blank=True, db_default="", default="")
    stored_at = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField(db_default=Now())

    # the work
    attempts = models.PositiveSmallIntegerField(db_default=0, default=0)
    losses = models.PositiveSmallIntegerField(db_default=0, default=0, help_text="Workers that died over it in a row.")
    next_attempt_at = models.DateTimeField(db_default=Now())
    priority = models.SmallIntegerField(db_default=0, default=0, help_text="Higher goes first.")
    wanted = models.CharField(max_length=6, choices=Wanted, db_default=Wanted.RUN, default=Wanted.RUN)
    error_kind = models.CharField(max_length=30, blank=True, db_default="", default="")
    error_message = models.TextField(blank=True, db_default="", default="")

    # the lease: the attempt that holds the video, whose it is, and until when
    claim_id = models.BigIntegerField(null=True, blank=True)
    lease_owner = models.CharField(max_length=100, blank=True, db_default="", default="")
    lease_expires_at = models.DateTimeField(null=True, blank=True)

    objects = VideoQuerySet.as_manager()

    class Meta:
        ordering = [F("upload_date").desc(nulls_last=True), "-id"]
        constraints = [
            models.UniqueConstraint(fields=["uuid"], name="video_uuid"),
            models.UniqueConstraint(fields=["extractor", "external_id"], name="video_external_id"),
            models.UniqueConstraint(fields=["storage_key"], condition=Q(storage_key__gt=""), name="video_storage_key"),
            models.CheckConstraint(
                condition=~Q(status="stored") | Q(storage_key__gt="", file_size__isnull=False, checksum__gt=""),
                name="video_stored_has_key_size_checksum",
            ),
            models.CheckConstraint(
                condition=~Q(status__in=["failed", "unavailable"]) | Q(error_kind__gt=""), name="video_failed_has_error_kind"
            ),
            models.CheckConstraint(
                condition=Q(status="downloading", claim_id__isnull=False, lease_owner__gt="", lease_expires_at__isnull=False)
                | (~Q(status="downloading") & Q(claim_id__isnull=True, lease_owner="", lease_expires_at__isnull=True)),
                name="video_lease_iff_downloading",
            ),
        ]
        indexes = [
            models.Index(F("upload_date").desc(nulls_last=True), F("id").desc(), name="video_newest"),
            models.Index("status", F("upload_date").desc(nulls_last=True), F("id").desc(), name="video_status_newest"),
            models.Index("person", F("upload_date").desc(nulls_last=True), F("id").desc(), name="video_person_newest"),
            models.Index("channel", F("upload_date").desc(nulls_last=True), F("id").desc(), name="video_channel_newest"),
            models.Index("session", "status", name="video_session_status"),
            models.Index(
                "channel",
                Coalesce("session_id", 0),
                F("priority").desc(),
                "next_attempt_at",
                "id",
                condition=Q(status="pending", wanted="run"),
                name="video_by_turn",
            ),
            models.Index(fields=["channel", "id"], condition=Q(status="downloading"), name="video_downloading"),
            models.Index(fields=["session", "channel"], condition=Q(status="pending") & ~Q(wanted="run"), name="video_held"),
            models.Index(
                "error_kind",
                F("upload_date").desc(nulls_last=True),
                F("id").desc(),
                condition=Q(error_kind__gt=""),
                name="video_error_newest",
            ),
            models.Index(
                "session",
                "error_kind",
                F("upload_date").desc(nulls_last=True),
                F("id").desc(),
                condition=Q(error_kind__gt=""),
                name="video_session_error",
            ),
            models.Index(fields=["stored_at"], condition=Q(status="stored"), name="video_stored_at"),
            models.Index(fields=["checksum"], condition=Q(status="stored"), name="video_checksum"),
            models.Index(fields=["file_size"], condition=Q(status="stored"), name="video_file_size"),
            models.Index("channel", F("file_size").desc(), F("id").desc(), condition=Q(status="stored"), name="video_channel_largest"),
        ]

    def __str__(self):
        return self.title or self.external_id

    @property
    def url(self) -> str:
        return f"https://www.youtube.com/watch?v={self.external_id}"


class Asset(models.Model):
    """Something that was asked for beside a stored video, with an object of its own; it never decides about the video.

        pending ──claim, work──> stored
           ^           ├───────> absent    YouTube has none: no error, and not asked for again
           │           ├───────> listed    "all" languages: those there are have rows of their own
           │           └───────> failed    its attempts are spent, or YouTube will not give it
           └── later attempt

    A pending one is in work while, and only while, it has a claim; workers change it only `where claim_id = theirs`.
    Subtitles are asked for by language before anybody knows which there are; `is_automatic` and the `ext` of a picture are
    known once it is stored. One that is made anew, because its video was stored anew, keeps its old object meanwhile, and
    what would end it otherwise leaves it stored as before.
    """

    class Kind(models.TextChoices):
        INFO = "info"
        THUMBNAIL = "thumbnail"
        SUBTITLES = "subtitles"
        TRANSCRIPT = "transcript"
        NFO = "nfo", "NFO"

    class Status(models.TextChoices):
        PENDING = "pending"
        STORED = "stored"
        FAILED = "failed"
        ABSENT = "absent"
        LISTED = "listed"

    ALL_LANGUAGES = "all"

    video = models.ForeignKey(Video, models.CASCADE, related_name="assets", db_index=False)
    # the session that asked for it; named by string, as that of a video
    session = models.ForeignKey("ingestion.DownloadSession", models.SET_NULL, null=True, blank=True, related_name="assets", db_index=False)
    kind = models.CharField(max_length=12, choices=Kind)
    language = models.CharField(max_length=40, blank=True, db_default="", default="", help_text="As asked for; blank where none is.")
    is_automatic = models.BooleanField("automatic", db_default=False, default=False, help_text="Made by YouTube's speech recognition.")
    ext = models.CharField("format", max_length=10, blank=True, db_default="", default="")
    takes_automatic = models.BooleanField(
        "may be automatic", db_default=True, default=True, help_text="Whether whoever asked for it takes automatic ones, too."
    )
    status = models.CharField(max_length=8, choices=Status, db_default=Status.PENDING, default=Status.PENDING)

    # what was stored
    storage_key = models.CharField(max_length=500, blank=True, db_default="", default="")
    file_size = models.PositiveBigIntegerField(null=True, blank=True, help_text="Bytes.")
    checksum = models.CharField(max_length=80, blank=True, db_default="", default="", help_text="As that of a video.")
    crc32 = models.CharField("CRC-32", max_length=8, blank=True, db_default="", default="")
    part_size = models.PositiveBigIntegerField(null=True, blank=True, help_text="Bytes of a part of the upload.")
    stored_at = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField(db_default=Now())

    # the work
    attempts = models.PositiveSmallIntegerField(db_default=0, default=0)
    tries = models.PositiveIntegerField(db_default=0, default=0, help_text="How often its object was begun under the video's name.")
    losses = models.PositiveSmallIntegerField(db_default=0, default=0, help_text="Workers that died over it in a row.")
    refusals = models.PositiveSmallIntegerField(db_default=0, default=0, help_text="How often YouTube refused us at this very one.")
    next_attempt_at = models.DateTimeField(db_default=Now())
    error_kind = models.CharField(max_length=30, blank=True, db_default="", default="")
    error_message = models.TextField(blank=True, db_default="", default="")
    claim_id = models.UUIDField(null=True, blank=True)
    lease_owner = models.CharField(max_length=100, blank=True, db_default="", default="")
    lease_expires_at = models.DateTimeField(null=True, blank=True)

    objects = AssetQuerySet.as_manager()

    class Meta:
        ordering = ["video_id", "kind", "language", "ext"]
        constraints = [
            # a picture comes in the format it is served in, which nobody can ask for
            models.UniqueConstraint(
                "video",
                "kind",
                "language",
                Case(When(kind="thumbnail", then=Value("")), default=F("ext"), output_field=models.CharField()),
                name="asset_once",
            ),
            models.UniqueConstraint(fields=["storage_key"], condition=Q(storage_key__gt=""), name="asset_storage_key"),
            models.CheckConstraint(
                condition=~Q(status="stored") | Q(storage_key__gt="", file_size__isnull=False, checksum__gt="", part_size__isnull=False),
                name="asset_stored_has_key_size_checksum",
            ),
            models.CheckConstraint(condition=~Q(status="failed") | Q(error_kind__gt=""), name="asset_failed_has_error_kind"),
            models.CheckConstraint(
                condition=Q(status="pending", claim_id__isnull=False, lease_owner__gt="", lease_expires_at__isnull=False)
                | Q(claim_id__isnull=True, lease_owner="", lease_expires_at__isnull=True),
                name="asset_claim_has_lease",
            ),
        ]
        indexes = [
            # by what holds rows back: their session, and the requests that they cost (an NFO costs none)
            models.Index(
                Coalesce("session_id", 0),
                Case(When(kind="nfo", then=Value(0)), default=Value(1)),
                "next_attempt_at",
                "id",
                condition=Q(status="pending", claim_id__isnull=True),
                name="asset_due",
            ),
            models.Index(fields=["claim_id"], condition=Q(claim_id__isnull=False), name="asset_in_work"),
            models.Index(fields=["session", "status"], name="asset_session_status"),
            models.Index(fields=["error_kind"], condition=Q(status="failed"), name="asset_failed"),
        ]

    def __str__(self):
        return " ".join(filter(None, (self.get_kind_display(), self.language, self.ext)))


class VideoTally(models.Model):
    """A change in how many videos there are of one key: the sum of a key's rows is the number of its videos.

    Triggers of the videos' table append the rows, in the transaction of what they count, so that nobody waits for a row that
    another writes. `videos.tallies` reads them; its `fold` makes the rows of a key into one, and keeps what all folded rows
    are together: by status and kind in rows without channel and person, by person in rows without channel and status. The
    ids are plain numbers: what a key named may be gone by now, and then its sum is 0.
    """

    person_id = models.BigIntegerField(null=True)
    channel_id = models.BigIntegerField(null=True)
    session_id = models.BigIntegerField(null=True)
    status = models.CharField(max_length=12, choices=Video.Status, blank=True)
    error_kind = models.CharField(max_length=30, blank=True)
    videos = models.BigIntegerField()
    bytes = models.BigIntegerField(help_text="Of their files in the storage.")
    is_folded = models.BooleanField(db_default=False, default=False)

    class Meta:
        default_permissions = ()
        indexes = [
            models.Index(fields=["person_id"], name="tally_person"),
            models.Index(fields=["channel_id"], name="tally_channel"),
            models.Index(F("bytes").desc(), condition=Q(channel_id=None, person_id__isnull=False), name="tally_largest"),
            models.Index(
                fields=["session_id"],
                include=["channel_id", "status", "error_kind", "videos", "bytes"],  # thousands of rows for each, read on every page
                condition=Q(session_id__isnull=False),
                name="tally_of_session",
            ),
            models.Index(fields=["id"], condition=Q(is_folded=False), name="tally_fresh"),
            models.Index(fields=["person_id"], condition=Q(channel_id__isnull=True), name="tally_total"),
        ]

    def __str__(self):
        return f"{self.videos:+} {self.status}"
