"""Registers the app and finds each app's access rules."""

from django.apps import AppConfig
from django.utils.module_loading import autodiscover_modules


class SecurityConfig(AppConfig):
    """Who may do and see what."""

    name = "security"

    def ready(self) -> None:
        """Import every app's `access_rules` module: a kind without rules is invisible (design §1)."""
        autodiscover_modules("access_rules")
