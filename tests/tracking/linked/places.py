"""A mailbox on a real mail system of either sort, in memory or a sandbox Exchange over EWS, with records beside it.

`Desk` knows the system in memory and its clock; what must hold over the protocol too is tested here.
"""

from datetime import UTC, datetime
from typing import Any

from mailboxes.models import Folder, Mailbox, Run, ServerProfile, SyncProfile
from mailboxes.provider.entries import Entry, EntryKind, Field, Value
from mailboxes.sandbox.xmltext import boolean, raw_leaf
from security.models import User
from tests.mailboxes.provider.worlds import ANA, EwsWorld, MemoryWorld, World
from tests.tracking.linked.desk import HOMES
from tracking.engine.filter_queries import MODELS
from tracking.linked.compare import CATEGORY, Count
from tracking.linked.session import Session
from tracking.models import ItemDecision, ItemLink, SyncFilter


class Place:
    """Ana's mailbox and her records of one kind; what is hers flows."""

    def __init__(self, world: World, kind: EntryKind) -> None:
        self.world, self.kind, self.provider = world, kind, world.provider()
        self.owner = User.objects.create_user("ana")
        server = ServerProfile.objects.create(name="place", url="https://mail.example/EWS", auth="basic")
        self.profile = SyncProfile.objects.create(name="place")
        self.mailbox = Mailbox.objects.create(
            address=ANA, server=server, owner=self.owner, sync_profile=self.profile, entries=True
        )
        for info in self.provider.well_known_folders():
            Folder.objects.create(
                mailbox=self.mailbox, provider_id=info.id, name=info.name, role=info.role,
                followed=info.role not in HOMES.values(), in_step=info.role in HOMES.values(),
            )  # fmt: skip
        self.folder = Folder.objects.get(mailbox=self.mailbox, role=HOMES[kind])
        mine = {"any": False, "parts": [{"column": "owner", "operator": "is_me"}]}
        SyncFilter.objects.create(scope="owner", mailbox=self.mailbox, kind=kind, name="mine", conditions=mine)

    def record(self, **fields: Any) -> Any:
        """Make a record of Ana's."""
        return MODELS[self.kind]._default_manager.create(owner=self.owner, **fields)

    def set_profile(self, **settings: Any) -> None:
        """Change what the sync profile says."""
        SyncProfile.objects.filter(pk=self.profile.pk).update(**settings)

    def sync(self, *, full: bool = False) -> Count:
        """Do one run; nobody is told of anything."""
        now = datetime.now(UTC)
        run = Run.objects.create(mailbox=self.mailbox, claimed_at=now, started_at=now, heartbeat_at=now)
        run.mailbox = Mailbox.objects.select_related("server", "sync_profile", "owner").get(pk=self.mailbox.pk)
        self.folder.refresh_from_db()
        session = Session(
            run, self.provider, self.kind, clock=lambda: datetime.now(UTC), beat=lambda: None, stored=lambda _: None
        )
        try:
            assert not session.sync(self.folder, changed=True, full=full, pause=lambda: False)
        finally:
            Run.objects.filter(pk=run.pk).update(finished_at=now, outcome="done")
        assert self.world.notices() == 0
        return session.count

    def put(self, values: dict[Field, Value], *, marked: bool = True) -> str:
        """Have Ana make an entry, with the category for tracking or without; return its id."""
        made = self.provider.create_entry(self.folder.provider_id, self.kind, values, stamp="")
        if marked:
            made = self.provider.set_categories(made.item_id, made.change_key, self.kind, [CATEGORY])
        return made.item_id

    def change(self, values: dict[Field, Value]) -> None:
        """Have Ana change the one linked entry."""
        marks = self.entry().marks
        self.provider.update_entry(marks.item_id, marks.change_key, self.kind, values)

    def entry(self) -> Entry:
        """Return the one linked entry."""
        (found,) = self.provider.entries([ItemLink.objects.get().item_id])
        assert isinstance(found, Entry)
        return found

    def reasons(self) -> dict[str, str]:
        """Return why each item in the folder is treated as it is."""
        return dict(ItemDecision.objects.filter(folder=self.folder).values_list("item_id", "reason"))


def put_list(world: World) -> str:
    """Have Ana make a distribution list among her contacts, with the category for tracking; return its id."""
    if isinstance(world, MemoryWorld):
        return world.server.deliver(ANA, "contacts", item_class="IPM.DistList", categories=(CATEGORY,))
    assert isinstance(world, EwsWorld)
    return world.store.add_list(ANA, "Buyers", ["kim@c.example"], categories=[CATEGORY])


def assign(world: World, item_id: str, state: str) -> None:
    """Have a task given to somebody, or taken back (`NoMatch`); the states are those of the protocol."""
    if isinstance(world, MemoryWorld):
        world.server.change_entry(item_id, {}, assigned=state != "NoMatch")
        return
    assert isinstance(world, EwsWorld)
    item = world.store.item(item_id)
    item.content.values["DelegationState"] = raw_leaf("DelegationState", state)
    world.store.touch(item)


def repeat(world: World, item_id: str, *, regenerating: bool = False, recurs: bool = True) -> None:
    """Have a task come every day, or (`regenerating`) so many days after it was done; or once again."""
    if isinstance(world, MemoryWorld):
        world.server.change_entry(item_id, {}, recurring=recurs)
        return
    assert isinstance(world, EwsWorld)
    item = world.store.item(item_id)
    name = "DailyRegeneration" if regenerating else "DailyRecurrence"
    pattern = f"<t:{name}><t:Interval>3</t:Interval></t:{name}>"
    ends = "<t:NoEndRecurrence><t:StartDate>2026-03-02</t:StartDate></t:NoEndRecurrence>"
    item.content.values["Recurrence"] = f"<t:Recurrence>{pattern}{ends}</t:Recurrence>" if recurs else ""
    item.content.values["IsRecurring"] = boolean("IsRecurring", recurs)
    world.store.touch(item)
