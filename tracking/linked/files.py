"""What hangs on one linked appointment, brought into step with the files of its record (off by default).

The one idea: look, then write the mailbox, then the database, as for fields (`tracking.linked.compare`). A file is known
by what its bytes hash to, so one that was sent before a crash is found there and is the same: it never hangs there twice.
"""

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from django.db import transaction

from mailboxes.models import Run
from mailboxes.provider.entries import Entry, EntryKind
from mailboxes.provider.errors import ChangedMeanwhile, ItemGone, ItemUnreadable, ProviderError, WriteRefused
from mailboxes.provider.port import AttachmentBytes, AttachmentInfo
from mailboxes.provider.writing import Attached, OutgoingFile, WholeProvider
from security.models import User
from tracking.engine import blobs
from tracking.engine.apply import keep_lease
from tracking.engine.content import disk_full
from tracking.linked.records import organizes
from tracking.models import Appointment, AppointmentFile, Attendance, FilesInStep, ItemLink
from tracking.models.record import Owned
from tracking.sync.attachments import Changes, Left, Piece, changes, left_there, name_of, pieces, stored
from tracking.sync.directions import Direction

# What all files are called beside the names of fields.
FILES: Final = "files"
# Of one file, both ways. In the form in which it travels it is a third larger, and Exchange takes 35 MB.
MOST_BYTES: Final = 20_000_000
# Asked for together: one request for many small ones, one each for large ones.
_TOGETHER_BYTES: Final = 2_000_000
# Attempts at a file that the server calls unreadable, and at one that it never answers for (design §6).
_ATTEMPTS: Final = 3
# What a single file can do to a request: the server falls over it, or never comes to an end with it.
_PERHAPS_THE_FILE: Final = frozenset({"timed_out", "connection_lost", "server_error", "answer_unreadable"})
TOO_LARGE_THERE: Final = "attachment_too_large"
# What a digest begins with that nobody has worked out: a dry run's.
_UNREAD: Final = "unread:"


def may_change(record: Owned, person: User) -> bool:
    """Tell whether a person who sees an appointment may add files to it and take them away: records of others are read."""
    return record.owner_id is None or record.owner_id == person.pk


@dataclass(slots=True)
class There:
    """What hangs on the entry: the ids of each piece, what is known by id, what is left there and why."""

    ids: dict[Piece, list[str]] = field(default_factory=dict)
    read: dict[str, list[str | int]] = field(default_factory=dict)
    types: dict[Piece, str] = field(default_factory=dict)
    sizes: dict[Piece, int] = field(default_factory=dict)
    left: dict[str, str] = field(default_factory=dict)
    bytes: int = 0

    def add(self, info: AttachmentInfo, sha256: str, size: int) -> None:
        """Note an attachment whose bytes are known."""
        piece = Piece(name_of(info.name), sha256)
        self.ids.setdefault(piece, []).append(info.id)
        self.types[piece], self.sizes[piece] = info.content_type, size
        self.read[info.id] = [info.version, info.size, sha256, size]


@dataclass(slots=True)
class Look:
    """One appointment looked at: what would change (`plan`), and what came of it once it was written."""

    there: There = field(default_factory=There)
    plan: Changes = field(default_factory=Changes)
    left: dict[str, str] = field(default_factory=dict)
    refused: dict[str, list[str | int]] = field(default_factory=dict)
    base: set[Piece] = field(default_factory=set)
    state: FilesInStep | None = None
    concerned: bool = False


