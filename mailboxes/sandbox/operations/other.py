"""ConvertId, ResolveNames, GetServerTimeZones: what clients call around the real work."""

import base64
import binascii
from functools import lru_cache
from zoneinfo import ZoneInfo

from lxml import etree
from tzlocal.windows_tz import win_tz

from mailboxes.sandbox import zones
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
    """Answer GetServerTimeZones: the zones asked for, or all, with their definitions for this year unless not wanted."""
    asked = [(one.text or "").strip() for one in element.iterfind(f"{M}Ids/*")]
    full = element.get("ReturnFullTimeZoneData", "true") in ("true", "1")
    year = caller.store.now().year

    def answer(_: etree._Element) -> str:
        names = [name for name in (asked or sorted(win_tz)) if name in win_tz]
        inner = "".join(_zone(name, year, full=full) for name in names)
        return f"<m:TimeZoneDefinitions>{inner}</m:TimeZoneDefinitions>"

    return response("GetServerTimeZones", caller.each("GetServerTimeZones", [element], answer))


@lru_cache(maxsize=1024)
def _zone(name: str, year: int, *, full: bool) -> str:
    if not full:
        return f'<t:TimeZoneDefinition Id="{escape(name)}" Name="{escape(name)}"/>'
    return zones.described(ZoneInfo(win_tz[name]), year, "TimeZoneDefinition", name, name)
