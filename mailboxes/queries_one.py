"""The one mailbox that a command is about."""

from mailboxes.models import Mailbox
from security.commands import Failed


def mailbox_at(address: str) -> Mailbox:
    """Return the mailbox with this address, in any case, with server, sync profile and owner; raises `Failed`."""
    found = Mailbox.objects.select_related("server", "sync_profile", "owner").filter(address__iexact=address).first()
    if found is None:
        raise Failed(f"There is no mailbox {address}. add_mailbox adds it.", code="mailbox_unknown")
    return found
