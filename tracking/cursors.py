"""Reading on in a folder, and from its beginning where the server has forgotten how far we were."""

from collections.abc import Callable
from datetime import datetime

from mailboxes.models import Folder
from mailboxes.provider.errors import CursorExpired
from mailboxes.provider.port import ChangePage, MailProvider


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
