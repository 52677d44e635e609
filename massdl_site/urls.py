from django.contrib import admin
from django.urls import path
from django.views.generic import RedirectView

from massdl_site import accounts, health  # noqa: F401 - accounts registers users and groups

urlpatterns = [
    path("", RedirectView.as_view(pattern_name="admin:index")),
    path("healthz", health.healthz),
    path("admin/", admin.site.urls),
]
