"""One run's part in sending: the mail of a mailbox that is due, step by step under the mailbox's lease.

The one idea: before each request the row says that it is about to be made, in a transaction that holds the lease; then
`tracking.outgoing.steps` chooses by row and mail server alone. A worker that died, at any point, is simply gone on from.
An attempt is counted, and its repetition put off, before it is made: a mail that kills workers holds up nothing for long.
"""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, Final

from django.db import transaction
from django.db.models import Exists, F, OuterRef
from django.db.models.functions import Greatest

from mailboxes.backoff import growing
from mailboxes.models import Mailbox, Run
from mailboxes.provider.errors import (
    ChangedMeanwhile,
    ItemGone,
    Kind,
    ProviderError,
    Throttled,
    WriteRefused,
)
from mailboxes.provider.port import Address
from mailboxes.provider.text import clean
from mailboxes.provider.writing import FoundMessage, OutgoingFile, OutgoingMail, WholeProvider
from mailboxes.states import Intent
from tracking.engine import blobs
from tracking.engine.apply import keep_lease
from tracking.models import Activity, ItemDecision
from tracking.models import OutgoingMail as Row
from tracking.outgoing import copies, due, giving_up, strays
from tracking.outgoing.steps import Asked, Seen, Send, Step, Stop, choose
from tracking.sync import token

Clock = Callable[[], datetime]
_State = Row.State
# (first wait, longest wait) in seconds between attempts at one mail.
WAITS: Final = (5, 3600)
# How often the copy of a mail that was sent is looked for; who keeps none in Sent Items has none that could be tracked.
LOOKS: Final = 5
AT_ONCE: Final = 100
# More steps than any course of events takes: whoever needs more goes round in circles with the server.
_MOST_STEPS: Final = 8
# What a mail can do to a request: the server falls over it, or never comes to an end with it. Then reading goes on.
_PERHAPS_THE_MAIL: Final = frozenset({"timed_out", "connection_lost", "server_error", "answer_unreadable"})
_DETAIL_CHARACTERS: Final = 2_000
# Exchange takes subjects of so many characters; a token in brackets is some of them.
_SUBJECT: Final = 255
_IN_BRACKETS: Final = token.LENGTH + len(" [crm:]")
# How many messages a References header names (RFC 5322 §3.6.4 asks for all; long ones are cut by mail systems).
_REFERENCES: Final = 20
AUTHOR_REFUSED: Final = "author_refused"
FILE_MISSING: Final = "outgoing_file_missing"


class _Stopped(Exception):
    """The mail is not ours to send (any more): given up, its channel switched off, its mailbox paused."""


