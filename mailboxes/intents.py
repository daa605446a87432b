"""What people want of a mailbox, and what a stop or its repair means for all mailboxes behind it.

The idea: intent and fact are separate columns (design §3). Whoever switches something on or off changes the intent and
restarts the promise; nobody has to look at what the mailbox is doing at this moment, because a run that is under way
ends by itself and finds the intent as it is.
"""

from datetime import datetime

from django.db import transaction
from django.db.models import Q, QuerySet
from django.db.models.functions import Least

from mailboxes import alerts, promise
from mailboxes.models import Mailbox, ServerProfile
from mailboxes.provider.errors import ProviderError
from mailboxes.states import WAITS_FOR_PERSON, Intent, State


def turn_on(mailboxes: QuerySet[Mailbox], now: datetime, *, by: str) -> int:
    """Switch mailboxes on (or resume them): due at once, the promise owed from now on; return how many changed."""
    waits = Q(state__in=WAITS_FOR_PERSON)
    changing = mailboxes.exclude(intent=Intent.ON).order_by()
    ids = list(changing.values_list("pk", flat=True))
    changed = Mailbox.objects.filter(pk__in=ids)
    count = changed.update(intent=Intent.ON, paused_until=None, changed_by=by, due_at=now, not_before=None)
    changed.exclude(waits).update(measured_from=now)
    return count


def pause(mailboxes: QuerySet[Mailbox], now: datetime, *, by: str, until: datetime | None = None) -> int:
    """Pause mailboxes that are on, until a time or until somebody resumes them; return how many changed."""
    return _leave(mailboxes.filter(intent=Intent.ON), Intent.PAUSED, now, by=by, until=until)


def turn_off(mailboxes: QuerySet[Mailbox], now: datetime, *, by: str) -> int:
    """Switch mailboxes off; what was tracked stays; return how many changed."""
    return _leave(mailboxes.exclude(intent=Intent.OFF), Intent.OFF, now, by=by)


def _leave(
    mailboxes: QuerySet[Mailbox], intent: Intent, now: datetime, *, by: str, until: datetime | None = None
) -> int:
    leaving = Mailbox.objects.filter(pk__in=list(mailboxes.order_by().values_list("pk", flat=True)))
    promise.stop_owing(leaving, now)
    return leaving.update(intent=intent, paused_until=until, changed_by=by)


def want_full_pass(mailboxes: QuerySet[Mailbox], now: datetime, *, at_once: bool = True) -> int:
    """Have everything looked at by the next run, which is due now or, if not `at_once`, when it would have been.

    One that is under way has begun without knowing why: when it ends, the wish still stands (`mailboxes.runs`).
    """
    due: dict[str, datetime] = {"due_at": now} if at_once else {}
    return mailboxes.update(full_pass_at=None, full_pass_asked_at=now, **due)


def make_due(mailboxes: QuerySet[Mailbox], now: datetime) -> int:
    """Have the next run of mailboxes that are on begin at once; one that is overdue stays as overdue as it is."""
    return mailboxes.filter(intent=Intent.ON).update(due_at=Least("due_at", now))


def resume_expired(now: datetime) -> int:
    """Switch on again what was paused until a time that has come; return how many."""
    expired = Mailbox.objects.filter(intent=Intent.PAUSED, paused_until__lte=now)
    return expired.update(intent=Intent.ON, paused_until=None, due_at=now, measured_from=now)


def mailbox_repaired(mailbox: Mailbox, now: datetime) -> None:
    """A person has acted on what stopped the mailbox: try at once, owe the promise from now on, forget the failures."""
    row = Mailbox.objects.filter(pk=mailbox.pk)
    row.update(due_at=now, not_before=None, failures=0)
    row.filter(state__in=WAITS_FOR_PERSON).update(
        state=_ready(mailbox), state_since=now, issue_code="", issue_detail=""
    )
    row.filter(intent=Intent.ON).update(measured_from=now)
    alerts.resolve_mailbox(mailbox.pk, now)


def _ready(mailbox: Mailbox) -> State:
    return State.IDLE if mailbox.first_sync_done else State.FIRST_SYNC


def stop_server(server: ServerProfile, error: ProviderError, now: datetime) -> None:
    """Stop every mailbox that signs in with the server's credential, until a person acts (design §6)."""
    first = ServerProfile.objects.filter(pk=server.pk, stopped_at=None).update(
        stopped_code=error.code, stopped_detail=error.detail, stopped_at=now
    )
    if not first:
        return
    server.stopped_code, server.stopped_detail, server.stopped_at = error.code, error.detail, now
    behind = Mailbox.objects.filter(server=server, username="", intent=Intent.ON)
    promise.stop_owing(behind, now)
    behind.exclude(state=State.BRAKED).update(
        state=State.SIGN_IN_FAILED, state_since=now, issue_code=error.code, issue_detail=error.detail
    )


def server_repaired(server: ServerProfile, now: datetime) -> None:
    """A person has acted on what stopped or failed the server: its mailboxes are due at once, the promise owed anew."""
    if server.stopped_at is not None:
        # Nothing could be done for mailboxes that were switched on since it stopped, and nothing is owed for that time.
        since = Mailbox.objects.filter(server=server, username="", measured_from__gte=server.stopped_at)
        since.update(measured_from=now)
    ServerProfile.objects.filter(pk=server.pk).update(
        stopped_code="", stopped_detail="", stopped_at=None, not_before=None, failures=0
    )
    server.stopped_code, server.stopped_detail, server.stopped_at = "", "", None
    server.not_before, server.failures = None, 0
    behind = Mailbox.objects.filter(server=server, username="", state=State.SIGN_IN_FAILED)
    behind.filter(intent=Intent.ON).update(measured_from=now)
    for done, state in ((True, State.IDLE), (False, State.FIRST_SYNC)):
        behind.filter(first_sync_done=done).update(
            state=state, state_since=now, issue_code="", issue_detail="", due_at=now, not_before=None, failures=0
        )
    alerts.resolve_server(server.pk, now)


def show_waiting(server: ServerProfile, state: State, error: ProviderError, now: datetime) -> None:
    """Show on every mailbox of the server that is not at work what holds it back. Each shows better when it has run.

    Rows that somebody is writing at this moment are left to him.
    """
    shown = (
        Mailbox.objects.filter(server=server, intent=Intent.ON)
        .exclude(state__in=[*WAITS_FOR_PERSON, State.RUNNING, State.NEVER_TESTED, State.TESTING, state])
        .order_by("pk")
        .select_for_update(skip_locked=True, no_key=True)
    )
    with transaction.atomic():
        Mailbox.objects.filter(pk__in=shown.values("pk")).update(
            state=state, state_since=now, issue_code=error.code, issue_detail=error.detail
        )


def is_on(mailbox_id: int) -> bool:
    """Return whether the mailbox is to be synced, as of now: asked between the pages of a run."""
    return Mailbox.objects.filter(pk=mailbox_id, intent=Intent.ON).exists()
