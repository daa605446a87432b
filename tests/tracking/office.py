"""An office to test the engine in: people with mailboxes on a mail system in memory, and runs done by hand."""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

from mailboxes.models import Mailbox, Run, ServerProfile, SyncProfile
from mailboxes.provider.memory import MemoryServer
from mailboxes.report import RunReport
from mailboxes.states import Intent, Outcome, Track
from security.models import User
from tracking.engine.pipeline import sync

_numbers = count(1)


@dataclass
class Office:
    """Mailboxes of one server; `now` moves by a minute with every run."""

    server: MemoryServer = field(default_factory=MemoryServer)
    now: datetime = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)

    def __post_init__(self) -> None:
        number = next(_numbers)
        self.row = ServerProfile.objects.create(name=f"office {number}", url="https://mail.example/EWS", auth="basic")
        self.profile = SyncProfile.objects.create(name=f"office {number}", track=Track.REPLIES)

    def mailbox(self, name: str, track: str = Track.ALL, **fields: Any) -> Mailbox:
        """Add a person called `name` with a mailbox at office.example."""
        user, _created = User.objects.get_or_create(username=name, defaults={"is_superuser": True})
        self.server.add_mailbox(f"{name}@office.example")
        return Mailbox.objects.create(
            address=f"{name}@office.example",
            server=self.row,
            owner=user,
            sync_profile=self.profile,
            track=track,
            intent=Intent.ON,
            **fields,
        )

    def begin(self, mailbox: Mailbox) -> Run:
        """Take the mailbox's lease."""
        self.now += timedelta(minutes=1)
        return Run.objects.create(mailbox=mailbox, claimed_at=self.now, started_at=self.now, heartbeat_at=self.now)

    def end(self, run: Run) -> None:
        """Give the lease back."""
        Run.objects.filter(pk=run.pk).update(finished_at=self.now, outcome=Outcome.DONE)

    def sync(self, mailbox: Mailbox, *, full: bool = True, yield_after_s: float | None = None) -> RunReport:
        """Do one run and settle nothing but its lease; what is raised is raised after the lease is back."""
        run = self.begin(mailbox)
        run.mailbox = Mailbox.objects.select_related("server", "sync_profile", "owner").get(pk=mailbox.pk)
        run.full_pass = full
        if not full:
            run.mailbox.full_pass_at = self.now
        try:
            return sync(
                run,
                self.server.provider(mailbox.address),
                clock=lambda: self.now,
                yield_after_s=yield_after_s,
                beat=lambda: None,
            )
        finally:
            self.end(run)
