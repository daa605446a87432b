"""A desk to test linked records at: one owner, a mailbox in memory, and runs done by hand at a time that is told."""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from mailboxes.models import Folder, Mailbox, Run
from mailboxes.provider.entries import Entry, EntryKind, Field, Value
from mailboxes.provider.memory import MemoryServer
from mailboxes.provider.port import FolderRole
from security.models import User
from tests.tracking.office import Office
from tracking.engine.filter_queries import MODELS
from tracking.linked.compare import Count
from tracking.linked.session import Session
from tracking.models import ItemDecision, ItemLink, SyncFilter

HOMES = {
    EntryKind.APPOINTMENT: FolderRole.CALENDAR,
    EntryKind.CONTACT: FolderRole.CONTACTS,
    EntryKind.TASK: FolderRole.TASKS,
}


def timed_office() -> Office:
    """Return an office whose mail system has the office's time."""
    office = Office(now=datetime(2026, 3, 2, 9, 0, tzinfo=UTC))
    office.server = MemoryServer(clock=lambda: office.now)
    return office


@dataclass
class Desk:
    """Somebody's mailbox and records of one kind. Their filter lets their own records through."""

    kind: EntryKind
    name: str = "anna"
    office: Office = field(default_factory=timed_office)

    def __post_init__(self) -> None:
        self.server = self.office.server
        self.owner, _made = User.objects.get_or_create(username=self.name)
        self.mailbox: Mailbox = self.office.mailbox(self.name)
        for info in self.server.provider(self.mailbox.address).well_known_folders():
            Folder.objects.create(
                mailbox=self.mailbox, provider_id=info.id, name=info.name, role=info.role, followed=True
            )
        self.folder = Folder.objects.get(mailbox=self.mailbox, role=HOMES[self.kind])
        self.filter = SyncFilter.objects.create(
            scope=SyncFilter.Scope.OWNER, mailbox=self.mailbox, kind=self.kind, name="mine",
            conditions={"any": False, "parts": [{"column": "owner", "operator": "is_me"}]},
        )  # fmt: skip

    @property
    def now(self) -> datetime:
        """Return what time it is at the office."""
        return self.office.now

    @now.setter
    def now(self, now: datetime) -> None:
        self.office.now = now

    def record(self, **fields: Any) -> Any:
        """Make a record of the owner's."""
        return MODELS[self.kind]._default_manager.create(**{"owner": self.owner, **fields})

    def entry(self, values: dict[Field, Value], **facts: Any) -> str:
        """Have the owner make an entry; return its id."""
        return self.server.put_entry(self.mailbox.address, HOMES[self.kind], self.kind, values, telling=False, **facts)

    def sync(self, *, full: bool = False, later: timedelta = timedelta(minutes=5)) -> Count:
        """Do one run, some minutes later; what is raised is raised after the lease is back."""
        self.now += later
        run = Run.objects.create(mailbox=self.mailbox, claimed_at=self.now, started_at=self.now, heartbeat_at=self.now)
        self.mailbox = run.mailbox = Mailbox.objects.select_related("server", "sync_profile", "owner").get(
            pk=self.mailbox.pk
        )
        self.folder.refresh_from_db()
        session = Session(
            run, self.server.provider(self.mailbox.address), self.kind,
            clock=lambda: self.now, beat=lambda: None, stored=lambda _stored: None,
        )  # fmt: skip
        try:
            assert not session.sync(self.folder, changed=True, full=full, pause=lambda: False)
        finally:
            Run.objects.filter(pk=run.pk).update(finished_at=self.now, outcome="done")
        # Whatever happens, nobody is told.
        assert self.server.notices == []
        assert self.server.sent == []
        return session.count

    def reasons(self) -> list[str]:
        """Return why what was decided on was."""
        return list(ItemDecision.objects.filter(folder=self.folder).values_list("reason", flat=True))

    def link(self) -> ItemLink:
        """Return the one link there is."""
        return ItemLink.objects.get(mailbox=self.mailbox)

    def there(self) -> list[Entry]:
        """Return the entries in the mailbox's folder of this kind."""
        ids = self.server.item_ids(self.mailbox.address, HOMES[self.kind])
        found = self.server.provider(self.mailbox.address).entries(ids)
        assert all(isinstance(entry, Entry) for entry in found)
        return [entry for entry in found if isinstance(entry, Entry)]
