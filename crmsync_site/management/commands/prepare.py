"""`manage.py prepare`: migrations, and the first administrator of a new installation. Safe to repeat, on several hosts at once."""

import secrets
from pathlib import Path
from typing import Any

from django.conf import settings
from django.contrib.auth import get_user_model
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError
from django.db import OperationalError, connection

from crmsync_site.embedded.files import state_folder, write_private

ADMIN = "admin"
ADMIN_PASSWORD_FILE = "admin-password"  # noqa: S105 -- the name of a file
# Any number of our own: one process at a time prepares one database, on whichever host.
_ADVISORY_LOCK = 0x63726D73


class Command(BaseCommand):
    """Bring the database to the shape this code expects."""

    help = "Applies migrations and, in a new installation, creates the user admin with a generated password."
    requires_system_checks: list[str] = []

    def handle(self, *args: Any, **options: Any) -> None:  # noqa: ARG002 -- Django's signature
        """Migrate under a lock of the database, then make `admin` if there is no user yet; speaks on stderr only."""
        try:
            connection.ensure_connection()
        except OperationalError as error:
            raise CommandError(f"The database cannot be reached: {error}".strip()) from error
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_lock(%s)", [_ADVISORY_LOCK])
            try:
                call_command("migrate", interactive=False, verbosity=0)
                self._first_administrator(Path(settings.VAR))
            finally:
                cursor.execute("SELECT pg_advisory_unlock(%s)", [_ADVISORY_LOCK])

    def _first_administrator(self, var: Path) -> None:
        people = get_user_model()._default_manager
        if people.exists():
            return
        password = secrets.token_urlsafe(12)
        file = state_folder(var) / ADMIN_PASSWORD_FILE
        # The file first: a user whose password nobody knows would be worse than a password without a user.
        write_private(file, password + "\n")
        people.create_superuser(username=ADMIN, password=password)
        self.stderr.write(f"A new installation: sign in as {ADMIN} with the password {password} (kept in {file}).")
