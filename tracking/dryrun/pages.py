"""What the page of a dry run shows: totals, counts by mailbox and reason, and lists as far as their reader may see."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from mailboxes.issues import Issue, issue_of
from mailboxes.models import Mailbox
from mailboxes.provider.entries import EntryKind
from security.access import visible
from security.models import User
from tracking.decisions.reasons import sentence
from tracking.dryrun.outcomes import MAIL, Effect
from tracking.linked.words import field_name
from tracking.models import Activity, DryRun, ItemDecision
from tracking.models.link import LinkedKind
from tracking.policy import pages as policy_pages

LISTED: Final = 50
# In the order in which people care; what stays the same is a number only.
EFFECTS: Final = {
    Effect.ADD: (gettext_lazy("would be tracked"), "ok"),
    Effect.DROP: (gettext_lazy("would have been refused"), "warn"),
    Effect.REASON: (gettext_lazy("same answer, another reason"), "off"),
    Effect.KEPT_OUT: (gettext_lazy("refused, and would stay so"), "off"),
    Effect.KEPT_IN: (gettext_lazy("tracked, and would be again"), "off"),
    Effect.CREATE: (gettext_lazy("would be made in Exchange"), "ok"),
    Effect.AGAIN: (gettext_lazy("would be linked again"), "ok"),
    Effect.NOT_MADE: (gettext_lazy("would not be made"), "off"),
    Effect.UNLINK: (gettext_lazy("would be unlinked"), "warn"),
    Effect.STAYS: (gettext_lazy("would stay linked"), "off"),
    Effect.TO_EXCHANGE: (gettext_lazy("fields would be written to Exchange"), "warn"),
    Effect.TO_CRM: (gettext_lazy("fields would be written to the CRM"), "warn"),
    Effect.NOT_WRITTEN: (gettext_lazy("fields would not be written"), "off"),
    Effect.UNCLEAR: (gettext_lazy("unclear without reading"), "wait"),
    Effect.SAME: (gettext_lazy("unchanged"), "off"),
}


@dataclass(frozen=True, slots=True)
class Total:
    """How many items of a kind come to the same."""

    kind: str
    effect: str
    tone: str
    number: int


@dataclass(frozen=True, slots=True)
class ByMailbox:
    """Counts of one mailbox, by effect and reasons. `address` "": of mailboxes that the reader may not see, together."""

    address: str
    kind: str
    effect: str
    before: str
    after: str
    number: int


@dataclass(frozen=True, slots=True)
class Listed:
    """One item. `name` and `url` are "" where the reader may not see it, or (`bare`) where nothing of it is kept."""

    name: str
    url: str
    address: str
    before: str
    after: str
    fields: str
    bare: bool


@dataclass(frozen=True, slots=True)
class List:
    """The items of one kind that come to the same; `more`: how many are not listed."""

    kind: str
    effect: str
    tone: str
    rows: Sequence[Listed]
    more: int


@dataclass(frozen=True, slots=True)
class Failed:
    """Mailboxes that could not be read, for one reason."""

    issue: Issue | None
    addresses: str
    number: int


@dataclass(frozen=True, slots=True)
class Shown:
    """A dry run as its reader may see it."""

    totals: Sequence[Total]
    by_mailbox: Sequence[ByMailbox]
    lists: Sequence[List]
    failed: Sequence[Failed]
    concerns: int


def _kind(kind: str) -> str:
    return _("mail") if kind == MAIL else str(LinkedKind(kind).label)


def _said(reason: str) -> str:
    # Whose record it was is not kept.
    return sentence(reason, {"kind": _("record")}) if reason else ""


def shown(person: User, run: DryRun) -> Shown:
    """Return the result of a dry run that is done."""
    counts, items = run.result.get("counts", []), run.result.get("items", [])
    addresses = dict(visible(person, Mailbox).filter(pk__in={row[0] for row in counts}).values_list("pk", "address"))
    totals: Counter[tuple[str, str]] = Counter()
    for _mailbox, kind, effect, _before, _after, number in counts:
        totals[kind, effect] += number
    return Shown(
        [
            Total(_kind(kind), str(EFFECTS[effect][0]), EFFECTS[effect][1], totals[kind, effect.value])
            for kind in (MAIL, *LinkedKind.values)
            for effect in EFFECTS
            if totals[kind, effect.value]
        ],
        _by_mailbox(counts, addresses),
        _lists(person, items, totals, addresses),
        _failed(run.result.get("errors", {}), addresses),
        sum(number for (_kind_of, effect), number in totals.items() if effect != Effect.SAME),
    )


def _by_mailbox(counts: Sequence[Sequence[Any]], addresses: Mapping[int, str]) -> list[ByMailbox]:
    summed: Counter[tuple[str, str, str, str, str]] = Counter()
    for mailbox, kind, effect, before, after, number in counts:
        if effect != Effect.SAME:
            summed[addresses.get(mailbox, ""), kind, effect, before, after] += number
    return [
        ByMailbox(address, _kind(kind), str(EFFECTS[Effect(effect)][0]), _said(before), _said(after), number)
        for (address, kind, effect, before, after), number in sorted(summed.items())
    ]


def _failed(errors: Mapping[str, str], addresses: Mapping[int, str]) -> list[Failed]:
    found = []
    for code in sorted(set(errors.values())):
        ids = [int(pk) for pk, each in errors.items() if each == code]
        seen = ", ".join(addresses[pk] for pk in ids if pk in addresses)
        found.append(Failed(issue_of(code), seen, len(ids)))
    return found


def _lists(
    person: User, items: Sequence[Sequence[Any]], totals: Mapping[tuple[str, str], int], addresses: Mapping[int, str]
) -> list[List]:
    groups: dict[tuple[str, str], list[Sequence[Any]]] = {}
    for item in items:
        groups.setdefault((item[1], item[2]), []).append(item)
    shown = {key: rows[:LISTED] for key, rows in groups.items()}
    names = _names(person, [item for rows in shown.values() for item in rows])
    found = []
    for kind in (MAIL, *LinkedKind.values):
        for effect, (label, tone) in EFFECTS.items():
            rows = [_listed(item, names, addresses) for item in shown.get((kind, effect.value), [])]
            if rows and effect is not Effect.UNCLEAR:
                more = totals[kind, effect.value] - len(rows)
                found.append(List(_kind(kind), str(label), tone, rows, more))
    return found


_Names = Mapping[tuple[str, int], tuple[str, str]]


def _names(person: User, items: Iterable[Sequence[Any]]) -> _Names:
    """Return name and page of each item that the person may see: the subject of a tracked message, a record's name."""
    refs: dict[str, set[int]] = {}
    for item in items:
        refs.setdefault(item[1], set()).add(item[3])
    found: dict[tuple[str, int], tuple[str, str]] = {}
    decided = visible(person, ItemDecision).filter(pk__in=refs.get(MAIL, set()), activity__isnull=False)
    of_decision = dict(decided.values_list("pk", "activity_id"))
    activities = visible(person, Activity).in_bulk(list(of_decision.values()))
    for pk, activity_id in of_decision.items():
        if activity := activities.get(activity_id or 0):
            found[MAIL, pk] = (activity.subject or _("(no subject)"), reverse("thread", args=[activity.thread_id]))
    records = policy_pages.names_of(person, ((EntryKind(k), pk) for k, ids in refs.items() if k != MAIL for pk in ids))
    for (kind, pk), name in records.items():
        url = reverse("record", args=["contact", pk]) if kind is EntryKind.CONTACT else ""
        found[kind.value, pk] = (name or _("(no subject)"), url)
    return found


def _listed(item: Sequence[Any], names: _Names, addresses: Mapping[int, str]) -> Listed:
    mailbox, kind, effect, ref, before, after, fields = item
    name, url = names.get((kind, ref), ("", ""))
    said = ", ".join(field_name(EntryKind(kind), each) for each in fields)
    bare = kind == MAIL and effect in (Effect.ADD, Effect.KEPT_OUT)
    return Listed(name, url, addresses.get(mailbox, ""), _said(before), _said(after), said, bare)
