"""Alerts: what is wrong, one row per cause and place, raised and resolved by the runs themselves (design §6).

The idea: an alert is no message but a fact with a beginning and an end. The same cause at the same place is the same
alert, seen again; when a run succeeds where it failed, the alert is over without anybody closing it.
"""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

from django.db import connection
from django.db.models import Q, QuerySet

from mailboxes.models import Alert

# What may pass by itself is worth a person's attention only when it comes this often in a row.
PATIENCE = 3
# What a run that succeeds says nothing about: ended by whoever raised it (`resolve_one`).
STANDING = frozenset({"canary_late", "items_missing", "sending_given_up"})


@dataclass(frozen=True, slots=True)
class Place:
    """Where something is wrong: exactly one of server and mailbox; a folder stands beside its mailbox."""

    server_id: int | None = None
    mailbox_id: int | None = None
    folder_id: int | None = None


def raise_alert(code: str, place: Place, detail: str, now: datetime) -> None:
    """Open the alert, or note that the open one was seen again."""
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO mailboxes_alert AS a (code, server_id, mailbox_id, folder_id, detail, since, seen_at, times) "
            "VALUES (%s, %s, %s, %s, %s, %s, %s, 1) "
            "ON CONFLICT (code, server_id, mailbox_id, folder_id) WHERE resolved_at IS NULL "
            "DO UPDATE SET times = a.times + 1, seen_at = excluded.seen_at, detail = excluded.detail",
            [code, place.server_id, place.mailbox_id, place.folder_id, detail, now, now],
        )


def resolve_server(server_id: int, now: datetime) -> int:
    """End the server's alerts; return how many were open."""
    return _end(Alert.objects.filter(server=server_id), now)


def resolve_mailbox(mailbox_id: int, now: datetime, *, but_folders: Collection[int] = (), but_code: str = "") -> int:
    """End the mailbox's alerts, folders' included, but for those of `but_folders` and the one with `but_code`.

    `but_code` is what is wrong with the mailbox now, so that one cause ends when another takes its place.
    """
    still_true = Q(folder__in=but_folders) | Q(folder=None, code=but_code)
    return _end(Alert.objects.filter(mailbox=mailbox_id).exclude(still_true).exclude(code__in=STANDING), now)


def resolve_one(code: str, place: Place, now: datetime) -> int:
    """End this alert; return 1 if it was open."""
    at = Alert.objects.filter(server=place.server_id, mailbox=place.mailbox_id, folder=place.folder_id)
    return _end(at.filter(code=code), now)


def _end(alerts: QuerySet[Alert], now: datetime) -> int:
    return alerts.filter(resolved_at=None).update(resolved_at=now)
