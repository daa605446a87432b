"""Mail systems to hold the contract against: each with a way to make things happen in it, and a provider to look at it."""

import base64
from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email import message_from_bytes
from email.message import EmailMessage
from typing import Any

from lxml import etree

from mailboxes.provider.entries import EntryKind, Field, Marks
from mailboxes.provider.errors import Unavailable
from mailboxes.provider.ews.adapter import EwsProvider
from mailboxes.provider.ews.client import Client, SignIn, utc_now
from mailboxes.provider.ews.transport import Allowed, Reach
from mailboxes.provider.memory import File, MemoryProvider, MemoryServer
from mailboxes.provider.port import Address, AttachmentKind, FolderRole, ServerFacts
from mailboxes.sandbox.contents import text_of
from mailboxes.sandbox.ids import encode_occurrence_id
from mailboxes.sandbox.model import Attachment, Content
from mailboxes.sandbox.server import SandboxServer
from mailboxes.sandbox.store import SandboxStore
from mailboxes.sandbox.written import attach

ANA = "ana@example.com"
BEN = "ben@example.com"
SERVICE = "crmsync@example.com"
BOB = Address("bob@partner.example", "Bob Vila")
TO_ANA = Address(ANA, "Ana")
DISTINGUISHED = {"sent": "sentitems", "deleted": "deleteditems", "junk": "junkemail"}


@dataclass(frozen=True)
class Letter:
    """A message in terms that every mail system has."""

    subject: str = "Offer"
    sender: Address = BOB
    to: tuple[Address, ...] = (TO_ANA,)
    cc: tuple[Address, ...] = ()
    message_id: str = "<1@partner.example>"
    in_reply_to: str = ""
    references: tuple[str, ...] = ()
    auto_submitted: str = ""
    text: str = "Good day"
    html: str = ""
    received: datetime = datetime(2026, 3, 2, 9, 30, tzinfo=UTC)
    files: tuple[tuple[str, bytes, str], ...] = ()

    def mime(self) -> bytes:
        """Return the message as it travels."""
        message = EmailMessage()
        message["From"] = _written(self.sender)
        message["To"] = ", ".join(map(_written, self.to))
        if self.cc:
            message["Cc"] = ", ".join(map(_written, self.cc))
        message["Subject"] = self.subject
        message["Date"] = self.received
        for name, value in (
            ("Message-ID", self.message_id),
            ("In-Reply-To", self.in_reply_to),
            ("References", " ".join(self.references)),
            ("Auto-Submitted", self.auto_submitted),
        ):
            if value:
                message[name] = value
        message.set_content(self.text)
        if self.html:
            message.add_alternative(self.html, subtype="html")
        for name, data, kind in self.files:
            main, _, sub = kind.partition("/")
            message.add_attachment(data, maintype=main, subtype=sub, filename=name)
        return bytes(message)


def _written(address: Address) -> str:
    return f'"{address.name}" <{address.email}>' if address.name else address.email


Provider = MemoryProvider | EwsProvider


class World(ABC):
    """What tests do to a mail system. Folders are named by role, or by the id that `add_folder` returned."""

    @abstractmethod
    def provider(self) -> Provider:
        """Return a provider for Ana's mailbox."""

    @abstractmethod
    def deliver(self, letter: Letter, folder: str = "inbox") -> str:
        """Put a message into Ana's mailbox; return its id."""

    @abstractmethod
    def move(self, item_id: str, folder: str) -> str:
        """Move an item; return its new id."""

    @abstractmethod
    def remove(self, item_id: str) -> None:
        """Delete an item for good."""

    @abstractmethod
    def touch(self, item_id: str) -> None:
        """Change an item."""

    @abstractmethod
    def set_read(self, item_id: str) -> None:
        """Read an item."""

    @abstractmethod
    def add_folder(self, name: str) -> str:
        """Make a folder below the inbox; return its id."""

    @abstractmethod
    def remove_folder(self, folder_id: str) -> None:
        """Delete a folder."""

    @abstractmethod
    def without_counters(self) -> None:
        """Make it a server without change counters."""

    @abstractmethod
    def rename_category(self, name: str, to: str) -> None:
        """Let Ana call an entry of her list of categories something else ("": she deletes it)."""

    @abstractmethod
    def without_categories(self) -> None:
        """Make it a server that keeps no list of categories for us."""

    @abstractmethod
    def notices(self) -> int:
        """Return how many invitations, updates and cancellations have left."""

    @abstractmethod
    def arrived(self) -> list[tuple[str, str]]:
        """Return (recipient, subject) of the mail that Ana sent, those in Ben's mailbox and those elsewhere."""

    @abstractmethod
    def break_request(self, provider: "Provider", nth: int, *, after: bool) -> None:
        """Let the `nth` request of this provider from now on fail: before it is made, or after the server did it."""

    @abstractmethod
    def cancel_occurrence(self, item_id: str, original: datetime) -> None:
        """Take one occurrence out of a series of Ana's, as she would in Outlook."""

    @abstractmethod
    def change_occurrence(self, item_id: str, original: datetime, subject: str) -> None:
        """Give one occurrence of a series of Ana's another subject, as she would in Outlook."""

    @abstractmethod
    def hang(self, item_id: str, name: str, data: bytes, *, inline: bool = False, item: bool = False) -> None:
        """Let Ana hang a file on an entry, shown within its text (`inline`) or a mail in place of a file (`item`)."""

    @abstractmethod
    def hang_at_most(self, size: int) -> None:
        """Make it a server that takes so many bytes at most on one entry."""


