"""Tending the canaries: once a minute look how far their items have come, help them on, and say so when one is late.

The idea: everything that happens is told by the rows of the path itself, so a minute more or less between two looks does
not change what is measured. What has to be done at the mail server is done under the mailbox's lease, beside its schedule;
while a run has it, the next minute does.
"""

from collections.abc import Callable
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Final

from django.db import transaction
from django.db.models import Q, QuerySet
from django.utils import timezone
from redis import RedisError

from mailboxes import alerts
from mailboxes.alerts import Place
from mailboxes.claims import AlreadyRunning
from mailboxes.models import Mailbox, Run, SyncProfile
from mailboxes.promise import bound_seconds
from mailboxes.provider.errors import ProviderError
from mailboxes.provider.writing import WholeProvider
from mailboxes.report import RunReport
from mailboxes.states import WAITS_FOR_PERSON, Intent, Track
from tracking.canary import planting
from tracking.engine.foreground import beside
from tracking.linked import channel
from tracking.models import Canary, CanaryRound

PROFILE: Final = "Canary"
LATE: Final = "canary_late"
# A part of the way may take two runs (one that just missed it, one that does it) and this.
_GRACE: Final = timedelta(minutes=3)
# Then it is given up and cleaned away, so that the next round can tell whether all is well again.
_GIVE_UP: Final = timedelta(hours=3)
# Rounds are kept as long as what else is measured (tracking.workers.housekeeping).
KEPT: Final = timedelta(days=14)

Clock = Callable[[], datetime]


def appoint(mailbox: Mailbox, *, every_minutes: int, by: str, now: datetime) -> Canary:
    """Make a mailbox a canary: all channels on, a sync profile that tracks everything. It must serve nothing else."""
    profile, _made = SyncProfile.objects.get_or_create(
        name=PROFILE, defaults={"track": Track.ALL, "exclude_internal": False, "exclude_automated": False}
    )
    Mailbox.objects.filter(pk=mailbox.pk).update(
        sync_profile=profile, track="", incoming=True, outgoing=True, changed_by=by
    )
    mailbox.refresh_from_db()
    channel.switch(mailbox, on=True, by=by, now=now)
    values = {"every_minutes": every_minutes, "active": True, "set_by": by}
    canary, _made = Canary.objects.update_or_create(mailbox=mailbox, defaults=values)
    return canary


def dismiss(canary: Canary, now: datetime) -> None:
    """Plant nothing more; what is under way is given up and cleaned away by the next look. The mailbox stays as it is."""
    canary.active = False
    canary.save(update_fields=["active"])
    canary.rounds.filter(ended_at=None).update(ended_at=now, lost=True)
    alerts.resolve_one(LATE, Place(mailbox_id=canary.mailbox_id), now)


def to_tend() -> QuerySet[Canary]:
    """Return the canaries that need looking after."""
    return Canary.objects.filter(Q(active=True) | Q(rounds__cleaned_at=None, rounds__isnull=False)).distinct()


def tend() -> None:
    """Look after every canary once (a job)."""
    found = to_tend().select_related("mailbox__owner", "mailbox__server", "mailbox__sync_profile").order_by("pk")
    # A secret that cannot be decrypted fails when it is used: then it is its own mailbox's trouble.
    for canary in found.defer("mailbox__secret", "mailbox__server__secret"):
        tend_one(canary, timezone.now)


def tend_one(canary: Canary, clock: Clock) -> None:
    """Look how far the canary's items are, change or clean away what is due, plant the next round, raise or end the alert."""
    now, mailbox = clock(), canary.mailbox
    for row in canary.rounds.filter(ended_at=None):
        planting.look(row, mailbox)
        if row.in_at is not None:
            row.ended_at = now
        elif now - row.planted_at > _GIVE_UP:
            row.ended_at, row.lost = now, True
        # What another look does meanwhile, at the mail server, is not taken back.
        row.save(update_fields=["out_at", "in_at", "ended_at", "lost"])
    if _may_be_asked(mailbox, now):
        _do_what_is_due(canary, clock)
    if canary.active and mailbox.intent == Intent.ON:
        # What is planted is in its rows by then, whether or not the queue is there to begin a run at once.
        with suppress(RedisError):
            _plant(canary, now)
        _tell(canary, now)


