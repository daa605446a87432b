"""What the pages of personal options and tracked folders show: settings with their source, rules, the tree of folders."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from django.db.models import Count, OuterRef, QuerySet, Subquery
from django.db.models.functions import Coalesce
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from mailboxes.issues import Issue, issue_of
from mailboxes.models import Folder, Mailbox
from mailboxes.provider.categories import CategoryProvider
from mailboxes.provider.errors import FolderGone, ProviderError
from mailboxes.provider.port import FolderRole
from mailboxes.states import Intent
from security.access import visible
from security.models import User
from security.secrets import SecretUnreadable
from tracking.dryrun.closed import Closed
from tracking.engine.faults import SecretLost
from tracking.engine.folder_rules import places_of
from tracking.models import Activity, CoveredFolder, Holder, TrackedFolder
from tracking.models.activity import RegardingBy
from tracking.personal.tracked_folders import Choice
from tracking.records.links import RecordLink, links
from tracking.records.pages import KINDS, records
from tracking.sync.facts import RecordRef
from tracking.sync.folder_rules import Place, Rule, covered, indexed, may_be_tracked, path

if TYPE_CHECKING:
    from django_stubs_ext import StrOrPromise

# Records shown for one search, of each kind.
_FOUND = 5
# Folders whose mail is counted at the server for a preview: a request each.
COUNTED = 10
_SHOWN_PATH = " / "


@dataclass(frozen=True, slots=True)
class RuleRow:
    """A tracked folder as its owner sees it."""

    rule: TrackedFolder
    name: str
    regarding: RecordLink | None
    unseen: bool
    folders: int
    said: int
    state: "StrOrPromise"
    tone: str


@dataclass(frozen=True, slots=True)
class Preview:
    """What a rule would take: messages in the folders it covers, and how many of them are tracked already.

    `uncounted`: folders beyond those asked about. `issue`: why the mail server could not be asked. `asked` is False where
    nothing may be read of the mailbox now.
    """

    folders: int
    messages: int
    tracked: int
    uncounted: int = 0
    issue: Issue | None = None
    asked: bool = True

    @property
    def new(self) -> int:
        """Return how many would be tracked at most: private ones and drafts among them stay out."""
        return max(0, self.messages - self.tracked)


def folders_of(person: User, mailbox: Mailbox) -> list[Folder]:
    """Return the mailbox's folders, those that are gone too."""
    return list(visible(person, Folder).filter(mailbox=mailbox).defer("cursor").order_by("name", "pk"))


def tree(folders: Sequence[Folder], taken: frozenset[int] = frozenset()) -> list[tuple[Folder, int, str]]:
    """Return the folders that can be tracked, each with its depth and name, in the order of a folder pane."""
    places = places_of(folders)
    by_pk = {folder.pk: folder for folder in folders}
    by_id = indexed(places)
    there = [place for place in places if may_be_tracked(place, by_id) and place.pk not in taken]
    order = sorted(there, key=lambda place: _order(place, by_id))
    return [(by_pk[each.pk], len(path(each, by_id)) - 1, by_pk[each.pk].name) for each in order]


def _order(place: Place, by_id: Mapping[str, Place]) -> tuple[bool, tuple[str, ...]]:
    names = path(place, by_id)
    return place.role is not FolderRole.INBOX, tuple(name.lower() for name in names)


def rules(person: User, mailbox: Mailbox, folders: Sequence[Folder]) -> list[RuleRow]:
    """Return a row for each tracked folder."""
    rows = list(
        visible(person, TrackedFolder)
        .filter(mailbox=mailbox, removed_at=None)
        .select_related("folder")
        .annotate(said=_counted(Activity.objects.filter(regarding_by=RegardingBy.FOLDER), "regarding_folder"))
        .annotate(reach=_counted(CoveredFolder.objects.all(), "rule"))
    )
    named = links(person, ((row.regarding_kind, row.regarding_id) for row in rows))
    places = places_of(folders)
    by_pk, by_id = {place.pk: place for place in places}, indexed(places)
    found = []
    for row in rows:
        place = by_pk.get(row.folder_id)
        regarding = named.get((row.regarding_kind, row.regarding_id or 0))
        counts: Any = row
        state, tone = _state(row, place, by_id, counts.reach)
        name = _SHOWN_PATH.join(path(place, by_id)) if place else row.folder.name
        unseen = bool(row.regarding_id) and regarding is None
        found.append(RuleRow(row, name, regarding, unseen, counts.reach, counts.said, state, tone))
    return sorted(found, key=lambda each: each.name.lower())


