"""The work of a backfill under the lease of its mailbox: counting what reading would come to, and reading it.

The idea: how far it is stands in its row, and moves in the transaction of the page it belongs to. So a kill at any moment
costs at most the part at hand, which is then looked at again: what was stored by then is known, and is not read twice.
Counting reads envelopes and keeps none; reading hands the items to the pipeline as any page is.
"""

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any, Final

from django.db import transaction
from django.db.models import F

from mailboxes.models import Folder, Run
from mailboxes.provider.errors import FolderGone, ItemGone, ItemUnreadable, ProviderError, Scope
from mailboxes.provider.port import Envelope
from mailboxes.provider.writing import WholeProvider
from mailboxes.report import RunReport
from tracking.backfill.parts import Part, mail_folders, next_part, skipped
from tracking.backfill.retro import addresses_of
from tracking.dryrun.preview import Rehearsal
from tracking.engine import pipeline
from tracking.engine.apply import Stored, keep_lease
from tracking.engine.content import read_envelopes
from tracking.engine.lookups import spelling_of
from tracking.models import Backfill
from tracking.records.links import MODELS
from tracking.sync.addresses import Spelling, spellings
from tracking.sync.decide import address_key, recipients
from tracking.sync.facts import Outcome, Reason
from tracking.sync.plan import Fail, Link, Refuse, Track

Clock = Callable[[], datetime]
Answers = list[tuple[str, Envelope | ItemUnreadable]]
_State = Backfill.State

PART_ITEMS: Final = pipeline.PAGE_ITEMS
# A part begun this often without an end kills its worker: from then on items are taken one by one.
_ATTEMPTS: Final = 3
# Passes over a range at most: a server that lists items for ever which it cannot find is not followed for ever.
_PASSES: Final = 3
# Attempts at one item alone after which it is not the item: nothing that could be left out helps any more.
_LAST_ATTEMPT: Final = 2 * _ATTEMPTS


class Stopped(Exception):
    """It was cancelled, or cannot go on: nothing more is counted or read."""


def work(
    row: Backfill,
    run: Run,
    provider: WholeProvider,
    *,
    clock: Clock,
    beat: Callable[[], None],
    gives_way: Callable[[], bool] = lambda: False,
) -> RunReport:
    """Count or read, as the row's state says, to the end or until `gives_way()`; return what came of it.

    Only what was asked for is counted, and only what was confirmed is read: else nothing is done. The lease of the row's
    mailbox must be held. Provider errors end up in the report and in the row, which stays as it
    is and can be gone on with; `LeaseLost` and database errors are raised. One that cannot go on by itself has failed, and
    its row says of what: the one folder it was asked for is gone or out of reach, or the same place failed again and again.
    """
    # Others may have gone on with it while the lease was waited for.
    row.refresh_from_db()
    turns: dict[str, type[_Turn]] = {_State.COUNTING: _Counting, _State.READING: _Reading}
    if row.state not in turns:
        return RunReport()
    return turns[row.state](row, run, provider, clock=clock, beat=beat).work(gives_way)


