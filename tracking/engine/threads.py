"""Which thread a message belongs to: messages that name each other, or share a conversation, are one thread.

Works on keys (`ThreadKey`), so that the order in which messages arrive does not matter: a reply that came first
waits under its parent's key, and two threads that turn out to be one are merged, the older one staying. Two that a person
has split are never merged (`ThreadCut`): a message that names both goes with the nearest one.
The caller holds the locks on all keys involved (`tracking.engine.locks`).
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from django.db.models import F, Q
from django.db.models.functions import Greatest, Least

from tracking.models import Activity, Thread, ThreadCut, ThreadKey, ThreadStop
from tracking.sync.token import without_tokens

# "Re:", "AW: FW:", "RE[2]:" in the languages of the usual mail programs; what is left names the thread.
_PREFIXES = re.compile(
    r"^(?:\s*(?:re|fwd?|aw|wg|sv|vs|vb|antw|tr|rv|rif|r|i|odp|ynt|ilt|res|enc|回复|转发|答复)(?:\[\d+\])?\s*[::]\s*)+",
    re.IGNORECASE,
)


def thread_subject(subject: str) -> str:
    """Return the subject without reply and forward prefixes and tracking tokens, at most 400 characters."""
    return _PREFIXES.sub("", without_tokens(subject)).strip()[:400]


@dataclass(slots=True, eq=False)
class _Group:
    """A thread to be: the stored threads and the new messages that turned out to be one. `keys` are those not stored yet."""

    stored: set[int] = field(default_factory=set)
    keys: set[str] = field(default_factory=set)
    times: list[datetime] = field(default_factory=list)
    subject: str = ""
    thread: Thread | None = None
    into: "_Group | None" = None

    @property
    def now(self) -> "_Group":
        """Return the group that this one became part of."""
        group = self
        while group.into is not None:
            group = group.into
        return group


@dataclass(frozen=True, slots=True)
class Newcomer:
    """A message that needs a thread. `keys`: its own, those it answers, its conversation's; the nearest first."""

    keys: tuple[str, ...]
    subject: str
    at: datetime


def place(newcomers: Sequence[Newcomer]) -> list[Thread]:
    """Return the thread of each newcomer, in order, made or merged as needed, with its counts already right."""
    if not newcomers:
        return []
    groups = _group(newcomers)
    distinct = list({id(group): group for group in groups}.values())
    _join_stored([group for group in distinct if group.stored])
    fresh = [group for group in distinct if not group.stored]
    for group in fresh:
        group.thread = Thread(
            subject=group.subject, first_at=min(group.times), last_at=max(group.times), messages=len(group.times)
        )
    Thread.objects.bulk_create([group.thread for group in fresh if group.thread])
    # A key that is there already belongs to this very thread: the merge has seen to it.
    ThreadKey.objects.bulk_create(
        [ThreadKey(thread=group.thread, key=key) for group in distinct for key in sorted(group.keys)],
        ignore_conflicts=True,
    )
    return [group.thread for group in groups if group.thread]


def _group(newcomers: Sequence[Newcomer]) -> list[_Group]:
    stored = _locked({key for newcomer in newcomers for key in newcomer.keys})
    threads = set(stored.values())
    apart = cuts(threads) if len(threads) > 1 else {}
    by_thread = {thread: _Group(stored={thread}) for thread in threads}
    by_key = {key: by_thread[thread] for key, thread in stored.items()}
    for newcomer in newcomers:
        group = _nearest([by_key[key].now for key in newcomer.keys if key in by_key], apart)
        new = [key for key in newcomer.keys if key not in by_key]
        group.keys.update(new)
        by_key.update(dict.fromkeys(new, group))
        group.times.append(newcomer.at)
        group.subject = group.subject or thread_subject(newcomer.subject)
    return [by_key[newcomer.keys[0]].now for newcomer in newcomers]


def _nearest(touched: Sequence[_Group], apart: Mapping[int, set[int]]) -> _Group:
    """Return the first group with all others merged into it that no person has split from it; a new one if there is none."""
    if not touched:
        return _Group()
    first, *others = dict.fromkeys(touched)
    for other in others:
        if not any(apart[thread] & other.stored for thread in first.stored if thread in apart):
            _merge(first, other)
    return first


def cuts(threads: Iterable[int]) -> dict[int, set[int]]:
    """Return which threads each of these is kept apart from."""
    ids = set(threads)
    found: dict[int, set[int]] = {}
    if ids:
        for low, high in ThreadCut.objects.filter(Q(low__in=ids) | Q(high__in=ids)).values_list("low", "high"):
            found.setdefault(low, set()).add(high)
            found.setdefault(high, set()).add(low)
    return found


def _locked(keys: set[str]) -> dict[str, int]:
    """Return the thread of each key that has one, with those threads locked.

    A thread that was merged into another while we waited for its lock is gone; its keys have moved, so look again.
    """
    while True:
        stored = dict(ThreadKey.objects.filter(key__in=keys).values_list("key", "thread_id"))
        wanted = set(stored.values())
        # In the order of their ids, so that two workers cannot wait for each other.
        rows = Thread.objects.select_for_update().filter(pk__in=wanted).order_by("pk").values_list("pk", flat=True)
        if set(rows) == wanted:
            return stored


def _merge(first: _Group, other: _Group) -> None:
    first.stored |= other.stored
    first.keys |= other.keys
    first.times += other.times
    first.subject = first.subject or other.subject
    other.into = first


def _join_stored(groups: Sequence[_Group]) -> None:
    threads = Thread.objects.in_bulk({pk for group in groups for pk in group.stored})
    for group in groups:
        keep, *gone = sorted(group.stored)
        if gone:
            absorb(threads[keep], [threads[pk] for pk in gone])
        Thread.objects.filter(pk=keep).update(
            messages=F("messages") + len(group.times),
            first_at=Least("first_at", min(group.times)),
            last_at=Greatest("last_at", max(group.times)),
        )
        group.thread = threads[keep]


def absorb(keep: Thread, gone: Sequence[Thread]) -> None:
    """Make `gone` part of `keep`, with all that people arranged for them; the caller has locked them all."""
    _keep_apart(keep.pk, {thread.pk for thread in gone})
    ThreadStop.objects.filter(thread__in=gone).update(thread=keep)
    Activity.objects.filter(thread__in=gone).update(thread=keep)
    ThreadKey.objects.filter(thread__in=gone).update(thread=keep)
    Thread.objects.filter(pk=keep.pk).update(
        messages=F("messages") + sum(thread.messages for thread in gone),
        first_at=Least("first_at", min(thread.first_at for thread in gone)),
        last_at=Greatest("last_at", max(thread.last_at for thread in gone)),
    )
    Thread.objects.filter(pk__in=[thread.pk for thread in gone]).delete()


def _keep_apart(keep: int, gone: set[int]) -> None:
    """What was kept apart from a thread that ends is kept apart from the one that it becomes part of."""
    ids = gone | {keep}
    others = {other for thread, apart in cuts(gone).items() if thread in gone for other in apart} - ids
    cut_off(keep, others)


def cut_off(thread: int, others: Iterable[int]) -> None:
    """Keep a thread apart from others from now on."""
    pairs = [sorted((thread, other)) for other in others]
    ThreadCut.objects.bulk_create([ThreadCut(low_id=low, high_id=high) for low, high in pairs], ignore_conflicts=True)