@dataclass
class MemoryWorld(World):
    """The mail system in memory."""

    server: MemoryServer = field(default_factory=MemoryServer)

    def __post_init__(self) -> None:
        self.server.add_mailbox(BEN)

    def provider(self) -> MemoryProvider:
        return self.server.provider(ANA)

    def deliver(self, letter: Letter, folder: str = "inbox") -> str:
        return self.server.deliver(
            ANA,
            folder,
            sender=letter.sender,
            to=letter.to,
            cc=letter.cc,
            subject=letter.subject,
            message_id=letter.message_id,
            in_reply_to=letter.in_reply_to,
            references=letter.references,
            auto_submitted=letter.auto_submitted,
            text=letter.text,
            html=letter.html,
            received_at=letter.received,
            files=tuple(File(name, data, kind) for name, data, kind in letter.files),
        )

    def move(self, item_id: str, folder: str) -> str:
        return self.server.move(item_id, folder)

    def remove(self, item_id: str) -> None:
        self.server.remove(item_id)

    def touch(self, item_id: str) -> None:
        self.server.touch(item_id, categories=("Blue",))

    def set_read(self, item_id: str) -> None:
        self.server.set_read(item_id)

    def add_folder(self, name: str) -> str:
        return self.server.add_folder(ANA, name, parent="inbox")

    def remove_folder(self, folder_id: str) -> None:
        self.server.remove_folder(ANA, folder_id)

    def without_counters(self) -> None:
        self.server.counters = False

    def rename_category(self, name: str, to: str) -> None:
        kept = self.server.mailbox(ANA).categories
        assert kept is not None
        (key,) = (each for each, known in kept.items() if known == name)
        kept[key] = to
        if not to:
            del kept[key]

    def without_categories(self) -> None:
        self.server.mailbox(ANA).categories = None

    def notices(self) -> int:
        return len(self.server.notices)

    def arrived(self) -> list[tuple[str, str]]:
        here = [(BEN, self.server.mail(each).subject) for each in self.server.item_ids(BEN)]
        elsewhere = [(to, each.mail.subject) for each in self.server.sent for to in each.to if to != BEN]
        return sorted(here + elsewhere)

    def break_request(self, provider: Provider, nth: int, *, after: bool) -> None:
        script = self.server.lose if after else self.server.fail
        script("*", Unavailable("broken"), nth=nth)

    def cancel_occurrence(self, item_id: str, original: datetime) -> None:
        self.server.change_occurrence(item_id, original, None)

    def change_occurrence(self, item_id: str, original: datetime, subject: str) -> None:
        self.server.change_occurrence(item_id, original, {Field.SUBJECT: subject})

    def hang(self, item_id: str, name: str, data: bytes, *, inline: bool = False, item: bool = False) -> None:
        kind = AttachmentKind.ITEM if item else AttachmentKind.FILE
        self.server.hang(item_id, File(name, data, kind=kind, inline=inline, content_id="c1" if inline else ""))

    def hang_at_most(self, size: int) -> None:
        self.server.most_attached = size


