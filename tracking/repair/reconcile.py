"""Reconciliation: what the mail server lists, folder by folder, against what is decided here; what is missing is fetched.

The idea: a second opinion. Ordinary runs believe the server's feed of changes; this lists what lies in each folder and
looks for a decision on every item. Items without one are first given the chance of an ordinary run (they may have come in
this moment) and are then handed to the pipeline by name. Ids alone are listed, a thousand to a request; how far a listing
has come is kept after each part, so that it can give way to more urgent work and go on later.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from datetime import date, datetime

from django.db.models import Q, QuerySet
from django.utils import timezone

from mailboxes import alerts
from mailboxes.alerts import Place
from mailboxes.models import Folder, Run
from mailboxes.provider.errors import ProviderError, Scope
from mailboxes.provider.port import Change, Listing
from mailboxes.provider.writing import WholeProvider
from mailboxes.report import RunReport
from tracking.engine import pipeline
from tracking.engine.failures import GONE
from tracking.engine.lookups import known_items
from tracking.models import ItemDecision, ItemFailure, ItemLink, Reconciliation
from tracking.repair.reinitialise import What, reset
from tracking.sync.plan import sort_changes

Clock = Callable[[], datetime]
LISTED_AT_ONCE = 1000
MISSING = "items_missing"
# The counts by outcome: a copy of what is kept already counts as tracked.
_COUNTED = {"tracked": "tracked", "updated": "tracked"}


def night_of(now: datetime) -> date:
    """Return the night that `now` belongs to, named by the local day."""
    return timezone.localtime(now).date()


def compared_folders(folders: QuerySet[Folder]) -> QuerySet[Folder]:
    """Return those of the folders that are compared: followed ones, and those kept in step with records; none of
    a channel that is off (S15).
    """
    return folders.filter(Q(followed=True, mailbox__incoming=True) | Q(in_step=True), gone_at=None)


def begin_anew(run: Run, now: datetime) -> None:
    """Forget what was compared today, so that all of it is compared again."""
    Reconciliation.objects.filter(mailbox=run.mailbox_id, night=night_of(now)).delete()


def reconcile(
    run: Run,
    provider: WholeProvider,
    *,
    clock: Clock,
    beat: Callable[[], None],
    gives_way: Callable[[], bool] = lambda: False,
    yield_after_s: float | None = None,
) -> RunReport:
    """Bring the run's mailbox up to date, then compare each followed folder that has not been compared tonight.

    The lease must be held. Stops between two requests when `gives_way()`, leaving unfinished rows; then, or when what is
    new cannot be read within `yield_after_s` (`more` in the report), the rest is for another time. Errors end up in the
    report; `LeaseLost` is raised.
    """
    comparison = _Comparison(run, provider, clock=clock, beat=beat, gives_way=gives_way, yield_after_s=yield_after_s)
    return comparison.compare_all()


class _Backlog(Exception):
    """What is new is too much to be read on the side: what is missing cannot be told from what is waiting."""


class _Comparison:
    def __init__(
        self,
        run: Run,
        provider: WholeProvider,
        *,
        clock: Clock,
        beat: Callable[[], None],
        gives_way: Callable[[], bool],
        yield_after_s: float | None,
    ) -> None:
        self.run, self.provider, self.clock, self.beat, self.gives_way = run, provider, clock, beat, gives_way
        self.yield_after_s = yield_after_s
        self.night = night_of(clock())
        self.report = RunReport()

    def compare_all(self) -> RunReport:
        try:
            self._catch_up(None)
            for folder in compared_folders(self.run.mailbox.folders.all()).order_by("pk"):
                if not self._compare(folder):
                    break
        except _Backlog:
            pass
        except ProviderError as error:
            self.report.error = error
        self.report.requests = self.provider.requests
        return self.report

    def _catch_up(self, folders: list[Folder] | None) -> None:
        """Read what is new by an ordinary pass: what has just come is not missing. Raises what ended it."""
        report = pipeline.sync(
            self.run, self.provider, clock=self.clock, yield_after_s=self.yield_after_s, beat=self.beat, folders=folders
        )
        self.report.add(report)
        if report.error is not None:
            raise report.error
        if report.more:
            raise _Backlog
        if report.full_pass:
            # One an hour is enough, also within this run.
            self.run.full_pass, self.run.mailbox.full_pass_at = False, self.clock()

    def _compare(self, folder: Folder) -> bool:
        """Compare one folder; return False when something more urgent waits."""
        row, _made = Reconciliation.objects.get_or_create(
            folder=folder, night=self.night, defaults={"mailbox": self.run.mailbox, "begun_at": self.clock()}
        )
        if row.finished_at is not None:
            return True
        while True:
            listing = self._list(folder, row)
            if listing is None:
                return True
            self._count(folder, row, listing.changes)
            if listing.offset is None:
                break
            row.offset = listing.offset
            row.save()
            if self.gives_way():
                return False
        row.stale = self._stale(folder, row)
        row.finished_at = self.clock()
        row.save()
        self._tell(folder, row)
        return not self.gives_way()

    def _tell(self, folder: Folder, row: Reconciliation) -> None:
        """What is missing must not be a number that somebody has to look for; it ends with a comparison, not with a run."""
        place = Place(mailbox_id=folder.mailbox_id, folder_id=folder.pk)
        if row.missing:
            alerts.raise_alert(MISSING, place, str(row.missing), self.clock())
        else:
            alerts.resolve_one(MISSING, place, self.clock())

    def _list(self, folder: Folder, row: Reconciliation) -> Listing | None:
        """Return the next part of what lies in the folder; None when the folder cannot be listed."""
        self.beat()
        before = self.provider.requests
        try:
            return self.provider.listing(folder.provider_id, row.offset, LISTED_AT_ONCE)
        except ProviderError as error:
            if error.scope is not Scope.FOLDER:
                raise
            # Gone or out of reach since a moment ago: the next run says so of the folder.
            self.report.folder_errors[folder.pk] = error
            row.delete()
            return None
        finally:
            row.requests += self.provider.requests - before

    def _count(self, folder: Folder, row: Reconciliation, changes: Sequence[Change]) -> None:
        decided = self._decided(folder, changes)
        unknown = [change for change in changes if change.item_id not in decided]
        if unknown:
            self._catch_up([Folder.objects.get(pk=folder.pk)])
            decided = self._decided(folder, changes)
            unknown = [change for change in changes if change.item_id not in decided]
        if unknown:
            self._recover(folder, unknown)
            decided = self._decided(folder, changes)
            gone = self._gone(folder, unknown)
            changes = [change for change in changes if change.item_id not in gone]
            missing = sum(change.item_id not in decided for change in unknown if change.item_id not in gone)
            row.missing += missing
            row.recovered += len(unknown) - missing - len(gone)
        row.held += len(changes)
        row.matched += sum(at < row.begun_at for _outcome, at in decided.values())
        for outcome, count in Counter(outcome for outcome, _at in decided.values()).items():
            name = _COUNTED.get(outcome, outcome)
            setattr(row, name, getattr(row, name) + count)

    def _decided(self, folder: Folder, changes: Sequence[Change]) -> dict[str, tuple[str, datetime]]:
        """Return outcome and time of the decisions on those of the items that are known to lie in this folder."""
        ids = [change.item_id for change in changes]
        rows = ItemDecision.objects.filter(mailbox=folder.mailbox_id, folder=folder, item_id__in=ids)
        found = {row.item_id: (row.outcome, row.decided_at) for row in rows.only("item_id", "outcome", "decided_at")}
        if folder.in_step:
            # An entry that we made ourselves may have a link and no decision.
            links = ItemLink.objects.filter(mailbox=folder.mailbox_id, item_id__in=ids, unlinked_at=None, gone_at=None)
            for item_id, at in links.exclude(item_id__in=found).values_list("item_id", "linked_at"):
                found[item_id] = (ItemDecision.Outcome.TRACKED, at)
        return found

    def _gone(self, folder: Folder, changes: Sequence[Change]) -> set[str]:
        """Return those of the items that were not there any more when they were read: nothing is missing of them."""
        return set(
            ItemFailure.objects.filter(
                mailbox=folder.mailbox_id, code=GONE, item_id__in=[change.item_id for change in changes]
            ).values_list("item_id", flat=True)
        )

    def _recover(self, folder: Folder, unknown: Sequence[Change]) -> None:
        """Hand what the feed of changes never told of to the pipeline, as if it had just been told of.

        What is kept in step with records is decided on by its own kind's rules, from a listing of its folder.
        """
        if folder.in_step:
            reset(self.run.mailbox, [folder], What.CURSOR, self.clock())
            self._catch_up([Folder.objects.get(pk=folder.pk)])
            return
        asked = sort_changes(unknown, known_items(folder, {change.item_id for change in unknown}))
        report = pipeline.take(
            self.run, self.provider, folder, asked.read, clock=self.clock, beat=self.beat, actions=asked.actions
        )
        self.report.add(report)
        if report.error is not None:
            raise report.error

    def _stale(self, folder: Folder, row: Reconciliation) -> int:
        """Return how many items were decided on before, are said to lie in the folder, and were not listed."""

        def unlisted() -> int:
            # A link without a decision counts as matched and not as known: there may be fewer stale than found.
            known = ItemDecision.objects.filter(folder=folder, decided_at__lt=row.begun_at).count()
            return max(0, known - row.matched)

        if unlisted():
            # They may have left in this moment.
            self._catch_up([Folder.objects.get(pk=folder.pk)])
        return unlisted()
