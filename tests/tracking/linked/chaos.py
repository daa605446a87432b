"""Two owners of one organisation, everything they and their administrator may do, and all that may break meanwhile.

The one idea: whatever anybody writes is a word that was never written before, so that every word can be looked for:
on either side, among deleted things, in conflicts. `tests/tracking/linked/watch.py` says what must hold.
"""

import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any

from django.contrib.auth.models import Permission
from django.db import connection

from mailboxes.models import Mailbox
from mailboxes.provider.entries import (
    HOMES,
    Attendee,
    EntryKind,
    Every,
    Field,
    FullName,
    Recurrence,
    Span,
    Value,
)
from mailboxes.provider.errors import ItemUnreadable, ProviderError, Throttled, Unavailable
from mailboxes.provider.memory.store import Item
from mailboxes.provider.port import FolderRole
from mailboxes.report import RunReport
from mailboxes.states import Track
from security.models import User
from tests.tracking.linked.desk import timed_office
from tracking.engine.filter_queries import MODELS
from tracking.engine.pipeline import sync
from tracking.linked.channel import switch
from tracking.linked.compare import CATEGORY
from tracking.models import Appointment, Attendance, FieldDirection, LinkState, OccurrenceChange, SyncFilter
from tracking.sync.codec import encode, encode_all
from tracking.sync.directions import Direction

NAME = {EntryKind.TASK: Field.SUBJECT, EntryKind.APPOINTMENT: Field.SUBJECT, EntryKind.CONTACT: Field.NAME}
TEXT = {EntryKind.TASK: Field.BODY, EntryKind.APPOINTMENT: Field.BODY, EntryKind.CONTACT: Field.NOTES}
COLUMN = {Field.SUBJECT: "subject", Field.BODY: "description", Field.NAME: "last_name", Field.NOTES: "notes"}
ROLES = {kind: role for role, kind in HOMES.items()}
LATER = datetime(2026, 9, 1, 10, 0, tzinfo=UTC)
SPAN = Span(LATER, LATER + timedelta(hours=1), "Europe/Madrid")
DAYS = Span(date(2026, 9, 3), date(2026, 9, 5))
WEEKLY = Recurrence(Every.WEEK, date(2026, 9, 1), weekdays=("TU",), count=5)
DAYS_OF_SERIES = tuple(LATER + timedelta(weeks=number) for number in range(1, 4))
# Facts of a task that keep it from being ours to keep in step.
NOT_OURS = ("recurring", "assigned")
# Exchange has no words for it.
EVERY_OTHER_YEAR = Recurrence(Every.YEAR, date(2026, 9, 1), interval=2, day=1, month=9)
MINE = {"any": False, "parts": [{"column": "owner", "operator": "is_me", "value": None}]}
ALL = {"any": False, "parts": []}
STRANGER = "kim@customer.example"
MAIL_PLACES = ("inbox", "inbox", "sent", "deleted", "drafts")

_RECORDS = " UNION ALL ".join(
    f"(SELECT '{kind}', id, deleted_at IS NOT NULL FROM {model._meta.db_table} ORDER BY id)"  # noqa: S608 -- our own names
    for kind, model in MODELS.items()
)


class WorkerDied(BaseException):
    """Stands for a kill: nothing in the engine may catch it."""


@dataclass(eq=False)
class Person:
    """An owner: their user and their mailbox."""

    user: User
    mailbox: Mailbox

    @property
    def address(self) -> str:
        """Return the address of the mailbox."""
        return self.mailbox.address


