from django.contrib import admin
from django.urls import path
from django.views.generic import RedirectView

from ingestion.admin.handbook import show_errors
from ingestion.dashboard import show_overview
from massdl_site import accounts, health  # noqa: F401 - accounts registers users and groups

handler403 = "massdl_site.refusals.forbidden"
handler404 = "massdl_site.refusals.missing"
handler500 = "massdl_site.refusals.broken"

urlpatterns = [
    path("", RedirectView.as_view(pattern_name="admin:index")),
    path("healthz", health.healthz),
    path("admin/overview/", admin.site.admin_view(show_overview), name="overview"),
    path("admin/errors/", admin.site.admin_view(show_errors), name="errors"),
    path("admin/", admin.site.urls),
]
