"""Every address of the site."""

from django.urls import URLPattern, URLResolver, include, path

from crmsync_site.health import health

urlpatterns: list[URLPattern | URLResolver] = [
    path("health/", health, name="health"),
    path("", include("crmsync_site.ui.urls")),
    path("", include("security.urls")),
    path("", include("mailboxes.urls")),
    path("", include("tracking.urls")),
]
