"""What was asked for and what was tried: sessions, their scans, the attempts at their videos, whose turn it is."""

import uuid

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

from people.models import Channel
from videos.models import Video


class DownloadSession(models.Model):
    """What one import or one `mass_download` asked for: a scan for each of its channels, and the options for its videos.

    `options` holds `ingestion.options.Options` as JSON. `problems` are the refused rows of the sheets and the
    notes on them, each {"source", "row", "value", "message", "is_note"}.
    """

    class State(models.TextChoices):
        RUNNING = "running"
        PAUSED = "paused"
        CANCELLED = "cancelled"
        FINISHED = "finished"

    uuid = models.UUIDField(default=uuid.uuid4, editable=False, unique=True)
    source = models.CharField(max_length=300, help_text="Files or words this session was made from.")
    options = models.JSONField(default=dict)
    problems = models.JSONField(default=list, blank=True)
    state = models.CharField(max_length=10, choices=State, db_default=State.RUNNING, default=State.RUNNING)
    state_reason = models.TextField(blank=True, db_default="", default="", help_text="Why it is paused or was stopped.")
    is_rescan = models.BooleanField(db_default=False, default=False, help_text="Made by the schedule, to find what is new.")
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.SET_NULL, null=True, blank=True, related_name="+")
    created_at = models.DateTimeField(db_default=Now())
    finished_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["-id"]
        indexes = [models.Index(fields=["id"], condition=Q(state="running"), name="session_running")]

    def __str__(self):
        return f"Session {self.pk}"


class Scan(models.Model):
    """One listing of one channel, asked for by a session.

        pending ──claim──> running ──> done
           ^                  └──────> failed    the channel is missing, terminated...; or its attempts are spent
           └── later attempt ─┘

    `new` videos were made by this scan or taken over from an older session; `already_stored` and `left_alone` were
    known before, in that state, and are not this session's work; a video of two channels counts in both scans.
    `left_alone` are {kind: number of videos}.
    """

    class State(models.TextChoices):
        PENDING = "pending"
        RUNNING = "running"
        DONE = "done"
        FAILED = "failed"

    session = models.ForeignKey(DownloadSession, models.CASCADE, related_name="scans", db_index=False)
    channel = models.ForeignKey(Channel, models.CASCADE, related_name="scans")
    state = models.CharField(max_length=8, choices=State, db_default=State.PENDING, default=State.PENDING)
    seen = models.PositiveIntegerField(db_default=0, default=0)
    expected = models.PositiveIntegerField(null=True, blank=True)
    new = models.PositiveIntegerField(db_default=0, default=0)
    already_stored = models.PositiveIntegerField(db_default=0, default=0)
    left_alone = models.JSONField(default=dict, db_default={}, blank=True)
    attempts = models.PositiveSmallIntegerField(db_default=0, default=0)
    losses = models.PositiveSmallIntegerField(db_default=0, default=0, help_text="Workers that died over it in a row.")
    refusals = models.PositiveSmallIntegerField(db_default=0, default=0, help_text="How often YouTube refused us at this very scan.")
    next_attempt_at = models.DateTimeField(db_default=Now())
    error_kind = models.CharField(max_length=30, blank=True, db_default="", default="")
    error_message = models.TextField(blank=True, db_default="", default="")
    claim_id = models.UUIDField(null=True, blank=True)
    lease_owner = models.CharField(max_length=100, blank=True, db_default="", default="")
    lease_expires_at = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField(db_default=Now())
    started_at = models.DateTimeField(null=True, blank=True)
    finished_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint(fields=["session", "channel"], name="scan_once_per_session"),
            models.CheckConstraint(condition=~Q(state="failed") | Q(error_kind__gt=""), name="scan_failed_has_error_kind"),
        ]
        indexes = [
            models.Index(fields=["next_attempt_at", "id"], condition=Q(state__in=["pending", "running"]), name="scan_open"),
            models.Index("state", models.F("id").desc(), name="scan_state_newest"),
            models.Index("error_kind", models.F("id").desc(), condition=Q(error_kind__gt=""), name="scan_error_newest"),
            models.Index(fields=["session", "state"], name="scan_session_state"),
        ]

    def __str__(self):
        return f"Scan {self.pk} of {self.channel}"


