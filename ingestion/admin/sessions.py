"""Download sessions: how far they are, what went wrong, and what staff may do about it."""

from django import forms
from django.contrib import admin
from django.db import transaction
from django.template.defaultfilters import truncatechars
from django.utils.safestring import SafeString
from unfold.admin import ModelAdmin
from unfold.contrib.filters.admin import ChoicesDropdownFilter, DropdownFilter
from unfold.decorators import display
from unfold.widgets import UnfoldAdminIntegerFieldWidget

from ingestion.admin.bulk_actions import BulkActions
from ingestion.admin.offers import idle_for_session
from ingestion.admin.session_page import SessionPage
from ingestion.admin.tallies import progress_cell, tallies_of
from ingestion.models import DownloadSession
from ingestion.operations.verbs import VERBS
from videos.admin import PlainChangeList, ReadOnlyAdmin
from videos.cells import label, one_line

State = DownloadSession.State
COLOURS = {"running": "info", "paused": "warning", "finished": "success"}
LARGEST_BOUND = 1_000_000


class MadeByFilter(DropdownFilter):
    title = "made by"
    parameter_name = "made_by"

    def lookups(self, request, model_admin):
        return [("staff", "Staff"), ("schedule", "The schedule")]

    def queryset(self, request, queryset):
        return queryset.filter(is_rescan=self.value() == "schedule") if self.value() else queryset


def _bound(name: str, help_text: str) -> forms.IntegerField:
    return forms.IntegerField(
        label=name, help_text=help_text, required=False, min_value=1, max_value=LARGEST_BOUND, widget=UnfoldAdminIntegerFieldWidget
    )


class SessionBoundsForm(forms.ModelForm):
    """The session's own bounds, which stand in the JSON of its options. Blank is no bound of its own."""

    max_concurrent = _bound("Videos at the same time", "Of this session, all its channels together. Blank: as the limits say.")
    max_concurrent_channels = _bound("Channels at the same time", "That this session downloads from. Blank: as the limits say.")
    max_concurrent_per_channel = _bound("Videos of one channel at the same time", "Of this session. Blank: as channel and limits say.")
    max_attempts = _bound("Attempts", "At a video before it counts as failed. Blank: as the limits say.")

    class Meta:
        model = DownloadSession
        fields = ()

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.initial |= {name: self.instance.options.get(name) for name in self.base_fields}


BOUNDS = (("max_concurrent", "max_concurrent_channels"), ("max_concurrent_per_channel", "max_attempts"))


class SessionChangeList(PlainChangeList):
    """Gives each session of the page its `tally`."""

    def get_results(self, request):
        super().get_results(request)
        tallies = tallies_of([session.pk for session in self.result_list])
        for session in self.result_list:
            session.tally = tallies[session.pk]


@admin.register(DownloadSession)
class DownloadSessionAdmin(SessionPage, BulkActions, ReadOnlyAdmin):
    form = SessionBoundsForm
    list_display = ("name", "source_name", "status", "progress", "waiting", "refused", "made_by", "started")
    list_select_related = ("created_by",)
    list_filter = (("state", ChoicesDropdownFilter), MadeByFilter)
    search_fields = ("source",)
    search_help_text = "Name of the sheet, or the channel's address"
    actions = tuple(VERBS["ingestion.downloadsession"])
    bounds = BOUNDS

    def get_changelist(self, request, **kwargs):
        return SessionChangeList

    def has_change_permission(self, request, obj=None):
        """Of a session its own bounds can be edited."""
        return ModelAdmin.has_change_permission(self, request, obj)

    def save_model(self, request, obj, form, change):
        """Writes the changed bounds into the options as they are by now: sessions go on while a page is open."""
        changed = {name: form.cleaned_data[name] for name in form.changed_data}
        with transaction.atomic():
            session = DownloadSession.objects.filter(pk=obj.pk)
            options = session.select_for_update().values_list("options", flat=True).get()
            session.update(options={**options, **changed})

    def names_of_page_actions(self, request, obj):
        idle = idle_for_session(obj)
        return [name for name in super().names_of_page_actions(request, obj) if name not in idle]

    @display(description="session")
    def name(self, session):
        return one_line(session)

    @display(description="made from")
    def source_name(self, session):
        return truncatechars(session.source, 50)

    @display(description="state")
    def status(self, session):
        return state_label(session)

    @display(description="stored")
    def progress(self, session):
        return progress_cell(session.tally)

    @display(description="waiting")
    def waiting(self, session):
        return f"{session.tally.waiting:,}"

    @display(description="not stored")
    def refused(self, session):
        return session.tally.refused_in_words()


def state_label(session: DownloadSession) -> SafeString:
    return label(session.get_state_display(), COLOURS.get(session.state, ""), title=session.state_reason)