class Session:
    """Sees to the mail of the run's mailbox. `take` has an item tracked, by its id; `gives_way` asks between two mails."""

    def __init__(
        self,
        run: Run,
        provider: WholeProvider,
        *,
        clock: Clock,
        beat: Callable[[], None],
        take: Callable[[str], None],
        gives_way: Callable[[], bool],
    ) -> None:
        self.run, self.provider, self.clock, self.beat, self.take = run, provider, clock, beat, take
        self.mailbox: Mailbox = run.mailbox
        self.gives_way = gives_way
        # Mail sent, and drafts taken away again.
        self.written = 0

    def work(self) -> None:
        """Do what is due. Raises provider errors that say more of the mailbox or its server than of one mail."""
        rows = Row.objects.filter(mailbox=self.mailbox, try_at__lte=self.clock()).order_by("try_at", "pk")
        for tried, pk in enumerate(list(rows.values_list("pk", flat=True)[:AT_ONCE])):
            if tried and self.gives_way():
                break
            self._see_to(pk)
        for mail in Row.objects.filter(mailbox=self.mailbox, stray_at__lte=self.clock()).order_by("stray_at")[:AT_ONCE]:
            if self.gives_way():
                break
            self._see_to_strays(mail)
        due.refresh(self.mailbox)

    def _see_to(self, pk: int) -> None:
        mail = Row.objects.select_related("author").get(pk=pk)
        try:
            if mail.state in (_State.WAITING, _State.SENDING):
                self._send(mail)
            elif mail.state == _State.DISCARDED:
                self._take_back(mail)
            if mail.state == _State.SENT and mail.activity_id is None:
                self._track(mail)
        except _Stopped:
            self._let_go(mail)
        except WriteRefused as error:
            self._end(mail, _State.FAILED, error.code, error.detail)
        except ProviderError as error:
            self._put_off(mail, error)
            if self._is_general(error):
                raise

    # -- sending

    def _send(self, mail: Row) -> None:
        if mail.author_id != self.mailbox.owner_id or not mail.author.is_active:
            # Its mailbox has another owner by now, or the person has left: nobody else's name is used.
            self._end(mail, _State.FAILED, AUTHOR_REFUSED)
            return
        self._count(mail, state=_State.SENDING, state_since=self.clock())
        seen: Seen | None = None
        for _each in range(_MOST_STEPS):
            step = choose(_asked(mail), seen)
            if isinstance(step, Stop):
                self._end(mail, _State.UNKNOWN if step.lost else _State.FAILED, step.code)
                return
            if step is Step.SENT or (isinstance(step, Send) and self._hand_over(mail, step.draft)):
                self._end(mail, _State.SENT)
                return
            if step is Step.MAKE:
                message = self._message(mail)
                if message is None:
                    self._end(mail, _State.FAILED, FILE_MISSING)
                    return
                seen = self._make(mail, message)
            else:
                seen = self._look(mail)
        raise ChangedMeanwhile("the draft changes each time it is to be sent")

    def _look(self, mail: Row) -> Seen:
        self.beat()
        found = self.provider.find_message(mail.stamp)
        if (
            found is not None
            and not found.sent
            and mail.stray_at is not None
            and mail.item_id not in ("", found.item_id)
        ):
            # A draft that was given up for lost has turned up beside ours: what counts is what became of ours.
            self.beat()
            for each in self.provider.find_drafts(mail.stamp):
                if each.item_id == mail.item_id:
                    found = replace(found, item_id=each.item_id, change_key=each.change_key)
        return Seen(found)

    def _make(self, mail: Row, message: OutgoingMail) -> Seen:
        self.beat()
        # Asked for before, and not there: it may be made all the same, later.
        stray = {"stray_at": strays.first_look(self.clock())} if mail.make_asked_at is not None else {}
        self._ask(mail, make_asked_at=self.clock(), **stray)
        draft = self.provider.create_message(message, stamp=mail.stamp)
        self._note(mail, item_id=draft.item_id, change_key=draft.change_key)
        return Seen(draft)

    def _hand_over(self, mail: Row, draft: FoundMessage) -> bool:
        """Have the draft sent; False: it has to be looked for."""
        self.beat()
        self._ask(mail, send_asked_at=self.clock(), item_id=draft.item_id, change_key=draft.change_key)
        try:
            self.provider.send_message(draft.item_id, draft.change_key)
        except (ItemGone, ChangedMeanwhile):
            return False
        return True

    def _message(self, mail: Row) -> OutgoingMail | None:
        """Return the mail as it goes out; None when a file of it is not on our disk."""
        try:
            files = tuple(
                OutgoingFile(each.name, blobs.get(each.sha256), each.content_type) for each in mail.files.all()
            )
        except FileNotFoundError:
            return None
        answered = _answered(mail.answers)
        carried = token.in_message_id(mail.message_id)
        shown = carried if self.mailbox.sync_profile.token_in_subject else ""
        return OutgoingMail(
            message_id=mail.message_id,
            subject=token.with_token(mail.subject[: _SUBJECT - _IN_BRACKETS] if shown else mail.subject, shown),
            token=carried,
            to=_addresses(mail.to),
            cc=_addresses(mail.cc),
            bcc=_addresses(mail.bcc),
            html=mail.html,
            text=mail.text,
            attachments=files,
            in_reply_to=answered[-1] if answered else "",
            references=tuple(answered),
        )

    # -- after sending

    def _track(self, mail: Row) -> None:
        """Have the copy in Sent Items tracked now, whether or not that folder is read."""
        self._count(mail, most=LOOKS)
        found = self._look(mail).message
        if found is None or not found.sent:
            return
        decided = ItemDecision.objects.filter(mailbox=self.mailbox, item_id=found.item_id, activity__isnull=False)
        if not decided.exists():
            self.take(found.item_id)
        copies.note(self.run, {mail.stamp: found.item_id}, self.clock())

    def _take_back(self, mail: Row) -> None:
        """Take the draft of a mail away that was given up, unless it was sent after all, or somebody writes on in it."""
        self._count(mail)
        found = self._look(mail).message
        if found is not None and found.sent:
            self._end(mail, _State.SENT)
            return
        if found is not None and mail.item_id in ("", found.item_id) and mail.change_key in ("", found.change_key):
            self.beat()
            with suppress(ItemGone):
                self.provider.delete_draft(found.item_id)
            self.written += 1
        late = found is None and not mail.item_id and mail.stray_at is None
        self._note(mail, try_at=None, **({"stray_at": strays.first_look(self.clock())} if late else {}))

    def _see_to_strays(self, mail: Row) -> None:
        """Delete drafts of a mail that turned up late. The next look is put off before this one is made."""
        try:
            self._ask(mail, stray_at=strays.next_look(mail, self.clock()))
            if mail.state not in strays.OVER:
                return
            self.beat()
            for each in self.provider.find_drafts(mail.stamp):
                if each.item_id != mail.item_id and not each.touched:
                    self.beat()
                    with suppress(ItemGone):
                        self.provider.delete_draft(each.item_id)
                    self.written += 1
        except _Stopped:
            # Its channel or mailbox is off, or somebody has just decided on it.
            return
        except ProviderError as error:
            if self._is_general(error):
                raise

    # -- the row, each time in a transaction that holds the lease

    def _count(self, mail: Row, *, most: int = 0, **fields: Any) -> None:
        """Count an attempt before it is made; `most`: how many there are."""
        attempts = mail.attempts + 1
        wait = timedelta(seconds=growing(*WAITS, attempts - 1))
        try_at = None if most and attempts >= most else self.clock() + wait
        self._ask(mail, attempts=attempts, try_at=try_at, **fields)

    def _ask(self, mail: Row, **fields: Any) -> None:
        """Write what is about to be done, if it still may be: the channel and the mailbox are on, nobody gave it up, and
        what is to be sent is the owner's own.
        """
        boxes = Mailbox.objects.filter(pk=OuterRef("mailbox"), outgoing=True, intent=Intent.ON)
        if mail.state in (_State.WAITING, _State.SENDING):
            boxes = boxes.filter(owner=OuterRef("author"))
        self._write(mail, fields, Exists(boxes))

    def _note(self, mail: Row, **fields: Any) -> None:
        self._write(mail, fields)

    def _write(self, mail: Row, fields: dict[str, Any], *conditions: Exists) -> None:
        with transaction.atomic():
            keep_lease(self.run, self.clock())
            # No join: then PostgreSQL would not ask the state again of a row that it had to wait for.
            if not Row.objects.filter(*conditions, pk=mail.pk, state=mail.state).update(**fields):
                raise _Stopped
        for name, value in fields.items():
            setattr(mail, name, value)

    def _end(self, mail: Row, state: str, code: str = "", detail: str = "") -> None:
        """Settle the mail as sent, failed or unknown. The copy of what was sent is to be tracked next."""
        sent = state == _State.SENT
        now = self.clock()
        fields: dict[str, Any] = {
            "state": state,
            "state_since": now,
            "error_code": code,
            "error_detail": clean(detail)[:_DETAIL_CHARACTERS],
            "try_at": now if sent else None,
        }
        if sent:
            fields |= {"sent_at": mail.sent_at or now, "attempts": 0}
        self._note(mail, **fields)
        self.written += sent

    def _put_off(self, mail: Row, error: ProviderError) -> None:
        """Note why it is not done yet. What is wrong with the server is not counted against the mail."""
        fields: dict[str, Any] = {"error_code": error.code, "error_detail": clean(error.detail)[:_DETAIL_CHARACTERS]}
        if giving_up.is_time(mail) and not self._is_general(error):
            self._give_up(mail, error)
            return
        if mail.state == _State.SENDING:
            fields["state"] = _State.WAITING
        if self._is_general(error):
            named = error.retry_at if isinstance(error, Throttled) else None
            fields |= {"attempts": Greatest(0, F("attempts") - 1), "try_at": named or self.clock()}
        with transaction.atomic():
            keep_lease(self.run, self.clock())
            Row.objects.filter(pk=mail.pk, state=mail.state).update(**fields)

    def _give_up(self, mail: Row, error: ProviderError) -> None:
        """Leave to a person what comes to no end: a mail that is to be sent, or a draft that is to be taken back."""
        if mail.state == _State.DISCARDED:
            self._note(mail, try_at=None)
            return
        self._end(mail, giving_up.state_of(mail), giving_up.GIVEN_UP, f"{error.code}: {error.detail}")
        giving_up.tell(mail, self.clock())

    def _let_go(self, mail: Row) -> None:
        """Leave a mail that may not be sent now; where only the channel is off it waits."""
        with transaction.atomic():
            keep_lease(self.run, self.clock())
            Row.objects.filter(pk=mail.pk, state=_State.SENDING).update(state=_State.WAITING)

    @staticmethod
    def _is_general(error: ProviderError) -> bool:
        """Tell whether the error says that nothing can be asked of the server now: then the run ends, as by any request."""
        if error.kind is Kind.TRANSIENT:
            return error.code not in _PERHAPS_THE_MAIL
        return error.kind in (Kind.THROTTLED, Kind.AUTHORISATION, Kind.CONFIGURATION)


def _asked(mail: Row) -> Asked:
    return Asked(mail.make_asked_at is not None, mail.item_id, mail.change_key, mail.as_it_is)


def _addresses(people: list[dict[str, str]]) -> tuple[Address, ...]:
    return tuple(Address(each["email"], each.get("name", "")) for each in people)


def _answered(activity: Activity | None) -> list[str]:
    """Return the Message-IDs of the message that is answered and of those before it, oldest first (RFC 5322 §3.6.4)."""
    found: list[str] = []
    while activity is not None and len(found) < _REFERENCES:
        if activity.message_id:
            found.insert(0, activity.message_id)
        activity = activity.parent
    return found