def _may_be_asked(mailbox: Mailbox, now: datetime) -> bool:
    """Tell whether a run of the mailbox would ask its server: what is switched off or refused is left alone here, too."""
    server = mailbox.server
    held = any(at is not None and at > now for at in (mailbox.not_before, server.not_before))
    stopped = server.stopped_at is not None and not mailbox.username
    return mailbox.intent == Intent.ON and mailbox.state not in WAITS_FOR_PERSON and not held and not stopped


def _plant(canary: Canary, now: datetime) -> None:
    """Plant the next round when its time has come and the last one is over. Items and rows are made together, or not."""
    with transaction.atomic():
        # Two looks at once: the second waits here, and then finds what the first has planted.
        Canary.objects.select_for_update().get(pk=canary.pk)
        latest = canary.rounds.order_by("-planted_at").values_list("planted_at", flat=True).first()
        if latest is not None and (
            now - latest < timedelta(minutes=canary.every_minutes) or canary.rounds.filter(ended_at=None).exists()
        ):
            return
        for kind in CanaryRound.Kind:
            mark, object_id = planting.plant(canary.mailbox, kind, now)
            CanaryRound.objects.create(canary=canary, kind=kind, mark=mark, object_id=object_id, planted_at=now)


def _do_what_is_due(canary: Canary, clock: Clock) -> None:
    """Do at the mail server what there is to do, if there is any and the mailbox is free."""
    entries = planting.ENTRIES
    to_change = list(canary.rounds.filter(ended_at=None, out_at__isnull=False, changed_at=None, kind__in=entries))
    to_clean = list(canary.rounds.filter(ended_at__isnull=False, cleaned_at=None))
    late = list(planting.latecomers(canary))
    if not (to_change or to_clean or late):
        return

    def work(_run: Run, provider: WholeProvider, beat: Callable[[], None]) -> RunReport:
        try:
            for row in to_change:
                beat()
                if planting.change(row, canary.mailbox, provider):
                    row.changed_at = clock()
                    row.save(update_fields=["changed_at"])
            for row in to_clean:
                beat()
                planting.clean(row, canary.mailbox, provider)
                row.cleaned_at = clock()
                row.save(update_fields=["cleaned_at"])
            for mail in late:
                beat()
                planting.take_away(mail, canary.mailbox, provider)
        except ProviderError as error:
            return RunReport(error=error, requests=provider.requests, reached_server=provider.requests > 0)
        return RunReport(requests=provider.requests, reached_server=True)

    try:
        beside(canary.mailbox, work, clock=clock, wait_s=0)
    except AlreadyRunning:
        return


def _tell(canary: Canary, now: datetime) -> None:
    """Raise the alert for what is late; end it once the last round of each kind has come back."""
    patience = timedelta(seconds=2 * bound_seconds(canary.mailbox.sync_profile)) + _GRACE
    late = sorted(
        row.get_kind_display() for row in canary.rounds.filter(ended_at=None) if now - waiting_since(row) > patience
    )
    lost = [
        last.get_kind_display()
        for kind in CanaryRound.Kind
        if (last := canary.rounds.filter(kind=kind, ended_at__isnull=False).order_by("-planted_at").first())
        and last.lost
    ]
    place = Place(mailbox_id=canary.mailbox_id)
    if late or lost:
        alerts.raise_alert(LATE, place, ", ".join(str(kind) for kind in dict.fromkeys([*late, *lost])), now)
    else:
        alerts.resolve_one(LATE, place, now)


def waiting_since(row: CanaryRound) -> datetime:
    """Return since when the round has waited for what comes next."""
    return row.changed_at or row.out_at or row.planted_at
