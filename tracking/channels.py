"""The three channels of a mailbox, switched on and off by a person: mail in, mail out, and entries (S15).

The idea: a channel that is off asks for nothing and writes nothing. What came of it stays, and it goes on where it was
when it comes back. What a channel cannot do while its mailbox is not approved is the intent's matter, not its own.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING

from django.utils.translation import gettext_lazy as _

from mailboxes import intents
from mailboxes.models import Mailbox
from tracking.linked import channel as entries

if TYPE_CHECKING:
    from django_stubs_ext import StrOrPromise


class Channel(StrEnum):
    """The channels, by the names of their columns in `Mailbox`."""

    INCOMING = "incoming"
    OUTGOING = "outgoing"
    ENTRIES = "entries"


@dataclass(frozen=True, slots=True)
class Words:
    """What a screen says of a channel: its name, and what it does while it is on or off."""

    name: "StrOrPromise"
    on: "StrOrPromise"
    off: "StrOrPromise"


WORDS: Mapping[Channel, Words] = {
    Channel.INCOMING: Words(
        _("Mail in"),
        _("Inbox, Sent Items and tracked folders are read; what fits is tracked."),
        _("No mail is read, and nothing is asked about it."),
    ),
    Channel.OUTGOING: Words(
        _("Mail out"),
        _("Mail that the owner writes in the CRM is sent from this mailbox."),
        _("Nothing is sent. Mail that is written waits."),
    ),
    Channel.ENTRIES: Words(
        _("Appointments, contacts and tasks"),
        _("Kept in step with records, both ways. Nobody is ever invited or told by it."),
        _("Nothing of them is read or written."),
    ),
}


@dataclass(frozen=True, slots=True)
class Row:
    """A channel of one mailbox as a screen shows it."""

    channel: Channel
    on: bool

    @property
    def name(self) -> "StrOrPromise":
        """Return the channel's name."""
        return WORDS[self.channel].name

    @property
    def words(self) -> "StrOrPromise":
        """Return what it does as it stands."""
        return WORDS[self.channel].on if self.on else WORDS[self.channel].off


def rows(mailbox: Mailbox) -> list[Row]:
    """Return the channels of a mailbox."""
    return [Row(channel, is_on(mailbox, channel)) for channel in Channel]


def is_on(mailbox: Mailbox, channel: Channel) -> bool:
    """Tell whether the channel is on."""
    return bool(getattr(mailbox, channel.value))


def switch(mailbox: Mailbox, channel: Channel, *, on: bool, by: str, now: datetime) -> None:
    """Switch a channel, by the person called `by`. Switched on, what waits is seen to with the next run, now."""
    if channel is Channel.ENTRIES:
        entries.switch(mailbox, on=on, by=by, now=now)
        return
    changes: dict[str, object] = {channel.value: on, "changed_by": by}
    row = Mailbox.objects.filter(pk=mailbox.pk)
    row.update(**changes)
    if on:
        intents.want_full_pass(row, now)
    setattr(mailbox, channel.value, on)
