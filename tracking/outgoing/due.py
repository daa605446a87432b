"""When the next attempt at a mail of a mailbox is due: kept in the mailbox's own row, which every run reads anyway."""

from datetime import datetime

from django.db import transaction
from django.db.models import Min

from mailboxes.models import Mailbox
from mailboxes.states import Intent
from tracking.models import OutgoingMail


def is_due(mailbox: Mailbox, now: datetime) -> bool:
    """Tell whether a run of the mailbox has mail to see to: no query. Nothing leaves where the channel is off (S15)."""
    waits = mailbox.mail_due_at is not None and mailbox.mail_due_at <= now
    return waits and mailbox.outgoing and mailbox.intent == Intent.ON


def refresh(mailbox: Mailbox) -> None:
    """Bring the mailbox's row up to date with its mail.

    The row is locked before the mail is looked at, so that none that is written at this moment is overlooked.
    """
    with transaction.atomic():
        row = Mailbox.objects.filter(pk=mailbox.pk)
        list(row.select_for_update(no_key=True).values_list("pk"))
        waiting = OutgoingMail.objects.filter(mailbox=mailbox, try_at__isnull=False)
        strays = OutgoingMail.objects.filter(mailbox=mailbox, stray_at__isnull=False)
        mailbox.mail_due_at = min(
            filter(None, (waiting.aggregate(at=Min("try_at"))["at"], strays.aggregate(at=Min("stray_at"))["at"])),
            default=None,
        )
        row.update(mail_due_at=mailbox.mail_due_at)
