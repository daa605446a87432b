"""The state machine of `tests/tracking/linked/test_machine.py` with real workers over EWS, killed at it.

Everything is real: PostgreSQL, Valkey, a sandbox Exchange over HTTP, a dispatcher and two `manage.py rqworker` processes,
which go on working while people do. The schedules run side by side, each an organisation of its own with two mailboxes;
SIGKILL hits whichever worker has begun a run. How fast things happen follows from what the workers have done and not from
the time, so that a slow machine gives the same schedules: for every few mailboxes that were synced, somebody does
something. `tests/proofs/owners.py` is what people do, `in_step.py` what must hold in the end.
"""

import os
import random
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from statistics import median
from typing import Any

import pytest
from django.conf import settings as django_settings
from django.db.models import Exists, F, OuterRef, Q
from django.utils import timezone

from mailboxes import intents
from mailboxes.models import Mailbox, Run, ServerProfile
from mailboxes.sandbox.server import SandboxServer
from mailboxes.sandbox.store import SandboxStore
from security import egress
from tests.proofs.decided import decisions_noted, noted
from tests.proofs.exchange import PASSWORD, SERVICE
from tests.proofs.in_step import Check
from tests.proofs.owners import Organisation
from tests.proofs.processes import Program
from tracking.engine.filter_queries import MODELS
from tracking.models import FieldConflict, ItemFailure, ItemLink, LinkState

WORKERS = 2
# More than a job may wait in its queue before the dispatcher looks for it (`dispatcher.UNBEGUN_SECONDS`, every five).
LEASE_SECONDS = 18
# Steps of one schedule, fewest and most, and in how many parts: between two, every mailbox is synced once.
STEPS = (42, 48)
PARTS = 4
# Full passes after which nothing may change any more.
ROUNDS = 8
# How often it is looked what the workers have done.
LOOK_SECONDS = 0.1
# A machine may be slow; that nothing at all happens for so long is an error.
PATIENCE_SECONDS = 300
# A continuous integration server does all thirty, whoever tests while they work a few.
SCHEDULES = 30 if os.environ.get("CI") else 3


