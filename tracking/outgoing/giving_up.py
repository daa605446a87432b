"""Mail that the mail server never comes to an end with: tried for about a day, then a person decides (S9).

The idea: what only ever fails in the middle says neither that it was sent nor that it never will be. So it is not tried
for ever, and not given up either: it stands on its page with what is known of it, and in an alert of its mailbox that ends
when the last such mail is decided on, or turns up in Sent Items after all.
"""

from datetime import datetime
from typing import Final

from django.conf import settings

from mailboxes import alerts
from mailboxes.alerts import Place
from tracking.models import OutgoingMail

GIVEN_UP: Final = "sending_given_up"
_State = OutgoingMail.State


def is_time(mail: OutgoingMail) -> bool:
    """Tell whether the mail has had all the attempts that it gets by itself (`CRMSYNC_SEND_ATTEMPTS`)."""
    return bool(mail.attempts >= settings.SEND_ATTEMPTS)


def state_of(mail: OutgoingMail) -> str:
    """Return what it is then: failed as long as nobody asked for it to be sent, else nobody can say whether it was."""
    return _State.UNKNOWN if mail.send_asked_at is not None else _State.FAILED


def tell(mail: OutgoingMail, now: datetime) -> None:
    """Raise the alert of the mail's mailbox, or note that there is one more."""
    alerts.raise_alert(GIVEN_UP, Place(mailbox_id=mail.mailbox_id), mail.error_detail, now)


def settled(mailbox_id: int, now: datetime) -> None:
    """End the alert if no mail of the mailbox waits for a decision any more."""
    waits = OutgoingMail.objects.filter(
        mailbox=mailbox_id, error_code=GIVEN_UP, state__in=(_State.FAILED, _State.UNKNOWN)
    )
    if not waits.exists():
        alerts.resolve_one(GIVEN_UP, Place(mailbox_id=mailbox_id), now)
