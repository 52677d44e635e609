"""The admin as it is written first: annotations, default paginator, and numbers counted where they are shown."""

from django.contrib import admin
from django.db.models import Count, Q, Sum
from django.db.models.functions import TruncDate
from django.http import JsonResponse
from django.urls import path

from ingestion.models import Attempt, DownloadSession
from people.models import Channel, Person
from videos.models import Video

site = admin.AdminSite()


@admin.register(Person, site=site)
class PersonAdmin(admin.ModelAdmin):
    list_display = ("name", "email", "type", "stored", "waiting", "refused", "storage")
    list_filter = ("type", "created_at")
    search_fields = ("name", "email", "row_id")
    list_per_page = 50

    def get_queryset(self, request):
        counted = {
            "stored": Count("videos", filter=Q(videos__status="stored")),
            "waiting": Count("videos", filter=Q(videos__status__in=["pending", "downloading"])),
            "refused": Count("videos", filter=Q(videos__status__in=["failed", "unavailable"])),
            "storage": Sum("videos__file_size"),
        }
        return super().get_queryset(request).annotate(**counted)

    def stored(self, person):
        return person.stored

    def waiting(self, person):
        return person.waiting

    def refused(self, person):
        return person.refused

    def storage(self, person):
        return person.storage


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