class _Turn(ABC):
    """What counting and reading share: going from part to part."""

    def __init__(
        self, row: Backfill, run: Run, provider: WholeProvider, *, clock: Clock, beat: Callable[[], None]
    ) -> None:
        self.row, self.run, self.provider, self.clock, self.beat = row, run, provider, clock, beat
        self.report = RunReport()
        self.wanted = _wanted(row)

    def work(self, gives_way: Callable[[], bool]) -> RunReport:
        before = self.provider.requests
        try:
            while self._step() and not gives_way():
                pass
        except ProviderError as error:
            self.report.error = error
        except Stopped:
            pass
        self.report.requests = self.provider.requests - before
        self._close()
        return self.report

    def _step(self) -> bool:
        """Do one part; return whether there is more."""
        self._look_for_its_folder()
        self._begin_part()
        limit = 1 if self.row.careful else PART_ITEMS
        part: Part | None = None
        try:
            part = next_part(self.row, self.provider, limit, self.beat)
            self.report.reached_server = True
            if part is None:
                return self._end()
            self._do(part)
        except ProviderError as error:
            if error.scope is Scope.FOLDER or (part is None and self._hopeless()):
                self._pass_by(error)
            else:
                self._blame(error)
                raise
        self.row.refresh_from_db()
        return True

    @abstractmethod
    def _do(self, part: Part) -> None: ...

    @abstractmethod
    def _end(self) -> bool: ...

    # -- attempts: written before they are made

    def _begin_part(self) -> None:
        if self.row.careful and self.row.attempts >= _LAST_ATTEMPT:
            self._fail(self.row.error_code or ProviderError.code)
        if self.row.attempts >= _ATTEMPTS and not self.row.careful:
            self.row.attempts, self.row.careful = 0, PART_ITEMS
        self.row.attempts += 1
        self._save(attempts=self.row.attempts, careful=self.row.careful)

    def _hopeless(self) -> bool:
        """Tell whether this part, of one item, has failed each time it was looked at."""
        return bool(self.row.careful) and self.row.attempts > _ATTEMPTS

    def _blame(self, error: ProviderError) -> None:
        """Take the attempt back unless the items are to blame: the server answers when asked for something else."""
        self.row.error_code = error.code
        to_blame = pipeline.perhaps_the_items(error) and self._server_answers()
        attempts = self.row.attempts if to_blame else self.row.attempts - 1
        self._save(error_code=error.code, attempts=max(0, attempts))

    def _server_answers(self) -> bool:
        self.beat()
        try:
            self.provider.counters([folder.provider_id for folder in mail_folders(self.row)[:1]])
        except ProviderError:
            return False
        return True

    def _pass_by(self, error: ProviderError) -> None:
        """Go on behind a folder that is gone, out of reach, or whose list its server never gives; the next run says so."""
        folder = mail_folders(self.row).filter(pk__gte=self.row.place).first()
        if folder is None:
            raise error
        self.report.folder_errors[folder.pk] = error
        if self.row.folder_id:
            self._fail(error.code)
        self._save(**_moved(skipped(folder)), careful=0)

    # -- what ends it before its end

    def _look_for_its_folder(self) -> None:
        """Have it fail if the one folder that it was asked for is not there to be read, and has not been yet."""
        wanted = self.row.folder_id
        if wanted and self.row.place <= wanted and not mail_folders(self.row).exists():
            self._fail(FolderGone.code)

    def _fail(self, code: str) -> None:
        self._save(state=_State.FAILED, finished_at=self.clock(), error_code=code)
        raise Stopped

    # -- the row

    def _save(self, **changes: Any) -> None:
        """Write progress, if the lease is still ours and nobody has cancelled; else raises."""
        now = self.clock()
        with transaction.atomic():
            keep_lease(self.run, now)
            self._write(worked_at=now, **changes)

    def _write(self, **changes: Any) -> None:
        if not Backfill.objects.filter(pk=self.row.pk, state=self.row.state).update(**changes):
            raise Stopped

    def _close(self) -> None:
        Backfill.objects.filter(pk=self.row.pk).update(requests=F("requests") + self.report.requests)
        self.row.refresh_from_db()
        self.report.more = self.row.state in Backfill.WORKED_ON

    def _read(self, part: Part) -> Answers:
        """Return the envelopes of the part's items; for a record, of those alone that name one of its addresses."""
        answers = read_envelopes(self.provider, part.items, beat=self.beat)
        wanted = self.wanted
        if wanted is None:
            return answers
        spelling = spelling_of(self.run.mailbox)
        return [
            (item_id, answer)
            for item_id, answer in answers
            if isinstance(answer, Envelope) and not wanted.isdisjoint(_spelled(answer, spelling))
        ]


