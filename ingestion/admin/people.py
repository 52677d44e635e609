"""People once more, with what was archived of them."""

from django.contrib import admin

from ingestion.admin.archive_pages import PersonPage
from ingestion.admin.tallies import VideoColumns
from people.admin import PersonAdmin as PlainPersonAdmin
from people.models import Person
from videos import tallies

admin.site.unregister(Person)


@admin.register(Person)
class PersonAdmin(PersonPage, VideoColumns, PlainPersonAdmin):
    list_display = (*PlainPersonAdmin.list_display, "stored_videos", "waiting_videos", "refused_videos", "bytes_stored")
    tallies_of_rows = staticmethod(tallies.of_people)
    filter_of_videos = "person__id__exact"
