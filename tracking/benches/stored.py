"""An installation with a past: any number of tracked messages, written straight into the tables.

The first `BASE` are made one by one, a tenth of them in the mailbox that is synced; all others are copies of these with
ids and keys of their own, made by the database itself. So both sides of a comparison share the first, and everything
that a sync may look into is larger in proportion, the mailbox's own past included.
"""

from datetime import UTC, datetime, timedelta
from typing import Any, Final

from django.db import connection
from django.db.models import Max, Model

from mailboxes.models import Folder, Mailbox
from tracking.models import Activity, Contact, EmailBody, Holder, ItemDecision, Participant, Thread, ThreadKey
from tracking.sync import identity

BASE: Final = 10_000
# The two mailboxes that are synced: one per side.
NAMES: Final = ("small", "large")
# Copies get ids this far apart.
_APART: Final = 1_000_000
_IN_A_THREAD: Final = 3
_BEGIN: Final = datetime(2024, 1, 1, 8, 0, tzinfo=UTC)
_TEXT: Final = "We have the valves in stock and can send them on Friday if the order arrives before noon. " * 8


def message_id_of(number: int) -> str:
    """Return the Message-ID of stored message `number`, in angle brackets."""
    return f"<{number:05d}.stored@growth.example>"


def address_of(number: int) -> str:
    """Return the address of stored contact `number`, who wrote message `number`."""
    return f"person{number:05d}@customers.example"


def fill(mailboxes: list[Mailbox], size: int) -> dict[str, int]:
    """Store `size` activities (a multiple of `BASE`), `BASE` / 10 of the first in each of ten mailboxes; return counts."""
    _base(mailboxes)
    if size > BASE:
        for model, changes in _COPIED.items():
            _copy(model, size // BASE, changes)
    with connection.cursor() as cursor:
        cursor.execute("VACUUM ANALYZE")
    return {
        "activities": Activity.objects.count(),
        "decisions": ItemDecision.objects.count(),
        "contacts": Contact.objects.count(),
    }


def _base(mailboxes: list[Mailbox]) -> None:
    folders = {mailbox.pk: Folder.objects.filter(mailbox=mailbox, role="inbox").first() for mailbox in mailboxes}
    to, owner = mailboxes[0].address, mailboxes[0].owner
    at = [_BEGIN + timedelta(hours=number) for number in range(BASE)]
    threads = Thread.objects.bulk_create(
        Thread(subject=f"Valve {number}", first_at=at[number], last_at=at[number], messages=_IN_A_THREAD)
        for number in range(0, BASE, _IN_A_THREAD)
    )
    activities = Activity.objects.bulk_create(
        Activity(
            thread=threads[number // _IN_A_THREAD],
            message_key=identity.key_of_message_id(message_id_of(number)),
            message_id=message_id_of(number),
            conversation_key=identity.key_of_message_id(f"conversation {number // _IN_A_THREAD}"),
            direction="incoming",
            subject=f"Valve {number}",
            sender_email=address_of(number),
            received_at=at[number],
            size=2_000,
            owner=owner,
            tracked_at=at[number],
        )
        for number in range(BASE)
    )
    ThreadKey.objects.bulk_create(ThreadKey(thread=row.thread, key=row.message_key) for row in activities)
    ThreadKey.objects.bulk_create(
        ThreadKey(thread=row.thread, key=row.conversation_key) for row in activities[::_IN_A_THREAD]
    )
    contacts = Contact.objects.bulk_create(
        Contact(owner=owner, last_name=f"Person {number}", email1=address_of(number)) for number in range(BASE)
    )
    EmailBody.objects.bulk_create(EmailBody(activity=row, text=_TEXT) for row in activities)
    Participant.objects.bulk_create(
        person
        for row, contact in zip(activities, contacts, strict=True)
        for person in (
            Participant(activity=row, role="from", email=contact.email1, record_kind="contact", record_id=contact.pk),
            Participant(activity=row, role="to", email=to),
        )
    )
    held: list[dict[str, Any]] = [
        {
            "mailbox": mailboxes[number % len(mailboxes)],
            "folder": folders[mailboxes[number % len(mailboxes)].pk],
            "item_id": f"stored {number}",
            "change_key": "1",
            "activity": row,
        }
        for number, row in enumerate(activities)
    ]
    Holder.objects.bulk_create(Holder(since=_BEGIN, **one) for one in held)
    ItemDecision.objects.bulk_create(
        ItemDecision(outcome="tracked", reason="from_record", decided_at=_BEGIN, **one) for one in held
    )


def _apart(column: str) -> str:
    return f"{column} + i * {_APART}"


def _key(column: str) -> str:
    return f"encode(sha256(convert_to({column} || i, 'UTF8')), 'hex')"


# What differs in a copy, in SQL: `i` is its number. Everything else is as it was.
_COPIED: Final[dict[type[Model], dict[str, str]]] = {
    Thread: {},
    ThreadKey: {"thread_id": _apart("thread_id"), "key": _key("key")},
    Activity: {
        "thread_id": _apart("thread_id"),
        "parent_id": _apart("parent_id"),
        "message_key": _key("message_key"),
        "message_id": "'<' || i || '.' || substr(message_id, 2)",
        "conversation_key": _key("conversation_key"),
    },
    EmailBody: {"activity_id": _apart("activity_id")},
    Contact: {"email1": "i || '.' || email1"},
    Participant: {
        "activity_id": _apart("activity_id"),
        "record_id": _apart("record_id"),
        "email": "CASE WHEN record_kind = '' THEN email ELSE i || '.' || email END",
    },
    Holder: {"activity_id": _apart("activity_id"), "item_id": "i || ' ' || item_id"},
    ItemDecision: {"activity_id": _apart("activity_id"), "item_id": "i || ' ' || item_id"},
}


def _copy(model: type[Model], times: int, changes: dict[str, str]) -> None:
    """Have the database write `times` - 1 copies of every row."""
    table, key = model._meta.db_table, model._meta.pk
    columns = [str(field.column) for field in model._meta.concrete_fields]
    key_column = str(key.column)
    changes = {key_column: _apart(key_column), **changes}
    names = ", ".join(f'"{column}"' for column in columns)
    values = ", ".join(changes.get(column, f'"{column}"') for column in columns)
    with connection.cursor() as cursor:
        cursor.execute(
            f'INSERT INTO "{table}" ({names}) SELECT {values} FROM "{table}", generate_series(1, %s) AS i',  # noqa: S608 -- our own names
            [times - 1],
        )
        if not key.remote_field:
            highest = model._default_manager.aggregate(highest=Max(key.name))["highest"]
            cursor.execute("SELECT setval(pg_get_serial_sequence(%s, %s), %s)", [table, key_column, highest])
