"""Scans: in a list of their own and on the page of their session."""

from django.contrib import admin
from unfold.admin import TabularInline
from unfold.contrib.filters.admin import AutocompleteSelectFilter, ChoicesDropdownFilter
from unfold.decorators import display

from ingestion.admin.kinds import ErrorGroup, ErrorWords
from ingestion.models import Scan
from videos.admin import ReadOnlyAdmin
from videos.cells import NOTHING, label, moment, not_before, one_line
from videos.filters import ErrorKindFilter

COLOURS = {"running": "info", "done": "success", "failed": "danger"}


class ScanWords(ErrorWords):
    @display(description="session")
    def job(self, scan):
        return one_line(scan.session)

    @display(description="state")
    def outcome(self, scan):
        return label(scan.get_state_display(), COLOURS.get(scan.state, ""))

    @display(description="videos seen")
    def listed(self, scan):
        return one_line(f"{scan.seen:,} of {scan.expected:,}" if scan.expected else f"{scan.seen:,}")

    @display(description="new")
    def found(self, scan):
        return f"{scan.new:,}"

    @display(description="stored before")
    def stored_before(self, scan):
        return f"{scan.already_stored:,}"

    @display(description="attempts spent")
    def tries_spent(self, scan):
        return f"{scan.attempts:,}"

    @display(description="left alone")
    def known_before(self, scan):
        """Stored or given up in an older session."""
        return f"{sum(scan.left_alone.values()):,}"


class ReadOnlyInline(TabularInline):
    """Rows of the audit trail on the page they belong to."""

    extra = 0
    can_delete = False
    show_change_link = True
    # unfold 0.91 knows the one, later releases warn of it and want the other
    if hasattr(TabularInline, "show_title"):
        show_title = False
    else:
        hide_title = True

    def has_add_permission(self, request, obj=None):
        return False

    def has_change_permission(self, request, obj=None):
        return False

    def has_delete_permission(self, request, obj=None):
        return False


@admin.register(Scan)
class ScanAdmin(ScanWords, ErrorGroup, ReadOnlyAdmin):
    list_display = ("__str__", "job", "outcome", "listed", "found", "stored_before", "problem", "what_to_do")
    list_select_related = ("session", "channel")
    list_filter = (
        ("state", ChoicesDropdownFilter),
        ErrorKindFilter,
        ("session", AutocompleteSelectFilter),
        ("channel", AutocompleteSelectFilter),
    )
    search_fields = ("channel__title", "channel__canonical_url")
    search_help_text = "Words of the channel's title or of its address"
    fieldsets = (
        (None, {"fields": (("session", "channel"), ("outcome", "tries_spent"))}),
        ("What was found", {"fields": (("listed", "found"), ("stored_before", "known_before"))}),
        ("When", {"fields": (("asked_for", "next_try"), ("started", "ended"), "held_by")}),
    )
    readonly_fields = (
        *("outcome", "tries_spent", "listed", "found", "stored_before", "known_before"),
        *("asked_for", "next_try", "started", "ended", "held_by"),
        *("problem", "what_it_means", "what_to_do", "raw_message"),
    )

    @display(description="asked for")
    def asked_for(self, scan):
        return moment(scan.created_at)

    @display(description="next attempt")
    def next_try(self, scan):
        """Only of one that waits for it."""
        return not_before(scan.next_attempt_at) if scan.state == Scan.State.PENDING else NOTHING

    @display(description="started")
    def started(self, scan):
        return moment(scan.started_at)

    @display(description="ended")
    def ended(self, scan):
        return moment(scan.finished_at)

    @display(description="worked on by")
    def held_by(self, scan):
        return scan.lease_owner or "Nobody at this moment"
