"""ConvertId, ResolveNames, GetServerTimeZones: what clients call around the real work."""

import base64
import binascii

from lxml import etree

from mailboxes.sandbox.contents import said
from mailboxes.sandbox.ids import MalformedId, decode_id
from mailboxes.sandbox.operations.caller import Caller, many_of, needed
from mailboxes.sandbox.soap import EwsError, Fault, response
from mailboxes.sandbox.xmltext import M, T, escape, fragment, mailbox, parse_fragment

_XSI = "http://www.w3.org/2001/XMLSchema-instance"
_FORMATS = ("EwsLegacyId", "EwsId", "EntryId", "HexEntryId", "StoreId", "OwaId")


def convert_id(caller: Caller, element: etree._Element) -> bytes:
    """Answer ConvertId: the same bytes as base64 or, for HexEntryId, as hexadecimal digits."""
    wanted = element.get("DestinationFormat", "")
    if wanted not in _FORMATS:
        raise Fault("ErrorSchemaValidation", f"The request failed schema validation: no id format {wanted!r}.")

    def answer(source: etree._Element) -> str:
        given, address = source.get("Id", ""), source.get("Mailbox", "")
        try:
            ews_id = (
                base64.b64encode(bytes.fromhex(given)).decode("ascii")
                if source.get("Format") == "HexEntryId"
                else given
            )
            decode_id(ews_id)
        except (MalformedId, ValueError, binascii.Error):
            raise EwsError("ErrorInvalidIdMalformed", "Id is malformed.") from None
        converted = base64.b64decode(ews_id).hex().upper() if wanted == "HexEntryId" else ews_id
        return (
            f'<m:AlternateId xmlns:xsi="{_XSI}" xsi:type="t:AlternateIdType" Format="{wanted}" '
            f'Id="{converted}" Mailbox="{escape(address)}"/>'
        )

    return response("ConvertId", caller.each("ConvertId", many_of(element, "SourceIds"), answer))


def resolve_names(caller: Caller, element: etree._Element) -> bytes:
    """Answer ResolveNames: mailboxes whose name or address holds the entry."""
    sought = (element.findtext(f"{M}UnresolvedEntry") or "").strip().casefold().removeprefix("smtp:")

    def answer(_: etree._Element) -> str:
        if not sought:
            raise EwsError("ErrorInvalidNameForNameResolution", "The entry is empty.")
        found = [
            one
            for one in caller.store.mailboxes.values()
            if sought in one.address.casefold() or sought in one.display_name.casefold()
        ][:100]
        if not found:
            raise EwsError("ErrorNameResolutionNoResults", "No results were found.")
        inner = "".join(
            f"<t:Resolution>{mailbox(one.display_name, one.address).replace('OneOff', 'Mailbox')}</t:Resolution>"
            for one in found
        )
        return (
            f'<m:ResolutionSet TotalItemsInView="{len(found)}" IncludesLastItemInRange="true">{inner}</m:ResolutionSet>'
        )

    return response("ResolveNames", caller.each("ResolveNames", [element], answer))


def expand_dl(caller: Caller, element: etree._Element) -> bytes:
    """Answer ExpandDL: the members of a distribution list of a mailbox, by its item's id."""

    def answer(box: etree._Element) -> str:
        identifier = box.find(f"{T}ItemId")
        item = caller.item(identifier) if identifier is not None else None
        if item is None or item.content.kind != "DistributionList":
            raise EwsError("ErrorNameResolutionNoResults", "No results were found.")
        kept = said(item.content, "Members")
        boxes = parse_fragment(kept).findall(f"{T}Member/{T}Mailbox") if kept else []
        inner = "".join(map(fragment, boxes))
        return f'<m:DLExpansion TotalItemsInView="{len(boxes)}" IncludesLastItemInRange="true">{inner}</m:DLExpansion>'

    return response("ExpandDL", caller.each("ExpandDL", [needed(element, "Mailbox")], answer))


def get_server_time_zones(caller: Caller, element: etree._Element) -> bytes:
    """Answer GetServerTimeZones: UTC, the one zone this server reckons in."""

    def answer(_: etree._Element) -> str:
        return (
            '<m:TimeZoneDefinitions><t:TimeZoneDefinition Id="UTC" Name="(UTC) Coordinated Universal Time"><t:Periods>'
            '<t:Period Bias="PT0S" Name="Standard" Id="trule:Microsoft/Registry/UTC/1-Standard"/></t:Periods>'
            '<t:TransitionsGroups><t:TransitionsGroup Id="0"><t:Transition><t:To Kind="Period">'
            "trule:Microsoft/Registry/UTC/1-Standard</t:To></t:Transition></t:TransitionsGroup></t:TransitionsGroups>"
            '<t:Transitions><t:Transition><t:To Kind="Group">0</t:To></t:Transition></t:Transitions>'
            "</t:TimeZoneDefinition></m:TimeZoneDefinitions>"
        )

    return response("GetServerTimeZones", caller.each("GetServerTimeZones", [element], answer))
