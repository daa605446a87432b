"""Every address of the site."""

from django.urls import URLPattern, URLResolver, path

from crmsync_site.health import health

urlpatterns: list[URLPattern | URLResolver] = [
    path("health/", health, name="health"),
]
