"""Two owners of one organisation at a real server, everything they and their administrator may do, and trouble on the wire.

The one idea is that of `tests/tracking/linked/chaos.py`: whatever anybody writes is a word that was never written before,
so that it can be looked for, and its way told. What people do in their mailboxes is done in the sandbox's store, so that
trouble on the wire meets workers alone; what a record says is written as a form does: over what was seen, or not at all.
"""

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from types import MappingProxyType
from typing import Any, Final

from django.contrib.auth.models import Permission
from django.db import transaction
from django.utils import timezone

from mailboxes.models import Folder, Mailbox, ServerProfile, SyncProfile
from mailboxes.provider.entries import EntryKind, Every, Field, Recurrence
from mailboxes.sandbox.contents import body_of, text_of
from mailboxes.sandbox.model import Folder as Place
from mailboxes.sandbox.model import Item
from mailboxes.sandbox.server import SandboxServer
from mailboxes.sandbox.tasks import Task
from mailboxes.sandbox.written import complete
from mailboxes.sandbox.xmltext import leaf, raw_leaf
from mailboxes.states import Auth, Intent, Track
from security.models import User
from tests.proofs.exchange import PASSWORD, SERVICE
from tests.proofs.in_force import InForce
from tracking.engine.filter_queries import MODELS
from tracking.linked.channel import switch
from tracking.linked.compare import CATEGORY
from tracking.models import Appointment, Attendance, FieldDirection, SyncFilter, TrackedFolder
from tracking.personal.tracked_folders import Choice, add
from tracking.sync.codec import encode
from tracking.sync.directions import Direction

NAME: Final = MappingProxyType(
    {EntryKind.TASK: Field.SUBJECT, EntryKind.APPOINTMENT: Field.SUBJECT, EntryKind.CONTACT: Field.NAME}
)
TEXT: Final = MappingProxyType(
    {EntryKind.TASK: Field.BODY, EntryKind.APPOINTMENT: Field.BODY, EntryKind.CONTACT: Field.NOTES}
)
COLUMN: Final = MappingProxyType(
    {Field.SUBJECT: "subject", Field.BODY: "description", Field.NAME: "last_name", Field.NOTES: "notes"}
)
# Where entries of a kind lie in the sandbox, what they are called there, and the property that is their name.
PLACES: Final = MappingProxyType(
    {EntryKind.APPOINTMENT: "calendar", EntryKind.CONTACT: "contacts", EntryKind.TASK: "tasks"}
)
KINDS: Final = MappingProxyType(
    {"CalendarItem": EntryKind.APPOINTMENT, "Contact": EntryKind.CONTACT, "Task": EntryKind.TASK}
)
_NAMED: Final = MappingProxyType(
    {EntryKind.APPOINTMENT: "Subject", EntryKind.CONTACT: "Surname", EntryKind.TASK: "Subject"}
)
PROJECTS: Final = "Projects"
_MAIL_PLACES: Final = ("inbox", "inbox", "sentitems", "deleteditems", PROJECTS)
_BEGINS: Final = datetime(2031, 9, 2, 8, 0, tzinfo=UTC)
_WEEKLY: Final = Recurrence(Every.WEEK, date(2031, 9, 2), weekdays=("TU",), count=5)
# Trouble that is over by itself. What waits for a person, and what says of an item that it is gone when it is not, has
# tests of its own.
_TROUBLES: Final = (
    "too_many", "unavailable", "bad_gateway", "busy", "busy_message", "slow", "reset", "answer_lost", "truncated",
    "cursor_lost", "repeated", "item_broken", "item_corrupt", "store_unavailable",
)  # fmt: skip
_MINE: Final = MappingProxyType({"any": False, "parts": [{"column": "owner", "operator": "is_me", "value": None}]})
_ALL: Final = MappingProxyType({"any": False, "parts": []})


@dataclass(frozen=True)
class Word:
    """Something that was written: in which field, on which side, by whose hand or on which record, and when."""

    kind: EntryKind
    name: Field
    step: int
    # Of a record its id, of an entry its owner's place among the people.
    record: int | None = None
    person: int | None = None


