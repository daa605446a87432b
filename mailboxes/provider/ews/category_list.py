"""A mailbox's list of categories as Exchange keeps it: a document that Outlook made, of which most is not ours.

It is the XML of the user configuration "CategoryList" in the calendar folder (MS-OXOCFG 2.2.5.2). Entries are added at its
end, and everything else in it is given back as it was read. Exchange knows nothing of what is inside, so two programs that
write at the same moment can take a change from each other; it is written only when something is missing.
"""

import base64
import binascii
from collections.abc import Iterable
from typing import Final
from xml.sax.saxutils import quoteattr

from lxml import etree

from mailboxes.provider.categories import Category
from mailboxes.provider.ews.soap import NotAnAnswer
from mailboxes.provider.text import clean

NAME: Final = "CategoryList"
_NAMESPACE: Final = "CategoryList.xsd"
_TAG: Final = f"{{{_NAMESPACE}}}category"
_EMPTY: Final = (
    f'<categories default="" lastSavedSession="1" lastSavedTime="1601-01-01T00:00:00.000" xmlns="{_NAMESPACE}"/>'
)
_NEVER: Final = "1601-01-01T00:00:00.000"
_NO_COLOUR: Final = "-1"


def read(data: str) -> etree._Element:
    """Return the document of an XmlData element; none (""): an empty one. Raises `NotAnAnswer`."""
    try:
        text = base64.b64decode("".join(data.split()), validate=True) or _EMPTY.encode()
        parser = etree.XMLParser(resolve_entities=False, no_network=True)
        root = etree.fromstring(text, parser)
    except (binascii.Error, ValueError, etree.XMLSyntaxError) as error:
        raise NotAnAnswer("the list of categories cannot be read") from error
    if etree.QName(root).localname != "categories":
        raise NotAnAnswer("the list of categories is something else")
    return root


def entries(root: etree._Element) -> list[Category]:
    """Return what is in the list; an entry without a name or an id is passed over."""
    found = (Category(each.get("guid", ""), each.get("name", "")) for each in root if each.tag == _TAG)
    return [each for each in found if each.id and each.name]


def add(root: etree._Element, new: Iterable[Category]) -> str:
    """Put entries at the end of the list and return what its XmlData element is then."""
    for each in new:
        entry = etree.SubElement(root, _TAG)
        for name, value in (
            ("name", clean(each.name)), ("color", _NO_COLOUR), ("keyboardShortcut", "0"), ("usageCount", "0"),
            *((f"lastTimeUsed{where}", _NEVER) for where in ("", "Notes", "Journal", "Contacts", "Tasks", "Calendar", "Mail")),
            ("lastSessionUsed", "0"), ("guid", each.id),
        ):  # fmt: skip
            entry.set(name, value)
    return base64.b64encode(etree.tostring(root, xml_declaration=True, encoding="utf-8")).decode()


def get(folder: str) -> str:
    """Return a request for the list in a folder (an element)."""
    return (
        f"<m:GetUserConfiguration>{_name('m', folder)}"
        "<m:UserConfigurationProperties>XmlData</m:UserConfigurationProperties></m:GetUserConfiguration>"
    )


def put(folder: str, data: str, *, new: bool) -> str:
    """Return a request to write the list; `new`: there was none."""
    operation = "CreateUserConfiguration" if new else "UpdateUserConfiguration"
    return (
        f"<m:{operation}><m:UserConfiguration>{_name('t', folder)}<t:XmlData>{data}</t:XmlData></m:UserConfiguration>"
        f"</m:{operation}>"
    )


def _name(prefix: str, folder: str) -> str:
    return f"<{prefix}:UserConfigurationName Name={quoteattr(NAME)}>{folder}</{prefix}:UserConfigurationName>"
