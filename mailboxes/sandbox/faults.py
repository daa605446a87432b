"""Trouble by script: what a client must survive, on the call it is meant for.

A script is a list of JSON objects, each one fault:

    fault        unauthorized, forbidden, http, slow, reset, truncate, error, outage, repeat, custom_zone, any,
                 invalid_client, expired_token
    operation    only requests of this operation ("" or left out: all)
    mailbox      only requests that act on this mailbox (address; "": all)
    from_call    the first matching call to hit, counted from 1 (1)
    count        how many calls to hit from there on, null for ever (1)
    probability  of hitting a call that qualifies (1.0), drawn from `seed` (0): the same every time
    status, retry_after   of http: the status line and, if given, Retry-After in seconds; the body is HTML
    seconds      of slow: how long the answer waits; of outage: how long nothing is answered
    code, text   of error: the protocol's code (ErrorServerBusy, ErrorItemNotFound, …)
    scope        of error: "request" (a SOAP fault), "message" (every response message), "item" (one of them)
    item, item_id   of error with scope item: its place among the targets from 0 (0), or its id
    back_off_ms  of error: BackOffMilliseconds
    after        of reset and truncate: after how many bytes of the answer's body (half of it)
    page         of repeat: SyncFolderItems gives so many changes at most (3), the last of them again on the next page
    among        of any: which of the troubles in chaos.py to draw from (all), by the fault's own seed

custom_zone shows the zones of appointments as tzone://Microsoft/Custom without a definition. invalid_client
is a refusal of the token endpoint, expired_token ends all tokens given out.

Several faults may hit one call: it is slow and then fails.
"""

import random
import threading
import time
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Final

from mailboxes.sandbox import chaos
from mailboxes.sandbox.soap import EwsError, Fault

KINDS: Final = (
    *("unauthorized", "forbidden", "http", "slow", "reset", "truncate", "error", "outage"),
    *("repeat", "custom_zone", "any", "invalid_client", "expired_token"),
)
# Of the way to a token, not of the protocol.
_OF_TOKENS: Final = ("invalid_client", "expired_token")
OF_CALLS: Final = tuple(kind for kind in KINDS if kind not in _OF_TOKENS)
SCOPES: Final = ("request", "message", "item")
TEXTS: Final = {
    "ErrorServerBusy": "The server cannot service this request right now. Try again later.",
    "ErrorInvalidSyncStateData": "Synchronization state data is corrupt or otherwise invalid.",
    "ErrorItemNotFound": "The specified object was not found in the store.",
    "ErrorItemCorrupt": "The item is corrupt.",
    "ErrorInternalServerError": "An internal server error occurred. The operation failed.",
    "ErrorMailboxMoveInProgress": "The mailbox is being moved; try again later.",
    "ErrorMailboxStoreUnavailable": "The mailbox database is temporarily unavailable.",
    "ErrorSubscriptionNotFound": "The subscription was not found.",
    "ErrorQuotaExceeded": "The mailbox has exceeded its quota.",
    "ErrorNonExistentMailbox": "The SMTP address has no mailbox associated with it.",
    "ErrorImpersonateUserDenied": "The account does not have permission to impersonate the requested user.",
}


