"""What happens with entries and outgoing mail in the mail system in memory, and who is told of it.

The one idea: `notices` and `sent` hold everything that ever left for other people, so that a test asserts that nothing
did, or exactly one. Whether people are told is the choice of whoever writes; the provider never does.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime

from mailboxes.provider.entries import HOMES, TOLD, EntryKind, Exceptional, Field, Value
from mailboxes.provider.errors import WriteRefused
from mailboxes.provider.memory.entries import ITEM_CLASSES, Hung, Kept, Notice, next_turn, written
from mailboxes.provider.memory.mail import File, Mail
from mailboxes.provider.memory.occurrences import exception_of, said_by, tidied
from mailboxes.provider.memory.store import Folder, Item, MailStore
from mailboxes.provider.port import Address, ChangeKind, FolderRole


@dataclass(frozen=True, slots=True)
class SentMail:
    """One message that left a mailbox, and for whom."""

    sender: str
    to: tuple[str, ...]
    mail: Mail


class PostStore(MailStore):
    """A `MailStore` that keeps entries too, and sends. A folder is named as there."""

    def __init__(
        self,
        *,
        counters: bool = True,
        silent: Iterable[ChangeKind] = (),
        clock: Callable[[], datetime] | None = None,
    ) -> None:
        super().__init__(counters=counters, silent=silent, clock=clock)
        self.notices: list[Notice] = []
        self.sent: list[SentMail] = []
        # What may hang on one entry, in bytes, all files together.
        self.most_attached = 30_000_000

    # -- what people (and the provider) do to entries

    def put_entry(
        self,
        address: str,
        folder: str,
        kind: EntryKind,
        values: Mapping[Field, Value],
        *,
        telling: bool,
        **facts: object,
    ) -> str:
        """Make an entry with more `facts` of `Kept`; return its id. `telling`: whoever is invited gets an invitation.

        With `organized_here=False` it is a meeting that came from somebody else: whom the values name as its organizer.
        """
        with self.lock:
            self.add_mailbox(address)
            place = self._folder(address, folder)
            if HOMES.get(place.role, kind) is not kind:
                raise WriteRefused(f"a {kind} cannot be made in {place.name}")
            self._number += 1
            now = self.now()
            blank = Kept(kind, uid=f"uid-{self._number}" if kind is EntryKind.APPOINTMENT else "", modified_at=now)
            kept = written(replace(blank, **facts), values, owner=address, today=now.date())  # type: ignore[arg-type]  # the names are those of Kept
            if not kept.organized_here:
                kept = replace(kept, values={**kept.values, Field.ORGANIZER: values.get(Field.ORGANIZER)})
            item = self._put(place, Mail(sender=None, subject="", text="", item_class=ITEM_CLASSES[kind]), kept)
            self._tell(item, "invitation", telling=telling)
            return item.id

    def change_entry(
        self, item_id: str, values: Mapping[Field, Value], *, telling: bool = False, **facts: object
    ) -> str:
        """Change fields and facts of an entry; `telling`: whoever is invited gets an update.

        Return the id of what was changed: of a recurring task that was completed, the finished one's, which is new.
        """
        with self.lock:
            item = self._items[item_id]
            today, owner = self.now().date(), item.folder.mailbox.address
            before = self.entry(item_id)
            kept = written(replace(before, **facts), values, owner=owner, today=today)  # type: ignore[arg-type]  # the names are those of Kept
            self._log(item.folder, ChangeKind.UPDATED, item)
            kept = replace(kept, modified_at=self.now())
            if kept.exceptions and not {Field.SPAN, Field.RECURRENCE}.isdisjoint(values):
                kept = tidied(kept)
            item.entry = kept
            self._tell(item, "update", telling=telling)
            if kept.kind is EntryKind.TASK and kept.recurring and kept.values.get(Field.STATUS) == "Completed":
                item.entry = next_turn(kept)
                return self._put(item.folder, item.mail, replace(kept, recurring=False)).id
            return item_id

    def change_occurrence(
        self, item_id: str, original: datetime, values: Mapping[Field, Value] | None, *, telling: bool = False
    ) -> None:
        """Change an occurrence of a series, or (None) cancel it."""
        with self.lock:
            kept = self.entry(item_id)
            others = tuple(each for each in kept.exceptions if each.original != original)
            changed = Exceptional(original, cancelled=True)
            if values is not None:
                if Field.RECURRENCE in values:
                    raise WriteRefused("an occurrence has no series of its own")
                whole = replace(kept, values=said_by(kept, original), exceptions=())
                said = written(whole, values, owner=self._items[item_id].folder.mailbox.address, today=original.date())
                # What is as the series has it follows the series.
                known = exception_of(kept, original)
                names = {*(known.values if known else ()), *values} - TOLD
                changed = Exceptional(original, values={name: said.values.get(name) for name in names})
            self.change_entry(item_id, {}, telling=telling, exceptions=(*others, changed))

    def bin_entry(self, item_id: str, *, telling: bool) -> str:
        """Put an entry into Deleted Items, or out of them for good; return its new id ("" when it is gone)."""
        with self.lock:
            item = self._items[item_id]
            self._tell(item, "cancellation", telling=telling)
            if item.folder.role is FolderRole.DELETED:
                self.remove(item_id)
                return ""
            return self.move(item_id, FolderRole.DELETED)

    def hang(self, item_id: str, file: File) -> str:
        """Hang a file on an entry; return the attachment's id. Raises `WriteRefused` beyond `most_attached`."""
        with self.lock:
            files = self.entry(item_id).files
            if sum(len(each.file.data) for each in files) + len(file.data) > self.most_attached:
                raise WriteRefused("too large", code="attachment_too_large")
            self._number += 1
            hung = Hung(self._number, file)
            self.change_entry(item_id, {}, files=(*files, hung))
            return hung.info(item_id).id

    def take_down(self, attachment_id: str) -> None:
        """Take an attachment off its entry; raises KeyError when it is gone."""
        item_id, number = self._hanging(attachment_id)
        with self.lock:
            files = self.entry(item_id).files
            self.change_entry(item_id, {}, files=tuple(each for each in files if each.number != number))

    def rewrite(self, attachment_id: str, data: bytes) -> None:
        """Give an attachment other bytes under the same id, as editing it where it hangs does; raises KeyError."""
        item_id, number = self._hanging(attachment_id)
        with self.lock:
            files = tuple(
                Hung(number, replace(each.file, data=data), each.version + 1) if each.number == number else each
                for each in self.entry(item_id).files
            )
            self.change_entry(item_id, {}, files=files)

    def _hanging(self, attachment_id: str) -> tuple[str, int]:
        item_id, _, number = attachment_id.rpartition("/")
        if int(number) not in {each.number for each in self.entry(item_id).files}:
            raise KeyError(attachment_id)
        return item_id, int(number)

    def entry(self, item_id: str) -> Kept:
        """Return an entry; raises KeyError when it is gone, or none."""
        with self.lock:
            kept = self._items[item_id].entry
            if kept is None:
                raise KeyError(item_id)
            return kept

    def _tell(self, item: Item, what: str, *, telling: bool) -> None:
        people = [each for name in (Field.REQUIRED, Field.OPTIONAL) for each in self._invited(item, name)]
        if telling and people:
            self.notices.append(Notice(item.folder.mailbox.address, tuple(people), what, item.id))

    def _invited(self, item: Item, name: Field) -> list[str]:
        people = item.entry.values.get(name) if item.entry else None
        return [each.email for each in people] if isinstance(people, tuple) else []

    # -- sending

    def draft(self, address: str, mail: Mail) -> Item:
        """Put a draft into Drafts."""
        with self.lock:
            self._number += 1
            key = f"{self._number:032x}"
            return self._put(self._folder(address, FolderRole.DRAFTS), replace(mail, search_key=key))

    def send(self, item_id: str) -> str:
        """Send a draft to everybody it names, here or elsewhere; return the id of the copy in Sent Items."""
        with self.lock:
            item = self._items[item_id]
            mail, owner = item.mail, item.folder.mailbox.address
            to = tuple(
                each.email if isinstance(each, Address) else each
                for part in (mail.to, mail.cc, mail.bcc)
                for each in part
            )
            if not to or not all("@" in each for each in to):
                raise WriteRefused("not every recipient has an address", code="recipients_refused")
            sender = mail.sender.email if isinstance(mail.sender, Address) else mail.sender
            if sender and sender.lower() != owner.lower():
                raise WriteRefused(f"{owner} may not send as {sender}", code="send_as_denied")
            gone = replace(mail, is_draft=False, sender=mail.sender or Address(owner), sent_at=self.now())
            self.sent.append(SentMail(owner, to, gone))
            for each in dict.fromkeys(address.lower() for address in to):
                if each in self._mailboxes:
                    self._number += 1
                    self._put(
                        self._inbox(each),
                        replace(gone, stamp="", bcc=(), search_key=f"{self._number:032x}", received_at=self.now()),
                    )
            item.mail = replace(gone, received_at=self.now())
            return self.move(item_id, FolderRole.SENT)

    def _inbox(self, address: str) -> Folder:
        return self._folder(address, FolderRole.INBOX)