@dataclass
class Site:
    """An installation: a sandbox, a dispatcher, and workers that are replaced when they are killed."""

    env: dict[str, str]
    logs: Path
    server: SandboxServer
    chance: random.Random
    workers: dict[str, Program] = field(default_factory=dict)
    kills: Counter[str] = field(default_factory=Counter)
    started: int = 0

    def keep_workers(self) -> None:
        """Replace workers that are gone."""
        for name in [name for name, worker in self.workers.items() if not worker.alive]:
            self.workers.pop(name).stop()
        while len(self.workers) < WORKERS:
            self.started += 1
            name = f"victim{self.started}"
            self.workers[name] = Program(self.env, self.logs / f"{name}.log", "rqworker", "--name", name)

    def part(self, organisations: list[Organisation], steps: int, kills: int) -> int:
        """Have every mailbox synced once more, or fail, while people do so many steps each and workers are killed.

        Return how many are still to be killed: none was at work at the moment that was theirs.
        """
        acts = [organisation for organisation in organisations for _each in range(steps)]
        self.chance.shuffle(acts)
        boxes = [person.mailbox.pk for organisation in organisations for person in organisation.people]
        deaths = sorted(self.chance.randrange(len(boxes)) for _each in range(kills))
        before = {organisation.seed: organisation.steps for organisation in organisations}
        since = timezone.now()
        self.keep_workers()
        tried = Run.objects.filter(mailbox__in=boxes, started_at__gte=since, finished_at__isnull=False)
        for count in self._waiting(boxes, lambda: set(tried.values_list("mailbox", flat=True))):
            while len(acts) > (len(boxes) - count) * steps / 2:
                acts.pop().step()
            if deaths and count >= deaths[0] and self._kill_one():
                deaths.pop(0)
        for organisation in organisations:
            organisation.settled(before[organisation.seed])
        return len(deaths)

    def _waiting(self, boxes: list[int], done: Callable[[], set[int]]) -> Iterator[int]:
        """Yield how many of the mailboxes are done until all are; fail when that stands still. Meanwhile time passes for
        those that are not, and who died is replaced.
        """
        last, moved = -1, time.monotonic()
        while True:
            ready = done()
            if len(ready) != last:
                last, moved = len(ready), time.monotonic()
            yield len(ready)
            if len(ready) == len(boxes):
                return
            if time.monotonic() - moved > PATIENCE_SECONDS:
                raise AssertionError(f"nothing happens: {len(ready)} of {len(boxes)}\n{self._last_words()}")
            self.keep_workers()
            make_due([pk for pk in boxes if pk not in ready])
            time.sleep(LOOK_SECONDS)

    def _last_words(self) -> str:
        boxes = Mailbox.objects.values_list(
            "address", "state", "issue_code", "due_at", "not_before", "server__not_before"
        )
        logs = (f"{log.name}: {log.read_text()[-1500:]}" for log in sorted(self.logs.glob("*.log")))
        return "\n".join([*map(str, boxes), *logs])

    def _kill_one(self) -> bool:
        """Kill a worker a random while after it was seen at a run; return False when none was."""
        if not self._at_work():
            return False
        time.sleep(self.chance.uniform(0, 0.2))
        name = self._at_work()
        if not name:
            return False
        self.workers[name].kill()
        lost = Run.objects.filter(Q(finished_at=None) | Q(error_code="worker_lost"), worker=name)
        self.kills["in a run" if lost.exists() else "between runs"] += 1
        return True

    def _at_work(self) -> str:
        """Return the name of a worker that has begun a run and not ended it, "" if there is none."""
        alive = [name for name, worker in self.workers.items() if worker.alive]
        return Run.objects.filter(finished_at=None, worker__in=alive).values_list("worker", flat=True).first() or ""

    def settle(self, organisations: list[Organisation]) -> int:
        """Leave everybody in peace until nothing changes any more; return how many full passes that took."""
        self.server.faults.clear()
        left = organisations
        for number in range(1, ROUNDS + 1):
            before = {each.seed: picture(each) for each in left}
            self._full_pass(left)
            left = [each for each in left if number == 1 or picture(each) != before[each.seed]]
            if not left:
                return number
        raise AssertionError(f"{[each.seed for each in left]} do not come to rest")

    def _full_pass(self, organisations: list[Organisation]) -> None:
        """Let a quarter of an hour pass, have everything released and tried again, and everybody read in full."""
        for organisation in organisations:
            organisation.calm()
        boxes = [person.mailbox.pk for organisation in organisations for person in organisation.people]
        now = timezone.now()
        ItemFailure.objects.filter(mailbox__in=boxes, resolved_at=None).update(retry_at=now)
        gone = ItemLink.objects.filter(mailbox__in=boxes, gone_at__isnull=False, unlinked_at=None)
        gone.update(gone_at=F("gone_at") - timedelta(minutes=15))
        LinkState.objects.filter(mailbox__in=boxes, braked_at__isnull=False).update(
            released_at=now, released_by="marta"
        )
        # Asked for, so that one that began before that does not count as it.
        intents.want_full_pass(Mailbox.objects.filter(pk__in=boxes), now)
        self.keep_workers()
        done = Mailbox.objects.filter(pk__in=boxes, full_pass_at__gte=now, backlog=False)
        idle = done.exclude(Exists(Run.objects.filter(mailbox=OuterRef("pk"), finished_at=None)))
        for _count in self._waiting(boxes, lambda: set(idle.values_list("pk", flat=True))):
            pass


def make_due(boxes: list[int]) -> None:
    """Let the time pass until these mailboxes are due, whatever a failure made them wait for."""
    rows, now = Mailbox.objects.filter(pk__in=boxes), timezone.now()
    rows.filter(Q(due_at__gt=now) | Q(not_before__gt=now)).update(due_at=now, not_before=None)
    ServerProfile.objects.filter(mailboxes__in=boxes, not_before__gt=now).update(not_before=None)


