"""The catalogues: complete for every screen, true to the places for names, found without GNU gettext."""

import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from babel.messages.catalog import Catalog, Message
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po
from django.conf import settings
from django.core.management import call_command
from django.test import Client, override_settings
from django.utils import translation

from crmsync_site.ui.translations import texts, untranslated, updated, written
from tests import scene as scenes

ROOT = Path(settings.BASE_DIR)
CATALAN = ROOT / "locale" / "ca" / "LC_MESSAGES" / "django.po"
PLACES = re.compile(r"%\(\w+\)s|%s|%%")


@pytest.fixture(scope="module")
def catalan() -> Catalog:
    return updated(CATALAN, ROOT, "ca")


def of_screens(message: Message) -> bool:
    return any(path.startswith(("templates/", "crmsync_site/ui/")) for path, _line in message.locations)


def test_every_text_of_the_screens_is_there_in_catalan(catalan: Catalog) -> None:
    missing = set(untranslated(catalan))
    of = {m.id if isinstance(m.id, str) else m.id[0] for m in catalan if m.id and of_screens(m)}
    assert missing & of == set(), "run manage.py update_translations and fill in locale/ca"
    # Texts of commands may be a little ahead of their translation, never far.
    assert len(missing) <= 0.05 * len(catalan), sorted(missing)


def test_a_translation_has_the_same_places_for_names_as_its_text(catalan: Catalog) -> None:
    wrong = []
    for message in catalan:
        ids = [message.id] if isinstance(message.id, str) else list(message.id)
        strings = [message.string] if isinstance(message.string, str) else list(message.string or ())
        for text, string in zip(ids, strings, strict=True):
            if message.id and string and sorted(PLACES.findall(text)) != sorted(PLACES.findall(string)):
                wrong.append(text)
    assert wrong == []


def test_texts_are_found_in_templates_and_in_python() -> None:
    found = {(text.path, text.id) for text in texts(ROOT)}
    assert ("templates/404.html", "There is no such page") in found
    assert ("mailboxes/states.py", "idle") in found
    assert ("templates/mailboxes/overview.html", ("%(shown)s mailbox", "%(shown)s mailboxes")) in found


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project of one template and one module."""
    (tmp_path / "templates").mkdir()
    (tmp_path / "templates" / "a.html").write_text(
        '{% load i18n %}\n   {% translate "Hello" %}\n {% blocktranslate %}Bye{% endblocktranslate %} <p>it\'s \\ odd'
    )
    (tmp_path / "security").mkdir()
    (tmp_path / "security" / "a.py").write_text('_("Stop")\npgettext("verb", "Open")\n_(name)\n')
    return tmp_path


def test_an_update_keeps_translations_adds_what_is_new_and_drops_what_is_gone(project: Path) -> None:
    path = project / "ca.po"
    first = updated(path, project, "ca")
    assert sorted(untranslated(first)) == ["Bye", "Hello", "Open", "Stop"]
    first["Hello"].string = "Hola"
    path.write_bytes(written(first))
    (project / "security" / "a.py").write_text('_("Go")')
    second = updated(path, project, "ca")
    assert second["Hello"].string == "Hola"
    assert sorted(untranslated(second)) == ["Bye", "Go"]
    assert written(second) == written(updated(path, project, "ca")), "the same texts give the same file"


def test_the_command_says_what_is_missing(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with override_settings(BASE_DIR=project, LOCALE_PATHS=[project / "locale"]):
        call_command("update_translations")
    assert "4 texts, 4 without a translation" in capsys.readouterr().err
    assert (project / "locale" / "ca" / "LC_MESSAGES" / "django.po").exists()


@pytest.fixture
def compiled(tmp_path: Path) -> Iterator[None]:
    folder = tmp_path / "ca" / "LC_MESSAGES"
    folder.mkdir(parents=True)
    with CATALAN.open("rb") as source, (folder / "django.mo").open("wb") as target:
        write_mo(target, read_po(source))
    with override_settings(LOCALE_PATHS=[tmp_path]):
        yield
    shutil.rmtree(tmp_path)


def test_a_person_who_chose_catalan_reads_catalan(compiled: None, db: None, client: Client) -> None:
    client.force_login(scenes.make_person("anna", "Anna", "Puig"))
    client.post("/appearance/language/", {"language": "ca", "next": "/"})
    page = client.get("/threads/").content.decode()
    assert "Encara no hi ha correu registrat" in page
    assert "No tracked mail yet" not in page
    translation.activate("en")
