"""One run: provider → plan → store, page by page. The only module that sees all three (design §1).

An idle run costs one request, for the change counters of all followed folders. Folders whose counters moved are read;
once an hour all of them are, as a safety net. Nothing here sleeps or retries a server: that is the schedule's.
"""

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime, timedelta
from functools import partial

from django.db.models import F

from mailboxes.models import Folder, Mailbox, Run
from mailboxes.provider.entries import HOMES
from mailboxes.provider.errors import FolderGone, ItemUnreadable, MailboxGone, ProviderError, Scope
from mailboxes.provider.port import ChangePage, Envelope, FolderInfo, FolderRole
from mailboxes.provider.writing import WholeProvider
from mailboxes.report import MAIL, RunReport
from mailboxes.states import Intent
from tracking.engine.apply import LeaseLost, Page, Stored, store
from tracking.engine.category import CategoryInRun
from tracking.engine.content import fetch, read_envelopes
from tracking.engine.cursors import nothing_new, read_changes
from tracking.engine.failures import count_attempt, follow_folders, take_due
from tracking.engine.faults import FilterBroken, OwnFilterBroken
from tracking.engine.fetched import Fetched
from tracking.engine.folder_rules import rule_in, settle
from tracking.engine.lookups import known_items, known_messages, rules_of
from tracking.linked import session as linked
from tracking.linked.standing import Standing
from tracking.models import SyncFilter
from tracking.outgoing import copies as outgoing_copies
from tracking.outgoing import due as outgoing_due
from tracking.outgoing import session as outgoing
from tracking.sync.facts import FolderRule, Outcome, Reason
from tracking.sync.plan import Action, Fail, Link, Plan, Track, plan_page, sort_changes

PAGE_ITEMS = 200
FULL_PASS_EVERY = timedelta(hours=1)
# A page begun this often without an end kills its worker: from then on items are read one by one.
_PAGE_ATTEMPTS = 3
# What one item can do to a request for it: the server falls over it, or never comes to an end with it.
_PERHAPS_THE_ITEMS = frozenset({"timed_out", "connection_lost", "server_error", "answer_unreadable"})
# Roles that mail is read from until people choose more (design §4).
FOLLOWED = (FolderRole.INBOX, FolderRole.SENT)
# What the server tells of a folder; everything else in its row is ours.
_TOLD = ("name", "role", "parent_id_at_provider", "total", "gone_at")
_ORDER = {FolderRole.INBOX.value: 0, FolderRole.SENT.value: 1}

Clock = Callable[[], datetime]


def sync(
    run: Run,
    provider: WholeProvider,
    *,
    clock: Clock,
    yield_after_s: float | None,
    beat: Callable[[], None],
    folders: list[Folder] | None = None,
) -> RunReport:
    """Read everything new in the run's mailbox and return what came of it. The run's lease must be held.

    `yield_after_s`: stop between pages after so many seconds and report `more`; None: go on to the end. `beat` is
    called before every request. Provider errors end up in the report; `LeaseLost` and database errors are raised.
    """
    session = _Session(run, provider, clock=clock, yield_after_s=yield_after_s, beat=beat)
    try:
        session.run_all(folders)
    except ProviderError as error:
        session.report.error = error
    session.report.requests = provider.requests
    return session.report


def take(
    run: Run,
    provider: WholeProvider,
    folder: Folder,
    item_ids: Sequence[str],
    *,
    clock: Clock,
    beat: Callable[[], None],
    actions: Sequence[Action] = (),
    then: Callable[[Stored], object] | None = None,
) -> RunReport:
    """Read these items of a folder and decide on them anew, beside its cursor: planned and stored as any page is.

    For items that are not tracked: the copy of one that is would be taken for a second. `actions` need nothing read and
    are stored with the first of them. `then` is called in the transaction of each page. Errors as in `sync`.
    """
    session = _Session(run, provider, clock=clock, yield_after_s=None, beat=beat)
    session.report.full_pass = False
    if not (run.mailbox.incoming or folder.in_step):
        # Mail's channel is off: nothing of it is read, whoever asks (S15).
        item_ids = ()
    try:
        for start in range(0, max(1, len(item_ids)), PAGE_ITEMS):
            session.take(folder, item_ids[start : start + PAGE_ITEMS], actions if start == 0 else (), then)
    except ProviderError as error:
        session.report.error = error
    session.report.requests = provider.requests
    return session.report


