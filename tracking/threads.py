"""Which thread a message belongs to: messages that name each other, or share a conversation, are one thread.

Works on keys (`ThreadKey`), so that the order in which messages arrive does not matter: a reply that came first
waits under its parent's key, and two threads that turn out to be one are merged, the older one staying.
The caller holds the locks on all keys involved (`tracking.locks`).
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from django.db.models import F
from django.db.models.functions import Greatest, Least

from tracking.models import Activity, Thread, ThreadKey

# "Re:", "AW: FW:", "RE[2]:" in the languages of the usual mail programs; what is left names the thread.
_PREFIXES = re.compile(
    r"^(?:\s*(?:re|fwd?|aw|wg|sv|vs|vb|antw|tr|rv|rif|r|i|odp|ynt|ilt|res|enc|回复|转发|答复)(?:\[\d+\])?\s*[::]\s*)+",
    re.IGNORECASE,
)


def thread_subject(subject: str) -> str:
    """Return the subject without reply and forward prefixes, at most 400 characters."""
    return _PREFIXES.sub("", subject).strip()[:400]


@dataclass(slots=True, eq=False)
class _Group:
    """A thread to be: the stored threads and the new messages that turned out to be one."""

    stored: set[int] = field(default_factory=set)
    keys: set[str] = field(default_factory=set)
    times: list[datetime] = field(default_factory=list)
    subject: str = ""
    thread: Thread | None = None


@dataclass(frozen=True, slots=True)
class Newcomer:
    """A message that needs a thread. `keys`: its own, those it answers, its conversation's."""

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
    by_key: dict[str, _Group] = {}
    by_thread: dict[int, _Group] = {}
    placed: list[tuple[Newcomer, str]] = []
    for newcomer in newcomers:
        touched = [by_key[key] for key in newcomer.keys if key in by_key]
        threads = {stored[key] for key in newcomer.keys if key in stored}
        touched += [by_thread[thread] for thread in threads if thread in by_thread]
        group = _merge(touched) if touched else _Group()
        group.stored |= threads
        group.keys.update(newcomer.keys)
        group.times.append(newcomer.at)
        group.subject = group.subject or thread_subject(newcomer.subject)
        by_key.update(dict.fromkeys(group.keys, group))
        by_thread.update(dict.fromkeys(group.stored, group))
        placed.append((newcomer, newcomer.keys[0]))
    return [by_key[key] for _newcomer, key in placed]


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


def _merge(groups: Iterable[_Group]) -> _Group:
    first, *others = dict.fromkeys(groups)
    for other in others:
        first.stored |= other.stored
        first.keys |= other.keys
        first.times += other.times
        first.subject = first.subject or other.subject
    return first


def _join_stored(groups: Sequence[_Group]) -> None:
    threads = Thread.objects.in_bulk({pk for group in groups for pk in group.stored})
    for group in groups:
        keep, *gone = sorted(group.stored)
        if gone:
            _absorb(threads[keep], [threads[pk] for pk in gone])
        Thread.objects.filter(pk=keep).update(
            messages=F("messages") + len(group.times),
            first_at=Least("first_at", min(group.times)),
            last_at=Greatest("last_at", max(group.times)),
        )
        group.thread = threads[keep]


def _absorb(keep: Thread, gone: Sequence[Thread]) -> None:
    Activity.objects.filter(thread__in=gone).update(thread=keep)
    ThreadKey.objects.filter(thread__in=gone).update(thread=keep)
    Thread.objects.filter(pk=keep.pk).update(
        messages=F("messages") + sum(thread.messages for thread in gone),
        first_at=Least("first_at", min(thread.first_at for thread in gone)),
        last_at=Greatest("last_at", max(thread.last_at for thread in gone)),
    )
    Thread.objects.filter(pk__in=[thread.pk for thread in gone]).delete()