class Chaos:
    """An office of two, and a source of randomness that works at them."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        # What is done for one run; whoever watches puts more around it.
        self.watched: Callable[..., object] = self.sync
        self.office = timed_office()
        self.server = self.office.server
        self.right = Permission.objects.get(codename="read_all_records")
        self.people = [self._person(name) for name in ("anna", "ben")]
        self.number = 0
        self.steps = 0
        self.records_made = 0
        # Records that were made as a series.
        self.weekly: set[int] = set()
        self._rows: list[tuple[str, int, bool]] | None = None
        # A death that waits for the clock to be looked at so often.
        self.dies_in = 0
        # Entries that were copied, by name: each copy without a stamp is an entry of its own.
        self.copies: Counter[str] = Counter()
        # Words that their author took back: nobody misses them.
        self.taken_back: set[str] = set()

    def _person(self, name: str) -> Person:
        user = User.objects.create(username=name)
        mailbox = self.office.mailbox(name)
        switch(mailbox, on=True, by="marta", now=self.office.now)
        if self.random.random() < 0.5:
            user.user_permissions.add(self.right)
        return Person(user, mailbox)

    def step(self) -> None:
        """Let something happen, some seconds later."""
        self.steps += 1
        self._rows = None
        self.office.now += timedelta(seconds=self.random.randint(1, 90))
        records, entries = self.records(), self.entries()
        few = 8 if len(records) + len(entries) < 6 else 2
        able: list[tuple[int, Callable[[], object]]] = [
            (8, self.run), (few, self.new_record), (few, self.new_entry), (2, self.mail_arrives),
            (3, self.fault), (1, self.expire), (1, self.change_filter), (1, self.change_direction),
            (1, self.change_right), (1, self.change_option), (1, self.rename_folder), (1, self.switch_channel),
            (few, self.meet),
        ]  # fmt: skip
        if records:
            able += [(6, self.edit_record), (1, self.delete_record), (1, self.have_back), (1, self.give_away)]
            able += [(1, self.finish_record)]
        if entries:
            able += [(6, self.edit_entry), (1, self.throw_away), (1, self.vanish), (1, self.move_out)]
            able += [(1, self.mark), (1, self.unmark), (1, self.make_private), (1, self.unreadable), (1, self.copy)]
            able += [(1, self.finish_entry), (1, self.touch), (2, self.hand_over)]
        if self.series_here():
            able += [(3, self.change_day_of_record)]
        if self.series_there():
            able += [(3, self.change_day_of_entry)]
        if self.strayed():
            able += [(2, self.move_back)]
        if self.mails():
            able += [(2, self.move_mail), (1, self.touch_mail), (1, self.remove_mail)]
        weights, actions = zip(*able, strict=True)
        self.random.choices(actions, weights)[0]()

    # -- words

    def word(self) -> str:
        """Return a word that nobody ever wrote."""
        self.number += 1
        return f"w{self.number}"

    @staticmethod
    def value(field: Field, word: str) -> Value:
        """Return a word as the field holds it."""
        return FullName("", "", word) if field is Field.NAME else word

    def take_back(self, values: Any) -> None:
        """Note that what stood there was written over, or thrown away for good, by people themselves."""
        self.taken_back |= {each.last if isinstance(each, FullName) else each for each in values if each}

    # -- what there is

    def records(self, *, deleted: bool = False) -> list[tuple[EntryKind, int]]:
        """Return kind and id of the records that are there, or of those that were thrown away; asked once in a step."""
        if self._rows is None:
            with connection.cursor() as cursor:
                cursor.execute(_RECORDS)
                self._rows = cursor.fetchall()
        return [(EntryKind(kind), pk) for kind, pk, gone in self._rows if gone is deleted]

    def a_record(self) -> Any:
        """Return one of the records that are there."""
        kind, pk = self.random.choice(self.records())
        return MODELS[kind]._default_manager.get(pk=pk)

    def items(self, person: Person) -> list[Item]:
        """Return everything in a mailbox."""
        return [
            item for folder in self.server.mailbox(person.address).folders.values() for item in folder.items.values()
        ]

    def entries(self) -> list[Item]:
        """Return the entries that lie where they belong."""
        return [
            item for person in self.people for item in self.items(person)
            if item.entry and item.folder.role in HOMES
        ]  # fmt: skip

    def series_here(self) -> list[int]:
        """Return the ids of the weekly appointments among the records."""
        return [pk for kind, pk in self.records() if kind is EntryKind.APPOINTMENT and pk in self.weekly]

    def series_there(self) -> list[Item]:
        """Return the weekly appointments that their owner organises, among the entries."""
        return [
            item for item in self.entries()
            if item.entry and item.entry.values.get(Field.RECURRENCE) == WEEKLY and item.entry.organized_here
        ]  # fmt: skip

    def strayed(self) -> list[Item]:
        """Return the entries that somebody moved elsewhere."""
        return [
            item for person in self.people for item in self.items(person)
            if item.entry and item.folder.role is FolderRole.DRAFTS
        ]  # fmt: skip

    def mails(self) -> list[Item]:
        """Return all mail."""
        return [item for person in self.people for item in self.items(person) if item.entry is None]

    # -- what people do to records

    def new_record(self) -> None:
        """Somebody writes a record down: a meeting with attendees or a series among them."""
        kind, owner = self.random.choice(list(EntryKind)), self.random.choice(self.people)
        fields: dict[str, Any] = {COLUMN[NAME[kind]]: self.word(), "owner": owner.user}
        if kind is EntryKind.APPOINTMENT:
            fields |= self._when()
        record = MODELS[kind]._default_manager.create(**fields)
        self.records_made += 1
        if fields.get("recurrence") == encode(WEEKLY):
            self.weekly.add(record.pk)
        if isinstance(record, Appointment) and self.random.random() < 0.4:
            for role, email in (("organizer", owner.address), ("required", STRANGER)):
                Attendance.objects.create(appointment=record, role=role, email=email)

    def _when(self) -> dict[str, Any]:
        if self.random.random() < 0.2:
            return {"first_day": DAYS.start, "day_after": DAYS.end}
        series = self.random.choice((None, None, None, WEEKLY, WEEKLY, EVERY_OTHER_YEAR))
        return {
            "starts_at": SPAN.start, "ends_at": SPAN.end, "zone": SPAN.zone,
            "recurrence": encode(series) if series else None,
        }  # fmt: skip

    def edit_record(self) -> None:
        """Somebody changes a record's name or text."""
        record = self.a_record()
        kind = next(kind for kind, model in MODELS.items() if isinstance(record, model))
        column = COLUMN[self.random.choice((NAME, TEXT))[kind]]
        self.take_back([getattr(record, column)])
        setattr(record, column, self.word())
        record.save()

    def delete_record(self) -> None:
        """A record is thrown away."""
        record = self.a_record()
        record.deleted_at = self.office.now
        record.save()

    def have_back(self) -> None:
        """A record is had back."""
        for kind, pk in self.records(deleted=True)[:1]:
            record = MODELS[kind]._default_manager.get(pk=pk)
            record.deleted_at = None
            record.save()

    def give_away(self) -> None:
        """A record becomes somebody's, who may be the only one to see it."""
        record = self.a_record()
        record.owner = self.random.choice(self.people).user
        record.save()

    def change_day_of_record(self) -> None:
        """Somebody gives one occurrence of a series another name, or calls it off."""
        record = Appointment.objects.get(pk=self.random.choice(self.series_here()))
        original = self.random.choice(DAYS_OF_SERIES)
        row = OccurrenceChange.objects.filter(appointment=record, original=original).first()
        row = row or OccurrenceChange(appointment=record, original=original)
        self.take_back([row.values.get(Field.SUBJECT)])
        row.cancelled = self.random.random() < 0.25
        if not row.cancelled:
            row.values = encode_all({Field.SUBJECT: self.word()})
        row.save()
        record.save()

    def finish_record(self) -> None:
        """A task is done, an appointment was held, a contact is not used any more."""
        record = self.a_record()
        if hasattr(record, "active"):
            record.active = not record.active
        else:
            record.status = {"open": "completed", "completed": "open"}.get(record.status, "InProgress")
        record.save()

    # -- what people do to entries

    def new_entry(self) -> None:
        """Somebody writes an entry down, or gets an invitation, and has it tracked or not."""
        kind, owner = self.random.choice(list(EntryKind)), self.random.choice(self.people)
        values: dict[Field, Value] = {NAME[kind]: self.value(NAME[kind], self.word())}
        facts: dict[str, Any] = {}
        if kind is EntryKind.APPOINTMENT:
            values[Field.SPAN] = self.random.choice((SPAN, SPAN, DAYS))
            if values[Field.SPAN] is SPAN and self.random.random() < 0.3:
                values[Field.RECURRENCE] = WEEKLY
            if self.random.random() < 0.3:
                facts["organized_here"] = False
                values |= {
                    Field.ORGANIZER: (Attendee(STRANGER, "", "organizer"),),
                    Field.REQUIRED: tuple(Attendee(each.address) for each in self.people),
                }
            elif self.random.random() < 0.3:
                values[Field.REQUIRED] = (Attendee(STRANGER),)
        marked = (CATEGORY,) if self.random.random() < 0.6 else ()
        if kind is EntryKind.TASK and self.random.random() < 0.3:
            facts[self.random.choice(NOT_OURS)] = True
        self.server.put_entry(
            owner.address, ROLES[kind], kind, values, telling=False, categories=marked, **facts
        )  # fmt: skip

    def meet(self) -> None:
        """A meeting is in both calendars, of one of the two or of somebody else; each has their copy tracked or not."""
        organizer = self.random.choice((*(each.address for each in self.people), STRANGER))
        name, uid = self.word(), f"meeting-{self.number}"
        values: dict[Field, Value] = {
            Field.SUBJECT: name, Field.SPAN: SPAN, Field.ORGANIZER: (Attendee(organizer, "", "organizer"),),
            Field.REQUIRED: tuple(Attendee(each.address) for each in self.people if each.address != organizer),
        }  # fmt: skip
        if self.random.random() < 0.3:
            values[Field.RECURRENCE] = WEEKLY
        # Who may not see the record of the other's copy gets one of their own.
        self.copies[name] += 1
        for person in self.people:
            self.server.put_entry(
                person.address, ROLES[EntryKind.APPOINTMENT], EntryKind.APPOINTMENT, values, telling=False, uid=uid,
                organized_here=person.address == organizer,
                categories=(CATEGORY,) if self.random.random() < 0.7 else (),
            )  # fmt: skip

    def edit_entry(self) -> None:
        """Its owner changes an entry's name or text."""
        item = self.random.choice(self.entries())
        assert item.entry is not None
        field = self.random.choice((NAME, TEXT))[item.entry.kind]
        self.take_back([item.entry.values.get(field)])
        self.server.change_entry(item.id, {field: self.value(field, self.word())})

    def finish_entry(self) -> None:
        """A task is ticked off in the mailbox, or begun again."""
        item = self.random.choice(self.entries())
        assert item.entry is not None
        if item.entry.kind is EntryKind.TASK:
            done = item.entry.values.get(Field.STATUS) == "Completed"
            if item.entry.recurring and not done:
                # The turn that is finished becomes an entry of its own.
                self.copies[str(item.entry.values[Field.SUBJECT])] += 1
            self.server.change_entry(item.id, {Field.STATUS: "InProgress" if done else "Completed"})

    def hand_over(self) -> None:
        """A task is given to somebody, or comes again from now on, or neither any more."""
        item = self.random.choice(self.entries())
        assert item.entry is not None
        if item.entry.kind is EntryKind.TASK:
            what = self.random.choice(NOT_OURS)
            self.server.change_entry(item.id, {}, **{what: not getattr(item.entry, what)})

    def change_day_of_entry(self) -> None:
        """The organiser gives one occurrence of a series in the mailbox another name, or calls it off."""
        item, original = self.random.choice(self.series_there()), self.random.choice(DAYS_OF_SERIES)
        assert item.entry is not None
        before = [each for each in item.entry.exceptions if each.original == original]
        self.take_back(each.values.get(Field.SUBJECT) for each in before)
        if not any(each.cancelled for each in before):
            off = self.random.random() < 0.25
            self.server.change_occurrence(item.id, original, None if off else {Field.SUBJECT: self.word()})

    def throw_away(self) -> None:
        """An entry goes to the deleted items."""
        self.server.bin_entry(self.random.choice(self.entries()).id, telling=False)

    def vanish(self) -> None:
        """An entry is deleted for good, past the deleted items."""
        item = self.random.choice(self.entries())
        assert item.entry is not None
        self.take_back(item.entry.values.get(each[item.entry.kind]) for each in (NAME, TEXT))
        self.take_back(each.values.get(Field.SUBJECT) for each in item.entry.exceptions)
        self.server.remove(item.id)

    def move_out(self) -> None:
        """An entry is put where nobody looks."""
        self.server.move(self.random.choice(self.entries()).id, FolderRole.DRAFTS)

    def move_back(self) -> None:
        """It is put back."""
        for item in self.strayed():
            if item.entry:
                self.server.move(item.id, ROLES[item.entry.kind])

    def mark(self) -> None:
        """Its owner asks for an entry to be tracked."""
        self._facts(categories=(CATEGORY,))

    def unmark(self) -> None:
        """Its owner takes that back."""
        self._facts(categories=())

    def make_private(self) -> None:
        """Its owner makes an entry private, or shows it again."""
        self._facts(sensitivity=self.random.choice(("Private", "Normal")))

    def _facts(self, **facts: Any) -> None:
        self.server.change_entry(self.random.choice(self.entries()).id, {}, **facts)

    def copy(self) -> None:
        """An entry is copied within its mailbox, stamp and all."""
        item = self.random.choice(self.entries())
        assert item.entry is not None
        name = item.entry.values[NAME[item.entry.kind]]
        self.copies[name.last if isinstance(name, FullName) else str(name)] += 1
        self.server.copy(item.id, item.folder.mailbox.address, item.folder.role)

    def touch(self) -> None:
        """An entry is announced once more."""
        self.server.announce(self.random.choice(self.entries()).id)

    def unreadable(self) -> None:
        """An entry cannot be read for a while."""
        self.server.fail_item(self.random.choice(self.entries()).id, ItemUnreadable(code="item_corrupt"))

    # -- mail

    def mail_arrives(self) -> None:
        """A message arrives with one of them, or both."""
        self.number += 1
        for person in self.random.choice((self.people, self.people[:1], self.people[1:])):
            self.server.deliver(
                person.address, message_id=f"<{self.number}@c.example>", sender=STRANGER,
                to=[each.address for each in self.people],
            )  # fmt: skip

    def move_mail(self) -> None:
        """A message is filed."""
        self.server.move(self.random.choice(self.mails()).id, self.random.choice(MAIL_PLACES))

    def touch_mail(self) -> None:
        """A message is read, changed or announced again."""
        act = self.random.choice((self.server.touch, self.server.set_read, self.server.announce))
        act(self.random.choice(self.mails()).id)

    def remove_mail(self) -> None:
        """A message is gone for good."""
        self.server.remove(self.random.choice(self.mails()).id)

    # -- what is set

    def change_filter(self) -> None:
        """What flows into a mailbox becomes more, or less; a system filter narrows everybody's."""
        kind = self.random.choice(list(EntryKind))
        if self.random.random() < 0.3:
            found, made = SyncFilter.objects.get_or_create(
                scope=SyncFilter.Scope.SYSTEM, sync_profile=self.office.profile, kind=kind, name="narrow",
                defaults={"conditions": self._contains(kind)},
            )  # fmt: skip
            if not made:
                found.delete()
            return
        own = SyncFilter.objects.filter(mailbox=self.random.choice(self.people).mailbox, kind=kind)
        own.update(
            conditions=self.random.choice((MINE, MINE, ALL, self._contains(kind))), active=self.random.random() < 0.8
        )

    def _contains(self, kind: EntryKind) -> dict[str, Any]:
        part = {"column": COLUMN[NAME[kind]], "operator": "contains", "value": str(self.random.randint(1, 9))}
        return {"any": False, "parts": [part]}

    def change_direction(self) -> None:
        """The text of a kind, or the name of a task, flows another way from now on."""
        kind = self.random.choice(list(EntryKind))
        FieldDirection.objects.update_or_create(
            sync_profile=self.office.profile, kind=kind, field=TEXT[kind],
            defaults={"direction": self.random.choice([*Direction, Direction.BOTH])},
        )  # fmt: skip

    def change_right(self) -> None:
        """Somebody may see everybody's records, or only their own again."""
        user = self.random.choice(self.people).user
        if user.user_permissions.exists():
            user.user_permissions.clear()
        else:
            user.user_permissions.add(self.right)

    def change_option(self) -> None:
        """Mail is tracked in a mailbox, or not."""
        mailbox = self.random.choice(self.people).mailbox
        mailbox.track = self.random.choice((Track.ALL, Track.ALL, Track.NONE))
        mailbox.save(update_fields=["track"])

    def switch_channel(self) -> None:
        """Entries of a mailbox are kept in step, or left alone for a while."""
        mailbox = self.random.choice(self.people).mailbox
        switch(mailbox, on=not mailbox.entries, by="marta", now=self.office.now)

    # -- what goes wrong

    def rename_folder(self) -> None:
        """A folder gets another name, or another place."""
        address = self.random.choice(self.people).address
        role = self.random.choice((*HOMES, FolderRole.INBOX))
        if self.random.random() < 0.5:
            self.server.rename_folder(address, role, self.word())
        else:
            self.server.move_folder(address, role, self.random.choice((None, FolderRole.DELETED, FolderRole.SENT)))

    def expire(self) -> None:
        """The server forgets how far we were."""
        role = self.random.choice((*HOMES, FolderRole.INBOX))
        self.server.expire_cursor(self.random.choice(self.people).address, role)

    def fault(self) -> None:
        """The server will fail or throttle, its answer be lost, or the worker die, at some moment of a later run."""
        if self.random.random() < 0.4:
            self.dies_in = self.random.randint(1, 40)
            return
        error = self.random.choice((Unavailable(), Throttled(), WorkerDied()))
        method = self.random.choice(("*", "create_entry", "update_entry", "delete_entry", "entries", "marks"))
        fail = self.server.lose if method.endswith("_entry") and self.random.random() < 0.5 else self.server.fail
        fail(method, error, nth=self.random.randint(1, 4))

    def clock(self) -> datetime:
        """Return the time; a worker that is to die does so when it looks at it."""
        if self.dies_in:
            self.dies_in -= 1
            if not self.dies_in:
                raise WorkerDied
        return self.office.now

    # -- runs

    def run(self) -> None:
        """One mailbox is synced, or both."""
        self.office.now += timedelta(minutes=self.random.randint(1, 12))
        for person in self.random.choice((self.people, self.people[:1], self.people[1:])):
            self.watched(person, full=self.random.random() < 0.25)

    def sync(self, person: Person, *, full: bool) -> RunReport | None:
        """Do one run; return its report, None when its worker died."""
        run = self.office.begin(person.mailbox)
        run.mailbox = person.mailbox = Mailbox.objects.select_related("server", "sync_profile", "owner").get(
            pk=person.mailbox.pk
        )
        run.full_pass = full or person.mailbox.full_pass_at is None
        person.mailbox.full_pass_at = self.office.now
        try:
            report = sync(
                run, self.server.provider(person.address), clock=self.clock, yield_after_s=None, beat=lambda: None
            )
        except WorkerDied:
            return None
        finally:
            self.dies_in = 0
            self.office.end(run)
        assert report.error is None or isinstance(report.error, ProviderError)
        if run.full_pass and report.error is None:
            Mailbox.objects.filter(pk=person.mailbox.pk).update(full_pass_at=self.office.now)
        return report

    def calm(self) -> None:
        """Everything heals, everything is put back, every brake is let go, every channel is open."""
        self.server.heal()
        self.dies_in = 0
        self.move_back()
        for person in self.people:
            if not person.mailbox.entries:
                switch(person.mailbox, on=True, by="marta", now=self.office.now)
        braked = LinkState.objects.filter(braked_at__isnull=False)
        braked.update(released_at=self.office.now, released_by="marta")
