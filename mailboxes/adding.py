"""Adding a mailbox: whose it is, on which server, tracking what; approved at once or waiting for approval."""

from datetime import datetime

from django.core.exceptions import ValidationError
from django.core.validators import validate_email
from django.db import IntegrityError, transaction

from mailboxes import intents
from mailboxes.models import Mailbox, ServerProfile, SyncProfile
from mailboxes.states import Intent, Track
from security.models import User

DEFAULT_PROFILE = "Default"


class CannotAdd(Exception):
    """A mailbox could not be added; the message says why and what to do."""


def default_profile() -> SyncProfile:
    """Return the sync profile that new mailboxes follow; where nobody has said which, the first one of an installation."""
    chosen = SyncProfile.objects.filter(is_default=True).first()
    return chosen or SyncProfile.objects.get_or_create(name=DEFAULT_PROFILE)[0]


def add_mailbox(
    address: str, *, server: ServerProfile, owner: User, track: Track | None, enable: bool, by: str, now: datetime
) -> Mailbox:
    """Add a mailbox and return it; `enable` approves and switches it on. Raises `CannotAdd`."""
    try:
        validate_email(address)
    except ValidationError as error:
        raise CannotAdd(f"'{address}' is not an e-mail address.") from error
    profile = default_profile()
    try:
        with transaction.atomic():
            mailbox = Mailbox.objects.create(
                address=address,
                server=server,
                owner=owner,
                sync_profile=profile,
                track=track or "",
                intent=Intent.PENDING,
                changed_by=by,
            )
    except IntegrityError as error:
        known = Mailbox.objects.filter(address__iexact=address).first()
        where = f" (server {known.server}, owner {known.owner.username})" if known else ""
        raise CannotAdd(f"{address} has been added already{where}. Nothing was changed.") from error
    if enable:
        intents.turn_on(Mailbox.objects.filter(pk=mailbox.pk), now, by=by)
        mailbox.refresh_from_db()
    return mailbox