class _Session:
    """State of one run in memory: the clock, the report, the mailbox's rules."""

    def __init__(
        self, run: Run, provider: WholeProvider, *, clock: Clock, yield_after_s: float | None, beat: Callable[[], None]
    ) -> None:
        self.run, self.provider, self.clock, self.beat = run, provider, clock, beat
        self.mailbox: Mailbox = run.mailbox
        self.category = CategoryInRun(self.mailbox, provider, clock=clock, beat=beat)
        self.standing = Standing(self.mailbox, clock=clock)
        self.report = RunReport()
        # Counters as they are stored, of folders that are read: those at hand are what the server says.
        self._stored_counters: dict[int, str] = {}
        started = clock()
        self.until = None if yield_after_s is None else started + timedelta(seconds=yield_after_s)
        last = self.mailbox.full_pass_at
        self.report.full_pass = run.full_pass or last is None or started - last >= FULL_PASS_EVERY

    def run_all(self, folders: list[Folder] | None) -> None:
        self._see_to_mail()
        rows = self._rows(folders)
        # With its channel off, mail is not read and nothing is asked about it (S15).
        followed = _in_order(rows) if self.mailbox.incoming else []
        in_step = [folder for folder in rows if folder.in_step and folder.gone_at is None]
        changed = list(self._changed([*followed, *in_step]))
        for folder in changed:
            if not folder.in_step:
                self._try(folder, self._sync_folder)
            if self.report.more:
                return
        for folder in self._out_of_step(in_step, changed):
            self._try(folder, partial(self._keep_in_step, changed=folder in changed))
            if self.report.more:
                return
        if self.report.full_pass:
            self._retry_failures(followed)
        elif followed and self._all_gone(followed):
            # The mailbox was restored or moved, or its list of folders was not what it is: read it again at once.
            self.report.folder_errors.clear()
            self.report.full_pass = True
            self.run_all(None)
        if not followed and not in_step:
            # Whoever has nothing to ask has not failed to ask it.
            self.report.reached_server = True

    def _see_to_mail(self) -> None:
        """Send what is due of the mail that was written in the CRM; without any this costs nothing."""
        if not outgoing_due.is_due(self.mailbox, self.clock()):
            return
        session = outgoing.Session(
            self.run, self.provider, clock=self.clock, beat=self.beat, take=self._take_copy, gives_way=self._gives_way
        )
        try:
            session.work()
        finally:
            self.report.written[MAIL] += session.written
            self.report.reached_server = self.provider.requests > 0

    def _take_copy(self, item_id: str) -> None:
        """Have a copy in Sent Items tracked, which need not be a folder that is read."""
        folder = self.mailbox.folders.filter(role=FolderRole.SENT, gone_at=None).first()
        if folder is not None:
            self.take(folder, [item_id])

    # -- which folders

    def _rows(self, folders: list[Folder] | None) -> list[Folder]:
        """Return the folders to be looked at. With none left among those known the run becomes a full pass at once."""
        # What was handed over are the folders that are read; the refresh needs to know them all.
        rows = folders if folders and not self.report.full_pass else list(self.mailbox.folders.all())
        if self.report.full_pass or not _in_order(rows):
            self.report.full_pass = True
            rows = self._refresh_folders(rows)
            if settle(self.mailbox, rows, FOLLOWED, self.clock()):
                rows = list(self.mailbox.folders.all())
            self.category.see_to_list()
            follow_folders(self.mailbox, self.clock())
            if not _in_order(rows):
                raise MailboxGone(code="nothing_followed")
        return rows

    def _all_gone(self, followed: list[Folder]) -> bool:
        return all(isinstance(self.report.folder_errors.get(folder.pk), FolderGone) for folder in followed)

    def _refresh_folders(self, rows: list[Folder]) -> list[Folder]:
        """Bring the folder rows up to date with the server: new, renamed, gone (bound to their ids, design §4)."""
        self.beat()
        known = {folder.provider_id: folder for folder in rows}
        infos = {info.id: info for info in self.provider.folders()}
        self.report.reached_server = True
        told = [self._row(info) for info in infos.values()]
        new = [row for row in told if not _same(row, known.get(row.provider_id))]
        Folder.objects.bulk_create(
            new, update_conflicts=True, unique_fields=["mailbox", "provider_id"], update_fields=_TOLD
        )
        gone = [folder.pk for folder in rows if folder.provider_id not in infos and folder.gone_at is None]
        Folder.objects.filter(pk__in=gone).update(gone_at=self.clock())
        return list(self.mailbox.folders.all())

    def _row(self, info: FolderInfo) -> Folder:
        return Folder(
            mailbox=self.mailbox,
            provider_id=info.id,
            name=info.name[:400],
            role=info.role.value,
            parent_id_at_provider=info.parent_id or "",
            total=info.total,
            followed=info.role in FOLLOWED,
            in_step=self.mailbox.entries and info.role in HOMES,
        )

    def _changed(self, followed: list[Folder]) -> Iterable[Folder]:
        """Return the folders to be read. Counters are taken before reading: what changes meanwhile shows next time."""
        server = self.mailbox.server
        proven_useless = server.counter_facts.get("create") is False
        if not followed or (server.counters is False and (proven_useless or not self.report.full_pass)):
            return followed
        self.beat()
        counters = self.provider.counters([folder.provider_id for folder in followed])
        self.report.reached_server = True
        self._learn_counters(set(counters.values()))
        changed = []
        for folder in followed:
            if folder.provider_id not in counters:
                self._fail_folder(folder, FolderGone())
                continue
            now = counters[folder.provider_id]
            if self.report.full_pass or folder.more or now is None or now != folder.counters or folder.cursor is None:
                self._stored_counters[folder.pk] = folder.counters
                folder.counters = now or ""
                changed.append(folder)
        return changed

    def _learn_counters(self, values: set[str | None]) -> None:
        """Note whether the server has counters. One answer with them says so; that there are none is concluded from a
        full pass alone and looked at again by the next. An answer about no folder says nothing.
        """
        server, seen = self.mailbox.server, values - {None}
        if not values or server.counters is bool(seen) or not (seen or self.report.full_pass):
            return
        server.counters = bool(seen)
        type(server).objects.filter(pk=server.pk).update(counters=server.counters)

    def _fail_folder(self, folder: Folder, error: ProviderError) -> None:
        """Set one folder aside and go on with the others; what concerns more than the folder ends the run."""
        if error.scope is not Scope.FOLDER:
            raise error
        self.report.folder_errors[folder.pk] = error
        Folder.objects.filter(pk=folder.pk).update(
            issue_code=error.code, **({"gone_at": self.clock()} if isinstance(error, FolderGone) else {})
        )

    def _try(self, folder: Folder, work: Callable[[Folder], None]) -> None:
        try:
            work(folder)
        except ProviderError as error:
            self._fail_folder(folder, error)

    def _gives_way(self, folder: Folder | None = None) -> bool:
        """Return whether the run ends between two pages: its time is up, or something was switched off meanwhile."""
        return (self.until is not None and self.clock() >= self.until) or self._is_off(folder)

    def _is_off(self, folder: Folder | None) -> bool:
        """Return whether the mailbox, or the channel that a folder belongs to, was switched off since the run was begun."""
        now = Mailbox.objects.filter(pk=self.mailbox.pk).values_list("intent", "incoming", "entries").first()
        if now is None:
            return True
        intent, incoming, entries = now
        # One that was off before is synced because somebody asked for it.
        if self.mailbox.intent == Intent.ON and intent != Intent.ON:
            return True
        if folder is None:
            return False
        return self.mailbox.entries and not entries if folder.in_step else self.mailbox.incoming and not incoming

    # -- one folder

    def _sync_folder(self, folder: Folder) -> None:
        counters, first = folder.counters, True
        while True:
            page, limit = self._read_page(folder)
            if not page.changes and not page.more and folder.listing_before is None:
                self._nothing_new(folder, page.cursor, counters)
                return
            if first and self._is_off(folder):
                # A job may have had other mailboxes before this one: off is off at once.
                self._attempt_was_honest(folder)
                self.report.more = True
                return
            first = False
            self._do_page(folder, page, one_by_one=limit == 1)
            folder.refresh_from_db()
            if not page.more:
                break
            if self._gives_way(folder):
                self.report.more = True
                return
        # Only now: had the run died before, the old counters would have made the next one look again.
        if folder.counters != counters or folder.issue_code:
            Folder.objects.filter(pk=folder.pk).update(counters=counters, issue_code="")

    def _out_of_step(self, in_step: list[Folder], changed: list[Folder]) -> list[Folder]:
        """Return the folders whose entries, or the records behind them, changed."""
        if self.report.full_pass or not in_step:
            return in_step
        waiting = self.standing.waiting_kinds
        return [
            folder
            for folder in in_step
            # What is wrong with a folder is looked at again by every run, so that it ends with its cause.
            if folder in changed or folder.issue_code or HOMES[FolderRole(folder.role)] in waiting
        ]

    def _keep_in_step(self, folder: Folder, *, changed: bool) -> None:
        if self._is_off(folder):
            self.report.more = True
            return
        counters = folder.counters
        session = linked.Session(
            self.run, self.provider, HOMES[FolderRole(folder.role)], clock=self.clock, beat=self.beat,
            stored=lambda stored: count(self.report, stored), category=self.category,
            standing=self.standing,
        )  # fmt: skip
        self.report.more = session.sync(
            folder, changed=changed, full=self.report.full_pass, pause=partial(self._gives_way, folder)
        )
        self.report.reached_server = True
        self.report.written[session.kind] += session.count.written
        noted = self._stored_counters.get(folder.pk, counters) == counters and not folder.issue_code
        if not self.report.more and not noted:
            Folder.objects.filter(pk=folder.pk).update(counters=counters, issue_code="")
        if session.broken:
            self._fail_folder(folder, broken_filters(session.broken))

    def _read_page(self, folder: Folder) -> tuple[ChangePage, int]:
        """Read which items the next page has and count the attempt; an expired cursor begins a new listing (design §6).

        Ids alone, as many as were asked for, end no worker: what counts is an attempt at the items behind them. Without
        counters most pages have none, and then there is nothing to write.
        """
        if folder.attempts >= _PAGE_ATTEMPTS and not folder.careful:
            folder.attempts, folder.careful = 0, PAGE_ITEMS
        limit = 1 if folder.careful else PAGE_ITEMS
        page = read_changes(self.provider, folder, limit, clock=self.clock, beat=self.beat)
        self.report.reached_server = True
        if page.changes:
            folder.attempts += 1
            Folder.objects.filter(pk=folder.pk).update(attempts=folder.attempts, careful=folder.careful)
        return page, limit

    def _attempt_was_honest(self, folder: Folder) -> None:
        """The server failed, not we: that says nothing against the items of the page."""
        Folder.objects.filter(pk=folder.pk, attempts__gt=0).update(attempts=F("attempts") - 1)

    def _blame(self, folder: Folder, error: ProviderError) -> bool:
        """Return whether the items are to blame, since the server answers as soon as it is asked for something else.

        Then the attempt counts against the page, and the error is the mailbox's own: others need not wait for it.
        """
        if error.code in _PERHAPS_THE_ITEMS and self._server_answers(folder):
            error.scope = Scope.MAILBOX
            return True
        self._attempt_was_honest(folder)
        return False

    def _server_answers(self, folder: Folder) -> bool:
        self.beat()
        try:
            self.provider.counters([folder.provider_id])
        except ProviderError:
            return False
        return True

    def _nothing_new(self, folder: Folder, cursor: str, counters: str) -> None:
        """End a folder with an empty last page in one statement: without counters that is what most runs consist of."""
        if not nothing_new(folder, cursor, counters, run=self.run, now=self.clock()):
            raise LeaseLost

    def _do_page(self, folder: Folder, page: ChangePage, *, one_by_one: bool) -> None:
        rule = rule_in(folder, self.mailbox.owner)
        items = known_items(folder, {change.item_id for change in page.changes})
        asked = sort_changes(page.changes, items)
        if self.mailbox.first_sync_done:
            # What a first listing finds lay there before: it says nothing of how fast mail arrives.
            self.report.arrived += asked.arrived
        if one_by_one and folder.attempts > _PAGE_ATTEMPTS:
            # Read alone, it has ended its worker or its connection three times: set aside unread.
            actions: list[Action] = [Fail(i, "", Reason.KILLS_WORKER, "kills_worker") for i in asked.read]
            self._store(Page(folder, [*asked.actions, *actions], {}, page.cursor, page.more, asked.listed, rule))
            Folder.objects.filter(pk=folder.pk).update(careful=0)
            return
        try:
            actions, fetched = self._decide(folder, asked.read, rule)
        except ProviderError as error:
            self._blame(folder, error)
            raise
        self._store(Page(folder, [*asked.actions, *actions], fetched, page.cursor, page.more, asked.listed, rule))

    def _decide(
        self, folder: Folder, item_ids: Sequence[str], rule: FolderRule | None
    ) -> tuple[list[Action], dict[str, Fetched]]:
        """Read the envelopes of the items, decide on them, read the content of what is to be kept.

        Nothing is stored yet; what its owner marked in vain says so by then.
        """
        answers = read_envelopes(self.provider, item_ids, beat=self.beat)
        readable = [answer for _item_id, answer in answers if isinstance(answer, Envelope)]
        self.category.notice(readable)
        plan = self._plan(folder, answers, readable, rule)
        actions, fetched = fetch(self.provider, plan, beat=self.beat)
        return self.category.tell(actions, readable), fetched

    def _plan(
        self,
        folder: Folder,
        answers: Sequence[tuple[str, Envelope | ItemUnreadable]],
        readable: Sequence[Envelope],
        rule: FolderRule | None,
    ) -> Plan:
        return plan_page(
            answers,
            sent=folder.role == FolderRole.SENT,
            rules=rules_of(self.mailbox),
            known=known_messages(self.mailbox, readable),
            folder=rule,
        )

    def _store(self, page: Page) -> None:
        stored = store(page, run=self.run, mailbox=self.mailbox, now=self.clock())
        count(self.report, stored)
        kept = [
            action.envelope for action in page.actions if isinstance(action, Track | Link) and action.envelope.stamp
        ]
        if kept:
            outgoing_copies.note(self.run, {each.stamp.lower(): each.item_id for each in kept}, self.clock())

    def take(
        self,
        folder: Folder,
        item_ids: Sequence[str],
        settled: Sequence[Action] = (),
        then: Callable[[Stored], object] | None = None,
    ) -> None:
        rule = rule_in(folder, self.mailbox.owner)
        actions, fetched = self._decide(folder, item_ids, rule)
        self.report.reached_server = bool(item_ids)
        self._store(Page(folder, [*settled, *actions], fetched, rule=rule, then=then))

    # -- what failed before

    def _retry_failures(self, followed: list[Folder]) -> None:
        """Try again what was set aside and is due, giving way after any of them; the attempt is counted before it is made."""
        if not self.standing.failures_due:
            return
        by_folder = {folder.pk: folder for folder in followed}
        for tried, failure in enumerate(take_due(self.mailbox, followed, limit=PAGE_ITEMS, now=self.clock())):
            if tried and self._gives_way():
                self.report.more = True
                return
            count_attempt(failure, self.clock())
            folder = by_folder[failure.folder_id]
            rule = rule_in(folder, self.mailbox.owner)
            try:
                actions, fetched = self._decide(folder, [failure.item_id], rule)
            except ProviderError as error:
                if not self._blame(folder, error):
                    raise
            else:
                self._store(Page(folder, actions, fetched, rule=rule))


