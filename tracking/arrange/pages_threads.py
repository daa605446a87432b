"""What a thread's page shows of what people arranged: stops, threads it was split from, what it is regarding, history."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from django.db.models import Count, QuerySet
from django.utils.translation import gettext as _

from mailboxes.models import Mailbox
from security import privileges
from security.access import visible
from security.models import User
from tracking.access_rules import may_arrange
from tracking.arrange import history, stops
from tracking.arrange.splits import apart_from
from tracking.models import Activity, Thread, ThreadStop, TrackingEvent
from tracking.models.activity import RecordKind
from tracking.records.links import RecordLink, links

EVENTS_SHOWN = 100
MESSAGES_SHOWN = 200


@dataclass(frozen=True, slots=True)
class StopRow:
    """A stop. `refused`: messages refused because of it, in mailboxes that the reader sees, that lie where they lay."""

    stop: ThreadStop
    refused: int
    may_resume: bool
    may_evaluate: bool


@dataclass(frozen=True, slots=True)
class Apart:
    """A thread that this one was split from, or that was split from it; `subject` of its first message they may read."""

    thread: Thread
    subject: str
    may_join: bool


@dataclass(frozen=True, slots=True)
class EventRow:
    """Something that was done: who, what in words, and why they said they did it."""

    event: TrackingEvent
    who: str
    sentence: str


@dataclass(frozen=True, slots=True)
class Arrangement:
    """What people arranged for a thread, and what this person may."""

    holds: bool
    manages: bool
    stops: Sequence[StopRow]
    apart: Sequence[Apart]
    events: Sequence[EventRow]
    stopped: bool

    @property
    def may(self) -> bool:
        """Return whether the person may arrange anything here."""
        return self.holds or self.manages


def arrangement(person: User, thread: Thread) -> Arrangement:
    """Return what people arranged for a thread; a fixed number of queries."""
    manages = person.has_perm(privileges.MANAGE_THREADS)
    rows = _stops(person, thread, manages=manages)
    return Arrangement(
        own_mailboxes(person, thread).exists(),
        manages,
        rows,
        _apart(person, thread, manages=manages),
        _events(person, thread),
        any(row.stop.ended_at is None for row in rows),
    )


def own_mailboxes(person: User, thread: Thread) -> QuerySet[Mailbox]:
    """Return the mailboxes of `person` that hold messages of the thread."""
    return Mailbox.objects.filter(owner=person, held__activity__thread=thread).distinct()


def _stops(person: User, thread: Thread, *, manages: bool) -> list[StopRow]:
    found = list(visible(person, ThreadStop).filter(thread=thread).select_related("mailbox").order_by("-at", "-pk"))
    if not found:
        return []
    seen = visible(person, Mailbox).order_by().values("pk")
    refused = dict(
        stops.refused(found).filter(mailbox__in=seen).order_by().values_list("facts__stop").annotate(Count("pk"))
    )
    rows = []
    for stop in found:
        count = refused.get(stop.pk, 0)
        own = stop.mailbox is not None and stop.mailbox.owner_id == person.pk
        if stop.ended_at is None or count:
            rows.append(
                StopRow(stop, count, (own or manages) and stop.ended_at is None, bool(count) and (own or manages))
            )
    return rows


def _apart(person: User, thread: Thread, *, manages: bool) -> list[Apart]:
    ids = apart_from(thread)
    if not ids:
        return []
    others = list(visible(person, Thread).filter(pk__in=ids))
    messages: dict[int, list[int]] = {}
    newest = {other.pk: max(other.pk, thread.pk) for other in others}
    rows = Activity.objects.filter(thread__in=set(newest.values())).values_list("thread_id", "pk")
    for pk, activity in rows:
        messages.setdefault(pk, []).append(activity)
    titles = subjects(person, others)
    return [
        Apart(other, titles.get(other.pk, ""), manages or may_arrange(person, messages.get(newest[other.pk], [])))
        for other in others
    ]


def subjects(person: User, threads: Iterable[Thread]) -> dict[int, str]:
    """Return what each thread is called for `person`: the subject of the first of its messages that they may read."""
    first = visible(person, Activity).filter(thread__in=list(threads)).order_by("thread_id", "received_at", "pk")
    return {each.thread_id: each.subject for each in first.distinct("thread_id").only("thread_id", "subject")}


def may_join(person: User, thread: Thread, other: Thread) -> bool:
    """Return whether `person` may join two threads again: who holds all that the newer one consists of."""
    newer = max(thread.pk, other.pk)
    return may_arrange(person, Activity.objects.filter(thread=newer).values_list("pk", flat=True))


def _events(person: User, thread: Thread) -> list[EventRow]:
    own = visible(person, TrackingEvent).filter(activity_id__in=Activity.objects.filter(thread=thread).values("pk"))
    found = list(own.order_by("-at", "-pk")[:EVENTS_SHOWN])
    named = links(person, ((event.facts.get("kind", ""), event.facts.get("id")) for event in found))
    return [EventRow(event, event.by or "crmsync", history.sentence(event, _name(event, named))) for event in found]


def _name(event: TrackingEvent, named: dict[tuple[str, int], RecordLink]) -> str:
    kind, pk = event.facts.get("kind", ""), event.facts.get("id") or 0
    if not kind:
        return _("nothing") if event.what == history.What.REGARDING else _("none of them")
    if (kind, pk) in named:
        return f"{named[kind, pk].name} ({named[kind, pk].kind})"
    return _("a %(kind)s that you may not see") % {"kind": RecordKind(kind).label}


@dataclass(frozen=True, slots=True)
class Piece:
    """A message as the page of splitting lists it."""

    activity: Activity
    may_move: bool
    chosen: bool


def pieces(person: User, thread: Thread, chosen: set[int] | None, first: int | None) -> list[Piece]:
    """Return the messages of a thread that `person` may read, oldest first; `chosen` is ticked, or all from `first` on."""
    found = list(visible(person, Activity).filter(thread=thread).order_by("received_at", "pk")[:MESSAGES_SHOWN])
    movable = (
        {activity.pk for activity in found}
        if person.has_perm(privileges.MANAGE_THREADS)
        else set(
            Activity.objects.filter(pk__in=[each.pk for each in found], holders__mailbox__owner=person).values_list(
                "pk", flat=True
            )
        )
    )
    made, begun = [], False
    for activity in found:
        begun = begun or activity.pk == first
        ticked = activity.pk in chosen if chosen is not None else begun
        made.append(Piece(activity, activity.pk in movable, ticked and activity.pk in movable))
    return made
