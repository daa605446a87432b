"""What a client asks to be told, and nothing but that.

A shape is the base set plus additional properties. Some operations give only a summary whatever is
asked (search and sync never give bodies, recipients, attachments), which clients must know about.
"""

from dataclasses import dataclass, field
from typing import Final

from lxml import etree

from mailboxes.sandbox.extended import BadExtendedField, ExtendedField, field_of
from mailboxes.sandbox.kinds import KINDS, name_of, words
from mailboxes.sandbox.model import Content, Item
from mailboxes.sandbox.properties import content_extended, content_fragment, extended, fragment, header_fragment
from mailboxes.sandbox.soap import Fault
from mailboxes.sandbox.xmltext import T, children, local_name, parse_fragment
from mailboxes.sandbox.xmltext import fragment as copied

_NOT_IN_ALL: Final = frozenset(
    ("MimeContent", "TextBody", "UniqueBody", "NormalizedBody", "StoreEntryId", "InstanceKey")
)
NOT_IN_SUMMARY: Final = frozenset(
    words(
        """
    MimeContent Body TextBody UniqueBody NormalizedBody Attachments InternetMessageHeaders ResponseObjects
    ToRecipients CcRecipients BccRecipients ReplyTo RequiredAttendees OptionalAttendees Resources Recurrence
    FirstOccurrence LastOccurrence ModifiedOccurrences DeletedOccurrences Members
    """
    )
)
_DICTIONARIES: Final = {
    "contacts:EmailAddress": "EmailAddresses",
    "contacts:PhoneNumber": "PhoneNumbers",
    "contacts:ImAddress": "ImAddresses",
    "contacts:PhysicalAddress": "PhysicalAddresses",
    "distributionlist:Members": "Members",
}
_BASES: Final = ("IdOnly", "Default", "AllProperties", "PcxPeopleSearch")


@dataclass(slots=True)
class Shape:
    """What was asked. `bodies` is Best, HTML or Text; `headers` are single header fields by name."""

    base: str = "IdOnly"
    names: set[str] = field(default_factory=set)
    extended: list[ExtendedField] = field(default_factory=list)
    headers: list[str] = field(default_factory=list)
    indexed: dict[str, set[tuple[str, str]]] = field(default_factory=dict)
    bodies: str = "Best"
    summary: bool = False
    _plans: dict[str, list[str]] = field(default_factory=dict)

    def plan(self, kind: str) -> list[str]:
        """Return the properties to send for a kind of item, in order."""
        known = self._plans.get(kind)
        if known is None:
            known = self._plans[kind] = [name for name in KINDS[kind].order if self._wants(kind, name)]
        return known

    def _wants(self, kind: str, name: str) -> bool:
        if self.summary and name in NOT_IN_SUMMARY:
            return False
        if name in self.names or name == "ItemId" or name in self.indexed:
            return True
        if (name == "ExtendedProperty" and self.extended) or (name == "InternetMessageHeaders" and self.headers):
            return True
        return (self.base == "Default" and name in KINDS[kind].default) or (
            self.base == "AllProperties" and name not in _NOT_IN_ALL
        )

    def item(self, item: Item) -> str:
        """Return an item as XML in this shape."""
        kind = item.content.kind
        inner = "".join([self._one(item, name) for name in self.plan(kind)])
        return f"<t:{kind}>{inner}</t:{kind}>"

    def content(self, content: Content, item_id: str, path: tuple[int, ...]) -> str:
        """Return the content of an item attachment as XML in this shape; it has no id of its own."""
        inner = []
        for name in self.plan(content.kind):
            if name == "ExtendedProperty":
                inner += [content_extended(content, one) for one in self.extended]
            elif name != "ItemId":
                inner.append(content_fragment(content, name, item_id, path, self.bodies))
        return f"<t:{content.kind}>{''.join(inner)}</t:{content.kind}>"

    def _one(self, item: Item, name: str) -> str:
        if name == "ExtendedProperty":
            return "".join([extended(item, one) for one in self.extended])
        if name == "InternetMessageHeaders" and name not in self.names and self.base != "AllProperties":
            inner = "".join([header_fragment(item.content, header) for header in self.headers])
            return f"<t:{name}>{inner}</t:{name}>" if inner else ""
        if name in self.indexed and name not in self.names and self.base == "IdOnly":
            return _entries(fragment(item, name), self.indexed[name])
        return fragment(item, name, self.bodies)


