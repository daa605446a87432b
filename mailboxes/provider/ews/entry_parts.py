"""The fields of an entry as properties of the protocol, ready to be written: each is a path, an element and a value.

The one idea: the same parts serve making and changing. A new item has all its elements in the order that the
schema demands; a change names each property by its path and sets or deletes it alone, so that a telephone number is
changed without touching the others.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Final
from xml.sax.saxutils import escape, quoteattr

from mailboxes.provider.entries import (
    CHOICES,
    FIELDS,
    TOLD,
    Attendee,
    EntryKind,
    Field,
    FullName,
    PostalAddress,
    Recurrence,
    Span,
    Type,
    Value,
    canonical,
)
from mailboxes.provider.errors import WriteRefused
from mailboxes.provider.ews.entry_fields import (
    ADDRESS_LINES,
    ADDRESSES,
    BODIES,
    DAYS,
    ELEMENTS,
    EMAILS,
    LEAVES,
    PEOPLE,
    PHONES,
    REGARDING_NOTE,
    RESPONSES,
    ZONE_NOTE,
    field_path,
    note_path,
)
from mailboxes.provider.ews.operations import STAMP_NAME
from mailboxes.provider.ews.recurrences import recurrence_xml
from mailboxes.provider.ews.spans import written
from mailboxes.provider.text import clean

# The order in which the schema wants them; no two kinds have one of the same name in different places.
_ORDER: Final = (
    *("Subject", "Body", "Categories", "Importance", "ExtendedProperty"),
    *("FileAs", "DisplayName", "GivenName", "MiddleName", "Nickname", "CompanyName", "EmailAddresses"),
    *("PhysicalAddresses", "PhoneNumbers", "AssistantName", "Birthday", "BusinessHomePage", "Children", "Department"),
    *("JobTitle", "Manager", "SpouseName", "Surname", "WeddingAnniversary"),
    *("Start", "End", "IsAllDayEvent", "LegacyFreeBusyStatus", "Location", "RequiredAttendees", "OptionalAttendees"),
    *("Recurrence", "StartTimeZone", "EndTimeZone"),
    *("CompleteDate", "DueDate", "PercentComplete", "StartDate", "Status"),
)


@dataclass(frozen=True, slots=True)
class Part:
    """One property: its path, the element it stands in, and what is in that element; `xml` None deletes it.

    `key` is the entry of a postal address that `xml` is a line of.
    """

    path: str
    element: str
    xml: str | None
    key: str = ""

    @property
    def whole(self) -> str:
        """Return the property as an element of an item, alone."""
        inner = f'<t:Entry Key="{self.key}">{self.xml}</t:Entry>' if self.key else self.xml
        return f"<t:{self.element}>{inner}</t:{self.element}>" if self.element in _DICTIONARIES else f"{inner}"


_DICTIONARIES: Final = frozenset({"EmailAddresses", "PhoneNumbers", "PhysicalAddresses"})


def utc_text(moment: datetime) -> str:
    """Return a moment in UTC as the protocol writes it, to the second."""
    return f"{moment.replace(microsecond=0, tzinfo=None).isoformat()}Z"


def note(name: str, text: str | None) -> Part:
    """Return a property of our own, to be set or (None) deleted."""
    path = note_path(name)
    value = f"<t:ExtendedProperty>{path}<t:Value>{escape(clean(text or ''))}</t:Value></t:ExtendedProperty>"
    return Part(path, "ExtendedProperty", value if text else None)


def stamp_part(stamp: str) -> Part:
    """Return our stamp."""
    return note(STAMP_NAME, stamp)


def categories_part(categories: Iterable[str]) -> Part:
    """Return categories, all that an item is to have."""
    inner = "".join(_leaf("String", each) for each in categories)
    return Part(field_path("item:Categories"), "Categories", f"<t:Categories>{inner}</t:Categories>" if inner else None)


def parts_of(kind: EntryKind, values: Mapping[Field, Value], *, owner_zone: str) -> list[Part]:
    """Return the properties that values are written as; `owner_zone` is where the owner's whole days begin.

    Raises `WriteRefused` for what the protocol has no words for, KeyError for a field the kind has not.
    """
    given = {name: canonical(kind, name, value) for name, value in values.items() if name not in TOLD}
    if given.get(Field.COMPLETED) is not None:
        # A day of completion alone would be lost: only what is completed has one.
        given.setdefault(Field.STATUS, "Completed")
    try:
        return [part for name, value in given.items() for part in _parts(kind, name, value, owner_zone)]
    except OverflowError as error:
        raise WriteRefused("a date is out of range") from error


def ordered(parts: Iterable[Part]) -> str:
    """Return the properties of a new item, in the order of the schema; what would be deleted is left out."""
    found: dict[str, list[Part]] = {}
    for part in parts:
        if part.xml is not None:
            found.setdefault(part.element, []).append(part)
    return "".join(_together(element, found[element]) for element in _ORDER if element in found)


def _together(element: str, parts: list[Part]) -> str:
    if element not in _DICTIONARIES:
        return "".join(part.whole for part in parts)
    lines: dict[str, str] = {}
    for part in parts:
        lines[part.key] = lines.get(part.key, "") + (part.xml or "")
    inner = "".join(f'<t:Entry Key="{key}">{xml}</t:Entry>' if key else xml for key, xml in lines.items())
    return f"<t:{element}>{inner}</t:{element}>"


def updates(kind: EntryKind, parts: Iterable[Part]) -> str:
    """Return the changes of an item, property by property."""
    tag = ELEMENTS[kind]
    return "".join(
        f"<t:DeleteItemField>{part.path}</t:DeleteItemField>"
        if part.xml is None
        else f"<t:SetItemField>{part.path}<t:{tag}>{part.whole}</t:{tag}></t:SetItemField>"
        for part in parts
    )


# -- one field


def _leaf(name: str, text: str) -> str:
    return f"<t:{name}>{escape(clean(text))}</t:{name}>"


def _parts(kind: EntryKind, name: Field, value: Value, owner_zone: str) -> Iterator[Part]:
    if name is Field.SPAN:
        yield from _span(value, owner_zone)
    elif (kind, name) in LEAVES:
        uri, element = LEAVES[kind, name]
        yield Part(field_path(uri), element, None if value is None else _leaf(element, _word(name, value)))
    elif name in DAYS:
        yield from _day(name, value)
    else:
        yield from _WRITERS[FIELDS[kind][name]](name, value)


def _word(name: Field, value: Value) -> str:
    text = str(value)
    if name in CHOICES and text not in CHOICES[name]:
        raise WriteRefused(f"{name} has no choice {text[:40]!r}")
    return text


def _day(name: Field, value: Value) -> Iterator[Part]:
    uri, element, time = DAYS[name]
    if isinstance(value, date):
        yield Part(field_path(uri), element, f"<t:{element}>{value.isoformat()}T{time}</t:{element}>")
    elif name is not Field.COMPLETED:
        # A server takes the day of completion away with the status, and by no other way.
        yield Part(field_path(uri), element, None)


def _span(value: Value, owner_zone: str) -> Iterator[Part]:
    if not isinstance(value, Span):
        raise WriteRefused("an appointment has a start and an end")
    out = written(value, owner_zone)
    for element, moment in (("Start", out.start), ("End", out.end)):
        yield Part(field_path(f"calendar:{element}"), element, f"<t:{element}>{utc_text(moment)}</t:{element}>")
    all_day = f"<t:IsAllDayEvent>{'true' if out.all_day else 'false'}</t:IsAllDayEvent>"
    yield Part(field_path("calendar:IsAllDayEvent"), "IsAllDayEvent", all_day)
    for element in ("StartTimeZone", "EndTimeZone"):
        yield Part(field_path(f"calendar:{element}"), element, f"<t:{element} Id={quoteattr(out.windows_zone)}/>")
    yield note(ZONE_NOTE, out.zone)


def _text(name: Field, value: Value) -> Iterator[Part]:
    if name not in BODIES:
        raise KeyError(name)
    # An empty body, for servers refuse to delete it.
    yield Part(field_path("item:Body"), "Body", f'<t:Body BodyType="Text">{escape(str(value or ""))}</t:Body>')


def _line(name: Field, value: Value) -> Iterator[Part]:
    text = None if value is None else escape(str(value))
    if name is Field.REGARDING:
        yield note(REGARDING_NOTE, None if value is None else str(value))
    elif name is Field.CHILDREN:
        inner = "".join(_leaf("String", each) for each in str(value or "").split(", ") if each)
        yield Part(field_path("contacts:Children"), "Children", f"<t:Children>{inner}</t:Children>" if inner else None)
    else:
        places = (("contacts:EmailAddress", "EmailAddresses", EMAILS), ("contacts:PhoneNumber", "PhoneNumbers", PHONES))
        uri, element, keys = next(place for place in places if name in place[2])
        entry = None if text is None else f'<t:Entry Key="{keys[name]}">{text}</t:Entry>'
        yield Part(_indexed(uri, keys[name]), element, entry)


def _indexed(uri: str, key: str) -> str:
    return f'<t:IndexedFieldURI FieldURI="{uri}" FieldIndex="{key}"/>'


def _address(name: Field, value: Value) -> Iterator[Part]:
    address = value if isinstance(value, PostalAddress) else PostalAddress()
    key = ADDRESSES[name]
    for line, attribute in ADDRESS_LINES.items():
        text = str(getattr(address, attribute))
        path = _indexed(f"contacts:PhysicalAddress:{line}", key)
        yield Part(path, "PhysicalAddresses", _leaf(line, text) if text else None, key)


def _name(_name: Field, value: Value) -> Iterator[Part]:
    name = value if isinstance(value, FullName) else FullName()
    for element, text in (("GivenName", name.first), ("MiddleName", name.middle), ("Surname", name.last)):
        yield Part(field_path(f"contacts:{element}"), element, _leaf(element, text) if text else None)


def _people(name: Field, value: Value) -> Iterator[Part]:
    element = PEOPLE[name]
    people = value if isinstance(value, tuple) else ()
    inner = "".join(map(_attendee, people))
    yield Part(field_path(f"calendar:{element}"), element, f"<t:{element}>{inner}</t:{element}>" if inner else None)


def _attendee(each: Attendee) -> str:
    response = RESPONSES.get(each.response)
    answer = f"<t:ResponseType>{response}</t:ResponseType>" if response else ""
    return f"<t:Attendee><t:Mailbox>{_leaf('EmailAddress', each.email)}</t:Mailbox>{answer}</t:Attendee>"


def _recurrence(_name: Field, value: Value) -> Iterator[Part]:
    xml = recurrence_xml(value) if isinstance(value, Recurrence) else None
    yield Part(field_path("calendar:Recurrence"), "Recurrence", xml)


_WRITERS: Final[Mapping[Type, Callable[[Field, Value], Iterator[Part]]]] = {
    Type.LINE: _line,
    Type.TEXT: _text,
    Type.ADDRESS: _address,
    Type.NAME: _name,
    Type.PEOPLE: _people,
    Type.RECURRENCE: _recurrence,
}


def contact_labels(values: Mapping[Field, Value], *, new: bool) -> list[Part]:
    """Return the names under which a contact is shown and sorted; [] where they stay as they are.

    A contact without them stands in Outlook's list as an empty line. Of one that is there already only a new name
    changes them: what it was shown as without one is not known here.
    """
    name, company, email = (
        canonical(EntryKind.CONTACT, each, values.get(each)) for each in (Field.NAME, Field.COMPANY, Field.EMAIL1)
    )
    if isinstance(name, FullName):
        others = " ".join(filter(None, (name.first, name.middle)))
        shown = " ".join(filter(None, (others, name.last)))
        sorted_by = ", ".join(filter(None, (name.last, others)))
    elif new:
        shown = sorted_by = str(company or email or "")
    else:
        return []
    return [
        Part(field_path(f"contacts:{element}"), element, _leaf(element, text))
        for element, text in (("FileAs", sorted_by), ("DisplayName", shown))
        if text
    ]
