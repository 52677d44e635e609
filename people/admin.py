"""People and channels in the admin."""

from typing import ClassVar

from django import forms
from django.contrib import admin
from django.db.models import Count, Field, OuterRef, Q, QuerySet, Subquery, Value
from django.db.models.functions import Coalesce, Concat, Lower
from django.http import HttpRequest
from django.utils import timezone
from django.utils.formats import date_format
from unfold.admin import ModelAdmin, TabularInline
from unfold.decorators import display

from people.channel_urls import ChannelUrlError, parse_channel_url
from people.import_pages import SheetPagesMixin
from people.models import Channel, ChannelAlias, Person


class ReadOnlyInline(TabularInline):
    """Rows to look at and to follow; they are changed on their own pages."""

    extra = 0
    max_num = 0
    per_page = 20
    can_delete = False

    def has_add_permission(self, request: HttpRequest, obj=None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj=None) -> bool:
        return False


class ChannelInline(ReadOnlyInline):
    model = Channel
    fields = ["title", "canonical_url", "kind", "state", "last_scanned_at"]
    show_change_link = True


class AliasInline(ReadOnlyInline):
    model = ChannelAlias
    fields = ["canonical_url"]
    ordering = ["canonical_url"]


class CheapListMixin:
    """A list that counts no more than it shows, and saves no more than was changed."""

    show_full_result_count = False
    show_facets = admin.ShowFacets.NEVER
    list_per_page = 25

    def get_actions(self, request: HttpRequest) -> dict:
        """Without deletion of many at once, which would first load all that hangs on them."""
        actions = super().get_actions(request)
        actions.pop("delete_selected", None)
        return actions

    def save_model(self, request: HttpRequest, obj, form: forms.ModelForm, change: bool) -> None:
        if not change:
            obj.save(force_insert=True)
        elif form.changed_data:
            obj.save(update_fields=form.changed_data)


class PersonForm(forms.ModelForm):
    """Refuses a person who is here already: the natural key is made by the database, so no field of the form is at fault."""

    class Meta:
        labels: ClassVar = {
            "row_id": "Number in the sheet",
            "type": "Kind of person",
            "email": "E-mail",
            "source_link": "Where found",
        }
        help_texts: ClassVar = {
            "name": "What the person is called.",
            "email": "Tells two people of one name apart.",
            "type": "A word of yours to filter people by, such as teacher.",
            "row_id": "Your own number for the person. With it, a later sheet can correct a name or an e-mail.",
            "source_link": "Where you found the person, such as a page of your school.",
            "notes": "Anything you want to remember.",
        }

    def clean(self) -> dict:
        row_id, email, name = (self.cleaned_data.get(field, "") for field in ("row_id", "email", "name"))
        prefix, text = ("row:", Value(row_id)) if row_id else ("email:", Lower(Value(email))) if email else ("name:", Lower(Value(name)))
        if Person.objects.filter(natural_key=Concat(Value(prefix), text)).exclude(pk=self.instance.pk).exists():
            raise forms.ValidationError("This person is already here.")
        return super().clean()


