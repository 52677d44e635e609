"""The video's page once more, with what only the work knows: its attempts and the words for its errors."""

from django.contrib import admin
from unfold.contrib.filters.admin import AutocompleteSelectFilter

from ingestion.admin.attempts import AttemptInline
from ingestion.admin.kinds import ErrorWords
from videos.admin import VideoAdmin as PlainVideoAdmin
from videos.models import Video

admin.site.unregister(Video)


@admin.register(Video)
class VideoAdmin(ErrorWords, PlainVideoAdmin):
    list_filter = (*PlainVideoAdmin.list_filter, ("session", AutocompleteSelectFilter))
    inlines = (AttemptInline,)
