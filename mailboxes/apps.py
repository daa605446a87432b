"""Registers the app."""

from django.apps import AppConfig


class MailboxesConfig(AppConfig):
    """Mail servers and mailboxes."""

    name = "mailboxes"
