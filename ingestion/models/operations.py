"""What staff asked to be done to many rows at once: one row for what was asked, and the rows it is about, piece by piece."""

from datetime import timedelta

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

UNDO_LASTS = timedelta(days=7)
"""For so long it is kept what rows were before."""
QUESTION_LASTS = timedelta(days=1)


class OperationQuerySet(models.QuerySet):
    def due(self):
        """Those that workers should look at: they are not over, and need not wait."""
        return self.filter(state__in=["running", "undoing"]).filter(Q(not_before=None) | Q(not_before__lte=Now()))

    def forget_old(self) -> int:
        """Remove what was asked for and not begun for a day, and, after a week, what the rows of the others were before; what
        was done stays on record. Returns how many were removed."""
        over = self.filter(state__in=["done", "stopped", "undone"], finished_at__lt=Now() - UNDO_LASTS)
        OperationPiece.objects.filter(operation__in=over.order_by().values("pk")).delete()
        _, removed = self.filter(state="asked", created_at__lt=Now() - QUESTION_LASTS).delete()
        return removed.get(self.model._meta.label, 0)


class Operation(models.Model):
    """One verb (`ingestion.operations.verbs`) for many rows of one model, fixed at the moment it was asked for.

        asked ──begin──> running ──────> done ────undo──┐
                            └───stop───> stopped ─undo──┴──> undoing ──> undone

    Nothing happens to rows before it is begun. `chosen` rows were meant, of which it can change `total`: those alone are
    in its pieces. `counts` are numbers by name of what else came of it, `notes` what it found or made, each
    {"model", "pk", "text"}, a thousand at most.
    """

    class State(models.TextChoices):
        ASKED = "asked", "not begun"
        RUNNING = "running"
        DONE = "done"
        STOPPED = "stopped", "stopped before its end"
        UNDOING = "undoing", "being undone"
        UNDONE = "undone"

    verb = models.CharField(max_length=30)
    model = models.CharField(max_length=60, help_text="Of the rows, as app.model.")
    state = models.CharField(max_length=8, choices=State, db_default=State.ASKED, default=State.ASKED)
    chosen = models.PositiveBigIntegerField()
    total = models.PositiveBigIntegerField()
    handled = models.PositiveBigIntegerField(db_default=0, default=0, help_text="Rows of the pieces that are done.")
    changed = models.PositiveBigIntegerField(db_default=0, default=0)
    restored = models.PositiveBigIntegerField(db_default=0, default=0, help_text="Rows that an undo made what they were.")
    counts = models.JSONField(default=dict, db_default={}, blank=True)
    notes = models.JSONField(default=list, db_default=[], blank=True)
    waits_for = models.TextField(blank=True, db_default="", default="", help_text="What keeps its workers from going on.")
    not_before = models.DateTimeField(null=True, blank=True, help_text="When they look again.")
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.SET_NULL, null=True, blank=True, related_name="+")
    stopped_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.SET_NULL, null=True, blank=True, related_name="+")
    undone_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.SET_NULL, null=True, blank=True, related_name="+")
    created_at = models.DateTimeField(db_default=Now())
    began_at = models.DateTimeField(null=True, blank=True)
    finished_at = models.DateTimeField(null=True, blank=True)

    objects = OperationQuerySet.as_manager()

    class Meta:
        ordering = ["-id"]
        default_permissions = ("view",)
        indexes = [models.Index(fields=["id"], condition=Q(state__in=["running", "undoing"]), name="operation_open")]

    def __str__(self):
        return f"Operation {self.pk}"


class OperationPiece(models.Model):
    """Rows of an operation that are worked together, in one transaction: all of a piece happens, or nothing. A channel or session
    with all that stands behind it is a piece of its own, worked in steps that may be done again.

    It is worked while it is `todo`, and once more when a `done` one is undone. Its claim is for work that takes longer than
    a transaction should. `before` tells for each row that was changed what is put back: {id: {column: [before, after]}}. One that
    fails again and again is set aside: it counts as worked, and a note tells why.
    """

    class State(models.TextChoices):
        TODO = "todo"
        DONE = "done"
        UNDONE = "undone"

    operation = models.ForeignKey(Operation, models.CASCADE, related_name="pieces", db_index=False)
    number = models.PositiveIntegerField()
    rows = ArrayField(models.BigIntegerField())
    state = models.CharField(max_length=6, choices=State, db_default=State.TODO, default=State.TODO)
    before = models.JSONField(default=dict, db_default={})
    failures = models.PositiveSmallIntegerField(db_default=0, default=0, help_text="How often it was tried in vain.")
    claim_id = models.UUIDField(null=True)
    lease_expires_at = models.DateTimeField(null=True)

    class Meta:
        default_permissions = ()
        constraints = [models.UniqueConstraint(fields=["operation", "number"], name="piece_once")]
        indexes = [models.Index(fields=["operation", "state", "number"], name="piece_in_order")]

    def __str__(self):
        return f"Piece {self.number} of operation {self.operation_id}"


BUSY = {Operation.State.RUNNING: OperationPiece.State.TODO, Operation.State.UNDOING: OperationPiece.State.DONE}
"""Which pieces are to be worked while their operation is in a state."""
