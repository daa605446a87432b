"""The catalogue of errors: complete, readable as it stands, and the same in code and documentation."""

import re
from pathlib import Path

import pytest
from django.core.management import call_command
from django.utils import translation

from mailboxes import catalogue
from mailboxes.catalogue import ENTRIES, GENERAL_WORDS, KIND_LABELS, RETRY_LABELS, SCOPE_LABELS, WHO_LABELS, Who, lookup
from mailboxes.management.commands.error_catalogue import Command
from mailboxes.provider import errors

ROOT = Path(__file__).resolve().parent.parent.parent


def classes(base: type[errors.ProviderError]) -> list[type[errors.ProviderError]]:
    return [base, *(each for sub in base.__subclasses__() for each in classes(sub))]


def codes_in_source() -> set[str]:
    """Return every code that our code gives an error, wherever it does."""
    found: set[str] = set()
    for app in ("mailboxes", "tracking"):
        for file in (ROOT / app).rglob("*.py"):
            if "sandbox" in file.parts or "commands" in file.parts:
                continue
            text = file.read_text()
            for call in re.findall(
                r"(?:Misconfigured|Unavailable|Throttled|AuthRejected|AccessRefused|MailboxGone|FolderGone|ItemUnreadable|AnswerUnreadable)\((?:[^()]|\([^()]*\))*\)",
                text,
            ):
                found |= set(re.findall(r'code="([a-z_]+)"', call))
            found |= set(re.findall(r'^    code(?:: str)? = "([a-z_]+)"', text, re.MULTILINE))
            for call in re.findall(r"Fail\((?:[^()]|\([^()]*\))*\)", text):
                found |= set(re.findall(r'"([a-z_]+)"', call))
            found |= set(re.findall(r'missing="([a-z_]+)"', text))
            found |= set(re.findall(r'^(?:WORKER_LOST|LATE_START) = "([a-z_]+)"', text, re.MULTILINE))
    return found


def test_every_code_has_a_row() -> None:
    used = codes_in_source()
    assert {
        "internal_error",
        "disk_full",
        "worker_lost",
        "late_start",
        "attachment_is_link",
        "secret_missing",
        "kills_worker",
    } <= used
    assert used - set(ENTRIES) == set()


def test_the_default_code_of_every_error_has_a_row_of_its_kind() -> None:
    for each in classes(errors.ProviderError):
        if each.__module__ == errors.__name__ and each is not errors.ProviderError:
            assert ENTRIES[each.code].kind is each.kind, each


@pytest.mark.parametrize("code", ENTRIES)
def test_a_row_can_be_read_as_it_stands(code: str) -> None:
    entry = ENTRIES[code]
    for text in (entry.sentence, entry.cause, entry.remedy):
        assert "%" not in str(text)
        assert str(text)[0].isupper()
        assert str(text).endswith(".")
    assert (entry.who is Who.NOBODY) or len(str(entry.remedy)) > len("Nothing.")


def test_names_may_be_filled_in() -> None:
    sentence = lookup("sign_in_refused").sentence
    assert "svc@example.com" in sentence.filled(account="svc@example.com", server="unused")
    assert sentence.filled(account="") == str(sentence)


def test_every_place_has_a_general_word() -> None:
    places = {
        place
        for entry in ENTRIES.values()
        for text in (entry.sentence, entry.cause, entry.remedy)
        for place in re.findall(r"%\((\w+)\)s", str(text.template))
    }
    assert places == set(GENERAL_WORDS)


def test_an_unlisted_code_is_a_defect() -> None:
    assert lookup("never_heard_of") is ENTRIES["internal_error"]


def test_everything_has_a_label() -> None:
    for entry in ENTRIES.values():
        assert all(
            (KIND_LABELS[entry.kind], SCOPE_LABELS[entry.scope], WHO_LABELS[entry.who], RETRY_LABELS[entry.retry])
        )


def test_the_page_in_the_documentation_is_the_catalogue(capsys: pytest.CaptureFixture[str]) -> None:
    with translation.override("en"):
        call_command(Command())
    page = (ROOT / "docs" / "errors.md").read_text()
    assert page.strip() == capsys.readouterr().out.strip(), "write it anew: manage.py error_catalogue > docs/errors.md"


def test_the_catalogue_is_there_for_programs(capsys: pytest.CaptureFixture[str]) -> None:
    call_command(Command(), "--json")
    assert '"code": "certificate_untrusted"' in capsys.readouterr().out
    assert len({entry.code for entry in catalogue.ENTRIES.values()}) == len(catalogue.ENTRIES)
