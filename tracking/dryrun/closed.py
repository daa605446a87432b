"""What a dry run does not ask: what no run would ask now, and what has refused this very dry run already.

A sign-in that was refused is not tried again with the next mailbox: that locks accounts (S12).
"""

from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from mailboxes.models import Mailbox
from mailboxes.provider.errors import AuthRejected, Kind, ProviderError, Scope, Throttled
from mailboxes.states import WAITS_FOR_PERSON

_ANY: Final = -1
# A server that did not answer for so many mailboxes is not waited for by the others; one that is busy says so itself.
_PATIENCE: Final = 3


@dataclass(slots=True)
class Closed:
    """Kept for one dry run; `now` is what time it is throughout."""

    now: datetime
    _refused: dict[tuple[int, int], str] = field(default_factory=dict)
    _failures: Counter[int] = field(default_factory=Counter)

    def why(self, mailbox: Mailbox) -> str:
        """Return the code of what stands against asking for a mailbox; "" if nothing does."""
        server = mailbox.server
        if server.stopped_at is not None and not mailbox.username:
            return server.stopped_code or AuthRejected.code
        if mailbox.state in WAITS_FOR_PERSON:
            return mailbox.issue_code or AuthRejected.code
        if any(until is not None and until > self.now for until in (mailbox.not_before, server.not_before)):
            return mailbox.issue_code or Throttled.code
        return self._refused.get(_sign_in(mailbox)) or self._refused.get((server.pk, _ANY), "")

    def note(self, mailbox: Mailbox, error: ProviderError) -> None:
        """Note an error that others than this mailbox would meet, too."""
        if error.scope is Scope.CREDENTIAL:
            self._refused[_sign_in(mailbox)] = error.code
        elif error.scope is Scope.SERVER:
            self._failures[mailbox.server_id] += 1
            if error.kind is Kind.THROTTLED or self._failures[mailbox.server_id] >= _PATIENCE:
                self._refused[mailbox.server_id, _ANY] = error.code


def _sign_in(mailbox: Mailbox) -> tuple[int, int]:
    """Return as whom a mailbox is asked: with credentials of its own, or with its server's."""
    return mailbox.server_id, mailbox.pk if mailbox.username else 0
