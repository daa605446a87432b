"""Drafts that turn up late: asked for, given up for lost, and made by the mail server after all.

The idea: as long as its mail is under way such a draft is found by our stamp and sent. Once another draft was made instead, or
the mail was given up, it would lie in Drafts for ever. So it is looked for at growing distance, for two days, and deleted,
unless somebody has changed it.
"""

from datetime import datetime, timedelta
from typing import Final

from tracking.models import OutgoingMail

_State = OutgoingMail.State
FIRST_LOOK: Final = timedelta(minutes=10)
# A request that was cut off is not carried out later than that.
LONGEST: Final = timedelta(days=2)
# Their own draft is gone by then, or was left to whoever is writing in it; of all others one may still be sent.
OVER: Final = (_State.SENT, _State.DISCARDED)


def first_look(now: datetime) -> datetime:
    """Return when to look first for a draft that was given up for lost now."""
    return now + FIRST_LOOK


def next_look(mail: OutgoingMail, now: datetime) -> datetime | None:
    """Return when to look again, the later the longer ago it was asked for; None: it will not turn up any more."""
    asked = mail.make_asked_at
    if asked is None or (mail.state in OVER and now - asked > LONGEST):
        return None
    return now + max(FIRST_LOOK, now - asked)
