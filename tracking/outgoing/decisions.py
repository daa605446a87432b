"""What people decide on mail: send it, send it again, give it up, say that it was sent, correct it.

Each locks the row, looks whether it still is as the person saw it, and leaves the rest to the next run. A person sends
from a mailbox of their own, and only the mailbox's owner decides; a draft is its author's (`may_decide`).
"""

import logging
from contextlib import suppress
from datetime import datetime
from uuid import uuid4

from django.db import transaction
from redis import RedisError

from mailboxes import intents
from mailboxes.models import Mailbox, Run
from mailboxes.states import State
from security.models import User
from tracking import actions
from tracking.engine import tokens
from tracking.models import OutgoingFile, OutgoingMail
from tracking.outgoing import due, giving_up
from tracking.outgoing.steps import DRAFT_CHANGED

log = logging.getLogger(__name__)

_State = OutgoingMail.State


class NotPossible(Exception):
    """The mail is not (any more) as it would have to be: it was sent, given up, or a worker is at it."""


class NotYours(Exception):
    """Nobody sends from, or decides for, a mailbox that is not theirs."""


def may_decide(person: User, mail: OutgoingMail) -> bool:
    """Tell whether the person decides on the mail: whoever owns the mailbox, of a draft its author."""
    return (mail.author_id if mail.state == _State.DRAFT else mail.mailbox.owner_id) == person.pk


def send(mail: OutgoingMail, *, by: User, now: datetime) -> None:
    """Send a draft: at once, or as soon as its channel and mailbox are on. Raises `NotYours`, `NotPossible`."""
    with transaction.atomic():
        row = _locked(mail, by, _State.DRAFT)
        if row.mailbox.owner_id != by.pk:
            raise NotYours
        row.stamp = row.stamp or f"mail-{uuid4().hex}"
        named, domain = tokens.Named(tokens.Kind.OUTGOING, row.pk), row.mailbox.address.rpartition("@")[2]
        row.message_id = tokens.marks(
            row.mailbox.sync_profile, named, subject="", domain=domain, unique=uuid4().hex
        ).message_id
        _wait(row, by, now)
    _have_sent(row.mailbox, by)


def send_again(mail: OutgoingMail, *, by: User, now: datetime) -> None:
    """Try a mail again that failed, or of which nobody knows whether it was sent. Raises as `send` does.

    A draft that was changed in the mailbox is sent as it stands there. A mail that is lost is made anew, unless it turns
    up after all; it keeps its Message-ID, by which mail systems know one that they have already.
    """
    with transaction.atomic():
        row = _locked(mail, by, _State.FAILED, _State.UNKNOWN)
        row.as_it_is = row.error_code == DRAFT_CHANGED
        if row.state == _State.UNKNOWN:
            row.item_id = row.change_key = ""
            row.send_asked_at = None
        _wait(row, by, now)
    _have_sent(row.mailbox, by)


def was_sent(mail: OutgoingMail, *, by: User, now: datetime) -> None:
    """Settle a mail as sent, because a person says so; its copy is looked for. Raises as `send` does."""
    with transaction.atomic():
        row = _locked(mail, by, _State.UNKNOWN)
        row.sent_at = row.send_asked_at or now
        row.try_at, row.attempts = now, 0
        _settle(row, _State.SENT, by, now)
    _have_sent(row.mailbox, by)


def discard(mail: OutgoingMail, *, by: User, now: datetime) -> None:
    """Give a mail up: a draft is deleted, of any other text and files are; its draft in the mailbox is taken away.

    One that turns out to have been sent after all becomes sent. Raises as `send` does.
    """
    with transaction.atomic():
        row = _locked(mail, by, _State.DRAFT, _State.WAITING, _State.SENDING, _State.FAILED, _State.UNKNOWN)
        if row.state == _State.DRAFT:
            row.delete()
            return
        _give_up(row, by, now)
    _have_sent(row.mailbox, by)


def correct(mail: OutgoingMail, *, by: User, now: datetime) -> OutgoingMail:
    """Give up a mail that failed, or that nothing was asked for yet, and return a new draft of the same words."""
    with transaction.atomic():
        row = _locked(mail, by, _State.FAILED, _State.WAITING)
        if row.state == _State.WAITING and row.make_asked_at is not None:
            raise NotPossible
        draft = OutgoingMail.objects.create(
            mailbox=row.mailbox, author=by, to=row.to, cc=row.cc, bcc=row.bcc, subject=row.subject, text=row.text,
            html=row.html, answers=row.answers, regarding_kind=row.regarding_kind, regarding_id=row.regarding_id,
            state_since=now, created_at=now,
        )  # fmt: skip
        OutgoingFile.objects.bulk_create(
            OutgoingFile(mail=draft, name=each.name, content_type=each.content_type, size=each.size, sha256=each.sha256)
            for each in row.files.all()
        )
        _give_up(row, by, now)
    _have_sent(row.mailbox, by)
    return draft


def _locked(mail: OutgoingMail, by: User, *states: str) -> OutgoingMail:
    """Lock and return the row as it is now."""
    row = OutgoingMail.objects.select_for_update(of=["self"]).select_related("mailbox").filter(pk=mail.pk).first()
    if row is None or row.state not in states:
        raise NotPossible
    if not may_decide(by, row):
        raise NotYours
    # What a dead worker left behind is nobody's; what a run is at is the run's.
    if row.state == _State.SENDING and Run.objects.filter(mailbox=row.mailbox, finished_at=None).exists():
        raise NotPossible
    return row


def _wait(row: OutgoingMail, by: User, now: datetime) -> None:
    row.try_at, row.attempts = now, 0
    _settle(row, _State.WAITING, by, now)


def _give_up(row: OutgoingMail, by: User, now: datetime) -> None:
    row.try_at = now if row.make_asked_at is not None else None
    row.attempts, row.text, row.html = 0, "", ""
    row.files.all().delete()
    _settle(row, _State.DISCARDED, by, now)


def _settle(row: OutgoingMail, state: str, by: User, now: datetime) -> None:
    was_given_up = row.error_code == giving_up.GIVEN_UP
    row.state, row.state_since, row.decided_by = state, now, by.get_username()
    row.error_code = row.error_detail = ""
    row.save()
    if was_given_up:
        giving_up.settled(row.mailbox_id, now)
    due.refresh(row.mailbox)
    intents.make_due(Mailbox.objects.filter(pk=row.mailbox_id), now)


def _have_sent(mailbox: Mailbox, by: User) -> None:
    """Have a run begin at once. What keeps it from beginning is seen on the screen, and ends with the schedule's next.

    A sign-in that was refused is not tried by every mail: enough of them lock the account. Whoever mends it says so.
    """
    stopped = mailbox.server.stopped_at is not None and not mailbox.username
    if not mailbox.outgoing or stopped or mailbox.state == State.SIGN_IN_FAILED:
        return
    # The queue is gone: the mailbox is due, and whoever dispatches next finds it.
    with suppress(actions.NotOn, RedisError):
        actions.sync_now(mailbox, by=by.get_username())