@dataclass(slots=True)
class ScriptedFault:
    """One fault of a script; the module's docstring says what each field means. Raises ValueError for nonsense."""

    fault: str
    operation: str = ""
    mailbox: str = ""
    from_call: int = 1
    count: int | None = 1
    probability: float = 1.0
    seed: int = 0
    status: int = 503
    retry_after: int | None = None
    seconds: float = 0.0
    code: str = ""
    text: str = ""
    scope: str = "request"
    item: int = 0
    item_id: str = ""
    back_off_ms: int | None = None
    after: int | None = None
    page: int = 3
    among: tuple[str, ...] = ()
    calls: int = field(default=0, init=False)
    hits: int = field(default=0, init=False)
    _random: random.Random = field(init=False, repr=False)
    _until: float = field(default=0.0, init=False, repr=False)

    def __post_init__(self) -> None:
        if self.fault not in KINDS:
            raise ValueError(f"no fault {self.fault!r}, known are {', '.join(KINDS)}")
        if self.scope not in SCOPES:
            raise ValueError(f"no scope {self.scope!r}, known are {', '.join(SCOPES)}")
        if self.fault == "error" and not self.code.startswith("Error"):
            raise ValueError("an error needs a code, such as ErrorServerBusy")
        if not 100 <= self.status <= 599 or self.seconds < 0 or self.from_call < 1:
            raise ValueError("status is 100 to 599, seconds not negative, from_call at least 1")
        unknown = set(self.among) - set(chaos.TROUBLES)
        if unknown or self.page < 1:
            raise ValueError(f"page is at least 1; known troubles are {', '.join(chaos.TROUBLES)}")
        self._random = random.Random(self.seed)  # noqa: S311 - repeatable, not secret
        self._until = time.monotonic() + self.seconds if self.fault == "outage" else 0.0

    @property
    def lasts(self) -> bool:
        """Say whether an outage is still on."""
        return self.fault == "outage" and time.monotonic() < self._until

    def hit(self, operation: str, mailbox: str) -> bool:
        """Count a call and say whether it is hit."""
        if self.fault == "outage" or (self.operation and self.operation != operation):
            return False
        if self.mailbox and self.mailbox.lower() != mailbox.lower():
            return False
        self.calls += 1
        if self.calls < self.from_call or (self.count is not None and self.hits >= self.count):
            return False
        if self.probability < 1.0 and self._random.random() >= self.probability:
            return False
        self.hits += 1
        return True

    def met(self, operation: str) -> "ScriptedFault | None":
        """Return the fault a call that was hit meets: this one, or of kind `any` one that is drawn."""
        if self.fault != "any":
            return self
        found = chaos.drawn(self._random, operation, self.among)
        return None if found is None else ScriptedFault(**found)

    def error(self) -> EwsError:
        """Return the error of a fault of kind `error`."""
        values = {} if self.back_off_ms is None else {"BackOffMilliseconds": str(self.back_off_ms)}
        kind = Fault if self.scope == "request" else EwsError
        return kind(self.code, self.text or TEXTS.get(self.code, "The request failed."), values)

    def listed(self) -> dict[str, Any]:
        """Return the fault as JSON, with how often it was asked and how often it hit."""
        return {name: value for name, value in asdict(self).items() if not name.startswith("_")}


class Faults:
    """The script that is in force. Safe to use from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._script: list[ScriptedFault] = []

    def add(self, fault: str, **details: Any) -> ScriptedFault:
        """Put one fault in force and return it, so that its `hits` can be read. Raises ValueError."""
        known = {one.name for one in fields(ScriptedFault) if one.init}
        unknown = details.keys() - known
        if unknown:
            raise ValueError(f"a fault has no {', '.join(sorted(unknown))}")
        scripted = ScriptedFault(fault, **details)
        with self._lock:
            self._script.append(scripted)
        return scripted

    def script(self, script: Iterable[Mapping[str, Any]]) -> int:
        """Put a whole JSON script in force, all of it or nothing; return its length. Raises ValueError."""
        trial = Faults()
        try:
            for one in script:
                trial.add(**one)
        except TypeError as error:
            raise ValueError(f"a script is a list of objects, each with a fault: {error}") from error
        with self._lock:
            self._script.extend(trial._script)
        return len(trial._script)

    def clear(self) -> None:
        """End all faults."""
        with self._lock:
            self._script.clear()

    def listed(self) -> list[dict[str, Any]]:
        """Return the script in force as JSON."""
        with self._lock:
            return [one.listed() for one in self._script]

    def outage(self) -> bool:
        """Say whether nothing is answered now."""
        with self._lock:
            return any(one.lasts for one in self._script)

    def take(self, operation: str, mailbox: str, kinds: Collection[str] = OF_CALLS) -> list[ScriptedFault]:
        """Count a call against every fault of these kinds and return those that hit it."""
        if not self._script:
            return []
        with self._lock:
            hit = [one for one in self._script if one.fault in kinds and one.hit(operation, mailbox)]
            return [found for one in hit if (found := one.met(operation)) is not None]


def item_faults(hit: list[ScriptedFault]) -> Callable[[int, str], EwsError | None]:
    """Return the errors among `hit` that concern response messages, as `Caller.fault` wants them."""
    errors = [one for one in hit if one.fault == "error" and one.scope != "request"]

    def fault(index: int, item_id: str) -> EwsError | None:
        for one in errors:
            if one.scope == "message" or (one.item_id == item_id if one.item_id else one.item == index):
                return one.error()
        return None

    return fault
