"""Channels once more, with what only the work can do: stop them, give up what they owe, look for new videos."""

from django.contrib import admin
from unfold.contrib.filters.admin import AutocompleteSelectFilter

from ingestion.admin.archive_pages import ChannelPage
from ingestion.admin.bulk_actions import BulkActions
from ingestion.admin.tallies import VideoColumns
from ingestion.operations.verbs import VERBS
from people.models import Channel
from videos import tallies
from videos.admin import ChannelAdmin as PlainChannelAdmin

admin.site.unregister(Channel)


@admin.register(Channel)
class ChannelAdmin(ChannelPage, BulkActions, VideoColumns, PlainChannelAdmin):
    list_display = (*PlainChannelAdmin.list_display, "stored_videos", "waiting_videos", "refused_videos", "bytes_stored")
    list_filter = (("person", AutocompleteSelectFilter), *PlainChannelAdmin.list_filter)
    tallies_of_rows = staticmethod(tallies.of_channels)
    filter_of_videos = "channel__id__exact"
    actions = tuple(VERBS["people.channel"])
