"""An Exchange to prove things on: a sandbox over real HTTP, mailboxes connected to it, syncs through the real path."""

from dataclasses import dataclass, field
from itertools import count
from typing import Any
from urllib.parse import urlsplit

from django.utils import timezone

from mailboxes.models import Folder, Mailbox, ServerProfile, SyncProfile
from mailboxes.report import RunReport
from mailboxes.sandbox.store import SandboxStore
from mailboxes.states import Auth, Intent, Track
from security import egress
from security.models import User
from tracking.engine.foreground import sync_now
from tracking.models import ItemDecision

_numbers = count(1)
PASSWORD = "proof"
SERVICE = "service@proof.example"


@dataclass
class Exchange:
    """Connects mailboxes of `store`, answered at `url`, to crmsync. `SERVICE` impersonates everybody."""

    store: SandboxStore
    url: str
    row: ServerProfile = field(init=False)

    def __post_init__(self) -> None:
        if not self.store.has_mailbox(SERVICE):
            self.store.add_mailbox(SERVICE, PASSWORD, impersonator=True)
        self.row = ServerProfile.objects.create(
            name=f"proof {next(_numbers)}",
            url=self.url,
            auth=Auth.BASIC,
            username=SERVICE,
            secret=PASSWORD,
            impersonate=True,
        )
        parts = urlsplit(self.url)
        egress.allow(egress.Endpoint(parts.scheme, parts.hostname or "", parts.port or 443), by="proof", private=True)

    def mailbox(self, address: str, track: str = Track.ALL, **fields: Any) -> Mailbox:
        """Connect a mailbox (made in the store unless it is there) that tracks as told and is switched on."""
        if not self.store.has_mailbox(address):
            self.store.add_mailbox(address, PASSWORD)
        owner, _made = User.objects.get_or_create(username="proof", defaults={"is_superuser": True})
        profile, _made = SyncProfile.objects.get_or_create(name="proof")
        return Mailbox.objects.create(
            address=address,
            server=self.row,
            owner=owner,
            sync_profile=profile,
            track=track,
            intent=Intent.ON,
            **fields,
        )

    def sync(self, mailbox: Mailbox, *, full: bool = True) -> RunReport:
        """Do one run as `sync_mailbox` does it, to the end of what is there; `full` reads every followed folder."""
        if full:
            Mailbox.objects.filter(pk=mailbox.pk).update(full_pass_at=None)
        fresh = Mailbox.objects.select_related("server", "sync_profile", "owner").get(pk=mailbox.pk)
        _run, report = sync_now(fresh, clock=timezone.now)
        return report

    def sync_patiently(self, mailbox: Mailbox) -> RunReport:
        """Like `sync`, and again when the server took too long to answer, as the schedule does; return the sums."""
        total = self.sync(mailbox)
        for _again in range(5):
            if total.error is None or total.error.code != "timed_out":
                break
            part = self.sync(mailbox)
            for name in ("requests", "tracked", "updated", "quarantined", "arrived"):
                setattr(total, name, getattr(total, name) + getattr(part, name))
            total.refused.update(part.refused)
            total.error, total.folder_errors = part.error, part.folder_errors
        return total


def item_ids(store: SandboxStore, address: str, folder: str = "inbox") -> list[str]:
    """Return the ids of a folder's items in the order in which they came."""
    return [item.id for item in store.folder(address, folder).items.values()]


def assert_complete(mailbox: Mailbox, present: set[str], report: RunReport) -> None:
    """Assert that a run into empty tables decided each item that is there once, and that its sums say the same."""
    assert report.error is None, report.error.code
    assert not report.folder_errors
    decisions = dict(ItemDecision.objects.filter(mailbox=mailbox).values_list("item_id", "outcome"))
    assert decisions.keys() == present
    assert report.examined == len(present)
    outcomes = list(decisions.values())
    assert report.tracked == outcomes.count("tracked")
    assert report.updated == outcomes.count("updated")
    assert report.refused.total() == outcomes.count("refused")
    assert report.quarantined == outcomes.count("quarantined")
    refused = ItemDecision.objects.filter(mailbox=mailbox, outcome="refused")
    assert not refused.filter(reason="").exists()
    for folder in Folder.objects.filter(mailbox=mailbox, followed=True):
        assert (folder.more, folder.attempts, folder.careful, folder.issue_code) == (False, 0, 0, "")
        assert folder.cursor
