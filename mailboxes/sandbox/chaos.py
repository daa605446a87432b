"""Everything that can go wrong on a call, each once, to draw from at random.

A fault of kind "any" (faults.py) draws one of these for a call it hits, from its own seed: the same
seed and the same calls give the same trouble. Waits are short, because what counts is that there is one.
"""

import random
from collections.abc import Collection, Mapping
from typing import Any, Final

_SYNC: Final = ("SyncFolderItems", "SyncFolderHierarchy")
_READ: Final = ("GetItem",)
_SAVE: Final = ("CreateItem", "UpdateItem", "CopyItem")
_TELL: Final = ("GetEvents", "GetStreamingEvents")

# name → (operations it can hit, () for all; the fault)
TROUBLES: Final[Mapping[str, tuple[tuple[str, ...], Mapping[str, Any]]]] = {
    "unauthorized": ((), {"fault": "unauthorized"}),
    "forbidden": ((), {"fault": "forbidden"}),
    "too_many": ((), {"fault": "http", "status": 429, "retry_after": 1}),
    "unavailable": ((), {"fault": "http", "status": 503, "retry_after": 1}),
    "bad_gateway": ((), {"fault": "http", "status": 502}),
    "busy": ((), {"fault": "error", "code": "ErrorServerBusy", "back_off_ms": 200}),
    "busy_message": ((), {"fault": "error", "code": "ErrorServerBusy", "scope": "message", "back_off_ms": 200}),
    "slow": ((), {"fault": "slow", "seconds": 0.05}),
    "reset": ((), {"fault": "reset"}),
    "answer_lost": ((), {"fault": "reset", "after": 0}),
    "truncated": ((), {"fault": "truncate"}),
    "cursor_lost": (_SYNC, {"fault": "error", "code": "ErrorInvalidSyncStateData", "scope": "message"}),
    "repeated": (_SYNC[:1], {"fault": "repeat"}),
    "item_gone": (_READ, {"fault": "error", "code": "ErrorItemNotFound", "scope": "item"}),
    "item_broken": (_READ, {"fault": "error", "code": "ErrorInternalServerError", "scope": "item"}),
    "item_corrupt": (_READ, {"fault": "error", "code": "ErrorItemCorrupt", "scope": "item"}),
    "custom_zone": (_READ, {"fault": "custom_zone"}),
    "moving": ((), {"fault": "error", "code": "ErrorMailboxMoveInProgress"}),
    "store_unavailable": ((), {"fault": "error", "code": "ErrorMailboxStoreUnavailable"}),
    "full": (_SAVE, {"fault": "error", "code": "ErrorQuotaExceeded", "scope": "message"}),
    "no_mailbox": ((), {"fault": "error", "code": "ErrorNonExistentMailbox"}),
    "no_impersonation": ((), {"fault": "error", "code": "ErrorImpersonateUserDenied"}),
    "subscription_lost": (_TELL, {"fault": "error", "code": "ErrorSubscriptionNotFound", "scope": "message"}),
}


def drawn(chance: random.Random, operation: str, among: Collection[str]) -> Mapping[str, Any] | None:
    """Return a fault for a call of this operation, of those named in `among` (none: of all); None if none fits."""
    fitting = [
        fault
        for name, (operations, fault) in TROUBLES.items()
        if (not among or name in among) and (not operations or operation in operations)
    ]
    return chance.choice(fitting) if fitting else None
