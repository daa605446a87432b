"""From the elements of an answer to entries: the other direction of `entry_parts`, and what may be asked of whom.

What is asked for marks is `MARKS` and nothing else is ever added to it: no subject, no place, no people (design §4).
"""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final

from lxml import etree

from mailboxes.provider.entries import (
    FIELDS,
    Attendee,
    Entry,
    EntryKind,
    Exceptional,
    Field,
    FullName,
    Marks,
    PostalAddress,
    Type,
    Value,
)
from mailboxes.provider.errors import ItemUnreadable, OtherKind
from mailboxes.provider.ews import spans
from mailboxes.provider.ews.answers import extended_of, moment
from mailboxes.provider.ews.entry_fields import (
    ADDRESS_LINES,
    ADDRESSES,
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
from mailboxes.provider.ews.operations import STAMP, STAMP_NAME
from mailboxes.provider.ews.recurrences import recurrence_in
from mailboxes.provider.ews.soap import T
from mailboxes.provider.ews.zones import UTC_NAME

_KINDS: Final = {f"{T}{name}": kind for kind, name in ELEMENTS.items()}
_LIST: Final = "DistributionList"
# What the owner answered to an appointment of their own.
_OWN: Final = ("", "Unknown", "Organizer")
_ANSWERED: Final = {answer: response for response, answer in RESPONSES.items()}

MARKS: Final = (
    "".join(map(field_path, ("item:Categories", "item:Sensitivity", "item:LastModifiedTime", "calendar:UID")))
    + "".join(map(field_path, ("task:DelegationState", "task:IsRecurring")))
    + STAMP
)
# Who may change it, whether it repeats, and when: beside what `FIELDS` names.
_ABOUT: Final = (
    *("item:Body", "calendar:Start", "calendar:End", "calendar:IsAllDayEvent", "calendar:StartTimeZone"),
    *("calendar:Organizer", "calendar:RequiredAttendees", "calendar:OptionalAttendees", "calendar:MyResponseType"),
    *("calendar:Recurrence", "calendar:ModifiedOccurrences", "calendar:DeletedOccurrences"),
    *("contacts:GivenName", "contacts:MiddleName", "contacts:Surname", "contacts:Children"),
    *("contacts:EmailAddresses", "contacts:PhoneNumbers", "contacts:PhysicalAddresses"),
)
_URIS: Final = dict.fromkeys([*(uri for uri, _ in LEAVES.values()), *(day[0] for day in DAYS.values()), *_ABOUT])
ENTRY: Final = MARKS + "".join(map(field_path, _URIS)) + note_path(ZONE_NOTE) + note_path(REGARDING_NOTE)
# Servers before 2013 do not know these; they matter for whole days in zones that nobody knows.
ENTRY_OPTIONAL: Final = field_path("calendar:StartWallClock") + field_path("calendar:EndWallClock")


# What tells one occurrence from another.
OCCURRENCE: Final = (
    "".join(map(field_path, ("calendar:UID", "calendar:Start", "calendar:IsAllDayEvent", "calendar:StartTimeZone")))
    + field_path("calendar:CalendarItemType")
    + note_path(ZONE_NOTE)
)


# What tells where the owner of a calendar is.
ZONE: Final = "".join(map(field_path, ("calendar:StartTimeZone", "calendar:MyResponseType"))) + STAMP


@dataclass(slots=True)
class _Item:
    """An item's properties by name, our own ones apart."""

    kind: EntryKind
    found: dict[str, etree._Element]
    notes: dict[str, str] = field(default_factory=dict)

    def text(self, name: str) -> str:
        """Return a property's text, "" without one."""
        element = self.found.get(name)
        return "" if element is None else (element.text or "")

    def truth(self, name: str) -> bool:
        """Tell whether a property is said to be true."""
        return self.text(name).strip() in ("true", "1")

    @property
    def zone(self) -> str:
        """Return the zone that an appointment is in, "" for one that nobody knows."""
        element = self.found.get("StartTimeZone")
        identifier = UTC_NAME if element is None else element.get("Id", "")
        return spans.zone_name(identifier, self.notes.get(ZONE_NOTE, ""))


def _item(element: etree._Element) -> _Item | ItemUnreadable:
    kind = _KINDS.get(str(element.tag))
    if kind is None:
        name = etree.QName(element).localname
        return OtherKind(f"it is a {name}", is_list=name == _LIST)
    item = _Item(kind, {})
    for child in element:
        name = str(child.tag)[len(T) :]
        if name == "ExtendedProperty":
            item.notes.update(extended_of(child))
        else:
            item.found[name] = child
    return item


def marks(item_id: str, element: etree._Element) -> Marks | ItemUnreadable:
    """Return the marks of an item that was asked for by `item_id`."""
    item = _item(element)
    return item if isinstance(item, ItemUnreadable) else _marks(item_id, item)


def _marks(item_id: str, item: _Item) -> Marks:
    identity, categories = item.found.get("ItemId"), item.found.get("Categories")
    return Marks(
        item.kind,
        item_id,
        "" if identity is None else identity.get("ChangeKey", ""),
        categories=() if categories is None else tuple(each.text for each in categories if each.text),
        sensitivity=item.text("Sensitivity") or "Normal",
        uid=item.text("UID") if item.kind is EntryKind.APPOINTMENT else "",
        stamp=item.notes.get(STAMP_NAME, ""),
        modified_at=moment(item.text("LastModifiedTime")),
        assigned=item.text("DelegationState") not in ("", "NoMatch"),
        recurring=item.truth("IsRecurring"),
    )


def entry(item_id: str, element: etree._Element, *, address: str) -> Entry | ItemUnreadable:
    """Return the entry of an item that was asked for by `item_id` in the mailbox of `address`.

    Of exceptions only ids are known here: what they say has to be asked for. Raises ValueError or LookupError for what
    makes no sense.
    """
    item = _item(element)
    if isinstance(item, ItemUnreadable):
        return item
    return Entry(
        _marks(item_id, item),
        {name: _value(item, name) for name in FIELDS[item.kind]},
        organized_here=_organized_here(item, address),
        assigned=item.text("DelegationState") not in ("", "NoMatch"),
        recurring=item.truth("IsRecurring") or "Recurrence" in item.found,
        exceptions=tuple(_exceptions(item)),
    )


def owner_zone(items: Iterable[etree._Element]) -> str:
    """Return the zone (IANA) in which the owner made most of these appointments, "" if none tells.

    What came from others is in their zones, and what crmsync made is in that of whoever made it in the CRM.
    """
    found: Counter[str] = Counter()
    for item in map(_item, items):
        if isinstance(item, _Item) and item.text("MyResponseType") in _OWN and not item.notes.get(STAMP_NAME):
            found.update([item.zone] if "StartTimeZone" in item.found and item.zone else [])
    return found.most_common(1)[0][0] if found else ""


def occurrence(element: etree._Element, uid: str, original: datetime) -> Marks | None:
    """Return the marks of an item in a calendar's view if it is this occurrence, as its series has it."""
    item = _item(element)
    if isinstance(item, ItemUnreadable) or item.text("CalendarItemType") != "Occurrence" or item.text("UID") != uid:
        return None
    start, identity = moment(item.text("Start")), item.found.get("ItemId")
    if start is None or identity is None or _original(item, start, all_day=item.truth("IsAllDayEvent")) != original:
        return None
    return _marks(identity.get("Id", ""), item)


def _organized_here(item: _Item, address: str) -> bool:
    if not any(name in item.found for name in PEOPLE.values()):
        return True
    response = item.text("MyResponseType")
    if response in ("", "Unknown"):
        return any(each.email.lower() == address.lower() for each in _people(item, "Organizer") or ())
    return response == "Organizer"


def _exceptions(item: _Item) -> list[Exceptional]:
    all_day, found = item.truth("IsAllDayEvent"), []
    for listed in item.found.get("ModifiedOccurrences", ()):
        identity, original = listed.find(f"{T}ItemId"), moment(listed.findtext(f"{T}OriginalStart"))
        if identity is not None and original is not None:
            found.append(Exceptional(_original(item, original, all_day=all_day), identity.get("Id", "")))
    for listed in item.found.get("DeletedOccurrences", ()):
        original = moment(listed.findtext(f"{T}Start"))
        if original is not None:
            found.append(Exceptional(_original(item, original, all_day=all_day), cancelled=True))
    return sorted(found, key=lambda each: each.original)


def _original(item: _Item, original: datetime, *, all_day: bool) -> datetime:
    if not all_day:
        return original
    day = spans.local_day(original, item.zone)
    return datetime(day.year, day.month, day.day, tzinfo=UTC)


# -- one field


def _value(item: _Item, name: Field) -> Value:
    if (item.kind, name) in LEAVES:
        text = item.text(LEAVES[item.kind, name][1])
        return int(float(text or 0)) if FIELDS[item.kind][name] is Type.NUMBER else text or None
    if name in DAYS:
        return spans.day(moment(item.text(DAYS[name][1])))
    for element, keys in (("EmailAddresses", EMAILS), ("PhoneNumbers", PHONES)):
        if name in keys:
            entry_ = _entry_of(item, element, keys[name])
            return None if entry_ is None else entry_.text
    return _READERS[name](item)


def _entry_of(item: _Item, element: str, key: str) -> etree._Element | None:
    return next((each for each in item.found.get(element, ()) if each.get("Key") == key), None)


def _address(name: Field) -> Callable[[_Item], Value]:
    def read(item: _Item) -> PostalAddress | None:
        found = _entry_of(item, "PhysicalAddresses", ADDRESSES[name])
        if found is None:
            return None
        return PostalAddress(**{part: found.findtext(f"{T}{line}", "") for line, part in ADDRESS_LINES.items()})

    return read


def _full_name(item: _Item) -> FullName | None:
    name = FullName(*map(item.text, ("GivenName", "MiddleName", "Surname")))
    return None if name == FullName() else name


def _people(item: _Item, element: str) -> tuple[Attendee, ...] | None:
    """Return who is invited, or organises; those of whom the directory knows no SMTP address are left out."""
    found = []
    for mailbox in () if element not in item.found else item.found[element].iter(f"{T}Mailbox"):
        email, name = (mailbox.findtext(f"{T}{part}", "").strip() for part in ("EmailAddress", "Name"))
        above = mailbox.getparent()
        answer = "" if above is None else above.findtext(f"{T}ResponseType", "")
        if "@" in email:
            found.append(Attendee(email, name, "organizer" if element == "Organizer" else _ANSWERED.get(answer, "")))
    return tuple(found) or None


def _span(item: _Item) -> Value:
    start, end = moment(item.text("Start")), moment(item.text("End"))
    if start is None or end is None:
        return None
    wall = (item.text("StartWallClock"), item.text("EndWallClock"))
    return spans.read(start, end, all_day=item.truth("IsAllDayEvent"), zone_name=item.zone, wall=wall)


def _children(item: _Item) -> Value:
    names = item.found.get("Children")
    return None if names is None else ", ".join(each.text for each in names if each.text) or None


def _body(item: _Item) -> Value:
    return item.text("Body") or None


_READERS: Final[Mapping[Field, Callable[[_Item], Value]]] = {
    **{name: _address(name) for name in ADDRESSES},
    Field.BODY: _body,
    Field.NOTES: _body,
    Field.NAME: _full_name,
    Field.CHILDREN: _children,
    Field.SPAN: _span,
    Field.RECURRENCE: lambda item: recurrence_in(item.found.get("Recurrence")),
    Field.ORGANIZER: lambda item: _people(item, "Organizer"),
    Field.REQUIRED: lambda item: _people(item, PEOPLE[Field.REQUIRED]),
    Field.OPTIONAL: lambda item: _people(item, PEOPLE[Field.OPTIONAL]),
    Field.REGARDING: lambda item: item.notes.get(REGARDING_NOTE) or None,
}
