"""What the pages of threads show: the list, one thread with its messages. Only what the person may read is counted."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from django.db.models import Count, Exists, OuterRef, Prefetch, QuerySet, Value
from django.db.models.expressions import CombinedExpression
from django.db.models.functions import Length, Replace

from mailboxes.issues import Issue, issue_of
from mailboxes.models import Mailbox
from security.access import Person, visible
from tracking.decisions import reasons
from tracking.engine.failures import GONE
from tracking.models import Activity, Attachment, EmailBody, Holder, ItemDecision, Participant, Thread
from tracking.records.links import RecordLink, links


@dataclass(frozen=True, slots=True)
class ThreadRow:
    """A thread as a list shows it: `latest` is the newest message the person may read, `messages` how many they may."""

    thread: Thread
    latest: Activity
    messages: int
    people: Sequence[str]
    regarding: RecordLink | None


@dataclass(frozen=True, slots=True)
class PersonChip:
    """One address of a message: who it is, and the record behind it if that is one and may be seen."""

    name: str
    email: str
    record: RecordLink | None
    ambiguous: bool


@dataclass(frozen=True, slots=True)
class Why:
    """Why a message is tracked, as decided for one mailbox."""

    mailbox: str
    folder: str
    sentence: str


@dataclass(frozen=True, slots=True)
class AttachmentRow:
    """An attachment; `issue` says why its bytes are missing."""

    attachment: Attachment
    issue: Issue | None


@dataclass(frozen=True, slots=True)
class Message:
    """A message as the thread's page shows it; its body is asked for by its frame. `frame` is the frame's height."""

    activity: Activity
    sender: PersonChip | None
    recipients: Sequence[tuple[str, Sequence[PersonChip]]]
    attachments: Sequence[AttachmentRow]
    regarding: RecordLink | None
    why: Sequence[Why]
    frame: int
    has_body: bool


@dataclass(frozen=True, slots=True)
class _BodySize:
    """How much there is of a body: characters of its HTML and tags in it, characters and lines of its text."""

    html: int
    tags: int
    text: int
    lines: int


_NO_BODY = _BodySize(0, 0, 0, 0)


def threads(person: Person, *, words: str = "", mailbox: str = "") -> QuerySet[Thread]:
    """Return the threads with a message that `person` may read, whose subject holds every word of `words` and that
    is held by a mailbox whose address holds `mailbox`.
    """
    if not words and not mailbox:
        return visible(person, Thread)
    fitting = visible(person, Activity).filter(thread=OuterRef("pk"))
    for word in words.split():
        fitting = fitting.filter(subject__icontains=word)
    if mailbox:
        seen = visible(person, Mailbox).filter(address__icontains=mailbox).order_by()
        held = Holder.objects.filter(activity=OuterRef("pk"), mailbox__in=seen.values("pk"))
        fitting = fitting.filter(Exists(held))
    return Thread.objects.filter(Exists(fitting))


def thread_rows(person: Person, found: Sequence[Thread]) -> list[ThreadRow]:
    """Return threads as a list shows them; at most eight queries, whatever their number."""
    ids = [thread.pk for thread in found]
    seen = visible(person, Activity).filter(thread__in=ids)
    latest = {a.thread_id: a for a in seen.order_by("thread_id", "-received_at", "-pk").distinct("thread_id")}
    counts = dict(seen.order_by().values_list("thread").annotate(Count("pk")))
    people: dict[int, list[str]] = {}
    names = seen.order_by().values_list("thread", "sender_name", "sender_email").distinct()
    for thread, name, email in names:
        people.setdefault(thread, []).append(name or email)
    found_links = links(person, ((a.regarding_kind, a.regarding_id) for a in latest.values()))
    return [
        ThreadRow(
            thread,
            latest[thread.pk],
            counts[thread.pk],
            sorted(people.get(thread.pk, [])),
            found_links.get((latest[thread.pk].regarding_kind, latest[thread.pk].regarding_id or 0)),
        )
        for thread in found
        if thread.pk in latest
    ]


def messages_of(person: Person, thread: Thread) -> QuerySet[Activity]:
    """Return the messages of a thread that `person` may read, with what their cards show."""
    # Neither owner of a mailbox nor reader of all mail learns here which other mailboxes hold a message.
    own = visible(person, ItemDecision).exclude(outcome=ItemDecision.Outcome.REFUSED)
    return (
        visible(person, Activity)
        .filter(thread=thread)
        .prefetch_related(
            Prefetch("participants", visible(person, Participant).order_by("pk")),
            Prefetch("attachments", visible(person, Attachment)),
            Prefetch("decisions", own.select_related("mailbox", "folder").defer("mailbox__secret", "folder__cursor")),
        )
    )


def as_messages(person: Person, found: Sequence[Activity]) -> list[Message]:
    """Return messages as the thread's page shows them, oldest first."""
    refs = [(p.record_kind, p.record_id) for a in found for p in a.participants.all()]
    records = links(person, [*refs, *((a.regarding_kind, a.regarding_id) for a in found)])
    sizes = _body_sizes(person, found)
    made = []
    for activity in sorted(found, key=lambda a: (a.received_at, a.pk)):
        chips = {role: [_chip(p, records) for p in _with_role(activity, role)] for role in Participant.Role.values}
        roles = ((Participant.Role(role).label, chips[role]) for role in ("to", "cc", "bcc"))
        size = sizes.get(activity.pk, _NO_BODY)
        made.append(
            Message(
                activity,
                chips["from"][0] if chips["from"] else None,
                [(str(label), people) for label, people in roles if people],
                [
                    AttachmentRow(one, _not_fetched(one))
                    for one in activity.attachments.all()
                    if not (one.inline and one.content_type.startswith("image/"))
                ],
                records.get((activity.regarding_kind, activity.regarding_id or 0)),
                [_why(decision) for decision in activity.decisions.all()],
                _frame_height(size),
                bool(size.html or size.text),
            )
        )
    return made