class Attempt(models.Model):
    """One try at one video by one worker; its id is the fencing token of the claim. Kept as the audit trail."""

    class Outcome(models.TextChoices):
        RUNNING = "", "running"
        STORED = "stored"
        UNAVAILABLE = "unavailable"
        FAILED = "failed"
        RETRY = "retry", "to be tried again"
        DEFERRED = "deferred", "not before its time"
        REFUSED = "refused", "refused by YouTube"
        HANDED_BACK = "handed_back", "handed back"
        LOST = "lost", "lost with its worker"

    class Stop(models.TextChoices):
        NONE = "", "go on"
        PAUSE = "pause"
        CANCEL = "cancel"

    video = models.ForeignKey(Video, models.CASCADE, related_name="tries")
    session = models.ForeignKey(DownloadSession, models.SET_NULL, null=True, blank=True, related_name="attempts")
    number = models.PositiveSmallIntegerField()
    worker = models.CharField(max_length=100)
    started_at = models.DateTimeField(db_default=Now())
    finished_at = models.DateTimeField(null=True, blank=True)
    outcome = models.CharField(max_length=12, choices=Outcome, blank=True, db_default="", default="")
    stop = models.CharField(
        max_length=6, choices=Stop, blank=True, db_default="", default="", help_text="What staff told the running attempt."
    )
    error_kind = models.CharField(max_length=30, blank=True, db_default="", default="")
    error_message = models.TextField(blank=True, db_default="", default="", help_text="The raw line, as the failing part said it.")
    way = models.CharField(max_length=8, blank=True, db_default="", default="", help_text="copy, mux, tracks, convert or spool.")
    bytes_stored = models.PositiveBigIntegerField(db_default=0, default=0)
    upload = models.JSONField(null=True, blank=True, help_text="State of the upload, enough to go on or to abort it.")

    class Meta:
        ordering = ["-id"]
        indexes = [
            models.Index("error_kind", models.F("id").desc(), condition=Q(error_kind__gt=""), name="attempt_error_kind"),
            models.Index("outcome", models.F("id").desc(), condition=~Q(outcome__in=["", "stored"]), name="attempt_outcome_newest"),
            models.Index(
                "session",
                "outcome",
                models.F("id").desc(),
                condition=~Q(outcome__in=["", "stored"]),
                name="attempt_session_outcome",
            ),
            models.Index("way", models.F("id").desc(), condition=Q(way__in=["convert", "tracks", "spool"]), name="attempt_way_newest"),
            models.Index(fields=["id"], condition=Q(outcome=""), name="attempt_running"),
            models.Index(fields=["video"], condition=Q(upload__isnull=False) & ~Q(outcome="stored"), name="attempt_begun_upload"),
        ]

    def __str__(self):
        return f"Attempt {self.number} at {self.video}"


class LiveProgress(models.Model):
    """How far a running attempt is; written every second or so, in an unlogged table: a crash may lose it."""

    attempt = models.OneToOneField(Attempt, models.CASCADE, primary_key=True, related_name="live")
    bytes_done = models.PositiveBigIntegerField(db_default=0, default=0)
    bytes_total = models.PositiveBigIntegerField(null=True, blank=True)
    updated_at = models.DateTimeField(db_default=Now())

    class Meta:
        verbose_name_plural = "live progress"

    def __str__(self):
        return f"{self.bytes_done} of {self.bytes_total}"


class Turn(models.Model):
    """A hint for claims: one channel of one session (0: videos of no session) that has videos to be worked.

    Kept fresh by `ingestion.turns`, in an unlogged table without foreign keys: it can be made anew from the videos at any
    time, and a row too many or too few costs a moment, never a video. `priority` is that of its first due video;
    `began_at` is when the channel was taken up last, after nothing of it had run.
    """

    channel = models.ForeignKey(Channel, models.DO_NOTHING, related_name="+", db_constraint=False, db_index=False)
    session = models.BigIntegerField(db_default=0, default=0)
    priority = models.SmallIntegerField(db_default=0, default=0)
    has_due = models.BooleanField(db_default=True, default=True)
    served_at = models.DateTimeField(null=True, blank=True)
    began_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["channel", "session"], name="turn_once")]
        indexes = [
            models.Index(
                models.F("priority").desc(),
                models.F("served_at").asc(nulls_first=True),
                "channel",
                "session",
                condition=Q(has_due=True),
                name="turn_in_order",
            )
        ]

    def __str__(self):
        return f"Channel {self.channel_id} in session {self.session}"
