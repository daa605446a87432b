"""What the pages of outgoing mail show: where each mail stands, why it stands there, and what can be done about it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from django.db.models import QuerySet
from django.utils.translation import gettext_lazy as _

from mailboxes.issues import Issue, issue_of, issue_of_mailbox
from mailboxes.models import Mailbox
from mailboxes.states import Intent
from security.access import Person as Viewer
from security.access import visible
from security.models import User
from tracking.models import Activity, EmailBody, OutgoingMail, Participant
from tracking.models.record import Reachable
from tracking.outgoing.decisions import may_decide
from tracking.outgoing.forms import Person, written
from tracking.outgoing.steps import DRAFT_CHANGED
from tracking.records.links import MODELS, RecordLink, links

if TYPE_CHECKING:
    from django_stubs_ext import StrOrPromise

_State = OutgoingMail.State
TONES: Mapping[str, str] = {
    _State.DRAFT: "off",
    _State.WAITING: "wait",
    _State.SENDING: "busy",
    _State.SENT: "ok",
    _State.FAILED: "bad",
    _State.UNKNOWN: "warn",
    _State.DISCARDED: "off",
}
# What the list can be narrowed to, by the word in the address.
SHOWN: Mapping[str, tuple[str, ...]] = {
    "": (_State.WAITING, _State.SENDING, _State.FAILED, _State.UNKNOWN),
    "drafts": (_State.DRAFT,),
    "sent": (_State.SENT,),
    "all": tuple(_State.values),
}
_INTENTS: Mapping[str, "StrOrPromise"] = {
    Intent.PENDING: _("It waits: an administrator has to approve the mailbox first."),
    Intent.OFF: _("It waits: the mailbox is switched off. An administrator can switch it on."),
    Intent.PAUSED: _("It waits: the mailbox is paused."),
    Intent.ARCHIVED: _("It waits: the mailbox is archived. An administrator can switch it on."),
}
_QUOTED_CHARACTERS = 20_000
_SUBJECT_CHARACTERS = 255


@dataclass(frozen=True, slots=True)
class Row:
    """A mail as a screen shows it. `reason` says why it stands where it stands, or `issue` does, with a remedy."""

    mail: OutgoingMail
    reason: "StrOrPromise"
    issue: Issue | None
    may_decide: bool

    @property
    def tone(self) -> str:
        """Return the tone of the state's badge."""
        return TONES[self.mail.state]

    @property
    def people(self) -> str:
        """Return to whom it goes, in short."""
        return ", ".join(each.get("name") or each["email"] for each in [*self.mail.to, *self.mail.cc, *self.mail.bcc])

    @property
    def choices(self) -> list[str]:
        """Return what the person can choose, by the names that `views_outgoing.decide_mail` takes."""
        if not self.may_decide:
            return []
        match self.mail.state:
            case _State.FAILED:
                return ["send_again", "correct", "discard"]
            case _State.UNKNOWN:
                return ["was_sent", "send_again", "discard"]
            case _State.WAITING:
                return ["discard"] if self.mail.make_asked_at else ["correct", "discard"]
            case _State.SENDING:
                return ["discard"]
        return []

    @property
    def going(self) -> bool:
        """Tell whether it may leave at any moment."""
        box = self.mail.mailbox
        on = box.outgoing and box.intent == Intent.ON and self.issue is None
        return on and self.mail.state in (_State.WAITING, _State.SENDING)

    @property
    def changed_there(self) -> bool:
        """Tell whether its draft was changed in the mailbox, so that sending again sends what stands there."""
        return self.mail.error_code == DRAFT_CHANGED


def has_mailbox(person: Viewer) -> bool:
    """Tell whether the person can write mail: from a mailbox of their own only."""
    return isinstance(person, User) and Mailbox.objects.filter(owner=person).exists()


def mails(person: User, show: str) -> QuerySet[OutgoingMail]:
    """Return the outgoing mail that the person may see, narrowed by a word of `SHOWN`."""
    found = visible(person, OutgoingMail).filter(state__in=SHOWN.get(show, SHOWN[""]))
    return found.select_related("mailbox__server", "author").defer(
        "mailbox__secret", "mailbox__server__secret", "text", "html"
    )


def row(person: User, mail: OutgoingMail) -> Row:
    """Return a mail as a screen shows it; no query when mailbox and server are loaded."""
    issue, reason = _why(mail)
    return Row(mail, reason, issue, may_decide(person, mail))


def _why(mail: OutgoingMail) -> "tuple[Issue | None, StrOrPromise]":
    box = mail.mailbox
    if mail.state in (_State.WAITING, _State.SENDING):
        if box.intent != Intent.ON:
            return None, _INTENTS[box.intent]
        if not box.outgoing:
            return None, _("It waits: sending is switched off for this mailbox. An administrator can switch it on.")
    error = issue_of(mail.error_code, mail.error_detail, server=str(box.server), mailbox=box.address)
    match mail.state:
        case _State.WAITING:
            issue = error or issue_of_mailbox(box)
            return issue, "" if issue else _("It is sent by the next run, which begins as soon as a worker is free.")
        case _State.SENDING:
            return None, _("A worker is sending it; if that is cut off, the next run goes on from there.")
        case _State.FAILED | _State.UNKNOWN:
            return error, ""
    return None, ""


# -- a new mail --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Beginning:
    """What a new mail begins with: fields of the form, what it answers, what it is about."""

    fields: dict[str, str]
    answers: Activity | None = None
    about: tuple[str, int] | None = None


def reply(person: User, activity: Activity) -> Beginning:
    """Return a reply to a message that the person may read: to whoever sent it, or to whom it went if we did."""
    named = list(visible(person, Participant).filter(activity=activity).order_by("pk"))
    sender: list[Person] = [{"email": activity.sender_email, "name": activity.sender_name}]
    to = [{"email": each.email, "name": each.name} for each in named if each.role == Participant.Role.TO]
    people = to if activity.direction == "outgoing" else sender
    subject = activity.subject if activity.subject.lower().startswith("re:") else f"Re: {activity.subject}"
    body = visible(person, EmailBody).filter(activity=activity).first()
    about = (activity.regarding_kind, activity.regarding_id or 0) if activity.regarding_kind else None
    fields = {
        "to": written([each for each in people if each["email"]]),
        "subject": subject[:_SUBJECT_CHARACTERS],
        "text": _quoted(body.text) if body else "",
    }
    return Beginning(fields, activity, about)


def _quoted(text: str) -> str:
    lines = text[:_QUOTED_CHARACTERS].strip().splitlines()
    return "\n\n" + "\n".join(f"> {line}" for line in lines) if lines else ""


def to_record(person: User, kind: str, pk: int) -> Beginning | None:
    """Return a mail to a record, about it; None when there is none that the person may see."""
    if kind not in MODELS:
        return None
    record = visible(person, MODELS[kind]).filter(pk=pk).first()
    if record is None:
        return None
    address = record.email1 if isinstance(record, Reachable) else ""
    return Beginning({"to": written([{"email": address, "name": str(record)}]) if address else ""}, None, (kind, pk))


def about_link(person: User, about: tuple[str, int] | None) -> RecordLink | None:
    """Return the record that a mail is about, if the person may see it."""
    return links(person, [about]).get(about) if about else None
