"""What the next look at everything would do with the records of one kind in one mailbox, by one policy; nothing is written.

The same questions as `tracking.linked.session` asks: what flows, what is linked, what may come back.
"""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Final, Protocol

from django.db.models import QuerySet

from mailboxes.models import Mailbox, Run
from mailboxes.provider.entries import TOLD, Entry, EntryKind, Marks
from mailboxes.provider.errors import ItemUnreadable
from mailboxes.provider.writing import Attached, WholeProvider
from security.access import visible
from tracking.dryrun.outcomes import Fate, Item, Moves, of_pair
from tracking.dryrun.policies import Policy
from tracking.engine.category import names_of, row_of
from tracking.engine.filter_queries import MODELS, Flow, flowing
from tracking.linked import links
from tracking.linked.compare import AT_ONCE, Count, Pairs, not_shared
from tracking.linked.files import FILES
from tracking.linked.records import is_past
from tracking.linked.session import MAY_RETURN, TOOK_ENTRY_ALONG
from tracking.models import ItemLink
from tracking.models.record import Owned
from tracking.sync.marking import Names
from tracking.sync.merge import Side

_SEEN: Final = ("record_id", "item_id", "born_in", "gone_at", "unlinked_at", "reason")


class Reading(Protocol):
    """What a dry run may ask a mail system: nothing that writes."""

    def marks(self, item_ids: Sequence[str]) -> list[Marks | ItemUnreadable]:
        """As `EntryProvider.marks`."""
        ...

    def entries(self, item_ids: Sequence[str]) -> list[Entry | ItemUnreadable]:
        """As `EntryProvider.entries`."""
        ...


def fates(policy: Policy, kind: EntryKind, now: datetime) -> dict[int, Fate]:
    """Return the fate of every record that is linked, or would be. A mailbox whose channel is off has none."""
    mailbox = policy.mailbox
    if not mailbox.entries:
        return {}
    flow = flowing(kind, policy.filters[kind], mailbox.owner, links.asker_of(mailbox, now))
    flows = set(flow.records.values_list("pk", flat=True))
    rows = ItemLink.objects.filter(mailbox=mailbox, kind=kind).only(*_SEEN)
    linked = {link.record_id: link for link in rows}
    seen = dict(visible(mailbox.owner, MODELS[kind]).filter(pk__in=linked).values_list("pk", "modified_at"))
    found = {pk: _of_link(linked[pk], modified_at, flow, flows=pk in flows) for pk, modified_at in seen.items()}
    fresh = links.records_by_id(kind, flows - set(linked), mailbox.owner)
    found.update({pk: Fate.CREATE for pk, record in fresh.items() if not is_past(record, now)})
    return found


def _of_link(link: ItemLink, modified_at: datetime, flow: Flow, *, flows: bool) -> Fate:
    if link.unlinked_at is not None:
        corrected = not link.item_id and modified_at > link.unlinked_at
        returns = link.reason in MAY_RETURN | TOOK_ENTRY_ALONG or corrected
        return Fate.AGAIN if flows and returns else Fate.LEFT
    if not link.item_id or link.gone_at is not None:
        # It waits for its entry, whatever the filters say.
        return Fate.LINKED
    left = link.born_in == Side.CRM and not flows and not flow.broken
    return Fate.UNLINK if left else Fate.LINKED


def turned_kinds(before: Policy, after: Policy) -> list[EntryKind]:
    """Return the kinds of which a field flows otherwise: of their pairs both sides must be read."""
    return [
        kind
        for kind in EntryKind
        if before.directions[kind] != after.directions[kind] or _files_turned(before, after, kind)
    ]


def _files_turned(before: Policy, after: Policy, kind: EntryKind) -> bool:
    ways = {each.mailbox.sync_profile.appointment_attachments for each in (before, after)}
    return kind is EntryKind.APPOINTMENT and len(ways) > 1


