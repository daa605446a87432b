"""An office that sends: one mailbox, a recipient's beside it, and runs that can die anywhere; over each of the adapters."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

from django.db import connection

from mailboxes.connection import open_provider
from mailboxes.models import Mailbox, Run
from mailboxes.provider.memory import MemoryServer
from mailboxes.provider.port import FolderRole
from mailboxes.report import RunReport
from mailboxes.sandbox.contents import text_of
from mailboxes.sandbox.server import SandboxServer
from mailboxes.states import Intent, Outcome, Track
from security.models import User
from tests.proofs.exchange import PASSWORD, Exchange
from tests.tracking.office import Office
from tracking.engine import pipeline
from tracking.models import Activity, Opportunity, OutgoingMail
from tracking.outgoing import decisions

ANNA, BEN = "anna@office.example", "ben@office.example"
_numbers = count(1)


class Killed(BaseException):
    """The worker's process is no more."""


@dataclass
class Death:
    """Strikes before the `nth` statement or at the `nth` edge of a request; never when `nth` is 0. `seen`: where they are."""

    nth: int = 0
    struck: str = ""
    seen: list[str] = field(default_factory=list)

    def edge(self, name: str) -> None:
        """Come to one more place at which a process can die."""
        if self.struck:
            return
        self.seen.append(name)
        if len(self.seen) == self.nth:
            self.struck = name
            raise Killed(name)

    def before_statement(self, execute: Callable[..., Any], sql: str, *rest: Any) -> Any:
        """Come to a statement; commits are statements, too."""
        self.edge(sql[:40])
        return execute(sql, *rest)


class Mortal:
    """A provider whose process can die before each request, and after the server has done it."""

    def __init__(self, inner: Any, edge: Callable[[str], None]) -> None:
        self._inner, self._edge = inner, edge

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._inner, name)
        if not callable(found):
            return found

        def call(*args: Any, **named: Any) -> Any:
            self._edge(f"before {name}")
            answer = found(*args, **named)
            self._edge(f"after {name}")
            return answer

        return call


class Post(ABC):
    """What tests do with outgoing mail, whatever the mail system."""

    anna: Mailbox
    now = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)

    @abstractmethod
    def provider(self) -> Any:
        """Return a provider for Anna's mailbox."""

    @abstractmethod
    def arrived(self) -> list[str]:
        """Return the subjects of the mail in Ben's mailbox."""

    @abstractmethod
    def drafts(self) -> list[str]:
        """Return the subjects of what lies in Anna's Drafts."""

    @abstractmethod
    def in_sent_items(self) -> list[str]:
        """Return the subjects of what lies in Anna's Sent Items."""

    @property
    def author(self) -> User:
        return self.anna.owner

    def draft(self, subject: str = "", **fields: Any) -> OutgoingMail:
        """Write a mail to Ben."""
        values: dict[str, Any] = {
            "to": [{"email": BEN, "name": "Ben"}], "text": "Good day", "mailbox": self.anna, "author": self.author,
            "state_since": self.now, "created_at": self.now,
        }  # fmt: skip
        return OutgoingMail.objects.create(subject=subject or f"Offer {next(_numbers)}", **(values | fields))

    def write(self, subject: str = "", **fields: Any) -> OutgoingMail:
        """Write a mail to Ben and press Send; the row waits for a run."""
        mail = self.draft(subject, **fields)
        decisions.send(mail, by=self.author, now=self.now)
        mail.refresh_from_db()
        return mail

    @contextmanager
    def lease(self) -> Iterator[Run]:
        """Have the mailbox's lease."""
        self.now += timedelta(minutes=1)
        # The run that was to begin at once waits in the queue, where nobody fetches it: tests do theirs by hand.
        Run.objects.filter(mailbox=self.anna, finished_at=None).delete()
        run = Run.objects.create(mailbox=self.anna, claimed_at=self.now, started_at=self.now, heartbeat_at=self.now)
        run.mailbox = Mailbox.objects.select_related("server", "sync_profile", "owner").get(pk=self.anna.pk)
        try:
            yield run
        finally:
            Run.objects.filter(pk=run.pk).update(finished_at=self.now, outcome=Outcome.DONE)

    def run(self, death: Death | None = None, *, full: bool = False) -> RunReport | None:
        """Do one run; None when it died."""
        death = death or Death()
        with self.lease() as run:
            run.mailbox.full_pass_at = None if full or not run.mailbox.folders.exists() else self.now
            provider: Any = Mortal(self.provider(), death.edge)
            try:
                with connection.execute_wrapper(death.before_statement):
                    return pipeline.sync(run, provider, clock=lambda: self.now, yield_after_s=None, beat=lambda: None)
            except Killed:
                return None

    def settle(self, runs: int = 3) -> None:
        """Let some time pass in which nothing goes wrong."""
        for _each in range(runs):
            report = self.run()
            assert report is not None
            assert report.error is None, report.error