class _Counting(_Turn):
    """Says what reading would come to. What it says is true of the rules and the mail of now."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.rehearsal = Rehearsal(self.run.mailbox)

    def _do(self, part: Part) -> None:
        counted = self.row.counted
        tally = counted.setdefault(str(part.folder.pk), _empty(part.folder))
        tally["held"] += part.listed
        tally["known"] += part.known
        tally["aside"] += part.aside
        if self._hopeless():
            tally["unread"] += len(part.items)
        else:
            self._count(tally, part)
        self._save(counted=counted, **_moved(part), careful=max(0, self.row.careful - 1))

    def _count(self, tally: dict[str, Any], part: Part) -> None:
        answers = self._read(part)
        plan = self.rehearsal.plan(part.folder, answers)
        tally["would_track"] += len(plan.of(Track))
        tally["would_link"] += len(plan.of(Link))
        tally["unread"] += sum(action.code != ItemGone.code for action in plan.actions if isinstance(action, Fail))
        refused = Counter(tally["refused"])
        refused.update(
            str(action.reason)
            for action in plan.actions
            if isinstance(action, Refuse) and action.outcome is Outcome.REFUSED
        )
        tally["refused"] = dict(refused)

    def _end(self) -> bool:
        self._save(state=_State.COUNTED, place=0, offset=0, attempts=0, careful=0, error_code="")
        return False


class _Reading(_Turn):
    """Hands items to the pipeline; what a page comes to is counted in the page's own transaction."""

    def _do(self, part: Part) -> None:
        items = part.items
        if self._hopeless():
            self._take(part, (), [Fail(item, "", Reason.KILLS_WORKER, "kills_worker") for item in items])
            return
        if self.wanted is not None:
            items = tuple(item_id for item_id, _answer in self._read(part))
        if items:
            self._take(part, items)
        else:
            self._save(**self._past(part))

    def _take(self, part: Part, items: Sequence[str], actions: Sequence[Fail] = ()) -> None:
        def count(stored: Stored) -> None:
            decided = stored.outcomes
            self._write(
                worked_at=self.clock(),
                examined=F("examined") + decided.total(),
                found=F("found") + decided.total(),
                tracked=F("tracked") + decided[Outcome.TRACKED],
                updated=F("updated") + decided[Outcome.UPDATED],
                refused=F("refused") + decided[Outcome.REFUSED],
                quarantined=F("quarantined") + decided[Outcome.QUARANTINED],
                **self._past(part),
            )

        report = pipeline.take(
            self.run, self.provider, part.folder, items, clock=self.clock, beat=self.beat, actions=actions, then=count
        )
        self.report.add(report)
        if report.error is not None:
            self.report.error = None
            raise report.error

    def _past(self, part: Part) -> dict[str, Any]:
        return {**_moved(part), "careful": max(0, self.row.careful - 1)}

    def _end(self) -> bool:
        """A range is looked through again until nothing more is found: a listing may pass over items while others go."""
        passes = self.row.passes + 1
        again = self.row.kind == Backfill.Kind.RANGE and self.row.found and passes < _PASSES
        done = {} if again else {"state": _State.DONE, "finished_at": self.clock()}
        self._save(place=0, offset=0, attempts=0, careful=0, found=0, passes=passes, error_code="", **done)
        self.row.refresh_from_db()
        return bool(again)


def _moved(part: Part) -> dict[str, Any]:
    return {"place": part.place, "offset": part.offset, "attempts": 0, "error_code": ""}


def _empty(folder: Folder) -> dict[str, Any]:
    numbers = dict.fromkeys(("held", "known", "aside", "would_track", "would_link", "unread"), 0)
    return {"name": folder.name, **numbers, "refused": {}}


def _wanted(row: Backfill) -> frozenset[str] | None:
    """Return the addresses that mail must name; None when all of it is looked at. A record that is gone has none."""
    if row.kind != Backfill.Kind.RECORD:
        return None
    record = MODELS[row.record_kind]._default_manager.filter(pk=row.record_id, deleted_at=None).first()
    return frozenset(addresses_of(record)) if record is not None else frozenset()


def _spelled(envelope: Envelope, spelling: Spelling) -> set[str]:
    people = (*recipients(envelope), *([envelope.sender] if envelope.sender else []))
    return {each for person in people for each in spellings(address_key(person), spelling)}