def pairs(mailboxes: QuerySet[Mailbox], kinds: Collection[EntryKind]) -> QuerySet[ItemLink]:
    """Return the links whose entries would be read. A mailbox whose channel is off has none."""
    on = mailboxes.filter(entries=True).order_by().values("pk")
    found = ItemLink.objects.filter(mailbox__in=on, kind__in=list(kinds), unlinked_at=None, gone_at=None)
    return found.exclude(item_id="").order_by("pk")


def moves(
    before: Policy,
    after: Policy,
    kind: EntryKind,
    linked: Sequence[ItemLink],
    provider: WholeProvider,
    *,
    beat: Callable[[], None],
) -> list[Item]:
    """Return what comparing these pairs anew would write otherwise than now: which fields, in which direction."""
    owner = before.mailbox.owner
    names = names_of(row_of(before.mailbox))
    compared = {policy: _pairs(each, kind, provider, beat) for policy, each in ((0, before), (1, after))}
    files = _files_turned(before, after, kind)
    found: list[Item] = []
    for start in range(0, len(linked), AT_ONCE):
        part = linked[start : start + AT_ONCE]
        records = links.records_by_id(kind, (link.record_id for link in part), owner)
        read = _read([link for link in part if link.record_id in records], provider, beat, names)
        hung = _hung(compared.values(), [(records[link.record_id], entry) for link, entry in read]) if files else {}
        for link, entry in read:
            record = records[link.record_id]
            listed = hung.get(link.item_id)
            old, new = (_moves(compared[which], link, record, entry, listed) for which in (0, 1))
            found += of_pair(before.mailbox.pk, kind.value, record.pk, old, new)
    return found


def _read(
    part: Sequence[ItemLink], provider: Reading, beat: Callable[[], None], names: Names
) -> list[tuple[ItemLink, Entry]]:
    """Return the entries of the links that may be read: not what its owner made private meanwhile."""
    if not part:
        return []
    beat()
    marks = provider.marks([link.item_id for link in part])
    shared = [
        link
        for link, found in zip(part, marks, strict=True)
        if isinstance(found, Marks) and not not_shared(link, found, names)
    ]
    if not shared:
        return []
    beat()
    entries = provider.entries([link.item_id for link in shared])
    return [(link, entry) for link, entry in zip(shared, entries, strict=True) if isinstance(entry, Entry)]


def _pairs(policy: Policy, kind: EntryKind, provider: WholeProvider, beat: Callable[[], None]) -> Pairs:
    # Asked what a merge comes to, and for nothing else: there is no run, and its clock is never read.
    run = Run(mailbox=policy.mailbox)
    return Pairs(run, provider, kind, policy.mailbox.owner, dict(policy.directions[kind]), _no_clock, beat, Count())


def _no_clock() -> datetime:
    raise AssertionError("a dry run stores nothing, so it needs no time")


def _hung(compared: Iterable[Pairs], read: Sequence[tuple[Owned, Entry]]) -> dict[str, Attached | ItemUnreadable]:
    """Return what hangs on the entries, if files flow by either policy."""
    return next((each.files.lists(read) for each in compared if each.files.flow), {})


def _moves(
    compared: Pairs, link: ItemLink, record: Owned, entry: Entry, listed: Attached | ItemUnreadable | None
) -> Moves:
    merged = compared.merged(link, record, entry)
    files = compared.files.rehearse(link, record, listed)
    out = frozenset({FILES} if files.to_exchange or files.off_exchange else ())
    back = frozenset({FILES} if files.to_crm or files.off_crm else ())
    return Moves(frozenset(merged.to_exchange) - TOLD | out, frozenset(merged.to_crm) | back)


def kept(fates_after: Mapping[int, Fate], linked: Sequence[ItemLink]) -> list[ItemLink]:
    """Return the links that stay: what is unlinked is not compared."""
    return [link for link in linked if fates_after.get(link.record_id) is Fate.LINKED]