@dataclass
class MemoryPost(Post):
    """Over the mail system in memory."""

    office: Office = field(default_factory=Office)

    def __post_init__(self) -> None:
        self.server: MemoryServer = self.office.server
        self.anna = self.office.mailbox("anna", Track.NONE, outgoing=True)
        self.server.add_mailbox(BEN)

    def provider(self) -> Any:
        return self.server.provider(ANNA)

    def _subjects(self, address: str, role: FolderRole) -> list[str]:
        return [self.server.mail(each).subject for each in self.server.item_ids(address, role)]

    def arrived(self) -> list[str]:
        return self._subjects(BEN, FolderRole.INBOX)

    def drafts(self) -> list[str]:
        return self._subjects(ANNA, FolderRole.DRAFTS)

    def in_sent_items(self) -> list[str]:
        return self._subjects(ANNA, FolderRole.SENT)


@dataclass
class EwsPost(Post):
    """Over the sandbox Exchange, by EWS."""

    sandbox: SandboxServer

    def __post_init__(self) -> None:
        self.store = self.sandbox.store
        self.store.add_mailbox(BEN, PASSWORD)
        self.anna = Exchange(self.store, self.sandbox.url).mailbox(ANNA, Track.NONE, outgoing=True)

    def provider(self) -> Any:
        return open_provider(Mailbox.objects.select_related("server").get(pk=self.anna.pk))

    def _subjects(self, address: str, folder: str) -> list[str]:
        return [text_of(each.content, "Subject") for each in self.store.folder(address, folder).items.values()]

    def arrived(self) -> list[str]:
        return self._subjects(BEN, "inbox")

    def drafts(self) -> list[str]:
        return self._subjects(ANNA, "drafts")

    def in_sent_items(self) -> list[str]:
        return self._subjects(ANNA, "sentitems")


def deal() -> Opportunity:
    """Return a record to write about."""
    return Opportunity.objects.get_or_create(name="12 pumps")[0]


def assert_one(post: Post, mail: OutgoingMail) -> None:
    """Assert that the mail was sent once, arrived once, and is tracked once, about what its author said."""
    mail.refresh_from_db()
    assert mail.state == "sent", (mail.state, mail.error_code, mail.error_detail)
    assert post.arrived().count(mail.subject) == 1
    assert post.in_sent_items().count(mail.subject) == 1
    assert mail.subject not in post.drafts()
    activity = Activity.objects.get(message_id=mail.message_id)
    assert mail.activity == activity
    assert (activity.direction, activity.subject) == ("outgoing", mail.subject)
    if mail.regarding_kind:
        assert (activity.regarding_kind, activity.regarding_id) == (mail.regarding_kind, mail.regarding_id)
    assert activity.holders.filter(mailbox=post.anna, removed_at=None).count() == 1
    assert (mail.text, mail.html, mail.try_at, mail.files.count()) == ("", "", None, 0)


def is_on(mailbox: Mailbox, *, intent: str = Intent.ON, **channels: bool) -> None:
    """Switch a mailbox and its channels as told."""
    Mailbox.objects.filter(pk=mailbox.pk).update(intent=intent, **channels)
    mailbox.refresh_from_db()
