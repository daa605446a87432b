"""vCards (2.1 to 4.0) to contacts.

Basic but true: names, organisation, the first three addresses, telephones and postal addresses by
their kind, birthday, note. The protocol has a fixed slot for each, so a fourth address is left out.
"""

from datetime import UTC, datetime
from typing import Any, Final

import vobject

from mailboxes.sandbox.headers import decode_bytes
from mailboxes.sandbox.model import Content
from mailboxes.sandbox.xmltext import dictionary, escape, leaf, moment, one_line

# What the library raises on cards that are none, or hold values that are none.
_UNREADABLE: Final = (
    vobject.base.VObjectError,
    ValueError,
    KeyError,
    IndexError,
    TypeError,
    AttributeError,
    AssertionError,
    StopIteration,
)
_PLACES: Final = ("street", "city", "region", "country", "code")
_PLACE_NAMES: Final = ("Street", "City", "State", "CountryOrRegion", "PostalCode")


class UnreadableCard(ValueError):
    """The bytes hold no contact card that could be read."""


def contents(raw: bytes) -> list[Content]:
    """Return each card as the content of a contact. Raises UnreadableCard."""
    try:
        cards = [
            card for card in vobject.readComponents(decode_bytes(raw), ignoreUnreadable=True) if card.name == "VCARD"
        ]
        found = [_contact(card) for card in cards]
    except _UNREADABLE as error:
        raise UnreadableCard(one_line(str(error)) or type(error).__name__) from error
    if not found:
        raise UnreadableCard("no VCARD in it")
    return found


def _contact(card: Any) -> Content:
    name = getattr(_first(card, "n"), "value", None)
    given, middle, family = (_word(getattr(name, part, "")) for part in ("given", "additional", "family"))
    company, *units = [_word(unit) for unit in _listed(card, "org")] or [""]
    display = _text(card, "fn") or " ".join(part for part in (given, family) if part) or company
    values = {
        "Subject": leaf("Subject", display),
        "DisplayName": leaf("DisplayName", display),
        "FileAs": leaf("FileAs", ", ".join(part for part in (family, given) if part) or display),
        "EmailAddresses": _addresses(card, display),
        "PhoneNumbers": dictionary("PhoneNumbers", _telephones(card)),
        "PhysicalAddresses": _places(card),
    }
    plain = {
        "GivenName": given,
        "MiddleName": middle,
        "Nickname": _text(card, "nickname"),
        "CompanyName": company,
        "BusinessHomePage": _text(card, "url"),
        "Department": ", ".join(unit for unit in units if unit),
        "JobTitle": _text(card, "title"),
        "Surname": family,
    }
    values |= {element: leaf(element, text) for element, text in plain.items() if text}
    born = _birthday(_text(card, "bday"))
    if born is not None:
        values["Birthday"] = moment("Birthday", born)
    values["CompleteName"] = _complete_name(display, given, middle, family)
    note = _text(card, "note")
    categories = tuple(_word(one) for one in _listed(card, "categories") if _word(one))
    return Content("Contact", values=values, body=("Text", note) if note else None, categories=categories)


def _complete_name(display: str, given: str, middle: str, family: str) -> str:
    parts = (("FirstName", given), ("MiddleName", middle), ("LastName", family), ("FullName", display))
    inner = "".join(leaf(element, text) for element, text in parts if text)
    return f"<t:CompleteName>{inner}</t:CompleteName>" if inner else ""


def _all(card: Any, name: str) -> list[Any]:
    found = card.contents.get(name, [])
    return found if isinstance(found, list) else [found]


def _first(card: Any, name: str) -> Any:
    return next(iter(_all(card, name)), None)


def _word(value: Any) -> str:
    """Return a name part, which the library gives as text or as a list of texts."""
    return one_line(" ".join(map(str, value)) if isinstance(value, list) else str(value))


def _text(card: Any, name: str) -> str:
    value = getattr(_first(card, name), "value", "")
    return str(value).strip() if name == "note" else _word(value)


def _listed(card: Any, name: str) -> list[Any]:
    value = getattr(_first(card, name), "value", [])
    return value if isinstance(value, list) else [value]


def _kinds(line: Any) -> set[str]:
    types = getattr(line, "params", {}).get("TYPE", [])
    return {word.lower() for one in types for word in str(one).split(",")} | {
        str(one).lower() for one in getattr(line, "singletonparams", [])
    }


def _addresses(card: Any, display: str) -> str:
    found = [_word(line.value) for line in _all(card, "email") if _word(line.value)][:3]
    inner = "".join(
        f'<t:Entry Key="EmailAddress{number}" Name="{escape(display)}" RoutingType="SMTP" MailboxType="Contact">'
        f"{escape(address)}</t:Entry>"
        for number, address in enumerate(found, 1)
    )
    return f"<t:EmailAddresses>{inner}</t:EmailAddresses>" if inner else ""


def _telephones(card: Any) -> dict[str, str]:
    found: dict[str, str] = {}
    for line in _all(card, "tel"):
        kinds = _kinds(line)
        place = "Home" if "home" in kinds else "Business"
        if kinds & {"cell", "mobile"}:
            slot = "MobilePhone"
        elif "fax" in kinds:
            slot = f"{place}Fax"
        elif "pager" in kinds:
            slot = "Pager"
        else:
            slot = f"{place}Phone"
        number = _word(line.value).removeprefix("tel:")
        if slot in found and slot.endswith("Phone") and slot != "MobilePhone":
            slot += "2"
        found.setdefault(slot, number)
    return found


def _places(card: Any) -> str:
    found: dict[str, str] = {}
    for line in _all(card, "adr"):
        kinds = _kinds(line)
        key = "Home" if "home" in kinds else "Business" if "work" in kinds or not kinds else "Other"
        words = [_word(getattr(line.value, part, "")) for part in _PLACES]
        inner = "".join(leaf(element, word) for element, word in zip(_PLACE_NAMES, words, strict=True) if word)
        if inner:
            found.setdefault(key, f'<t:Entry Key="{key}">{inner}</t:Entry>')
    return f"<t:PhysicalAddresses>{''.join(found.values())}</t:PhysicalAddresses>" if found else ""


def _birthday(text: str) -> int | None:
    digits = text.partition("T")[0].replace("-", "")
    try:
        day = datetime.strptime(digits, "%Y%m%d").replace(tzinfo=UTC)
    except ValueError:
        return None
    # Noon, so that no zone shows the day before or after; clients write birthdays so.
    return int(day.timestamp()) + 12 * 3600 - 60