@dataclass(frozen=True, slots=True)
class Files:
    """Keeps the files of one mailbox's appointments in step, for one run. With any other kind there is nothing to do."""

    run: Run
    provider: WholeProvider
    kind: EntryKind
    clock: Callable[[], datetime]
    beat: Callable[[], None]

    @property
    def direction(self) -> Direction:
        """Return which way files flow."""
        if self.kind is not EntryKind.APPOINTMENT:
            return Direction.NONE
        return Direction(self.run.mailbox.sync_profile.appointment_attachments)

    @property
    def flow(self) -> bool:
        """Tell whether files flow at all."""
        return self.direction is not Direction.NONE

    def waits(self, record: Owned) -> bool:
        """Tell whether an entry that was just made of the record lacks files."""
        reaches = self.direction.reaches_exchange and isinstance(record, Appointment)
        return reaches and AppointmentFile.objects.filter(appointment=record.pk).exists()

    def forget(self) -> None:
        """Forget what both sides had, where files do not flow: once they do again, each side is filled from the other,
        and what was taken away meanwhile takes nothing with it.
        """
        if self.kind is EntryKind.APPOINTMENT and not self.flow:
            with transaction.atomic():
                keep_lease(self.run, self.clock())
                FilesInStep.objects.filter(link__mailbox=self.run.mailbox).delete()

    # -- looking

    def lists(self, pairs: Sequence[tuple[Owned, Entry | ItemUnreadable]]) -> dict[str, Attached | ItemUnreadable]:
        """Return what hangs on those of the entries whose files flow, by item id (one request at most)."""
        wanted = [
            entry.marks.item_id
            for record, entry in pairs
            if self.flow and isinstance(entry, Entry) and not self.barred(record, entry)
        ]
        if not wanted:
            return {}
        self.beat()
        return dict(zip(wanted, self.provider.attached(wanted), strict=True))

    def barred(self, record: Owned, entry: Entry) -> Left | None:
        """Return why no file of an appointment flows; None: they do."""
        if not isinstance(record, Appointment) or record.recurrence is not None or entry.recurring:
            return Left.SERIES
        if not entry.organized_here:
            return Left.NOT_ORGANIZER
        invited = record.attendees.exclude(role=Attendance.Role.ORGANIZER)
        mine = organizes(record, self.run.mailbox.address) or not invited.exists()
        return None if mine else Left.NOT_ORGANIZER

    def look(self, link: ItemLink, record: Owned, entry: Entry, listed: Attached | ItemUnreadable | None) -> Look:
        """Compare the files of both sides; bytes are in the blob store afterwards. Raises the `ItemUnreadable` listed,
        `ChangedMeanwhile`, and `Unavailable` with code disk_full.
        """
        if not self.flow or not isinstance(record, Appointment):
            return Look()
        state = FilesInStep.objects.filter(link=link.pk).first()
        ours = {Piece(each.name, each.sha256) for each in AppointmentFile.objects.filter(appointment=record.pk)}
        if listed is None:
            why = self.barred(record, entry)
            return self._barred(state, str(why or ""), any_here=bool(ours))
        if isinstance(listed, ItemUnreadable):
            raise listed
        known, base = (state.read, pieces(state.base)) if state else ({}, frozenset[Piece]())
        may_write = may_change(record, self.run.mailbox.owner)
        takes = self.direction.reaches_crm and may_write
        # Of files that are not taken over, only those are read that may be ours.
        names = None if takes else {piece.name for piece in ours | base}
        there = self._read(listed, known, names, keep=takes)
        plan = changes(
            base, ours, there.ids.keys(), direction=self.direction, may_write=may_write, unsure=there.left.keys()
        )
        self._have(plan.to_crm, listed, there)
        refused = {key: each for key, each in (state.refused if state else {}).items() if key in _keys(plan)}
        return Look(there, plan, dict(there.left), refused, set(plan.base), state, concerned=True)

    def _barred(self, state: FilesInStep | None, why: str, *, any_here: bool) -> Look:
        left = {FilesInStep.EVERY: why} if why and any_here else {}
        look = Look(left=left, state=state, concerned=left != (state.left if state else {}))
        if state is not None:
            look.base, look.there.read, look.refused = set(pieces(state.base)), state.read, state.refused
        return look

    def _read(
        self, listed: Attached, known: Mapping[str, list[str | int]], names: set[str] | None, *, keep: bool
    ) -> There:
        """Return what hangs there; what is not known by its id and version is read, and kept in the blob store."""
        there, wanted = There(bytes=sum(each.size for each in listed.attachments)), []
        for info in listed.attachments:
            why, before = left_there(info, most_bytes=MOST_BYTES), known.get(info.id)
            if why is not None:
                there.left[name_of(info.name)] = why
            elif names is not None and name_of(info.name) not in names:
                continue
            elif before is not None and before[:2] == [info.version, info.size]:
                there.add(info, str(before[2]), int(before[3]))
            else:
                wanted.append(info)
        for info, data in self._bytes(wanted):
            if isinstance(data, ItemUnreadable):
                there.left[name_of(info.name)] = Left.UNREADABLE
            else:
                there.add(info, _put(data) if keep else blobs.digest(data), len(data))
        return there

    def _have(self, wanted: Sequence[Piece], listed: Attached, there: There) -> None:
        """See to it that the bytes of what goes to the record are in the blob store: some may be known, and not kept."""
        lacking = {there.ids[piece][0] for piece in wanted if not blobs.path_of(piece.sha256).exists()}
        for info, data in self._bytes([info for info in listed.attachments if info.id in lacking]):
            if isinstance(data, ItemUnreadable) or _put(data) != there.read[info.id][2]:
                raise ChangedMeanwhile("an attachment changed while it was compared")
        try:
            for piece in wanted:
                # Young again, whatever it was kept for before: the sweep leaves it alone until our row is there.
                os.utime(blobs.path_of(piece.sha256))
            blobs.settle(piece.sha256 for piece in wanted)
        except FileNotFoundError as error:
            raise ChangedMeanwhile("an attachment was swept away while it was compared") from error
        except OSError as error:
            raise disk_full(error) from error

    def _bytes(self, infos: Sequence[AttachmentInfo]) -> list[tuple[AttachmentInfo, bytes | ItemUnreadable]]:
        found: list[tuple[AttachmentInfo, bytes | ItemUnreadable]] = []
        for group in _groups(infos):
            for info, first in zip(group, self._ask(group), strict=True):
                answer = first
                for _attempt in range(1, _ATTEMPTS):
                    if isinstance(answer, AttachmentBytes | ItemGone):
                        break
                    answer = self._ask([info])[0]
                if isinstance(answer, ItemGone):
                    # It hung there a moment ago: somebody is at it.
                    raise ChangedMeanwhile("an attachment was taken off while it was compared")
                found.append((info, answer.data if isinstance(answer, AttachmentBytes) else answer))
        return found

    def _ask(self, infos: Sequence[AttachmentInfo]) -> list[AttachmentBytes | ItemUnreadable]:
        self.beat()
        return self.provider.attachments(infos)

    # -- what a dry run asks

    def rehearse(self, link: ItemLink, record: Owned, listed: Attached | ItemUnreadable | None) -> Changes:
        """Return what would move, nothing read but what may be a file of ours, nothing kept anywhere."""
        if not isinstance(listed, Attached) or not isinstance(record, Appointment):
            return Changes()
        state = FilesInStep.objects.filter(link=link.pk).first()
        ours = {Piece(each.name, each.sha256) for each in AppointmentFile.objects.filter(appointment=record.pk)}
        known, base = (state.read, pieces(state.base)) if state else ({}, frozenset[Piece]())
        names = {piece.name for piece in ours | base}
        there = self._read(listed, known, names, keep=False)
        others = {
            Piece(name_of(info.name), f"{_UNREAD}{info.id}")
            for info in listed.attachments
            if name_of(info.name) not in names and left_there(info, most_bytes=MOST_BYTES) is None
        }
        may_write = may_change(record, self.run.mailbox.owner)
        theirs = there.ids.keys() | others
        return changes(base, ours, theirs, direction=self.direction, may_write=may_write, unsure=there.left.keys())

    # -- writing the mailbox

    def write(self, link: ItemLink, look: Look) -> int:
        """Bring the entry's files to what was planned; return how many writes there were. Nobody is told.

        What the server will not have is left where it is, with the reason; raises other `ProviderError`s.
        """
        done = sum(self._detach(piece, look) for piece in look.plan.off_exchange)
        return done + sum(self._attach(link, piece, look) for piece in look.plan.to_exchange)

    def _detach(self, piece: Piece, look: Look) -> int:
        for number, attachment_id in enumerate(look.there.ids[piece]):
            self.beat()
            try:
                self.provider.detach(attachment_id)
            except WriteRefused as error:
                # Known on both sides still, so that it is not taken over again.
                look.base.add(piece)
                look.left[piece.name] = error.code
                return number
            look.there.bytes -= look.there.sizes[piece]
        return len(look.there.ids[piece])

    def _attach(self, link: ItemLink, piece: Piece, look: Look) -> int:
        why = self._why_not(piece, look)
        if not why:
            row = AppointmentFile.objects.filter(
                appointment=link.record_id, name=piece.name, sha256=piece.sha256
            ).first()
            if row is None:
                raise ChangedMeanwhile("a file was taken off the record while it was compared")
            try:
                file = OutgoingFile(piece.name, blobs.get(piece.sha256), row.content_type)
            except FileNotFoundError:
                why = Left.MISSING
            else:
                self.beat()
                tries = self._count_try(link, piece)
                try:
                    self.provider.attach(link.item_id, file)
                except WriteRefused as error:
                    why = error.code
                    self._take_back_try(link, piece, tries)
                    look.refused[piece.key] = [why, look.there.bytes]
                except ProviderError as error:
                    if error.code not in _PERHAPS_THE_FILE:
                        self._take_back_try(link, piece, tries)
                    raise
                else:
                    look.there.bytes += len(file.data)
                    return 1
        look.left[piece.name] = why
        look.base.discard(piece)
        return 0

    def _why_not(self, piece: Piece, look: Look) -> str:
        """Return why a file is not sent: what was too large is not sent again while as much hangs there as then."""
        code, hung = look.refused.get(piece.key, ["", 0])
        if code == TOO_LARGE_THERE and look.there.bytes >= int(hung):
            return TOO_LARGE_THERE
        tries = look.state.tries.get(piece.key, 0) if look.state else 0
        return Left.NO_ANSWER if tries >= _ATTEMPTS else ""

    def _count_try(self, link: ItemLink, piece: Piece) -> int:
        with transaction.atomic():
            keep_lease(self.run, self.clock())
            state, _made = FilesInStep.objects.get_or_create(link=link)
            state.tries = {**state.tries, piece.key: state.tries.get(piece.key, 0) + 1}
            state.save(update_fields=["tries"])
        return int(state.tries[piece.key])

    def _take_back_try(self, link: ItemLink, piece: Piece, tries: int) -> None:
        """The server answered, or had other reasons not to, such as being busy."""
        with transaction.atomic():
            keep_lease(self.run, self.clock())
            state = FilesInStep.objects.get(link=link)
            state.tries = {**state.tries, piece.key: tries - 1}
            state.save(update_fields=["tries"])

    # -- writing the database

    def note(self, link: ItemLink, record: Owned, look: Look) -> bool:
        """Store what came of it, in the transaction that is open; return whether the record's files changed."""
        if not look.concerned or not isinstance(record, Appointment):
            return False
        now = self.clock()
        for piece in look.plan.to_crm:
            AppointmentFile.objects.get_or_create(
                appointment=record, name=piece.name, sha256=piece.sha256,
                defaults={
                    "content_type": look.there.types[piece][:200], "size": look.there.sizes[piece], "added_at": now,
                },
            )  # fmt: skip
        for piece in look.plan.off_crm:
            AppointmentFile.objects.filter(appointment=record, name=piece.name, sha256=piece.sha256).delete()
        lasting = {
            key: tries
            for key, tries in (look.state.tries if look.state else {}).items()
            if key in _keys(look.plan) and tries >= _ATTEMPTS
        }
        wanted = {
            "base": stored(look.base), "read": look.there.read, "left": look.left, "refused": look.refused,
            "tries": lasting,
        }  # fmt: skip
        if look.state is not None or any(wanted.values()):
            FilesInStep.objects.update_or_create(link=link, defaults=wanted)
        return bool(look.plan.to_crm or look.plan.off_crm)


def _keys(plan: Changes) -> set[str]:
    return {piece.key for piece in plan.to_exchange}


def _put(data: bytes) -> str:
    try:
        return blobs.put(data)
    except OSError as error:
        raise disk_full(error) from error


def _groups(infos: Sequence[AttachmentInfo]) -> list[list[AttachmentInfo]]:
    """Return attachments in groups to be asked for together."""
    groups: list[list[AttachmentInfo]] = []
    size = _TOGETHER_BYTES
    for info in infos:
        if size + info.size > _TOGETHER_BYTES:
            groups.append([])
            size = 0
        groups[-1].append(info)
        size += info.size
    return groups
