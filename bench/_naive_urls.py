"""The admin as it is written first: annotations, default paginator, and numbers counted where they are shown.

Foreign keys have no drop-down list, neither in forms nor among the filters: with so many rows nobody would leave it at that.
"""

from django.contrib import admin
from django.db.models import Count, Q, Sum
from django.db.models.functions import TruncDate
from django.http import JsonResponse
from django.urls import path

from ingestion.models import Attempt, DownloadSession, Scan, Worker
from people.models import Channel, Person
from videos.models import Video

site = admin.AdminSite()


COUNTED = {
    "stored": Count("videos", filter=Q(videos__status="stored")),
    "waiting": Count("videos", filter=Q(videos__status__in=["pending", "downloading"])),
    "refused": Count("videos", filter=Q(videos__status__in=["failed", "unavailable"])),
    "storage": Sum("videos__file_size"),
}


class CountingAdmin(admin.ModelAdmin):
    def get_queryset(self, request):
        return super().get_queryset(request).annotate(**COUNTED)

    def stored(self, row):
        return row.stored

    def waiting(self, row):
        return row.waiting

    def refused(self, row):
        return row.refused

    def storage(self, row):
        return row.storage


@admin.register(Person, site=site)
class PersonAdmin(CountingAdmin):
    list_display = ("name", "email", "type", *COUNTED)
    list_filter = ("type", "created_at")
    search_fields = ("name", "email", "row_id")
    list_per_page = 25


@admin.register(Channel, site=site)
class ChannelAdmin(CountingAdmin):
    list_display = ("title", "person", "kind", "state", "last_scanned_at", *COUNTED)
    list_filter = ("state", "kind")
    search_fields = ("title", "canonical_url", "external_id", "person__name")
    raw_id_fields = ("person",)
    list_per_page = 25


@admin.register(DownloadSession, site=site)
class SessionAdmin(CountingAdmin):
    list_display = ("id", "source", "state", "created_by", "created_at", *COUNTED)
    list_filter = ("state", "is_rescan")
    search_fields = ("source",)
    list_per_page = 25


@admin.register(Video, site=site)
class VideoAdmin(admin.ModelAdmin):
    list_display = ("title", "person", "channel", "status", "height", "file_size", "duration", "upload_date", "error_kind")
    list_filter = ("status", "error_kind", "stored_at")
    search_fields = ("title", "person__name", "external_id")
    date_hierarchy = "upload_date"
    raw_id_fields = ("person", "channel", "session")
    list_per_page = 25


@admin.register(Attempt, site=site)
class AttemptAdmin(admin.ModelAdmin):
    list_display = ("video", "session", "number", "outcome", "worker", "started_at", "way", "bytes_stored", "error_kind")
    list_filter = ("outcome", "error_kind", "way")
    search_fields = ("video__title", "video__person__name", "video__external_id")
    raw_id_fields = ("video", "session")
    list_per_page = 25


@admin.register(Scan, site=site)
class ScanAdmin(admin.ModelAdmin):
    list_display = ("channel", "session", "state", "seen", "new", "already_stored", "error_kind")
    list_filter = ("state", "error_kind")
    search_fields = ("channel__title", "channel__canonical_url")
    raw_id_fields = ("session", "channel")
    list_per_page = 25


@admin.register(Worker, site=site)
class WorkerAdmin(admin.ModelAdmin):
    list_display = ("name", "host", "pid", "queue", "started_at", "heartbeat_at")
    search_fields = ("host",)


def dashboard(request):
    """The numbers of our first page and its charts, each asked for where it stands; no page is rendered."""
    videos = Video.objects.order_by()
    stored = videos.filter(status="stored")
    sessions = DownloadSession.objects.annotate(number=Count("videos"), stored=Count("videos", filter=Q(videos__status="stored"))).order_by(
        "-id"
    )[:5]
    return JsonResponse(
        {
            "people": Person.objects.count(),
            "channels": Channel.objects.count(),
            "videos": dict(videos.values_list("status").annotate(Count("pk"))),
            "bytes": stored.aggregate(bytes=Sum("file_size"))["bytes"],
            "days": [
                str(row)
                for row in stored.annotate(day=TruncDate("stored_at")).values_list("day").annotate(Count("pk")).order_by("-day")[:30]
            ],
            "kinds": dict(videos.filter(status__in=["failed", "unavailable"]).values_list("error_kind").annotate(Count("pk"))),
            "largest": list(stored.values_list("person__name").annotate(bytes=Sum("file_size")).order_by("-bytes")[:10]),
            "running": list(Attempt.objects.filter(outcome="").values_list("video__title", "live__bytes_done")),
            "sessions": [(session.source, session.number, session.stored) for session in sessions],
        }
    )


urlpatterns = [path("admin/dashboard/", dashboard), path("admin/", site.urls)]
