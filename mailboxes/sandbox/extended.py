"""Extended properties: MAPI properties by tag or by name, kept under one canonical name each.

The same property can be written in several ways (a distinguished set or its GUID, upper or lower
case), so what is stored is keyed by a canonical name and what is sent repeats the client's spelling.
"""

from dataclasses import dataclass
from typing import Final

from lxml import etree

from mailboxes.sandbox.xmltext import T, children, escape, fragment, local_name

INTERNET_HEADERS: Final = "00020386-0000-0000-c000-000000000046"
_SETS: Final = {
    "InternetHeaders": INTERNET_HEADERS,
    "PublicStrings": "00020329-0000-0000-c000-000000000046",
    "Common": "00062008-0000-0000-c000-000000000046",
    "Appointment": "00062002-0000-0000-c000-000000000046",
    "Address": "00062004-0000-0000-c000-000000000046",
    "Task": "00062003-0000-0000-c000-000000000046",
    "Meeting": "6ed8da90-450b-101b-98da-00aa003f1305",
    "CalendarAssistant": "11000e07-b51b-40d6-af21-caa85edab1d0",
    "UnifiedMessaging": "4442858e-a9e3-4e80-b900-317a210cc15b",
    "Sharing": "00062040-0000-0000-c000-000000000046",
}
_ATTRIBUTES: Final = (
    *("DistinguishedPropertySetId", "PropertySetId", "PropertyTag"),
    *("PropertyName", "PropertyId", "PropertyType"),
)


class BadExtendedField(ValueError):
    """The address of an extended property is incomplete or contradicts itself."""


@dataclass(frozen=True, slots=True)
class ExtendedField:
    """One extended property: its canonical name, its address as the client spelled it (XML)."""

    name: str
    address: str

    def render(self, value: str) -> str:
        """Return t:ExtendedProperty with a value fragment (t:Value or t:Values)."""
        return f"<t:ExtendedProperty>{self.address}{value}</t:ExtendedProperty>"


def field_of(element: etree._Element) -> ExtendedField:
    """Return the field of a t:ExtendedFieldURI. Raises BadExtendedField."""
    given = {name: value for name in _ATTRIBUTES if (value := element.get(name)) is not None}
    kind = given.get("PropertyType")
    if not kind:
        raise BadExtendedField("an extended field needs a PropertyType")
    address = "".join(f' {name}="{escape(value)}"' for name, value in given.items())
    return ExtendedField(f"{_which(given)}:{kind}", f"<t:ExtendedFieldURI{address}/>")


def _which(given: dict[str, str]) -> str:
    tag, name, number = given.get("PropertyTag"), given.get("PropertyName"), given.get("PropertyId")
    if tag is not None:
        if name or number or "PropertySetId" in given or "DistinguishedPropertySetId" in given:
            raise BadExtendedField("a PropertyTag stands alone")
        try:
            return f"tag:{int(tag, 0):x}"
        except ValueError:
            raise BadExtendedField(f"{tag!r} is no PropertyTag") from None
    distinguished = given.get("DistinguishedPropertySetId")
    guid = _SETS.get(distinguished) if distinguished else given.get("PropertySetId", "").lower()
    if not guid or (name is None) == (number is None):
        raise BadExtendedField("a named field needs one set and either a name or an id")
    # Header names are compared without case, names of other properties as they are.
    return f"{guid}:{(name.lower() if guid == INTERNET_HEADERS else name) if name is not None else '#' + str(number)}"


def read_property(element: etree._Element) -> tuple[ExtendedField, str]:
    """Return field and value fragment of a t:ExtendedProperty in a request. Raises BadExtendedField."""
    uri = element.find(f"{T}ExtendedFieldURI")
    values = [child for child in children(element) if local_name(child) in ("Value", "Values")]
    if uri is None or len(values) != 1:
        raise BadExtendedField("an extended property needs its address and its value")
    return field_of(uri), fragment(values[0])


def header_of(name: str) -> str | None:
    """Return the lower-case header a canonical name stands for, None if it is no header."""
    guid, _, rest = name.partition(":")
    return rest.rpartition(":")[0] if guid == INTERNET_HEADERS else None


def value(text: str) -> str:
    """Return a single value as the fragment to keep."""
    return f"<t:Value>{escape(text)}</t:Value>"
