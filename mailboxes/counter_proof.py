"""Which changes move a server's change counters: proven on drafts of our own, which are gone afterwards (design §5).

The idea: what a server documents and what it does are two things, and a run that trusts its counters reads nothing when
they stand still. So each kind of change is made once and looked for; what does not show is left to the full pass.
"""

from collections.abc import Callable
from contextlib import suppress
from typing import Protocol

from mailboxes.provider.errors import ProviderError
from mailboxes.provider.port import DraftProbe, MailProvider

# Counters carry whole seconds: a second change within one is seen only after this long.
COUNTER_SECONDS = 1.1
DRAFT_SUBJECT = "crmsync: test draft, may be deleted"


class Provable(MailProvider, DraftProbe, Protocol):
    """A provider that can also write drafts."""


def prove(provider: Provable, drafts_id: str, pause: Callable[[float], None]) -> dict[str, bool]:
    """Return whether creating, changing and deleting an item moves the counters of the folder for drafts.

    `pause` waits some seconds. Raises `ProviderError` when a draft cannot be made or read; tries to leave none behind.
    """
    proof = _Proof(provider, drafts_id, pause)
    try:
        return {
            "create": proof.moves(proof.create),
            "change": proof.moves(proof.change),
            "delete": proof.moves(proof.delete),
        }
    finally:
        proof.clean_up()


class _Proof:
    def __init__(self, provider: Provable, drafts_id: str, pause: Callable[[float], None]) -> None:
        self._provider = provider
        self._drafts_id = drafts_id
        self._pause = pause
        self._made: list[str] = []

    def create(self) -> None:
        self._made.append(self._provider.create_draft(DRAFT_SUBJECT))

    def change(self) -> None:
        self._made[-1] = self._provider.touch_draft(self._made[-1])

    def delete(self) -> None:
        self._provider.delete_draft(self._made[-1])
        self._made.pop()

    def clean_up(self) -> None:
        while self._made:
            with suppress(ProviderError):
                self._provider.delete_draft(self._made.pop())

    def moves(self, action: Callable[[], None]) -> bool:
        """Return whether `action` shows; tried again when the second is over, so that nothing else hides it."""
        before = self._look()
        action()
        if self._look() != before:
            return True
        if not self._made:
            self.create()
        before = self._look()
        self._pause(COUNTER_SECONDS)
        action()
        return self._look() != before

    def _look(self) -> str | None:
        return self._provider.counters([self._drafts_id]).get(self._drafts_id)