def _not_fetched(attachment: Attachment) -> Issue | None:
    """Return why an attachment has no bytes; whatever else a server said of it, it could not be read."""
    code = attachment.missing
    return issue_of(code if code in ("", "attachment_is_link", GONE) else "attachment_unreadable")


def _with_role(activity: Activity, role: str) -> Iterable[Participant]:
    return (participant for participant in activity.participants.all() if participant.role == role)


def _chip(participant: Participant, records: dict[tuple[str, int], RecordLink]) -> PersonChip:
    record = records.get((participant.record_kind, participant.record_id or 0))
    return PersonChip(participant.name, participant.email, record, participant.ambiguous)


def _why(decision: ItemDecision) -> Why:
    folder = decision.folder.name if decision.folder else ""
    return Why(decision.mailbox.address, folder, reasons.sentence(decision.reason, decision.facts))


def _body_sizes(person: Person, found: Sequence[Activity]) -> dict[int, _BodySize]:
    bodies = visible(person, EmailBody).filter(activity__in=[activity.pk for activity in found])
    sizes = bodies.values_list("activity", Length("html"), _count("html", "<"), Length("text"), _count("text", "\n"))
    return {pk: _BodySize(html, tags, text, lines) for pk, html, tags, text, lines in sizes}


def _count(column: str, character: str) -> CombinedExpression:
    return Length(column) - Length(Replace(column, Value(character), Value("")))


def _frame_height(size: _BodySize) -> int:
    """Guess the height in pixels that a body wants: the frame runs no script that could measure it."""
    # About 90 characters make a line of 24 pixels; of HTML half is mark-up, and every third tag begins a line.
    lines = size.html / 2 / 90 + size.tags / 3 if size.html else size.text / 90 + size.lines
    return int(min(640, max(140, (lines + 3) * 24)))
