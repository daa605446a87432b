"""Who wrote a tracked message that no record knows, and is a person to make a record of? Pure.

Never a colleague, a blocked sender, a program: automated mail, reports, and addresses that say of themselves that nobody
reads what is sent to them.
"""

import re

from mailboxes.provider.port import Address, Envelope
from tracking.sync.decide import address_key, automated, candidates, colleague, on_list
from tracking.sync.facts import Known, Rules, Unknown

# An address column of a record holds no more.
_LONGEST = 254
# What broken headers leave in the place of an address is none.
_ADDRESS = re.compile(r"""^[^\s<>(),;:\\"\[\]@]+@[^\s<>(),;:\\"\[\]@.]+(\.[^\s<>(),;:\\"\[\]@.]+)+$""")
# The part before the @ of addresses that no person writes from; what follows a sign may be a number or a key.
_NOBODY = re.compile(
    r"^(?:(?:do|please)?[-_.]?(?:no|not|ne|non)[-_.]?(?:reply|replies|respond|repondre|responder|rispondere|respongueu|contesti)"
    r"|mailer[-_.]?daemon|postmaster|bounces?|undisclosed[-_.]?recipients|auto[-_.]?(?:reply|responder|confirm)|abuse)"
    r"(?:$|[-_.+=].*$|\d+$)",
    re.IGNORECASE,
)


def is_nobodys(address: str) -> bool:
    """Tell whether an address says that no person reads or writes it (noreply@, mailer-daemon@)."""
    return bool(_NOBODY.match(address.partition("@")[0]))


def stranger(envelope: Envelope, *, sent: bool, rules: Rules, known: Known) -> Address | None:
    """Return the sender of a message to be tracked if no record knows them and the policy asks for such senders.

    An address that its owner chose to be nobody's (`Known.choices`) is not asked about again.
    """
    sender = envelope.sender
    if rules.unknown is Unknown.NOTHING or sent or sender is None:
        return None
    address = address_key(sender)
    if not _ADDRESS.match(address) or len(address) > _LONGEST or is_nobodys(address) or automated(envelope):
        return None
    if colleague(address, rules=rules, known=known) or on_list(address, rules.blocked):
        return None
    if address in known.choices and known.choices[address] is None:
        return None
    return None if candidates(address, rules=rules, known=known) else sender
