"""Addresses of the design system itself."""

from django.urls import path

from crmsync_site.ui import views

urlpatterns = [
    path("appearance/theme/", views.set_theme, name="set_theme"),
    path("appearance/language/", views.set_language, name="set_language"),
]
