"""Reading on in a folder, from its beginning where the server has forgotten how far we were, and coming to its end."""

from collections.abc import Callable
from datetime import datetime

from django.db import connection

from mailboxes.models import Folder, Run
from mailboxes.provider.errors import CursorExpired
from mailboxes.provider.port import ChangePage, MailProvider

# Written out, since putting the statement together costs more than sending it.
_NOTHING_NEW = """
UPDATE mailboxes_folder f
SET cursor = %s, counters = COALESCE(%s, f.counters), more = false, attempts = 0, careful = 0, issue_code = '',
    synced_at = %s
FROM mailboxes_run r
WHERE f.id = %s AND r.id = %s AND r.mailbox_id = f.mailbox_id AND r.finished_at IS NULL
"""


def nothing_new(folder: Folder, cursor: str, counters: str | None, *, run: Run, now: datetime) -> bool:
    """Note that a folder was read to its end and had nothing: one statement, which most of what is read comes to.

    `counters` None: they stay as they are. Return whether the run still had its lease; without it nothing is noted.
    """
    with connection.cursor() as database:
        database.execute(_NOTHING_NEW, [cursor, counters, now, folder.pk, run.pk])
        return bool(database.rowcount)


def read_changes(
    provider: MailProvider, folder: Folder, limit: int, *, clock: Callable[[], datetime], beat: Callable[[], None]
) -> ChangePage:
    """Return the next page of a folder; an expired cursor begins a new listing (design §6). Raises `ProviderError`."""
    beat()
    try:
        return provider.changes(folder.provider_id, folder.cursor, limit)
    except CursorExpired:
        if folder.cursor is None:
            raise
    folder.cursor, folder.listing_before = None, clock()
    Folder.objects.filter(pk=folder.pk).update(cursor=None, listing_before=folder.listing_before)
    beat()
    return provider.changes(folder.provider_id, None, limit)
