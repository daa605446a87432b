"""Registers the app."""

from django.apps import AppConfig


class TrackingConfig(AppConfig):
    """Records, activities, threads, decisions."""

    name = "tracking"
