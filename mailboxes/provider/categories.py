"""What the engine needs of a mail system for tracking by category, and for telling how much a folder holds.

The one idea: a category is a word on an item, and an entry with an id in a list that belongs to the mailbox. Its owner can
rename or delete the entry; the id tells that it is still the same. Received mail is never written to but for its categories
(design §4), and a change names the change key it was decided on.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Category:
    """An entry of a mailbox's own list of categories: an opaque id that stays, and the name as it is now."""

    id: str
    name: str


class CategoryProvider(Protocol):
    """Reads and keeps the list of categories of one mailbox, and puts categories on its messages."""

    def categories(self) -> list[Category] | None:
        """Return the mailbox's list; None: the server keeps none for us, so that a category is its name and no more."""
        ...

    def ensure_categories(self, wanted: Sequence[Category]) -> list[Category] | None:
        """See to it that the list has each of these, and return them as they stand in it now; None as above.

        An id that is in the list keeps the name it has there. A name that is in the list without that id stands for it
        (case does not matter). What is in neither way is added, under the id given or, where that is empty, a new one.
        """
        ...

    def categorize(self, item_id: str, change_key: str, categories: Sequence[str]) -> str:
        """Give a message these categories and no others; return its new change key.

        Raises `ChangedMeanwhile` when `change_key` is not the message's any more, `ItemGone`, `WriteRefused`.
        """
        ...

    def count(self, folder_id: str, since: datetime | None) -> int:
        """Return how many items of a folder were received at `since` or later, None: all; raises `FolderGone`."""
        ...


def standing(wanted: Category, listed: Iterable[Category]) -> Category | None:
    """Return what a category is called in a list: by its id, else by its name; None when it is not in it."""
    entries = list(listed)
    by_id = (each for each in entries if wanted.id and each.id.lower() == wanted.id.lower())
    by_name = (each for each in entries if each.name.lower() == wanted.name.lower())
    return next(by_id, None) or next(by_name, None)
