"""The tracking category of one mailbox in a run: what it is called now, and telling its owner what could not be tracked.

The name on items is all that a mail system has; the entry in the mailbox's own list has an id. The list is read by a full
pass, which makes again what was deleted, and once in a run that meets a name it does not know: it may be the new one.
"""

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from functools import partial
from typing import Final

from django.db import transaction

from mailboxes import intents
from mailboxes.models import Mailbox
from mailboxes.provider.categories import Category, CategoryProvider
from mailboxes.provider.errors import ProviderError, Scope
from mailboxes.provider.port import Envelope
from tracking.engine.failures import GONE
from tracking.models import TrackingCategory
from tracking.models.category import TRACKED_NAME
from tracking.sync.marking import Names, corrected
from tracking.sync.plan import Action, Fail, Link, Refuse, Track

log = logging.getLogger(__name__)
# Names that the category had: more are not remembered.
_FORMER: Final = 20
# What a server says when it falls over this one document.
_OF_THE_LIST: Final = frozenset({"server_error", "answer_unreadable", "request_refused", "write_refused", "item_gone"})


def row_of(mailbox: Mailbox) -> TrackingCategory:
    """Return the category of a mailbox, unsaved where its owner never chose anything."""
    return TrackingCategory.objects.filter(mailbox=mailbox).first() or TrackingCategory(mailbox=mailbox)


def names_of(row: TrackingCategory) -> Names:
    """Return what a row says as planning wants it."""
    return Names(row.name, tuple(row.former), row.untrackable)


def switch(mailbox: Mailbox, *, mail: bool, name: str, now: datetime) -> TrackingCategory:
    """Switch tracking of mail by category, under a name; the next run, a full pass, sees to the list.

    Another name is another category: items that carry the one before stay tracked, nothing new is tracked by it.
    """
    name = " ".join(name.split()) or TRACKED_NAME
    with transaction.atomic():
        # Locked: what a run learns of the list at this moment is not undone, and two clicks make one row.
        row, _made = TrackingCategory.objects.select_for_update().get_or_create(mailbox=mailbox)
        if name.lower() != row.name.lower():
            row.former = _with_former(row, row.name)
            row.category_id = ""
        if row.mail != mail:
            row.switched_at = now
        row.mail, row.name = mail, name
        row.save()
        intents.want_full_pass(Mailbox.objects.filter(pk=mailbox.pk), now)
    return row


def _with_former(row: TrackingCategory, name: str) -> list[str]:
    return [name, *(each for each in row.former if each.lower() != name.lower())][:_FORMER]


