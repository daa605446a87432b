"""Text that XML can carry, and the few shapes of element every property is made of.

A property's value is kept as the XML fragment that will be sent, so rendering an answer is joining
strings. Whatever comes in from a message is cleaned here: XML 1.0 has no way to write control
characters, lone surrogates or the non-characters U+FFFE and U+FFFF, escaped or not.
"""

import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Final

from lxml import etree

MESSAGES_NS: Final = "http://schemas.microsoft.com/exchange/services/2006/messages"
TYPES_NS: Final = "http://schemas.microsoft.com/exchange/services/2006/types"
ERRORS_NS: Final = "http://schemas.microsoft.com/exchange/services/2006/errors"
SOAP_NS: Final = "http://schemas.xmlsoap.org/soap/envelope/"

T: Final = f"{{{TYPES_NS}}}"
M: Final = f"{{{MESSAGES_NS}}}"

_UNCARRIED = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_CONTROLS: Final = bytes(code for code in range(32) if code not in b"\t\n\r")


def clean(text: str) -> str:
    """Return `text` with every character that XML 1.0 cannot carry replaced by U+FFFD."""
    # Looking through encoded bytes is ten times faster than the regular expression, and nearly all text is clean.
    try:
        data = text.encode("utf-8")
    except UnicodeEncodeError:
        return _UNCARRIED.sub("\ufffd", text)
    if len(data.translate(None, _CONTROLS)) == len(data) and "\ufffe" not in text and "\uffff" not in text:
        return text
    return _UNCARRIED.sub("\ufffd", text)


def escape(text: str) -> str:
    """Return `text` cleaned and escaped for element content and for attributes in double quotes."""
    escaped = clean(text).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").replace('"', "&quot;")
    # A bare carriage return would reach the client as a line feed: parsers normalise line ends.
    return escaped.replace("\r", "&#13;")


def one_line(text: str) -> str:
    """Return `text` with every run of white space as one space: header-like values have one line."""
    return " ".join(text.split())


def leaf(name: str, text: str) -> str:
    """Return `<t:name>text</t:name>` with `text` escaped."""
    return f"<t:{name}>{escape(text)}</t:{name}>"


def raw_leaf(name: str, text: str) -> str:
    """Like `leaf`, for text known to need no escaping (numbers, base64, identifiers)."""
    return f"<t:{name}>{text}</t:{name}>"


def boolean(name: str, value: bool) -> str:
    """Return a boolean element in the lexical form Exchange uses."""
    return f"<t:{name}>{'true' if value else 'false'}</t:{name}>"


def moment_text(epoch: int) -> str:
    """Return UTC seconds since 1970 as xs:dateTime. Exchange sends no fractions, clients rely on it."""
    return datetime.fromtimestamp(epoch, UTC).strftime("%Y-%m-%dT%H:%M:%SZ").rjust(20, "0")


def moment_in(text: str) -> datetime:
    """Return an xs:dateTime of a request as an aware moment; without a zone it counts as UTC. Raises ValueError."""
    when = datetime.fromisoformat(text.strip())
    return when if when.tzinfo else when.replace(tzinfo=UTC)


def moment(name: str, epoch: int) -> str:
    """Return a dateTime element for UTC seconds since 1970."""
    return f"<t:{name}>{moment_text(epoch)}</t:{name}>"


def mailbox(name: str, address: str) -> str:
    """Return `t:Mailbox` for one person; both parts may be empty, an empty part is left out."""
    inner = leaf("Name", name or address) if name or address else ""
    if address:
        inner += leaf("EmailAddress", address) + "<t:RoutingType>SMTP</t:RoutingType>"
    return f"<t:Mailbox>{inner}<t:MailboxType>{'OneOff' if address else 'Unknown'}</t:MailboxType></t:Mailbox>"


def recipient(element: str, person: tuple[str, str]) -> str:
    """Return one person (name, address) as a property such as From."""
    return f"<t:{element}>{mailbox(*person)}</t:{element}>"


def recipients(element: str, people: Iterable[tuple[str, str]]) -> str:
    """Return people (name, address) as a property such as ToRecipients; no people, no element."""
    inner = "".join(mailbox(name, address) for name, address in people)
    return f"<t:{element}>{inner}</t:{element}>" if inner else ""


def strings(element: str, values: Iterable[str]) -> str:
    """Return an ArrayOfStrings property such as Categories; no values, no element."""
    inner = "".join(leaf("String", value) for value in values)
    return f"<t:{element}>{inner}</t:{element}>" if inner else ""


def dictionary(element: str, entries: Mapping[str, str]) -> str:
    """Return a keyed property such as PhoneNumbers (`Entry` with `Key`); empty values are left out."""
    inner = "".join(
        f'<t:Entry Key="{escape(key)}">{escape(value)}</t:Entry>' for key, value in entries.items() if value
    )
    return f"<t:{element}>{inner}</t:{element}>" if inner else ""


def local_name(element: etree._Element) -> str:
    """Return the tag without its namespace; comments and processing instructions have none ("")."""
    tag = element.tag
    return tag.rpartition("}")[2] if isinstance(tag, str) else ""


def children(element: etree._Element) -> list[etree._Element]:
    """Return the child elements, without comments and processing instructions."""
    return [child for child in element if isinstance(child.tag, str)]


def _attributes(element: etree._Element) -> dict[str, str]:
    return {str(key): element.get(key, "") for key in element.attrib}


def fragment(element: etree._Element) -> str:
    """Return a request's element as a fragment of ours: prefix t, no namespace declarations."""
    name = local_name(element)
    attributes = "".join(
        f' {key}="{escape(value)}"' for key, value in _attributes(element).items() if not key.startswith("{")
    )
    nested = children(element)
    inner = "".join(map(fragment, nested)) if nested else escape(element.text or "")
    return f"<t:{name}{attributes}>{inner}</t:{name}>"


def parse_fragment(text: str) -> etree._Element:
    """Return a kept fragment as an element, to look into it (restrictions, field updates, sending)."""
    return etree.fromstring(f'<t:x xmlns:t="{TYPES_NS}">{text}</t:x>')[0]
