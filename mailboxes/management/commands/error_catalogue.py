"""`manage.py error_catalogue`: everything that can go wrong and what to do, as a page or as JSON."""

from typing import Any

from mailboxes.catalogue import ENTRIES, as_markdown
from security.commands import JsonCommand


class Command(JsonCommand):
    """Prints the catalogue of errors."""

    help = "Print the catalogue of errors: as the page docs/errors.md, or as JSON."

    def run(self, **_options: Any) -> None:
        """Write the catalogue."""
        rows = [
            {
                "code": each.code,
                "kind": each.kind,
                "scope": each.scope,
                "who": each.who,
                "retry": each.retry,
                "sentence": str(each.sentence),
                "cause": str(each.cause),
                "remedy": str(each.remedy),
            }
            for each in ENTRIES.values()
        ]
        self.result({"errors": rows}, as_markdown)
