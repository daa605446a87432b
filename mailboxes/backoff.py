"""What an error does to the schedule: whom it holds back, for how long, and what state that is (design §6).

The idea: slow down at the narrowest true scope, and never disable. Only a refused sign-in waits for a person, because
trying again locks accounts. A server that does not answer is tried by one mailbox at a time at short distance, so that
an outage costs little and its end is noticed within seconds.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from mailboxes.provider.errors import Kind, ProviderError, Scope, Throttled
from mailboxes.schedule import JITTER_SHARE, Bounds, Reason
from mailboxes.states import State

# (first wait, longest wait) in seconds; each failure in a row doubles the wait.
SERVER_PROBES: Final = (5, 15)
SERVER_MISCONFIGURED: Final = (30, 300)
THROTTLED: Final = (30, 600)
OUR_FAULT_FIRST: Final = 15
MAILBOX_FIRST: Final = 30
# What failed on our side: the mailbox is neither unreachable nor to blame.
OURS: Final = frozenset({"internal_error", "out_of_time", "database_gone", "disk_full", "lease_lost"})
# The mailbox answers, and there is nothing in it to be read.
ANSWERS: Final = frozenset({"nothing_followed"})
# A mailbox that alone says "the server is unavailable" this often, while others are served, is taken to mean itself.
ALONE = 2


@dataclass(frozen=True, slots=True)
class Hold:
    """One error's consequence. `until` None: until a person acts. `server`: holds back the server, else the mailbox."""

    server: bool
    state: State
    until: datetime | None
    reason: Reason


def growing(first: float, longest: float, failures: int) -> float:
    """Return the wait after `failures` earlier failures in a row: doubled each time, never beyond `longest`."""
    return min(longest, first * 2.0 ** min(failures, 30))


def hold_for(
    error: ProviderError,
    *,
    now: datetime,
    failures: int,
    server_failures: int,
    own_credential: bool,
    bounds: Bounds,
    jitter: float,
) -> Hold:
    """Return what `error` holds back and until when.

    `failures` and `server_failures` count failures in a row before this one. `own_credential` says that the mailbox
    signs in for itself. `jitter` in [-1, 1] spreads retries; a time the server named (`Throttled.retry_at`) is never
    anticipated.
    """
    server = _holds_server(error, failures, server_failures, own_credential)
    row = server_failures if server else failures
    if error.kind is Kind.AUTHORISATION and error.scope is Scope.CREDENTIAL:
        return Hold(server, State.SIGN_IN_FAILED, None, Reason("person"))
    if error.kind is Kind.THROTTLED:
        return Hold(server, State.THROTTLED, _throttled_until(error, now, row, jitter), Reason("throttled"))
    state, first, longest = _pace(error, server, bounds)
    seconds = growing(first, longest, row) * (1 + JITTER_SHARE * jitter)
    reason = Reason("outage") if server else Reason("retry", {"attempt": failures + 1})
    return Hold(server, state, now + timedelta(seconds=seconds), reason)


def _holds_server(error: ProviderError, failures: int, server_failures: int, own_credential: bool) -> bool:
    if error.scope is Scope.CREDENTIAL:
        return not own_credential
    if error.scope is not Scope.SERVER or error.kind is Kind.BUG:
        # An answer nobody understands is more often one mailbox's data than the whole server's.
        return False
    return not (error.kind is Kind.TRANSIENT and failures >= ALONE and server_failures == 0)


def _throttled_until(error: ProviderError, now: datetime, row: int, jitter: float) -> datetime:
    named = error.retry_at if isinstance(error, Throttled) else None
    if named is not None:
        return max(named, now) + timedelta(seconds=1 + abs(jitter))
    return now + timedelta(seconds=growing(*THROTTLED, row) * (1 + JITTER_SHARE * jitter))


def _pace(error: ProviderError, server: bool, bounds: Bounds) -> tuple[State, float, float]:
    """Return the state while waiting, the first wait and the longest. A mailbox is tried at its usual pace at least."""
    if server:
        if error.kind is Kind.TRANSIENT:
            return State.WAITING_FOR_SERVER, *SERVER_PROBES
        return State.UNREACHABLE, *SERVER_MISCONFIGURED
    if error.kind is Kind.BUG or error.code in OURS:
        return State.DEGRADED, OUR_FAULT_FIRST, bounds.usual
    state = State.DEGRADED if error.code in ANSWERS else State.UNREACHABLE
    return state, min(MAILBOX_FIRST, bounds.usual), bounds.usual
