"""What one run did: handed from the engine (which works) to `mailboxes.runs` (which settles the mailbox with it)."""

from collections import Counter
from dataclasses import dataclass, field
from typing import Final

from mailboxes.provider.errors import ProviderError

# What mail is called among the kinds of `RunReport.written`; the others are those of `EntryKind`.
MAIL: Final = "mail"


@dataclass(slots=True)
class RunReport:
    """Counts of one run. `examined` = `tracked` + `updated` + all of `refused` + `quarantined`, each item once.

    `arrived` counts messages that are new in the mailbox, whatever was decided: the schedule's measure of activity.
    `more` says that the run stopped before the end of what is there. `error` is what ended the run, if anything did;
    an error of one folder only is in `folder_errors` (folder id → error) and ends nothing.
    """

    requests: int = 0
    tracked: int = 0
    updated: int = 0
    refused: Counter[str] = field(default_factory=Counter)
    quarantined: int = 0
    # What was written into the mailbox, by kind: entries made or changed, mail sent, drafts of mail taken away again.
    written: Counter[str] = field(default_factory=Counter)
    arrived: int = 0
    more: bool = False
    full_pass: bool = False
    reached_server: bool = False
    error: ProviderError | None = None
    folder_errors: dict[int, ProviderError] = field(default_factory=dict)

    @property
    def examined(self) -> int:
        """Return how many items a decision was taken for."""
        return self.tracked + self.updated + self.refused.total() + self.quarantined

    def add(self, part: "RunReport") -> None:
        """Add what a later part of the same run did; requests are counted by the provider since the run's start."""
        self.requests = part.requests
        for name in ("tracked", "updated", "quarantined", "arrived"):
            setattr(self, name, getattr(self, name) + getattr(part, name))
        self.refused.update(part.refused)
        self.written.update(part.written)
        self.more, self.error = part.more, part.error
        self.full_pass = self.full_pass or part.full_pass
        self.reached_server = self.reached_server or part.reached_server
        self.folder_errors.update(part.folder_errors)

    @property
    def idle(self) -> bool:
        """Return whether nothing was found to do."""
        return (
            not self.examined
            and not self.written.total()
            and not self.more
            and self.error is None
            and not self.folder_errors
        )