@dataclass
class EwsWorld(World):
    """The sandbox Exchange on loopback, over the adapter; by impersonation, or with Ana's own password."""

    server: SandboxServer
    impersonate: bool = True

    @property
    def store(self) -> SandboxStore:
        return self.server.store

    def provider(self) -> EwsProvider:
        return provider_for(self.server, ANA if not self.impersonate else SERVICE, impersonate=self.impersonate)

    def deliver(self, letter: Letter, folder: str = "inbox") -> str:
        place = DISTINGUISHED.get(folder, folder)
        return self.store.deliver_mime(ANA, letter.mime(), folder=place, received=letter.received)

    def move(self, item_id: str, folder: str) -> str:
        place = self.store.folder(ANA, DISTINGUISHED.get(folder, folder))
        return self.store.move(self.store.item(item_id), place).id

    def remove(self, item_id: str) -> None:
        self.store.remove(self.store.item(item_id))

    def touch(self, item_id: str) -> None:
        self.store.touch(self.store.item(item_id))

    def set_read(self, item_id: str) -> None:
        self.store.set_read(self.store.item(item_id), True)

    def add_folder(self, name: str) -> str:
        return self.store.create_folder(ANA, "inbox", name)

    def remove_folder(self, folder_id: str) -> None:
        self.store.remove_folder(self.store.folder(ANA, folder_id))

    def without_counters(self) -> None:
        self.store.change_counters = False

    def rename_category(self, name: str, to: str) -> None:
        parts = self.store.folder(ANA, "calendar").configurations["CategoryList"]
        wrapped = etree.fromstring(f'<a xmlns:t="t">{parts["XmlData"]}</a>')
        root = etree.fromstring(base64.b64decode(str(wrapped.xpath("string()"))))
        (entry,) = (each for each in root if each.get("name") == name)
        entry.set("name", to)
        if not to:
            root.remove(entry)
        parts["XmlData"] = f"<t:XmlData>{base64.b64encode(etree.tostring(root)).decode()}</t:XmlData>"

    def without_categories(self) -> None:
        for operation in ("GetUserConfiguration", "CreateUserConfiguration", "UpdateUserConfiguration"):
            self.server.faults.add("error", operation=operation, code="ErrorInvalidOperation", count=None)

    def notices(self) -> int:
        return self.store.meeting_messages

    def arrived(self) -> list[tuple[str, str]]:
        inbox = self.store.folder(BEN, "inbox")
        here = [(BEN, text_of(each.content, "Subject")) for each in inbox.items.values()]
        sent = [(each.recipient, message_from_bytes(each.raw)["Subject"]) for each in self.store.outbound]
        return sorted(here + sent)

    def break_request(self, provider: Provider, nth: int, *, after: bool) -> None:
        assert isinstance(provider, EwsProvider)
        client, number = provider._client, iter(range(1, 1000))
        call = client.call

        def broken(body: str, **rest: Any) -> Any:
            due = next(number) == nth
            if due and not after:
                raise Unavailable("broken")
            answer = call(body, **rest)
            if due:
                raise Unavailable("broken")
            return answer

        client.call = broken

    def cancel_occurrence(self, item_id: str, original: datetime) -> None:
        self.provider().delete_entry(self._occurrence(item_id, original))

    def change_occurrence(self, item_id: str, original: datetime, subject: str) -> None:
        occurrence = self._occurrence(item_id, original)
        (marks,) = self.provider().marks([occurrence])
        assert isinstance(marks, Marks)
        self.provider().update_entry(occurrence, marks.change_key, EntryKind.APPOINTMENT, {Field.SUBJECT: subject})

    def hang(self, item_id: str, name: str, data: bytes, *, inline: bool = False, item: bool = False) -> None:
        there, file = self.store.item(item_id), Attachment(-1, name)
        if item:
            file.item = Content("Message", data)
        else:
            file.data, file.is_inline, file.content_id = data, inline, "c1" if inline else ""
        attach(there.content, file)
        self.store.touch(there)

    def hang_at_most(self, size: int) -> None:
        self.store.largest_item = size

    def _occurrence(self, item_id: str, original: datetime) -> str:
        master = self.store.item(item_id)
        return encode_occurrence_id(master.folder.mailbox.guid, master.number, int(original.timestamp()))


def sandbox_store() -> SandboxStore:
    """Return a store with Ana (whose folders are named in German), Ben, and a service account that may impersonate."""
    store = SandboxStore()
    store.add_mailbox(ANA, "ana-pw", "Ana", language="de")
    store.add_mailbox(BEN, "ben-pw", "Ben")
    store.add_mailbox(SERVICE, "crmsync-pw", impersonator=True)
    return store


def provider_for(
    server: SandboxServer, login: str, *, impersonate: bool, address: str = ANA, password: str = ""
) -> EwsProvider:
    """Return a provider over a client of its own, so that no test sees another's connection."""
    sign_in = SignIn(
        url=server.url,
        auth="basic",
        username=login,
        secret=password or f"{login.partition('@')[0]}-pw",
        reach=Reach({("127.0.0.1", server.port): Allowed(private=True, plain_http=True)}),
    )
    return EwsProvider(Client(sign_in, ServerFacts(), utc_now), address, impersonate=impersonate)


def folder_of(provider: Provider, role: FolderRole) -> str:
    """Return the id of the folder with a role."""
    return next(info.id for info in provider.well_known_folders() if info.role is role)
