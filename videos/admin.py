"""The admin of videos, and what all read-only pages of the admin have in common."""

from collections.abc import Sequence
from typing import ClassVar

from django.contrib import admin, messages
from django.contrib.admin.views.main import ORDER_VAR
from django.db.models import F
from django.template.defaultfilters import truncatechars
from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html, format_html_join
from unfold.admin import ModelAdmin
from unfold.contrib.filters.admin import AutocompleteSelectFilter, ChoicesDropdownFilter
from unfold.decorators import display
from unfold.views import ChangeList

from people.admin import ChannelAdmin as PeopleChannelAdmin
from people.models import Channel
from videos import tallies
from videos.cells import COLOURS, NOTHING, clock, day, kind_label, label, moment, not_before, number_of, once, raw_line, size
from videos.filters import ErrorKindFilter, KindGroup, KindGroupFilter, SizeFilter, StoredFilter, UploadYearFilter
from videos.models import Video
from videos.paginator import BigTablePaginator

MOST_SAME = 20
BROADCASTS = {
    "not_live": "No, an ordinary video",
    "was_live": "Yes, this is the recording",
    "post_live": "Yes, it has just ended",
    "is_live": "It is being broadcast",
    "is_upcoming": "It is announced",
}
"""What YouTube's words for it mean."""
AUDIENCES = {
    "public": "Everybody",
    "unlisted": "Whoever has the link",
    "needs_auth": "Who is signed in",
    "subscriber_only": "Members of the channel",
    "premium_only": "Who pays YouTube",
    "private": "Its owner",
}
"""The same, for who may watch it."""


class PlainChangeList(ChangeList):
    def get_results(self, request):
        super().get_results(request)
        if not (self.query or self.has_active_filters):
            self.full_result_count = self.result_count  # else unfold offers to show all where all is shown


class TellsCounts:
    """For an admin whose actions change many rows."""

    def say_counts(
        self, request, *, changed: int, selected: int, done: str, left: tuple[str, str], also: Sequence[str] = (), noun: str = ""
    ):
        """Tell how many rows an action changed and how many it left alone. `left` is the reason for one and for many;
        `also` are sentences on what else came of it; `noun` names rows that are not those of the list."""
        sentences = [f"{number_of(changed, noun or self.opts.verbose_name)} {done}."]
        if alone := max(selected - changed, 0):
            sentences.append(f"{alone:,} left alone: {left[0] if alone == 1 else left[1]}.")
        self.message_user(request, " ".join([*sentences, *also]), messages.SUCCESS if changed or also else messages.WARNING)


class WidePages:
    """For an admin: long words break on narrow screens, and tables become lists."""

    class Media:
        css: ClassVar = {"all": ["massdl/pages.css"]}


class ReadOnlyAdmin(WidePages, TellsCounts, ModelAdmin):
    """Rows that only workers write. Nobody adds, edits or deletes one here; `change` permits the actions."""

    paginator = BigTablePaginator
    show_full_result_count = False
    show_facets = admin.ShowFacets.NEVER
    list_per_page = 25
    list_filter_submit = True
    list_fullwidth = True
    sortable_by: ClassVar = ()

    def has_add_permission(self, request):
        return False

    def has_change_permission(self, request, obj=None):
        return obj is None and super().has_change_permission(request)

    def has_delete_permission(self, request, obj=None):
        return False

    def get_changelist(self, request, **kwargs):
        return PlainChangeList

    def changelist_view(self, request, extra_context=None):
        title = self.opts.verbose_name_plural.capitalize()
        return super().changelist_view(request, {"title": title, **(extra_context or {})})


WRONG = ("What went wrong, and what to do", {"fields": ("problem", "what_it_means", "what_to_do", "raw_message")})
STORED_FIELDS = (("stored", "file"), ("picture", "codecs"), "key", "sha256", ("crc32", "parts"), "same_file")
TOLD_FIELDS = ("title", ("length", "uploaded"), ("views", "broadcast"), ("youtube_id", "audience"), "description")


class VideoChangeList(PlainChangeList):
    def get_results(self, request):
        """The number comes from the tallies where they know it."""
        known = tallies.known_count(self.queryset)
        if known == 0:
            self.queryset = self.queryset.none()  # to look for what is not there takes longest
        self.queryset.known_count = known
        super().get_results(request)
        self.result_list = self.result_list[: self.list_max_show_all]  # however many there are, should the tallies err

    def get_queryset(self, request, exclude_parameters=None):
        return super().get_queryset(request, exclude_parameters).defer("description", "error_message")

    def get_ordering(self, request, queryset):
        """A filter may bring an order of its own, which holds until somebody asks for another."""
        own = queryset.query.order_by
        return list(own) if own and ORDER_VAR not in self.params else super().get_ordering(request, queryset)