@dataclass(eq=False)
class Person:
    """An owner: their user, their mailbox, and what was in force for them."""

    user: User
    mailbox: Mailbox
    track: InForce[str] = field(default_factory=lambda: InForce.of(Track.ALL.value))
    reads_all: InForce[bool] = field(default_factory=lambda: InForce.of(False))

    @property
    def address(self) -> str:
        """Return the address of the mailbox."""
        return self.mailbox.address


class Organisation:
    """Two people, and a source of randomness that works at them while they are synced: one schedule."""

    def __init__(self, seed: int, server: SandboxServer, url: str) -> None:
        self.random = random.Random(seed)
        self.server, self.store, self.seed = server, server.store, seed
        self.profile = SyncProfile.objects.create(name=f"organisation {seed}")
        for kind in EntryKind:
            # Whoever may see everybody's records sees those of the other schedules: they stay out of it.
            self._system_filter(kind, "own", self._contains(kind, f"s{seed}w"))
        self.people = [self._person(f"{name}{seed}", url) for name in ("anna", "ben")]
        self.right = Permission.objects.get(codename="read_all_records")
        self.number = self.steps = self.records_made = 0
        self.words: dict[str, Word] = {}
        # Words that their author took back: nobody misses them.
        self.taken_back: set[str] = set()
        # Every message by its Message-ID, with the step in which it came.
        self.mails: dict[str, int] = {}
        self.directions = {kind: InForce.of(Direction.BOTH) for kind in EntryKind}
        self.owners: dict[tuple[EntryKind, int], InForce[int | None]] = {}

    def _person(self, name: str, url: str) -> Person:
        address = f"{name}@proof.example"
        self.store.add_mailbox(address, PASSWORD)
        self.store.create_folder(address, "inbox", PROJECTS)
        # A row of their own: a server that fails holds back its mailboxes, and the two are worked at side by side.
        server = ServerProfile.objects.create(
            name=name, url=url, auth=Auth.BASIC, username=SERVICE, secret=PASSWORD, impersonate=True
        )
        mailbox = Mailbox.objects.create(
            address=address, server=server, owner=User.objects.create(username=name), sync_profile=self.profile,
            track=Track.ALL, intent=Intent.ON, due_at=timezone.now(), measured_from=timezone.now(),
        )  # fmt: skip
        switch(mailbox, on=True, by="marta", now=timezone.now())
        return Person(mailbox.owner, mailbox)

    def settled(self, before: int) -> None:
        """Note that every run that began before the end of step `before` is over."""
        laws: list[InForce[Any]] = [*self.directions.values(), *self.owners.values()]
        for person in self.people:
            laws += [person.track, person.reads_all]
        for law in laws:
            law.settle(before, self.steps)

    # -- what happens

    def step(self) -> None:
        """Let something happen."""
        self.steps += 1
        few = 14 if len(self.records()) + len(self.entries()) < 8 else 3
        acts: list[tuple[int, Callable[[], object]]] = [
            (few, self.new_record), (few, self.new_entry), (3, self.mail_arrives), (7, self.edit_record), (7, self.edit_entry),
            (1, self.delete_record), (1, self.have_back), (1, self.give_away), (1, self.finish_record),
            (1, self.finish_entry), (1, self.throw_away), (1, self.vanish), (1, self.move_out), (2, self.move_back),
            (1, self.mark), (1, self.unmark), (1, self.make_private), (1, self.copy),
            (2, self.file_mail), (1, self.touch_mail), (1, self.remove_mail),
            (1, self.change_filter), (1, self.change_direction), (1, self.change_right), (1, self.change_option),
            (1, self.switch_channel), (1, self.rename_folder), (1, self.move_folder), (1, self.track_folder),
            (4, self.trouble), (1, self.expire),
        ]  # fmt: skip
        weights, actions = zip(*acts, strict=True)
        self.random.choices(actions, weights)[0]()

    def a_text(self) -> str:
        """Return a word that nobody ever wrote."""
        self.number += 1
        return f"s{self.seed}w{self.number}e"

    def of(self, person: Person, kind: EntryKind, name: Field) -> str:
        """Return a word that a person writes into an entry, and note so."""
        text = self.a_text()
        self.words[text] = Word(kind, name, self.steps, person=self.people.index(person))
        return text

    def a_person(self) -> Person:
        """Return one of the two."""
        return self.random.choice(self.people)

    # -- records

    def records(self, *, deleted: bool = False) -> list[Any]:
        """Return the organisation's records that are there, or those that were thrown away."""
        users = [person.user for person in self.people]
        return [
            row for model in MODELS.values()
            for row in model._default_manager.filter(owner__in=users, deleted_at__isnull=not deleted).order_by("pk")
        ]  # fmt: skip

    def a_record(self, *, deleted: bool = False) -> Any:
        """Return one of them, None if there are none."""
        found = self.records(deleted=deleted)
        return self.random.choice(found) if found else None

    def new_record(self) -> None:
        """Somebody writes a record down: a meeting with attendees or a series among them."""
        kind, owner = self.random.choice(list(EntryKind)), self.a_person()
        text = self.a_text()
        fields: dict[str, Any] = {COLUMN[NAME[kind]]: text, "owner": owner.user}
        if kind is EntryKind.APPOINTMENT:
            fields |= self._when()
        with transaction.atomic():
            record = MODELS[kind]._default_manager.create(**fields)
            if isinstance(record, Appointment) and self.random.random() < 0.4:
                other = next(person for person in self.people if person is not owner)
                for role, email in (("organizer", owner.address), ("required", other.address)):
                    Attendance.objects.create(appointment=record, role=role, email=email)
        self.words[text] = Word(kind, NAME[kind], self.steps, record=record.pk)
        self.records_made += 1

    def _when(self) -> dict[str, Any]:
        if self.random.random() < 0.2:
            return {"first_day": date(2031, 9, 3), "day_after": date(2031, 9, 5)}
        series = self.random.choice((None, None, _WEEKLY))
        return {
            "starts_at": _BEGINS, "ends_at": _BEGINS + timedelta(hours=1), "zone": "Europe/Madrid",
            "recurrence": encode(series) if series else None,
        }  # fmt: skip

    def edit_record(self) -> None:
        """Somebody changes a record, while it may be synced."""
        record = self.a_record()
        if record is None:
            return
        kind = kind_of(record)
        name = self.random.choice((NAME, TEXT))[kind]
        column, text = COLUMN[name], self.a_text()
        seen = getattr(record, column)
        # Before it is written: a worker may carry it on at once.
        self.words[text] = Word(kind, name, self.steps, record=record.pk)
        rows = type(record)._default_manager.filter(pk=record.pk, deleted_at=None, **{column: seen})
        if rows.update(**{column: text, "modified_at": timezone.now()}):
            self.taken_back.add(seen)
        else:
            del self.words[text]

    def delete_record(self) -> None:
        """A record is thrown away."""
        self._change(self.a_record(), deleted_at=timezone.now())

    def have_back(self) -> None:
        """A record is had back."""
        self._change(self.a_record(deleted=True), deleted_at=None)

    def finish_record(self) -> None:
        """A task is done, an appointment was held, a contact is not used any more."""
        record = self.a_record()
        if record is not None and hasattr(record, "active"):
            self._change(record, active=not record.active)
        elif record is not None:
            status = {"open": "completed", "completed": "open"}.get(record.status, "InProgress")
            self._change(record, status=status)

    def give_away(self) -> None:
        """A record becomes somebody's."""
        record, user = self.a_record(), self.a_person().user
        if record is not None:
            law = self.owners.setdefault((kind_of(record), record.pk), InForce.of(record.owner_id))
            law.change(user.pk, self.steps)
            self._change(record, owner=user)

    def _change(self, record: Any, **fields: Any) -> None:
        if record is not None:
            type(record)._default_manager.filter(pk=record.pk).update(**fields, modified_at=timezone.now())

    # -- entries

    def items(self, person: Person) -> list[Item]:
        """Return everything in a mailbox."""
        with self.store.lock:
            folders = list(self.store.mailbox(person.address).folders.values())
            return [item for folder in folders for item in folder.items.values()]

    def entries(self, *, strayed: bool = False) -> list[tuple[Person, Item]]:
        """Return the entries that lie where they belong, or those that somebody put elsewhere."""
        return [
            (person, item) for person in self.people for item in self.items(person)
            if item.content.kind in KINDS
            and item.folder.distinguished == ("drafts" if strayed else PLACES[KINDS[item.content.kind]])
        ]  # fmt: skip

    def an_entry(self) -> tuple[Person, Item] | None:
        """Return an entry with its owner."""
        found = self.entries()
        return self.random.choice(found) if found else None

    def new_entry(self) -> None:
        """Somebody writes an entry down, or has an invitation in their calendar, and has it tracked or not."""
        kind, owner = self.random.choice(list(EntryKind)), self.a_person()
        word = self.of(owner, kind, NAME[kind])
        marked = (CATEGORY,) if self.random.random() < 0.6 else ()
        match kind:
            case EntryKind.TASK:
                self.store.add_task(owner.address, Task(word), categories=marked)
            case EntryKind.CONTACT:
                card = f"BEGIN:VCARD\r\nVERSION:3.0\r\nN:{word};;;;\r\nFN:{word}\r\nEND:VCARD\r\n"
                self.store.add_vcf(owner.address, card.encode(), categories=marked)
            case EntryKind.APPOINTMENT:
                self.store.add_ics(owner.address, self._event(word, owner).encode(), categories=marked)

    def _event(self, word: str, owner: Person) -> str:
        lines = ["BEGIN:VCALENDAR", "VERSION:2.0", "PRODID:proof", "BEGIN:VEVENT", f"UID:{word}@proof.example"]
        if self.random.random() < 0.2:
            lines += ["DTSTART;VALUE=DATE:20310903", "DTEND;VALUE=DATE:20310905"]
        else:
            lines += ["DTSTART:20310902T080000Z", "DTEND:20310902T090000Z"]
            if self.random.random() < 0.3:
                lines.append("RRULE:FREQ=WEEKLY;COUNT=5;BYDAY=TU")
        chance = self.random.random()
        if chance < 0.6:
            organizer, guest = (
                ("kim@customer.example", owner.address) if chance < 0.3 else (owner.address, "kim@customer.example")
            )
            lines += [f"ORGANIZER:mailto:{organizer}", f"ATTENDEE:mailto:{guest}"]
        return "\r\n".join([*lines, f"SUMMARY:{word}", "END:VEVENT", "END:VCALENDAR", ""])

    def said(self, item: Item, name: Field) -> str:
        """Return what stands in the name or the text of an entry."""
        kind = KINDS[item.content.kind]
        if name == NAME[kind]:
            return text_of(item.content, _NAMED[kind])
        return body_of(item.content, "Text")[1].strip()

    def edit_entry(self) -> None:
        """Its owner changes an entry's name or text."""
        with self.store.lock:
            found = self.an_entry()
            if found is None:
                return
            person, item = found
            kind = KINDS[item.content.kind]
            name = self.random.choice((NAME, TEXT))[kind]
            self.taken_back.add(self.said(item, name))
            word = self.of(person, kind, name)
            if name == NAME[kind]:
                self._set(item, **{_NAMED[kind]: leaf(_NAMED[kind], word)})
            else:
                self._set(item, body=word)

    def _set(self, item: Item, *, body: str = "", **values: str) -> None:
        """Save properties of an entry as a server does for a client."""
        with self.store.lock:
            trial, names = item.content.copy(), {*values} | ({"Body"} if body else set())
            trial.values |= values
            if body:
                trial.body = ("Text", body)
            complete(trial, item.folder.mailbox, int(self.store.clock()), names)
            item.content = trial
            self.store.touch(item)
            item.written |= dict.fromkeys(names, item.version)

    def finish_entry(self) -> None:
        """A task is ticked off in the mailbox, or begun again."""
        with self.store.lock:
            tasks = [item for _person, item in self.entries() if item.content.kind == "Task"]
            if tasks:
                item = self.random.choice(tasks)
                done = text_of(item.content, "Status") == "Completed"
                self._set(item, Status=raw_leaf("Status", "InProgress" if done else "Completed"))

    def throw_away(self) -> None:
        """An entry goes to the deleted items."""
        self._move_one("deleteditems")

    def move_out(self) -> None:
        """An entry is put where nobody looks."""
        self._move_one("drafts")

    def _move_one(self, place: str) -> None:
        with self.store.lock:
            found = self.an_entry()
            if found:
                self.store.move(found[1], self.store.folder(found[0].address, place))

    def move_back(self) -> None:
        """What was put elsewhere is put back."""
        with self.store.lock:
            for person, item in self.entries(strayed=True):
                self.store.move(item, self.store.folder(person.address, PLACES[KINDS[item.content.kind]]))

    def vanish(self) -> None:
        """An entry is deleted for good, past the deleted items."""
        with self.store.lock:
            found = self.an_entry()
            if found:
                kind = KINDS[found[1].content.kind]
                self.taken_back |= {self.said(found[1], each[kind]) for each in (NAME, TEXT)}
                self.store.remove(found[1])

    def copy(self) -> None:
        """An entry is copied within its folder, stamp and all."""
        with self.store.lock:
            found = self.an_entry()
            if found:
                self.store.copy(found[1], found[1].folder)

    def mark(self) -> None:
        """Its owner asks for an entry to be tracked."""
        self._categorise((CATEGORY,))

    def unmark(self) -> None:
        """Its owner takes that back."""
        self._categorise(())

    def _categorise(self, categories: tuple[str, ...]) -> None:
        with self.store.lock:
            found = self.an_entry()
            if found:
                found[1].content = found[1].content.copy()
                found[1].content.categories = categories
                self.store.touch(found[1])

    def make_private(self) -> None:
        """Its owner makes an entry private, or shows it again."""
        with self.store.lock:
            found = self.an_entry()
            if found:
                how = self.random.choice(("Private", "Normal"))
                self._set(found[1], Sensitivity=raw_leaf("Sensitivity", how))

    # -- mail

    def mail_arrives(self) -> None:
        """A message arrives with one of them, or both."""
        self.number += 1
        key = f"<{self.seed}.{self.number}@customer.example>"
        mime = (
            f"From: kim@customer.example\r\nTo: all@proof.example\r\nSubject: Hello {self.number}\r\n"
            f"Message-ID: {key}\r\n\r\nHi\r\n"
        )
        self.mails[key] = self.steps
        for person in self.random.choice((self.people, self.people[:1], self.people[1:])):
            self.store.deliver_mime(person.address, mime.encode())

    def _a_mail(self) -> Item | None:
        found = [item for item in self.items(self.a_person()) if item.content.kind not in KINDS]
        return self.random.choice(found) if found else None

    def file_mail(self) -> None:
        """A message is filed: in a folder that is tracked or not, or back."""
        with self.store.lock:
            item = self._a_mail()
            if item:
                address, place = item.folder.mailbox.address, self.random.choice(_MAIL_PLACES)
                self.store.move(
                    item, self._projects(address) if place == PROJECTS else self.store.folder(address, place)
                )

    def touch_mail(self) -> None:
        """A message is read, or announced again."""
        with self.store.lock:
            item = self._a_mail()
            if item:
                self.store.set_read(item, not item.is_read)

    def remove_mail(self) -> None:
        """A message is gone for good."""
        with self.store.lock:
            item = self._a_mail()
            if item:
                self.store.remove(item)

    # -- folders

    def _projects(self, address: str) -> Place:
        """Return the one folder that its owner made, wherever it is and whatever it is called by now."""
        return next(each for each in self.store.mailbox(address).folders.values() if not each.distinguished)

    def rename_folder(self) -> None:
        """A folder gets another name."""
        self.number += 1
        with self.store.lock:
            address = self.a_person().address
            place = self.random.choice(("inbox", *PLACES.values(), PROJECTS))
            folder = self._projects(address) if place == PROJECTS else self.store.folder(address, place)
            self.store.rename_folder(folder, f"Folder {self.number}")

    def move_folder(self) -> None:
        """The folder that its owner made is put elsewhere."""
        with self.store.lock:
            address = self.a_person().address
            folder = self._projects(address)
            places = [self.store.folder(address, each) for each in ("inbox", "sentitems", "msgfolderroot")]
            self.store.move_folder(folder, self.random.choice([each for each in places if each is not folder.parent]))

    def track_folder(self) -> None:
        """An owner has the folder that they made tracked, once crmsync knows of it."""
        person = self.a_person()
        folder = Folder.objects.filter(mailbox=person.mailbox, provider_id=self._projects(person.address).id).first()
        if folder is not None and not TrackedFolder.objects.filter(folder=folder).exists():
            add(person.mailbox, folder, Choice(), by=person.user, now=timezone.now())

    # -- what is set

    def change_filter(self) -> None:
        """What flows into a mailbox becomes more, or less; a system filter narrows everybody's."""
        kind = self.random.choice(list(EntryKind))
        some = self._contains(kind, f"{self.random.randint(1, 9)}e")
        if self.random.random() < 0.3:
            narrow = SyncFilter.objects.filter(sync_profile=self.profile, kind=kind, name="narrow")
            if not narrow.delete()[0]:
                self._system_filter(kind, "narrow", some, excludes=self.random.random() < 0.5)
            return
        own = SyncFilter.objects.filter(mailbox=self.a_person().mailbox, kind=kind)
        conditions = self.random.choice((_MINE, _MINE, _ALL, some))
        own.update(conditions=dict(conditions), active=self.random.random() < 0.8)

    def _system_filter(self, kind: EntryKind, name: str, conditions: Mapping[str, Any], **more: Any) -> None:
        SyncFilter.objects.create(
            scope=SyncFilter.Scope.SYSTEM,
            sync_profile=self.profile,
            kind=kind,
            name=name,
            conditions=conditions,
            **more,
        )

    @staticmethod
    def _contains(kind: EntryKind, text: str) -> Mapping[str, Any]:
        part = {"column": COLUMN[NAME[kind]], "operator": "contains", "value": text}
        return {"any": False, "parts": [part]}

    def change_direction(self) -> None:
        """The text of a kind flows another way from now on."""
        kind = self.random.choice(list(EntryKind))
        direction = self.random.choice([*Direction, Direction.BOTH])
        self.directions[kind].change(direction, self.steps)
        FieldDirection.objects.update_or_create(
            sync_profile=self.profile, kind=kind, field=TEXT[kind], defaults={"direction": direction}
        )

    def change_right(self) -> None:
        """Somebody may see everybody's records, or only their own again."""
        person = self.a_person()
        if person.reads_all.now:
            person.user.user_permissions.clear()
        else:
            person.user.user_permissions.add(self.right)
        person.reads_all.change(not person.reads_all.now, self.steps)

    def change_option(self) -> None:
        """Mail is tracked in a mailbox, or not."""
        person = self.a_person()
        option = self.random.choice((Track.ALL, Track.ALL, Track.NONE))
        person.track.change(option.value, self.steps)
        Mailbox.objects.filter(pk=person.mailbox.pk).update(track=option)

    def switch_channel(self) -> None:
        """Entries of a mailbox are kept in step, or left alone for a while."""
        mailbox = self.a_person().mailbox
        switch(mailbox, on=not mailbox.entries, by="marta", now=timezone.now())

    # -- what goes wrong

    def trouble(self) -> None:
        """The server fails a mailbox once or twice, before or after it did what it was asked for."""
        self.server.faults.add(
            "any", mailbox=self.a_person().address, from_call=self.random.randint(1, 8), count=self.random.randint(1, 2),
            seed=self.random.randrange(2**32), among=_TROUBLES,
        )  # fmt: skip

    def expire(self) -> None:
        """The server forgets how far we were."""
        self.server.faults.add(
            "error", mailbox=self.a_person().address, operation="SyncFolderItems", code="ErrorInvalidSyncStateData",
            scope="message", from_call=self.random.randint(1, 4),
        )  # fmt: skip

    def calm(self) -> None:
        """Everything is put back, every channel is open."""
        self.move_back()
        for person in self.people:
            if not person.mailbox.entries:
                switch(person.mailbox, on=True, by="marta", now=timezone.now())


def kind_of(record: Any) -> EntryKind:
    """Return what a record is in a mailbox."""
    return next(kind for kind, model in MODELS.items() if isinstance(record, model))