def _counted(rows: QuerySet[Any], of: str) -> Coalesce:
    """Count rows of each rule by themselves: joined together they would be multiplied."""
    counts = rows.filter(**{of: OuterRef("pk")}).order_by().values(of).annotate(n=Count("pk")).values("n")
    return Coalesce(Subquery(counts), 0)


def _state(
    rule: TrackedFolder, place: Place | None, by_id: Mapping[str, Place], reach: int
) -> "tuple[StrOrPromise, str]":
    if place is None or place.gone_at is not None:
        return _("folder is gone"), "bad"
    if not rule.active:
        return _("paused"), "off"
    if not may_be_tracked(place, by_id):
        return _("thrown away"), "warn"
    return (_("tracked"), "ok") if reach else (_("from the next run on"), "wait")


def find_records(person: User, owner: User, words: str) -> list[tuple[RecordRef, RecordLink]]:
    """Return records by name, address or organisation that both may see: the owner's rights decide what mail is about."""
    if not words.strip():
        return []
    refs: list[RecordRef] = []
    for key, kind in KINDS.items():
        hers = visible(owner, kind.model).order_by().values("pk")
        found = records(person, kind, words).filter(pk__in=hers).order_by(*kind.name, "pk")
        refs += [RecordRef(key, pk) for pk in found.values_list("pk", flat=True)[:_FOUND]]
    return named(person, owner, refs)


def named(person: User, owner: User, refs: Sequence[RecordRef]) -> list[tuple[RecordRef, RecordLink]]:
    """Return those of the records that both may see, with their names."""
    seen = links(person, ((ref.kind, ref.id) for ref in refs))
    hers = links(owner, ((ref.kind, ref.id) for ref in refs))
    return [(ref, seen[ref.kind, ref.id]) for ref in refs if (ref.kind, ref.id) in seen and (ref.kind, ref.id) in hers]


def preview(
    mailbox: Mailbox, folder: Folder, choice: Choice, folders: Sequence[Folder], ask: Callable[[], CategoryProvider]
) -> Preview:
    """Count what a rule would take: one request for each folder it would cover, the first ones.

    A server that cannot be asked costs the figure, not the page.
    """
    places = places_of(folders)
    reach = covered(places, {folder.pk: Rule(0, choice.subfolders, active=True)})
    by_pk = {each.pk: each for each in folders}
    wanted = [by_pk[pk] for pk in sorted(reach, key=lambda pk: pk != folder.pk)]
    tracked = _tracked_in(mailbox, wanted, choice.valid_from)
    if mailbox.intent != Intent.ON or not mailbox.incoming or Closed(timezone.now()).why(mailbox):
        # What no run would ask now nobody asks for a preview: a sign-in that was refused locks accounts.
        return Preview(len(wanted), 0, tracked, asked=False)
    messages, issue = 0, None
    try:
        provider = ask()
        for each in wanted[:COUNTED]:
            try:
                messages += provider.count(each.provider_id, choice.valid_from)
            except FolderGone:
                continue
    except ProviderError as error:
        issue = issue_of(error.code, error.detail)
    except SecretUnreadable as error:
        issue = issue_of(SecretLost.code, str(error))
    return Preview(len(wanted), messages, tracked, max(0, len(wanted) - COUNTED), issue)


def _tracked_in(mailbox: Mailbox, folders: Sequence[Folder], since: datetime | None) -> int:
    held = Holder.objects.filter(mailbox=mailbox, folder__in=folders[:COUNTED], removed_at=None)
    rows = Activity.objects.filter(pk__in=held.values("activity"))
    if since is not None:
        rows = rows.filter(received_at__gte=since)
    return rows.count()