@admin.register(Video)
class VideoAdmin(ReadOnlyAdmin):
    """Videos know neither the kinds of errors nor what else may hold them: whoever does gives the words with a subclass."""

    error_words: ClassVar[dict[str, str]] = {}
    error_advice: ClassVar[dict[str, str]] = {}
    kind_groups: ClassVar[dict[str, KindGroup]] = {}

    list_display = ("name", "person", "channel", "state", "quality", "file", "length", "uploaded", "problem")
    list_select_related = ("person", "channel")
    list_filter = (
        ("status", ChoicesDropdownFilter),
        ("person", AutocompleteSelectFilter),
        ("channel", AutocompleteSelectFilter),
        KindGroupFilter,
        ErrorKindFilter,
        StoredFilter,
        UploadYearFilter,
        SizeFilter,
    )
    sortable_by = ("uploaded",)
    search_fields = ("title",)
    search_help_text = "Words of the title (3 letters or more), a person's name, a YouTube id or link"
    readonly_fields = (
        *("state", "watch", "length", "uploaded", "views", "broadcast", "youtube_id", "audience"),
        *("stored", "file", "picture", "codecs", "key", "sha256", "parts", "same_file"),
        *("tries_spent", "next_try", "held_by", "goes_first"),
        *("problem", "what_it_means", "what_to_do", "raw_message"),
    )

    def get_changelist(self, request, **kwargs):
        return VideoChangeList

    def get_fieldsets(self, request, obj=None):
        """Only the groups that have something to say of this video."""
        return [
            (None, {"fields": (("state", "person"), ("watch", "channel"))}),
            *([WRONG] if obj.error_kind else []),
            *([("What we stored", {"fields": STORED_FIELDS})] if obj.storage_key else []),
            ("What YouTube says", {"fields": TOLD_FIELDS}),
            ("The work", {"fields": (("session", "tries_spent"), ("next_try", "goes_first"), "held_by")}),
        ]

    def get_queryset(self, request):
        """With what the page names, too: no query for each."""
        return super().get_queryset(request).select_related(*self.list_select_related)

    def get_search_results(self, request, queryset, search_term):
        return queryset.search(search_term), False

    @display(description="title")
    def name(self, video):
        return truncatechars(str(video), 70)

    @display(description="status")
    def state(self, video):
        return label(self.state_words(video), COLOURS.get(video.status, ""))

    def state_words(self, video) -> str:
        """The status; for a pending one also what it waits for."""
        if video.status != Video.Status.PENDING:
            return video.get_status_display()
        if video.wanted != Video.Wanted.RUN:
            return "Paused" if video.wanted == Video.Wanted.PAUSE else "Cancelled"
        return "Waiting" if video.next_attempt_at > timezone.now() else "Pending"

    @display(description="quality")
    def quality(self, video):
        return f"{video.height}p" if video.height else NOTHING

    @display(description="size")
    def file(self, video):
        return size(video.file_size)

    @display(description="length")
    def length(self, video):
        return clock(video.duration)

    # nulls as in the index, both ways: a bare "upload_date" would sort the whole table
    @display(description="uploaded", ordering=F("upload_date").asc(nulls_first=True))
    def uploaded(self, video):
        return day(video.upload_date, exact=video.upload_date_is_exact)

    @display(description="views")
    def views(self, video):
        return NOTHING if video.view_count is None else f"{video.view_count:,}"

    @display(description="broadcast")
    def broadcast(self, video):
        return BROADCASTS.get(video.live_status, video.live_status) or NOTHING

    @display(description="YouTube id")
    def youtube_id(self, video):
        return video.external_id

    @display(description="who may watch it")
    def audience(self, video):
        return AUDIENCES.get(video.availability, video.availability) or NOTHING

    @display(description="stored")
    def stored(self, video):
        return moment(video.stored_at)

    @display(description="name in the storage")
    def key(self, video):
        return video.storage_key

    @display(description="checksum (SHA-256 of the parts)")
    def sha256(self, video):
        return video.checksum or NOTHING

    @display(description="stored in parts of")
    def parts(self, video):
        return size(video.part_size)

    @display(description="attempts spent")
    def tries_spent(self, video):
        return f"{video.attempts:,}"

    @display(description="next attempt")
    def next_try(self, video):
        """Only of one that waits for it; whether anybody may begin it, its status says."""
        return not_before(video.next_attempt_at) if video.status == Video.Status.PENDING else NOTHING

    @display(description="priority")
    def goes_first(self, video):
        return f"{video.priority}, before those of a lower one" if video.priority else "As all others"

    @display(description="worked on by")
    def held_by(self, video):
        """The worker, while one has it."""
        return video.lease_owner or "Nobody at this moment"

    @display(description="error")
    def problem(self, video):
        return kind_label(video.error_kind, self.error_words)

    @display(description="what this means")
    def what_it_means(self, video):
        return self.error_words.get(video.error_kind, NOTHING)

    @display(description="what to do")
    def what_to_do(self, video):
        return self.error_advice.get(video.error_kind, NOTHING)

    @display(description="same file as")
    @once
    def same_file(self, video):
        """Links to other stored videos that are the same to the byte."""
        others = Video.objects.identical_to(video).only("external_id", "title")[:MOST_SAME]
        link = '<a class="text-link" href="{}">{}</a>'
        return format_html_join(", ", link, ((reverse("admin:videos_video_change", args=[v.pk]), v) for v in others)) or NOTHING

    @display(description="what was said")
    def raw_message(self, video):
        return raw_line(video.error_message)

    @display(description="on YouTube")
    def watch(self, video):
        return format_html('<a class="text-link" href="{0}" target="_blank" rel="noopener noreferrer">{0}</a>', video.url)

    @display(description="picture")
    def picture(self, video):
        parts = [f"{video.width} x {video.height}" if video.width and video.height else "", f"{video.fps:g} fps" if video.fps else ""]
        return ", ".join(filter(None, parts)) or NOTHING

    @display(description="format")
    def codecs(self, video):
        return ", ".join(filter(None, (video.container, video.vcodec, video.acodec))) or NOTHING


admin.site.unregister(Channel)


@admin.register(Channel)
class ChannelAdmin(WidePages, PeopleChannelAdmin):
    """A channel that is given to another person takes its videos along."""

    def save_model(self, request, obj, form, change):
        super().save_model(request, obj, form, change)
        Video.objects.filter(channel=obj).exclude(person_id=obj.person_id).update(person_id=obj.person_id)
