"""`manage.py update_translations`: find marked texts and bring the catalogues in `locale/` up to date."""

from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand

from crmsync_site.ui.translations import untranslated, updated, written


class Command(BaseCommand):
    """Update the .po files; needs no database and no GNU gettext."""

    help = "Finds every text marked for translation and updates locale/*/LC_MESSAGES/django.po; says what is missing."
    requires_system_checks: list[str] = []

    def handle(self, *args: Any, **options: Any) -> None:  # noqa: ARG002 -- Django's signature
        """Update each language but the one the texts are written in."""
        folder = Path(settings.LOCALE_PATHS[0])
        for code, _name in settings.LANGUAGES:
            if code == settings.LANGUAGE_CODE:
                continue
            path = folder / code / "LC_MESSAGES" / "django.po"
            catalogue = updated(path, Path(settings.BASE_DIR), code)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(written(catalogue))
            missing = len(untranslated(catalogue))
            self.stderr.write(f"{path}: {len(catalogue)} texts, {missing} without a translation")
