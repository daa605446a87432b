"""What the repair page shows: each followed folder with the last comparison of both sides."""

from dataclasses import dataclass

from mailboxes.models import Folder, Mailbox
from security.access import Person, visible
from tracking.models import Reconciliation
from tracking.repair.reconcile import compared_folders


@dataclass(frozen=True, slots=True)
class ComparedFolder:
    """A folder that is read and its last finished comparison; None while there is none."""

    folder: Folder
    last: Reconciliation | None

    @property
    def tone(self) -> str:
        """Return how the comparison looks: bad when something is missing, warn when something is stale."""
        if self.last is None:
            return "off"
        return "bad" if self.last.missing else "warn" if self.last.stale else "ok"


def compared(person: Person, mailbox: Mailbox) -> list[ComparedFolder]:
    """Return the folders of a mailbox that are compared; two queries."""
    own = visible(person, Folder).filter(mailbox=mailbox)
    folders = compared_folders(own).defer("cursor").order_by("-followed", "role", "name")
    rows = (
        visible(person, Reconciliation)
        .filter(mailbox=mailbox, finished_at__isnull=False)
        .order_by("folder_id", "-night")
        .distinct("folder_id")
    )
    last = {row.folder_id: row for row in rows}
    return [ComparedFolder(folder, last.get(folder.pk)) for folder in folders]
