"""Lets the demo go on living: now and then a letter of its stories is written anew and arrives, as if today.

Only what the sandbox itself holds is delivered; nothing leaves it.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from email import message_from_bytes, policy
from email.utils import format_datetime
from typing import TYPE_CHECKING

from mailboxes.sandbox.demo.corpus import DemoMessage, messages

if TYPE_CHECKING:
    from types import TracebackType

    from mailboxes.sandbox.store import SandboxStore

# A demo that is left running does not grow for ever.
MOST = 500
_LARGEST = 100_000
_LOCAL_PART = re.compile(r"<([^<>@\s]+)@")


def again(now: datetime) -> Iterator[DemoMessage]:
    """Yield the ordinary letters of the corpus in the order they were sent, round after round, each with new ids.

    Within a round replies name the letters of that round, so that each round is threads of its own.
    """
    letters = [
        each
        for each in sorted(messages(now, huge=False), key=lambda each: each.received)
        if not each.oddity and len(each.raw) < _LARGEST and any(folder == "inbox" for _address, folder in each.holders)
    ]
    number = 0
    while letters:
        number += 1
        mark = f"{now:%y%m%d%H%M%S}.{number}"
        for letter in letters:
            yield DemoMessage(f"{letter.key}.{mark}", _rewritten(letter.raw, mark), letter.holders, letter.received)


def _rewritten(raw: bytes, mark: str) -> bytes:
    message = message_from_bytes(raw, policy=policy.compat32)
    for name in ("Message-ID", "In-Reply-To", "References"):
        if name in message:
            message.replace_header(name, _LOCAL_PART.sub(rf"<\1.{mark}@", str(message[name])))
    return message.as_bytes(policy=policy.compat32)


class Pulse:
    """Delivers one letter every `seconds` while the block lasts, `MOST` at the most."""

    def __init__(self, store: SandboxStore, seconds: float) -> None:
        self._store, self._seconds = store, seconds
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="pulse", daemon=True)

    def __enter__(self) -> Pulse:
        """Begin."""
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End; nothing is delivered afterwards."""
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        for number, letter in enumerate(again(datetime.now(UTC)), 1):
            if number > MOST or self._stop.wait(self._seconds):
                return
            deliver(self._store, letter, datetime.now(UTC))


def deliver(store: SandboxStore, letter: DemoMessage, now: datetime) -> None:
    """Put the letter, dated `now`, into the Inbox or Sent Items of everybody who holds it."""
    message = message_from_bytes(letter.raw, policy=policy.compat32)
    if "Date" in message:
        message.replace_header("Date", format_datetime(now))
    raw = message.as_bytes(policy=policy.compat32)
    for address, folder in letter.holders:
        sent = folder == "sentitems"
        if store.has_mailbox(address):
            store.deliver_mime(address, raw, folder=folder if sent else "inbox", received=now, is_read=sent)