def picture(organisation: Organisation) -> list[Any]:
    """Return what must not change any more once it is quiet: records, links, items."""
    users = [person.user for person in organisation.people]
    links = ItemLink.objects.filter(mailbox__owner__in=users).order_by("pk")
    return [
        *(list(model._default_manager.filter(owner__in=users).order_by("pk").values()) for model in MODELS.values()),
        list(links.values_list("pk", "item_id", "change_key", "reason", "unlinked_at", "withheld")),
        {(item.id, item.change_key) for person in organisation.people for item in organisation.items(person)},
    ]


@pytest.fixture
def site(process_env, settings, tmp_path) -> Iterator[Site]:
    """A sandbox in this process, a dispatcher, and nobody killed yet."""
    settings.BLOB_ROOT = tmp_path / "blobs"
    logs = tmp_path / "logs"
    logs.mkdir()
    env = process_env | {
        "CRMSYNC_BLOBS": str(tmp_path / "blobs"),
        "CRMSYNC_LEASE_SECONDS": str(LEASE_SECONDS),
        "CRMSYNC_VAR": str(django_settings.VAR),
    }
    store = SandboxStore()
    store.add_mailbox(SERVICE, PASSWORD, impersonator=True)
    with SandboxServer(store) as server, decisions_noted(), Program(env, logs / "dispatch.log", "dispatch"):
        egress.allow(egress.Endpoint.of(server.url), by="proof", private=True)
        found = Site(env, logs, server, random.Random(20260306))
        try:
            yield found
        finally:
            for worker in found.workers.values():
                worker.stop()
    assert "Traceback" not in (logs / "dispatch.log").read_text()


def run(site: Site, seeds: list[int], *, kills: int, record_property: Callable[[str, object], None]) -> None:
    """Do these schedules side by side, with so many kills spread over them, and look whether all is well."""
    organisations = [Organisation(seed, site.server, site.server.url) for seed in seeds]
    began, left = time.monotonic(), 0
    most = {each.seed: each.random.randint(*STEPS) for each in organisations}
    for number in range(PARTS):
        left = site.part(organisations, STEPS[0] // PARTS, left + kills // PARTS + (number < kills % PARTS))
    while left:
        left = site.part(organisations, 0, left)
    for organisation in organisations:
        while organisation.steps < most[organisation.seed]:
            organisation.step()
    worked = time.monotonic()
    passes = site.settle(organisations)
    settled = time.monotonic()
    for organisation in organisations:
        try:
            Check(organisation).all()
        except Exception as error:
            raise AssertionError(f"seed {organisation.seed}, after {organisation.steps} steps") from error
    # Nothing but what customers sent moved: no invitation, update, cancellation or mail left a mailbox.
    assert (site.server.store.departed, site.server.store.outbound, site.server.store.meeting_messages) == ([], [], 0)
    twice = [version for version, times in noted().items() if times > 1]
    assert not twice, f"decided on more than once: {twice}"
    assert site.kills.total() == kills
    assert site.kills["in a run"] >= 0.5 * kills
    assert not any("Traceback" in log.read_text() for log in site.logs.glob("victim*.log")), site._last_words()
    steps = [organisation.steps for organisation in organisations]
    record_property("schedules over EWS", steps)
    print(  # noqa: T201 -- figures of the proof
        f"\n{len(seeds)} schedules over EWS, median of {median(steps):.0f} steps, {kills} kills ({dict(site.kills)}), "
        f"{Run.objects.count()} runs, {ItemLink.objects.count()} links, {noted().total()} decisions, "
        f"{FieldConflict.objects.count()} conflicts; {worked - began:.0f} s of work, settled in {settled - worked:.0f} s "
        f"with {passes} full passes, checked in {time.monotonic() - settled:.0f} s"
    )


@pytest.mark.slow
def test_schedules_with_real_workers_over_ews_end_in_step(site, record_property):
    run(site, list(range(SCHEDULES)), kills=SCHEDULES, record_property=record_property)


@pytest.mark.soak
@pytest.mark.slow
@pytest.mark.parametrize("turn", range(3))
def test_fresh_schedules_with_real_workers_over_ews_end_in_step(site, record_property, turn):
    """Seeds that nobody has tried; the message of a failure names the seed, though not what workers were at by then."""
    seeds = random.sample(range(30, 2**32), 30)
    run(site, seeds, kills=60, record_property=record_property)
