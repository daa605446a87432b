"""Contacts and distribution lists: what a server works out when one is saved.

A contact's complete name follows from its parts, what it is filed under follows from its mapping if
it has one. A list's members are known by keys of their own, as clients remove them by key.
"""

import hashlib
from typing import Final

from lxml import etree

from mailboxes.sandbox.contents import said, text_of
from mailboxes.sandbox.kinds import words
from mailboxes.sandbox.model import Content
from mailboxes.sandbox.soap import EwsError, Fault
from mailboxes.sandbox.xmltext import T, children, fragment, leaf, local_name, parse_fragment, raw_leaf

_KEYS: Final = {
    "EmailAddresses": frozenset(f"EmailAddress{number}" for number in (1, 2, 3)),
    "ImAddresses": frozenset(f"ImAddress{number}" for number in (1, 2, 3)),
    "PhysicalAddresses": frozenset(("Business", "Home", "Other")),
    "PhoneNumbers": frozenset(
        words(
            """
    AssistantPhone BusinessFax BusinessPhone BusinessPhone2 Callback CarPhone CompanyMainPhone HomeFax
    HomePhone HomePhone2 Isdn MobilePhone OtherFax OtherTelephone Pager PrimaryPhone RadioPhone Telex
    TtyTddPhone BusinessMobile IPPhone Mms Msn
    """
        )
    ),
}
_LINES: Final = ("Street", "City", "State", "CountryOrRegion", "PostalCode")
_COMPLETE: Final = (
    *(("FirstName", "GivenName"), ("MiddleName", "MiddleName"), ("LastName", "Surname")),
    *(("Suffix", "Generation"), ("Initials", "Initials"), ("FullName", "DisplayName"), ("Nickname", "Nickname")),
)
# What a contact is filed under, by mapping: lines of what stands between, and the names it stands between.
_FILED: Final[dict[str, tuple[tuple[str, ...], ...]]] = {
    "LastCommaFirst": ((", ", "Surname", "GivenName"),),
    "FirstSpaceLast": ((" ", "GivenName", "Surname"),),
    "Company": (("", "CompanyName"),),
    "LastCommaFirstCompany": ((", ", "Surname", "GivenName"), ("", "CompanyName")),
    "CompanyLastCommaFirst": (("", "CompanyName"), (", ", "Surname", "GivenName")),
    "CompanyLastFirst": (("", "CompanyName"), ("", "Surname", "GivenName")),
    "LastFirst": (("", "Surname", "GivenName"),),
    "LastFirstCompany": (("", "Surname", "GivenName"), ("", "CompanyName")),
    "LastSpaceFirst": ((" ", "Surname", "GivenName"),),
    "LastSpaceFirstCompany": ((" ", "Surname", "GivenName"), ("", "CompanyName")),
    "CompanyLastSpaceFirst": (("", "CompanyName"), (" ", "Surname", "GivenName")),
    "LastFirstSuffix": ((" ", "Surname", "GivenName", "Generation"),),
    "LastFirstMiddleSuffix": ((" ", "Surname", "GivenName", "MiddleName", "Generation"),),
    "DisplayName": (("", "DisplayName"),),
    "FirstName": (("", "GivenName"),),
    "LastName": (("", "Surname"),),
    "Empty": (),
}


MAPPINGS: Final = ("None", *_FILED)


def _joined(between: str, *parts: str) -> str:
    return between.join(part for part in parts if part)


def complete_contact(content: Content) -> None:
    """Set what follows from a contact's names. Raises Fault for an entry under a key there is not."""
    for name, keys in _KEYS.items():
        if said(content, name):
            content.values[name] = _entries(said(content, name), name, keys)
    if not said(content, "DisplayName"):
        name = _joined(" ", text_of(content, "GivenName"), text_of(content, "Surname"))
        content.values["DisplayName"] = leaf("DisplayName", name or text_of(content, "CompanyName"))
    display = text_of(content, "DisplayName")
    filed = _FILED.get(text_of(content, "FileAsMapping"))
    if filed is not None:
        lines = (_joined(between, *(text_of(content, name) for name in names)) for between, *names in filed)
        content.values["FileAs"] = leaf("FileAs", _joined("\r\n", *lines))
    elif not said(content, "FileAs"):
        content.values["FileAs"] = leaf("FileAs", display)
    content.values["Subject"] = leaf("Subject", display)


def complete_name(content: Content) -> str:
    """Return a contact's t:CompleteName, "" if it has no name at all."""
    kept = said(content, "CompleteName") if not said(content, "GivenName") and not said(content, "Surname") else ""
    inner = "".join(leaf(element, text_of(content, name)) for element, name in _COMPLETE if text_of(content, name))
    return kept or (f"<t:CompleteName>{inner}</t:CompleteName>" if inner else "")


def _entries(kept: str, name: str, keys: frozenset[str]) -> str:
    inner = ""
    for entry in children(parse_fragment(kept)):
        if entry.get("Key") not in keys:
            raise Fault(
                "ErrorSchemaValidation", f"The request failed schema validation: no {name} {entry.get('Key')!r}."
            )
        if name == "PhysicalAddresses":
            lines = {local_name(line): line for line in children(entry)}
            if set(lines) - set(_LINES):
                raise Fault(
                    "ErrorSchemaValidation", "The request failed schema validation: no such line of an address."
                )
            filled = "".join(fragment(lines[line]) for line in _LINES if line in lines and lines[line].text)
            inner += f'<t:Entry Key="{entry.get("Key")}">{filled}</t:Entry>' if filled else ""
        elif (entry.text or "").strip():
            inner += fragment(entry)
    return f"<t:{name}>{inner}</t:{name}>" if inner else ""


# -- distribution lists


def complete_list(content: Content) -> None:
    """Set a list's names and its members' keys. Raises EwsError for a list without a name."""
    display = text_of(content, "DisplayName") or text_of(content, "Subject")
    if not display:
        raise EwsError("ErrorRequiredPropertyMissing", "A distribution list needs a DisplayName.")
    for name in ("DisplayName", "FileAs", "Subject"):
        content.values[name] = leaf(name, display)
    kept = said(content, "Members")
    members = {member_key(one): one for one in children(parse_fragment(kept))} if kept else {}
    inner = "".join(_member(key, one) for key, one in members.items())
    content.values["Members"] = f"<t:Members>{inner}</t:Members>" if inner else ""


def member_key(member: etree._Element) -> str:
    """Return a member's key: what it has, else one made of its address."""
    box = member.find(f"{T}Mailbox")
    if box is None:
        raise EwsError("ErrorInvalidMailbox", "A member needs a mailbox.")
    address = (box.findtext(f"{T}EmailAddress") or "").lower()
    linked = box.find(f"{T}ItemId")
    if not address and linked is None:
        raise EwsError("ErrorInvalidMailbox", "A member needs an address or the id of a contact.")
    known = address or (linked.get("Id", "") if linked is not None else "")
    return member.get("Key") or hashlib.shake_128(known.encode("utf-8", "replace")).hexdigest(12).upper()


def _member(key: str, member: etree._Element) -> str:
    box = member.find(f"{T}Mailbox")
    inner = fragment(box) if box is not None else ""
    return f'<t:Member Key="{key}">{inner}{raw_leaf("Status", "Normal")}</t:Member>'