@admin.register(Person)
class PersonAdmin(SheetPagesMixin, CheapListMixin, ModelAdmin):
    form = PersonForm
    list_display = ["name", "email", "type", "sheet_number", "number_of_channels", "added"]
    list_filter = ["type", "created_at"]
    search_fields = ["name", "email", "row_id"]
    search_help_text = "Name, e-mail or number in the sheet"
    fields = ["name", "email", "type", "row_id", "source_link", "notes", "created_at"]
    readonly_fields = ["created_at"]
    inlines = [ChannelInline]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Person]:
        """The number is counted for the rows of the page only."""
        channels = Channel.objects.filter(person=OuterRef("pk")).order_by().values("person").annotate(number=Count("*")).values("number")
        return super().get_queryset(request).annotate(number_of_channels=Coalesce(Subquery(channels), 0))

    def formfield_for_dbfield(self, db_field: Field, request: HttpRequest, **kwargs):
        """A link written without https:// gets it, as in a sheet."""
        if db_field.name == "source_link":
            kwargs["assume_scheme"] = "https"
        return super().formfield_for_dbfield(db_field, request, **kwargs)

    @display(description="number in the sheet", ordering="row_id")
    def sheet_number(self, person: Person) -> str:
        return person.row_id or "-"

    @display(description="added", ordering="created_at")
    def added(self, person: Person) -> str:
        return date_format(timezone.localtime(person.created_at), "DATETIME_FORMAT")

    @display(description="channels", ordering="number_of_channels")
    def number_of_channels(self, person: Person) -> int:
        return person.number_of_channels

    def has_delete_permission(self, request: HttpRequest, obj: Person | None = None) -> bool:
        """Nobody who has channels: their page of deletion would list every video."""
        return super().has_delete_permission(request, obj) and (obj is None or not obj.channels.exists())


class ChannelForm(forms.ModelForm):
    """A new channel by its address; refuses one that is here already, however it is spelled."""

    class Meta:
        labels: ClassVar = {
            "url": "Address on YouTube",
            "max_concurrent_videos": "Videos at the same time",
            "rescan_every_hours": "Hours between two looks for new videos",
        }
        help_texts: ClassVar = {
            "person": "Whose channel it is. Type a part of the name.",
            "url": "Such as https://www.youtube.com/@name or @name; a playlist or a single video will do, too.",
        }

    def clean_url(self) -> str:
        text = self.cleaned_data["url"]
        try:
            url = parse_channel_url(text)
        except ChannelUrlError as exc:
            raise forms.ValidationError(str(exc)) from exc
        same = Q(canonical_url=url.canonical) | Q(aliases__canonical_url=url.canonical)
        if url.external_id:
            same |= Q(external_id=url.external_id)
        if known := Channel.objects.filter(same).select_related("person").first():
            raise forms.ValidationError(f"This channel is already here: {known}, of {known.person}.")
        self.instance.canonical_url, self.instance.external_id, self.instance.kind = url.canonical, url.external_id, url.kind
        return text


@admin.register(Channel)
class ChannelAdmin(CheapListMixin, ModelAdmin):
    form = ChannelForm
    list_display = ["__str__", "person", "kind", "state_label", "last_scanned_at", "completeness"]
    list_filter = ["state", "kind", "last_scanned_at"]
    list_select_related = ["person"]
    search_fields = ["title", "canonical_url", "external_id", "person__name", "person__email"]
    search_help_text = "Title, address, YouTube id or person"
    autocomplete_fields = ["person"]
    inlines = [AliasInline]

    def get_fields(self, request: HttpRequest, obj: Channel | None = None) -> list[str]:
        edited = ["person", "url", "max_concurrent_videos", "rescan_every_hours"]
        return [*edited, *(self.get_readonly_fields(request, obj)[1:] if obj else [])]

    def get_readonly_fields(self, request: HttpRequest, obj: Channel | None = None) -> list[str]:
        if obj is None:
            return []
        found = ["canonical_url", "external_id", "kind", "title", "state", "completeness"]
        return ["url", *found, "last_scanned_at", "listed_whole_at", "created_at"]

    def has_delete_permission(self, request: HttpRequest, obj: Channel | None = None) -> bool:
        """Only while nothing hangs on it; afterwards it can be paused."""
        return super().has_delete_permission(request, obj) and (obj is None or obj.last_scanned_at is None)

    @display(description="state", ordering="state", label={"active": "success", "paused": "warning", "gone": "danger"})
    def state_label(self, channel: Channel) -> tuple[str, str]:
        return channel.state, channel.get_state_display()

    @display(description="videos seen")
    def completeness(self, channel: Channel) -> str:
        """How much of what YouTube promised the newest listing has shown."""
        if channel.seen is None:
            return "not listed yet"
        return f"{channel.seen} of {channel.expected}" if channel.expected else str(channel.seen)
