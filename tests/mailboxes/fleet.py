"""Mailboxes by the dozen on servers that exist by name only: a stage for the schedule, which meets no mail at all."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

from mailboxes import claims, runs
from mailboxes.models import Mailbox, Run, ServerProfile, SyncProfile
from mailboxes.provider.errors import ProviderError
from mailboxes.report import RunReport
from mailboxes.states import Auth, Intent, State, Trigger
from security.models import User

NOON = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
_numbers = count(1)


@dataclass
class Fleet:
    """Servers and mailboxes, a clock, and runs done in no time."""

    now: datetime = NOON
    profile: SyncProfile = field(default_factory=lambda: SyncProfile.objects.create(name=f"fleet {next(_numbers)}"))
    owner: User = field(default_factory=lambda: User.objects.create(username=f"owner {next(_numbers)}"))

    def server(self, **fields: Any) -> ServerProfile:
        """Add a mail server."""
        name = fields.pop("name", f"server {next(_numbers)}")
        return ServerProfile.objects.create(name=name, url="https://mail.example/EWS", auth=Auth.BASIC, **fields)

    def mailboxes(self, server: ServerProfile, n: int, **fields: Any) -> list[Mailbox]:
        """Add `n` mailboxes that have been synced before and are due now."""
        values = {
            "intent": Intent.ON,
            "state": State.IDLE,
            "first_sync_done": True,
            "due_at": self.now,
            "measured_from": self.now - timedelta(minutes=5),
            **fields,
        }
        return Mailbox.objects.bulk_create(
            Mailbox(
                address=f"box{next(_numbers)}@office.example",
                server=server,
                owner=self.owner,
                sync_profile=self.profile,
                **values,
            )
            for _ in range(n)
        )

    def mailbox(self, server: ServerProfile, **fields: Any) -> Mailbox:
        """Add one mailbox that is due now."""
        return self.mailboxes(server, 1, **fields)[0]

    def later(self, **delta: float) -> datetime:
        """Move the clock."""
        self.now += timedelta(**delta)
        return self.now

    def claim(self, limit: int = 500, batch: int = 25, lead: float = 15) -> list[claims.Claim]:
        """Claim what is due now."""
        return claims.claim_due(self.now, limit=limit, batch=batch, lead=lead)

    def begin(self, run_ids: Iterable[int], worker: str = "worker-a") -> list[Run]:
        """Have a worker begin runs, as a job does."""
        begun = runs.begin_batch(list(run_ids), worker, self.now)
        servers = ServerProfile.objects.in_bulk()
        for run in begun:
            run.started_at = self.now
            run.mailbox.server = servers[run.mailbox.server_id]
        return begun

    def run_all(self, report: RunReport | None = None, **claim: Any) -> list[int]:
        """Claim, begin and settle everything that is due; return the ids of the mailboxes."""
        done = []
        for one in self.claim(**claim):
            begun = self.begin(one.run_ids)
            runs.settle_many([runs.Done(run, report or idle(), self.now) for run in begun])
            done += [run.mailbox_id for run in begun]
        return done

    def run(self, mailbox: Mailbox, report: RunReport | None = None) -> Mailbox:
        """Do one run of one mailbox, due or not; return the mailbox as it is then."""
        run = claims.claim_one(mailbox, Trigger.SCHEDULE, claims.SYNC, self.now)
        (begun,) = self.begin([run.pk])
        runs.settle(begun, report or idle(), self.now)
        return Mailbox.objects.select_related("server", "sync_profile").get(pk=mailbox.pk)


def idle(**fields: Any) -> RunReport:
    """The report of a run that reached its server and found nothing."""
    return RunReport(requests=1, reached_server=True, **fields)


def failed(error: ProviderError, *, reached: bool = False) -> RunReport:
    """The report of a run that `error` ended."""
    return RunReport(requests=1, reached_server=reached, error=error)
