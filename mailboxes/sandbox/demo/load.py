"""Puts the demo organisation into a sandbox store."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from mailboxes.sandbox.demo.cast import mailboxes
from mailboxes.sandbox.demo.corpus import messages
from mailboxes.sandbox.demo.diary import appointments, contacts, tasks
from mailboxes.sandbox.store import SandboxStore

SERVICE_ADDRESS = "crmsync.service@turia.example"
_UNREAD_FOR = timedelta(hours=20)


def load(store: SandboxStore, *, now: datetime | None = None, password: str = "demo") -> None:  # noqa: S107  # a teaching server's public sign-in
    """Add all demo mailboxes, with `password`, and everything that they hold.

    `now` (aware; the present time if None) is the moment at which the demo is looked at: the
    mail spreads over the six weeks before it. `SERVICE_ADDRESS` may impersonate the others.
    Raises SandboxError if one of the mailboxes exists already.
    """
    now = now or datetime.now(UTC)
    store.add_mailbox(SERVICE_ADDRESS, password, "crmsync service", impersonator=True)
    for mailbox in mailboxes:
        store.add_mailbox(mailbox.address, password, mailbox.name, language=mailbox.language)
    _load_mail(store, now)
    for item in appointments(now):
        store.add_ics(item.holder, item.raw)
    for item in contacts():
        store.add_vcf(item.holder, item.raw)
    for entry in tasks(now):
        store.add_task(entry.holder, entry.task)


def _load_mail(store: SandboxStore, now: datetime) -> None:
    made: set[tuple[str, str]] = set()
    for message in sorted(messages(now), key=lambda each: each.received):
        for address, folder in message.holders:
            parent, slash, name = folder.rpartition("/")
            if slash and (address, folder) not in made:
                store.create_folder(address, parent, name)
                made.add((address, folder))
            seen = folder == "sentitems" or now - message.received > _UNREAD_FOR
            store.deliver_mime(address, message.raw, folder=folder, received=message.received, is_read=seen)