class CategoryInRun:
    """What one run of a mailbox knows of its category. Nothing is read before it is needed."""

    def __init__(
        self, mailbox: Mailbox, provider: CategoryProvider, *, clock: Callable[[], datetime], beat: Callable[[], None]
    ) -> None:
        self.mailbox, self.provider, self.clock, self.beat = mailbox, provider, clock, beat
        self._row: TrackingCategory | None = None
        self._looked = False

    @property
    def row(self) -> TrackingCategory:
        """Return the row, read once."""
        if self._row is None:
            self._row = row_of(self.mailbox)
        return self._row

    @property
    def names(self) -> Names:
        """Return what the category is called, as far as is known by now."""
        return names_of(self.row)

    def asks(self, categories: Iterable[str]) -> bool:
        """Tell whether an item's categories ask for it to be tracked; raises `ProviderError`."""
        given = tuple(categories)
        return self.names.asks(given) or (self._look_again(given) and self.names.asks(given))

    def keeps(self, categories: Iterable[str]) -> bool:
        """Tell whether an item's categories keep it tracked; raises `ProviderError`."""
        given = tuple(categories)
        return self.names.keeps(given) or (self._look_again(given) and self.names.keeps(given))

    def notice(self, envelopes: Iterable[Envelope]) -> None:
        """Find out, before messages are decided on, whether one of them carries the category under a new name."""
        if self.row.mail:
            any(self.asks(envelope.categories) for envelope in envelopes)

    def _look_again(self, categories: tuple[str, ...]) -> bool:
        if self._looked or not self.row.listed or not self.names.unknown(categories):
            return False
        self._looked = True
        listed = self._asked(self.provider.categories)
        if listed is not None:
            self._follow({each.id.lower(): each for each in listed})
        return True

    def see_to_list(self) -> None:
        """Bring the mailbox's list into line: bound by id, made again where it was deleted; raises `ProviderError`.

        One request, where its owner chose to have a category at all, and another where something was missing.
        """
        row = self.row
        if row.pk is None or not (row.mail or self.mailbox.entries):
            return
        self._looked = True
        wanted = [Category(row.category_id, row.name), Category(row.untrackable_id, row.untrackable)]
        found = self._asked(partial(self.provider.ensure_categories, wanted if row.mail else wanted[:1]))
        row.listed, row.looked_at = found is not None, self.clock()
        if found:
            row.category_id = found[0].id
            if len(found) > 1:
                row.untrackable_id = found[1].id
        self._note("listed", "looked_at", "category_id", "untrackable_id")
        self._follow({each.id.lower(): each for each in found or ()})

    def _note(self, *columns: str, name: str = "") -> None:
        """Store what the list told, unless its owner chose another category meanwhile (`name`: what it was called)."""
        row = self.row
        TrackingCategory.objects.filter(pk=row.pk, name=name or row.name).update(
            **{column: getattr(row, column) for column in columns}
        )

    def _asked(self, ask: Callable[[], list[Category] | None]) -> list[Category] | None:
        """Ask for the list. That it cannot be had must not keep mail from being read: then the category is its name.

        What concerns more than the list is raised: a sign-in that is refused, a server that is busy or away.
        """
        self.beat()
        try:
            return ask()
        except ProviderError as error:
            if error.code not in _OF_THE_LIST:
                raise
            log.warning("the list of categories of %s could not be had (%s)", self.mailbox, error.code)
            return None

    def _follow(self, listed: Mapping[str, Category]) -> None:
        """Take over what its owner calls the categories by now."""
        row = self.row
        now = listed.get(row.category_id.lower())
        other = listed.get(row.untrackable_id.lower())
        if other is not None and other.name != row.untrackable:
            row.untrackable = other.name
            self._note("untrackable")
        if now is not None and now.name != row.name:
            before = row.name
            row.former, row.name = _with_former(row, before), now.name
            self._note("name", "former", name=before)

    def tell(self, actions: Sequence[Action], envelopes: Iterable[Envelope]) -> list[Action]:
        """Put the untrackable category on messages that their owner marked in vain, take it off where that is over.

        Return the actions with the change keys that this gave: our own write must not look like a change. Done before the
        page is stored, so that dying in between does it again, and then there is nothing to do. Raises `ProviderError`
        where more than the one message is concerned.
        """
        if not self.row.mail:
            return list(actions)
        by_item = {envelope.item_id: envelope for envelope in envelopes}
        return [self._told(action, by_item.get(_item_id(action))) for action in actions]

    def _told(self, action: Action, envelope: Envelope | None) -> Action:
        categories = corrected(envelope, action, self.names, gone=GONE) if envelope is not None else None
        if envelope is None or categories is None:
            return action
        self.beat()
        try:
            key = self.provider.categorize(envelope.item_id, envelope.change_key, categories)
        except ProviderError as error:
            if error.scope is not Scope.ITEM:
                raise
            # It moved, changed, or may not be written: the next change of it, or the next attempt, asks again.
            log.info("a message of %s could not be given its category (%s)", self.mailbox, error.code)
            return action
        return _with_key(action, key or envelope.change_key, categories)


def _item_id(action: Action) -> str:
    return action.envelope.item_id if isinstance(action, Track | Link) else action.item_id


def _with_key(action: Action, key: str, categories: tuple[str, ...]) -> Action:
    if isinstance(action, Track | Link):
        return replace(action, envelope=replace(action.envelope, change_key=key, categories=categories))
    if isinstance(action, Refuse | Fail):
        return replace(action, change_key=key)
    return action
