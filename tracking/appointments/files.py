"""Files of an appointment as people see, add and remove them; the bytes are in the blob store before a row names them."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Final

from django.core.files.uploadedfile import UploadedFile
from django.db import transaction
from django.http import Http404
from django.template.defaultfilters import filesizeformat
from django.utils.translation import gettext as _

from security.access import visible
from security.models import User
from tracking.engine import blobs
from tracking.linked import words
from tracking.linked.files import MOST_BYTES, may_change
from tracking.linked.pages_files import notes_of
from tracking.models import Appointment, AppointmentFile, ItemLink
from tracking.sync.attachments import Left, name_of

if TYPE_CHECKING:
    from django_stubs_ext import StrOrPromise

MOST_FILES: Final = 50


class Refused(Exception):
    """Files that cannot be taken, with a sentence that says why."""

    def __init__(self, sentence: "StrOrPromise") -> None:
        super().__init__(str(sentence))
        self.sentence = str(sentence)


@dataclass(frozen=True, slots=True)
class FileRow:
    """A file of an appointment, and why it hangs in the CRM alone ("" if nothing says so)."""

    file: AppointmentFile
    why: str


@dataclass(frozen=True, slots=True)
class FilesShown:
    """What the page of an appointment shows of its files.

    `elsewhere`: what hangs in a mailbox alone, and why. `flow`: files are kept in step with a mailbox that the person may
    see; `barred`: why none ever is, whatever the sync profile says.
    """

    rows: Sequence[FileRow]
    elsewhere: Sequence[tuple[str, str]]
    may_change: bool
    flow: bool
    barred: str


def shown(person: User, record: Appointment) -> FilesShown:
    """Return the files of an appointment that the person sees."""
    files = list(visible(person, AppointmentFile).filter(appointment=record))
    notes = notes_of(person, record)
    why = dict(notes)
    barred = words.why_file(Left.SERIES) if record.recurrence is not None else why.get("", "")
    linked = visible(person, ItemLink).filter(kind="appointment", record_id=record.pk, unlinked_at=None)
    flow = linked.exclude(mailbox__sync_profile__appointment_attachments="none").exists()
    names = {each.name for each in files}
    return FilesShown(
        [FileRow(each, why.get(each.name, "")) for each in files],
        [(name, said) for name, said in notes if name and name not in names],
        may_change(record, person),
        flow and not barred,
        barred,
    )


def add(record: Appointment, uploads: "Sequence[UploadedFile[bytes]]", *, by: User, now: datetime) -> int:
    """Add files that somebody sent; return how many are new: one that hangs there already, bytes and name, stays one.

    Raises `Refused`, and OSError when they cannot be kept; then none is added.
    """
    if not uploads:
        raise Refused(_("Choose a file first."))
    for each in uploads:
        if (each.size or 0) > MOST_BYTES:
            raise Refused(
                _("%(name)s is too large: %(size)s, at most %(most)s.")
                % {"name": _name(each), "size": filesizeformat(each.size or 0), "most": filesizeformat(MOST_BYTES)}
            )
    stored = [(each, blobs.put(each.read())) for each in uploads]
    blobs.settle(digest for _each, digest in stored)
    with transaction.atomic():
        mine = _locked(record, by)
        made = 0
        for each, digest in stored:
            _row, new = AppointmentFile.objects.get_or_create(
                appointment=mine, name=_name(each), sha256=digest,
                defaults={
                    "content_type": (each.content_type or "application/octet-stream")[:200], "size": each.size or 0,
                    "added_at": now, "added_by": by.get_username(),
                },
            )  # fmt: skip
            made += new
        if AppointmentFile.objects.filter(appointment=mine).count() > MOST_FILES:
            raise Refused(_("An appointment has %(n)s files at most.") % {"n": MOST_FILES})
        if made:
            # So that it is compared again, in every mailbox.
            mine.save()
    return made


def remove(file: AppointmentFile, *, by: User) -> None:
    """Take a file off its appointment; one that is gone is fine."""
    with transaction.atomic():
        mine = _locked(file.appointment, by)
        gone, _each = AppointmentFile.objects.filter(appointment=mine, pk=file.pk).delete()
        if gone:
            mine.save()


def _locked(record: Appointment, by: User) -> Appointment:
    """Return the record as it is now, locked; raises Http404 when somebody took it away, or away from this person."""
    mine = visible(by, Appointment).select_for_update(of=("self",)).filter(pk=record.pk).first()
    if mine is None or not may_change(mine, by):
        raise Http404
    return mine


def _name(file: "UploadedFile[bytes]") -> str:
    # A name as the sender's machine writes it is not a path here.
    return name_of((file.name or "").replace("\\", "/").rpartition("/")[2])
