"""Scans: in a list of their own and on the page of their session."""

from django.contrib import admin
from unfold.admin import TabularInline
from unfold.contrib.filters.admin import AutocompleteSelectFilter, ChoicesDropdownFilter
from unfold.decorators import display

from ingestion.admin.kinds import ErrorGroup, ErrorWords
from ingestion.models import Scan
from videos.admin import ReadOnlyAdmin, label, one_line
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


class ScanInline(ScanWords, ReadOnlyInline):
    model = Scan
    per_page = 20
    fields = ("channel", "outcome", "listed", "new", "already_stored", "known_before", "problem", "what_to_do")
    readonly_fields = fields

    def get_queryset(self, request):
        return super().get_queryset(request).select_related("channel")


@admin.register(Scan)
class ScanAdmin(ScanWords, ErrorGroup, ReadOnlyAdmin):
    list_display = ("__str__", "job", "outcome", "listed", "new", "already_stored", "problem", "what_to_do")
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
        (None, {"fields": (("session", "channel"), ("outcome", "attempts"))}),
        ("What was found", {"fields": (("listed", "new"), ("already_stored", "known_before"))}),
        ("When", {"fields": (("created_at", "next_attempt_at"), ("started_at", "finished_at"), ("lease_owner", "lease_expires_at"))}),
    )
    readonly_fields = ("outcome", "listed", "known_before", "problem", "what_it_means", "what_to_do", "raw_message")
