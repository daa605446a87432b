"""Texts that are marked for translation, found without GNU gettext: in Python and in Django's templates.

The catalogues lie in `locale/`; `manage.py update_translations` brings them up to date, `make setup` compiles them.
"""

import io
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from babel.messages.catalog import Catalog
from babel.messages.extract import extract
from babel.messages.pofile import read_po, write_po
from django.utils.translation.template import templatize

_KEYWORDS: dict[str, tuple[int | tuple[int, str], ...] | None] = {
    "_": None,
    "gettext": None,
    "gettext_lazy": None,
    "ngettext": (1, 2),
    "ngettext_lazy": (1, 2),
    "pgettext": ((1, "c"), 2),
    "npgettext": ((1, "c"), 2, 3),
}
# Lines of the header that would change with every call, or that nobody fills in.
_NOBODYS = re.compile(
    rb'^"(POT-Creation-Date|PO-Revision-Date|Generated-By|Report-Msgid-Bugs-To|Last-Translator|Language-Team):.*\n',
    flags=re.MULTILINE,
)
_FOLDERS = ("crmsync_site", "security", "mailboxes", "tracking", "templates")


@dataclass(frozen=True, slots=True)
class Text:
    """A text, or its singular and plural, with where it stands."""

    path: str
    line: int
    id: str | tuple[str, ...]
    context: str | None


def texts(root: Path) -> Iterator[Text]:
    """Find every marked text of the project below `root`."""
    for folder in _FOLDERS:
        for path in sorted((root / folder).rglob("*")):
            if path.suffix == ".py" and "migrations" not in path.parts:
                yield from _in(path.read_text(), path.relative_to(root))
            elif path.suffix == ".html":
                yield from _in(_as_python(path), path.relative_to(root))


def _as_python(path: Path) -> str:
    source: str = templatize(path.read_text(), origin=str(path))
    # What stands between the texts is blanked out to X's, whose indentation Python would stumble over.
    return re.sub(r"^[ \t]+", "", source, flags=re.MULTILINE)


def _in(source: str, path: Path) -> Iterator[Text]:
    file = io.BytesIO(source.encode())
    for line, message, _comments, context in extract("python", file, keywords=_KEYWORDS):
        if message:
            yield Text(str(path), line, message, context)


def updated(catalogue: Path, root: Path, locale: str) -> Catalog:
    """Return the catalogue in the file `catalogue` with exactly the texts of the project, translations kept."""
    template = Catalog(project="crmsync")
    for text in texts(root):
        template.add(text.id, locations=[(text.path, 0)], context=text.context)
    if catalogue.exists():
        with catalogue.open("rb") as file:
            found = read_po(file, locale=locale)
        found.update(template, no_fuzzy_matching=True)
    else:
        found = Catalog(locale=locale, project="crmsync")
        found.update(template, no_fuzzy_matching=True)
    found.obsolete.clear()
    found.fuzzy = False
    found.header_comment = f"# crmsync in {found.locale.english_name if found.locale else locale}."
    return found


def untranslated(catalogue: Catalog) -> list[str]:
    """Return the texts (the singular, where there are two) that have no translation, or only one of two."""
    missing = []
    for message in catalogue:
        strings = message.string if isinstance(message.string, (tuple, list)) else (message.string,)
        if message.id and not all(strings):
            missing.append(message.id if isinstance(message.id, str) else message.id[0])
    return missing


def written(catalogue: Catalog) -> bytes:
    """Return the catalogue as the text of a .po file, the same for the same texts and translations."""
    file = io.BytesIO()
    write_po(
        file, catalogue, omit_header=False, sort_output=True, ignore_obsolete=True, include_lineno=False, width=120
    )
    return _NOBODYS.sub(b"", file.getvalue())
