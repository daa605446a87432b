"""One page of what a search found."""

from collections.abc import Sequence
from typing import Generic, NamedTuple, TypeVar

from lxml import etree

from mailboxes.sandbox.operations.caller import number_of
from mailboxes.sandbox.soap import EwsError

Member = TypeVar("Member")
MOST = 1000


class Found(NamedTuple, Generic[Member]):
    """The members of one page and the attributes of the element around them."""

    members: Sequence[Member]
    attributes: str


def page_of(found: Sequence[Member], view: etree._Element | None) -> Found[Member]:
    """Return the page an Indexed…View asks for, at most 1000 members; no view, the first page. Raises EwsError."""
    offset = number_of(view, "Offset", 0) if view is not None else 0
    most = number_of(view, "MaxEntriesReturned", MOST) if view is not None else MOST
    if offset < 0 or most < 1:
        raise EwsError("ErrorInvalidIndexedPagingParameters", "Indexed paging parameters are invalid.")
    if view is not None and view.get("BasePoint") == "End":
        start = max(0, len(found) - offset - min(most, MOST))
        members = found[start : len(found) - offset]
        following, last = offset + len(members), start == 0
    else:
        members = found[offset : offset + min(most, MOST)]
        following = min(offset + len(members), len(found))
        last = following >= len(found)
    attributes = (
        f' IndexedPagingOffset="{following}" TotalItemsInView="{len(found)}"'
        f' IncludesLastItemInRange="{"true" if last else "false"}"'
    )
    return Found(members, attributes)