def _entries(whole: str, wanted: set[tuple[str, str]]) -> str:
    """Return a dictionary property with some entries only, of a postal address some lines: (key, line or "")."""
    if not whole:
        return ""
    element = parse_fragment(whole)
    inner = ""
    for entry in children(element):
        key = entry.get("Key", "")
        lines = "".join(copied(line) for line in children(entry) if (key, local_name(line)) in wanted)
        if (key, "") in wanted:
            inner += copied(entry)
        elif lines:
            inner += f'<t:Entry Key="{key}">{lines}</t:Entry>'
    return f"<t:{local_name(element)}>{inner}</t:{local_name(element)}>" if inner else ""


def item_shape(element: etree._Element | None, *, summary: bool = False) -> Shape:
    """Return the shape of an ItemShape or AttachmentShape; none is IdOnly. Raises Fault for fields there are not."""
    shape = Shape(summary=summary)
    if element is None:
        return shape
    shape.base = base_of(element, "IdOnly")
    shape.bodies = element.findtext(f"{T}BodyType") or "Best"
    if shape.bodies not in ("Best", "HTML", "Text"):
        raise Fault("ErrorSchemaValidation", f"The request failed schema validation: no body type {shape.bodies!r}.")
    if (element.findtext(f"{T}IncludeMimeContent") or "").strip() in ("true", "1"):
        shape.names.add("MimeContent")
    for uri in element.iterfind(f"{T}AdditionalProperties/*"):
        _add(shape, uri)
    return shape


def base_of(element: etree._Element, default: str) -> str:
    """Return the base shape. Raises Fault if there is none of that name."""
    base = element.findtext(f"{T}BaseShape") or default
    if base not in _BASES:
        raise Fault("ErrorSchemaValidation", f"The request failed schema validation: no base shape {base!r}.")
    return base


def _add(shape: Shape, uri: etree._Element) -> None:
    kind, text = local_name(uri), uri.get("FieldURI", "")
    if kind == "FieldURI":
        name = name_of(text)
        if name is None:
            raise Fault("ErrorSchemaValidation", f"The request failed schema validation: no field {text!r}.")
        shape.names.add(name)
    elif kind == "ExtendedFieldURI":
        shape.extended.append(extended_field(uri))
    elif kind == "IndexedFieldURI":
        index = uri.get("FieldIndex", "")
        if text == "item:InternetMessageHeader":
            shape.headers.append(index)
            return
        dictionary = dictionary_of(text)
        if dictionary is None or not index:
            raise Fault("ErrorSchemaValidation", f"The request failed schema validation: no indexed field {text!r}.")
        shape.indexed.setdefault(dictionary, set()).add((index, ":".join(text.split(":")[2:])))
    else:
        raise Fault("ErrorSchemaValidation", f"The request failed schema validation: unexpected {kind}.")


def dictionary_of(uri: str) -> str | None:
    """Return the dictionary an indexed field URI such as "contacts:EmailAddress" is in, None if there is none."""
    return _DICTIONARIES.get(":".join(uri.split(":")[:2]))


def extended_field(uri: etree._Element) -> ExtendedField:
    """Return an extended field. Raises Fault if its address makes no sense."""
    try:
        return field_of(uri)
    except BadExtendedField as error:
        raise Fault("ErrorInvalidExtendedProperty", f"The extended property is invalid: {error}.") from error
