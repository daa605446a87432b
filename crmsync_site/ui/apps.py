"""Registers the design system, so that its template tags, styles and commands are found."""

from django.apps import AppConfig


class UiConfig(AppConfig):
    """The design system."""

    name = "crmsync_site.ui"
    label = "ui"
