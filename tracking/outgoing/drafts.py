"""Writing drafts: from what a form says to a row, with its files in the blob store before the row names them."""

from datetime import datetime
from typing import Any

from django.core.files.uploadedfile import UploadedFile
from django.db import IntegrityError, transaction

from security.models import User
from tracking.engine import blobs
from tracking.models import Activity, OutgoingFile, OutgoingMail
from tracking.outgoing.decisions import NotPossible
from tracking.outgoing.forms import NAME_CHARACTERS, MailForm

_FIELDS = ("mailbox", "to", "cc", "bcc", "subject", "text")


def save(
    form: MailForm, *, author: User, answers: Activity | None, about: tuple[str, int] | None, now: datetime
) -> OutgoingMail:
    """Write the draft of a valid form, a new one or the form's own; raises `NotPossible` when it is a draft no more, or was
    written already, OSError when a file cannot be kept.
    """
    said = form.cleaned_data
    stored = [(each, blobs.put(each.read())) for each in said["added"]]
    blobs.settle(digest for _each, digest in stored)
    with transaction.atomic():
        mail = _draft(form, author, now)
        for name in _FIELDS:
            setattr(mail, name, said[name])
        if form.mail is None:
            mail.answers = answers
            mail.regarding_kind, mail.regarding_id = about or ("", None)
            mail.stamp = f"mail-{said['once']}" if said["once"] else ""
        mail.state_since = now
        _keep(mail)
        mail.files.filter(pk__in=[each.pk for each in said["remove"]]).delete()
        OutgoingFile.objects.bulk_create(
            OutgoingFile(mail=mail, **_facts(each), sha256=digest) for each, digest in stored
        )
    return mail


def _draft(form: MailForm, author: User, now: datetime) -> OutgoingMail:
    if form.mail is None:
        return OutgoingMail(author=author, created_at=now)
    drafts = OutgoingMail.objects.select_for_update().filter(state=OutgoingMail.State.DRAFT, author=author)
    mail = drafts.filter(pk=form.mail.pk).first()
    if mail is None:
        raise NotPossible
    return mail


def _keep(mail: OutgoingMail) -> None:
    try:
        with transaction.atomic():
            mail.save()
    except IntegrityError as error:
        if OutgoingMail.objects.filter(stamp=mail.stamp).exclude(pk=mail.pk).exists():
            raise NotPossible from error
        raise


def _facts(file: "UploadedFile[bytes]") -> dict[str, Any]:
    # A name as the sender's machine writes it is not a path here.
    name = " ".join((file.name or "").replace("\\", "/").rpartition("/")[2].split())
    return {
        "name": name[-NAME_CHARACTERS:] or "file",
        "content_type": (file.content_type or "application/octet-stream")[:200],
        "size": file.size or 0,
    }