def broken_filters(broken: Sequence[SyncFilter]) -> FilterBroken:
    """Return what is to be said of filters that cannot be asked: their names, and who can mend them."""
    own = all(each.scope == SyncFilter.Scope.OWNER for each in broken)
    names = ", ".join(each.name for each in broken)
    return OwnFilterBroken(names) if own else FilterBroken(names)


def perhaps_the_items(error: ProviderError) -> bool:
    """Tell whether an error is one that a single item can bring about for a whole request."""
    return error.code in _PERHAPS_THE_ITEMS


def _in_order(rows: Iterable[Folder]) -> list[Folder]:
    """Return those that are followed and there, the Inbox first."""
    return sorted(
        (folder for folder in rows if folder.followed and folder.gone_at is None),
        key=lambda folder: (_ORDER.get(folder.role, 2), folder.pk),
    )


def _same(row: Folder, known: Folder | None) -> bool:
    return known is not None and all(getattr(row, name) == getattr(known, name) for name in _TOLD)


def count(report: RunReport, stored: Stored) -> None:
    """Add a page's decisions to the report."""
    report.tracked += stored.outcomes[Outcome.TRACKED]
    report.updated += stored.outcomes[Outcome.UPDATED]
    report.quarantined += stored.outcomes[Outcome.QUARANTINED]
    report.refused.update(stored.refused)
