"""GetItem and FindItem."""

from functools import partial
from typing import Final

from lxml import etree

from mailboxes.sandbox import series
from mailboxes.sandbox.kinds import name_of
from mailboxes.sandbox.model import Folder, Item
from mailboxes.sandbox.operations.caller import Caller, many_of, number_of
from mailboxes.sandbox.operations.paging import page_of
from mailboxes.sandbox.operations.restrictions import restriction
from mailboxes.sandbox.operations.shapes import Shape, dictionary_of, extended_field, item_shape
from mailboxes.sandbox.properties import extended, fragment
from mailboxes.sandbox.soap import EwsError, Fault, response
from mailboxes.sandbox.xmltext import M, children, local_name, moment_in, parse_fragment

_LONGEST_VIEW: Final = 2 * 366 * 86_400
_MOST_IN_VIEW: Final = 1000


def get_item(caller: Caller, element: etree._Element) -> bytes:
    """Answer GetItem: one message per id, in order."""
    shape = item_shape(element.find(f"{M}ItemShape"))

    def answer(target: etree._Element) -> str:
        return f"<m:Items>{shape.item(caller.item(target))}</m:Items>"

    return response("GetItem", caller.each("GetItem", many_of(element, "ItemIds"), answer, "<m:Items/>"))


def find_item(caller: Caller, element: etree._Element) -> bytes:
    """Answer FindItem: one message per folder; newest first unless a sort order says otherwise.

    A query string (AQS) is searched for as words in the subject, a simplification of this server.
    """
    shape = item_shape(element.find(f"{M}ItemShape"), summary=True)
    wanted = restriction(element.find(f"{M}Restriction"))
    words = (element.findtext(f"{M}QueryString") or "").casefold().split()
    view = element.find(f"{M}IndexedPageItemView")
    calendar = element.find(f"{M}CalendarView")

    def answer(target: etree._Element) -> str:
        folder = caller.folder(target)
        if calendar is not None:
            return _view(folder, calendar, shape)
        found = _sorted(list(folder.items.values()), element.find(f"{M}SortOrder"))
        if element.get("Traversal", "Shallow") != "Shallow":
            found = []
        if wanted is not None:
            found = [item for item in found if wanted(partial(_values, item))]
        if words:
            found = [item for item in found if all(word in _text(item, "Subject").casefold() for word in words)]
        page = page_of(found, view)
        inner = "".join([shape.item(item) for item in page.members])
        return f"<m:RootFolder{page.attributes}><t:Items>{inner}</t:Items></m:RootFolder>"

    return response("FindItem", caller.each("FindItem", many_of(element, "ParentFolderIds"), answer))


def _text(item: Item, name: str) -> str:
    return next(iter(_texts(fragment(item, name))), "")


def _texts(whole: str) -> list[str]:
    """Return the text of a property: one, or one per value, person's name or address."""
    if not whole:
        return []
    return [str(text) for text in parse_fragment(whole).itertext() if str(text).strip()]


def _values(item: Item, uri: etree._Element) -> list[str]:
    if local_name(uri) == "ExtendedFieldURI":
        whole = extended(item, extended_field(uri))
        return _texts(whole)
    text = uri.get("FieldURI", "")
    name = name_of(text) if local_name(uri) == "FieldURI" else dictionary_of(text)
    if name is None:
        raise Fault("ErrorSchemaValidation", f"The request failed schema validation: no field {text!r}.")
    whole = fragment(item, name)
    if local_name(uri) == "IndexedFieldURI" and whole:
        entries = [entry for entry in parse_fragment(whole) if entry.get("Key") == uri.get("FieldIndex")]
        return [str(part) for entry in entries for part in entry.itertext()]
    if name in ("ItemId", "ParentFolderId", "ConversationId") and whole:
        return [parse_fragment(whole).get("Id", "")]
    return _texts(whole)


def _sorted(items: list[Item], order: etree._Element | None) -> list[Item]:
    if order is None:
        return sorted(items, key=lambda item: (item.received, item.number), reverse=True)
    for field in reversed(children(order)):
        uri = next(iter(children(field)), None)
        if uri is None:
            raise Fault("ErrorSchemaValidation", "The request failed schema validation: a sort order needs a field.")
        # Moments and texts sort as text: moments all have the same form.
        items = sorted(
            items,
            key=lambda item, uri=uri: "".join(_values(item, uri)[:1]).casefold(),  # type: ignore[misc]  # the default binds the loop's uri
            reverse=field.get("Order") == "Descending",
        )
    return items


def _view(folder: Folder, view: etree._Element, shape: Shape) -> str:
    """Return what a calendar's view shows: single appointments and the occurrences of series, earliest first."""
    try:
        first, last = (int(moment_in(view.get(name, "")).timestamp()) for name in ("StartDate", "EndDate"))
    except ValueError:
        raise Fault("ErrorSchemaValidation", "The request failed schema validation: a view needs two dates.") from None
    if last < first:
        raise EwsError("ErrorCalendarEndDateIsEarlierThanStartDate", "EndDate is earlier than StartDate.")
    if last - first > _LONGEST_VIEW:
        raise EwsError("ErrorCalendarViewRangeTooBig", "A view spans two years at most.")
    if not folder.folder_class.startswith("IPF.Appointment"):
        raise EwsError("ErrorCalendarFolderIsInvalidForCalendarView", "Only calendars have calendar views.")
    most = number_of(view, "MaxEntriesReturned", _MOST_IN_VIEW)
    if most < 1:
        raise EwsError("ErrorInvalidPagingMaxRows", "A view returns at least one item.")
    found = [one for item in folder.items.values() for one in _within(item, first, last)]
    found.sort(key=lambda item: (moment_in(_text(item, "Start")), item.number, item.original))
    whole = "true" if len(found) <= most else "false"
    inner = "".join([shape.item(item) for item in found[:most]])
    counts = f'TotalItemsInView="{len(found)}" IncludesLastItemInRange="{whole}"'
    return f"<m:RootFolder {counts}><t:Items>{inner}</t:Items></m:RootFolder>"


def _within(item: Item, first: int, last: int) -> list[Item]:
    if series.series_of(item.content) is not None:
        return series.within(item, first, last)
    start, end = _text(item, "Start"), _text(item, "End")
    if not start or not end:
        return []
    begins, ends = (int(moment_in(text).timestamp()) for text in (start, end))
    return [item] if series.touches(begins, ends, first, last) else []
