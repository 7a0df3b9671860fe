"""Every route of the management server."""

from django.contrib import admin
from django.urls import include, path

urlpatterns = [
    path("admin/", admin.site.urls),
    path("", include("ferris_web.api.urls")),
    path("", include("ferris_web.console.urls")),
]

# Programs get problem documents, people get pages.
handler400 = "ferris_web.api.problems.handler400"
handler403 = "ferris_web.api.problems.handler403"
handler404 = "ferris_web.api.problems.handler404"
handler500 = "ferris_web.api.problems.handler500"
