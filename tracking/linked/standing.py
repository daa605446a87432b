"""What stands for a mailbox's entries while a run lasts: directions, filters, what waits. Read once for all their kinds.

The one idea: each kind is kept in step by a session of its own, but what they have to know before they begin is the same
few rows. Nothing is read before somebody asks for it, so that a run without entries pays nothing.
"""

from collections.abc import Callable
from datetime import datetime
from functools import cached_property

from mailboxes.models import Mailbox
from mailboxes.provider.entries import EntryKind, Field
from tracking.engine import failures
from tracking.linked import links
from tracking.models import SyncFilter
from tracking.sync.directions import Direction


class Standing:
    """What one run has to know of a mailbox. What people change meanwhile is in force from the next run on."""

    def __init__(self, mailbox: Mailbox, *, clock: Callable[[], datetime]) -> None:
        self.mailbox, self.clock = mailbox, clock

    @cached_property
    def _directions(self) -> dict[EntryKind, dict[Field, Direction]]:
        return links.all_directions_of(self.mailbox)

    @cached_property
    def _filters(self) -> list[SyncFilter]:
        return links.filters_of(self.mailbox)

    @cached_property
    def _waiting(self) -> dict[EntryKind, links.Waiting]:
        return links.waiting(self.mailbox, self.clock())

    @cached_property
    def failures_due(self) -> bool:
        """Tell whether anything that failed is to be tried again."""
        return failures.any_due(self.mailbox, self.clock())

    @property
    def waiting_kinds(self) -> set[EntryKind]:
        """Return the kinds of which records changed, or links wait, since the mailbox was last looked at."""
        return {kind for kind, each in self._waiting.items() if each.anything}

    def directions(self, kind: EntryKind) -> dict[Field, Direction]:
        """Return which way each field of a kind flows."""
        return self._directions[kind]

    def filters(self, kind: EntryKind) -> list[SyncFilter]:
        """Return the filters in force for a kind."""
        return [each for each in self._filters if each.kind == kind]

    def unfinished(self, kind: EntryKind) -> bool:
        """Tell whether there were links without an entry, whose making was cut short."""
        return kind not in self._waiting or self._waiting[kind].unfinished

    def gone(self, kind: EntryKind) -> bool:
        """Tell whether there were links whose entry left its folder a while ago."""
        return kind not in self._waiting or self._waiting[kind].gone
