"""All messages of the demo, raw, with the folders that hold them; no server is needed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from mailboxes.sandbox.demo.broken import broken_mail
from mailboxes.sandbox.demo.cast import mailbox_addresses, people_by_key
from mailboxes.sandbox.demo.compose import compose
from mailboxes.sandbox.demo.machines import machine_mail
from mailboxes.sandbox.demo.rawmail import RawMail
from mailboxes.sandbox.demo.script import Letter, moment, read_stories


@dataclass(frozen=True, slots=True)
class DemoMessage:
    """One message: what travels, who holds it where, and when it arrived.

    `holders` are pairs of address and folder (a path as in `SandboxStore.folder`: "inbox",
    "sentitems", "inbox/Nordwerk"); `received` is UTC;
    `oddity` says what is deliberately wrong with `raw`, and is empty for ordinary mail.
    """

    key: str
    raw: bytes
    holders: tuple[tuple[str, str], ...]
    received: datetime
    oddity: str = ""


def messages(now: datetime, *, huge: bool = True) -> Iterator[DemoMessage]:
    """The whole corpus, story by story, as it stands at the aware time `now`.

    `huge=False` leaves out the one message of several megabytes, for tests that repeat.
    """
    letters = read_stories()
    for letter in letters.values():
        if huge or not any(spec.startswith("log ") for spec in letter.attach):
            yield _authored(letter, letters, now)
    for mail in (*machine_mail(), *broken_mail()):
        yield _as_message(mail, now)


def _authored(letter: Letter, letters: dict[str, Letter], now: datetime) -> DemoMessage:
    sent = moment(letter.when, people_by_key[letter.sender].zone, now)
    # One second on the way keeps Sent Items and Inbox in the order of real servers.
    received = min(sent + timedelta(seconds=1), now)
    return DemoMessage(letter.key, compose(letter, letters, now), tuple(_holders(letter)), received)


def _holders(letter: Letter) -> Iterator[tuple[str, str]]:
    folders = {letter.sender: "sentitems"}
    for key in (*letter.to, *letter.cc, *letter.bcc):
        folders.setdefault(key, "inbox")
    for key, folder in (folders | dict(letter.folders)).items():
        if people_by_key[key].address in mailbox_addresses:
            yield people_by_key[key].address, folder


def _as_message(mail: RawMail, now: datetime) -> DemoMessage:
    pairs = (holder.partition("=") for holder in mail.holders)
    holders = tuple((people_by_key[key].address, folder or "inbox") for key, _, folder in pairs)
    return DemoMessage(mail.key, mail.render(now), holders, mail.received(now), mail.oddity)
