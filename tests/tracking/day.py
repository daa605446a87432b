"""A day in the life of many mailboxes, in simulated time: real dispatcher, claims, jobs and database; mail is drawn.

The idea: what takes time in reality (a mail server answering) is a pause in the simulation, and nothing else is made
up. Workers are greenlets that run the real job code and take turns in one thread; the truth about every start is kept
beside the database, so that what crmsync says of itself can be compared with it.
"""

import heapq
import random
from collections import Counter, deque
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import count, pairwise
from typing import Any

from greenlet import GreenletExit, getcurrent, greenlet

from mailboxes.claims import Claim
from mailboxes.models import Mailbox, Run, ServerProfile
from mailboxes.promise import BOUND_SECONDS
from mailboxes.provider.errors import Unavailable
from mailboxes.report import RunReport
from tests.mailboxes.fleet import NOON, Fleet
from tracking.workers import jobs
from tracking.workers.dispatcher import Dispatcher

# Messages per hour of a mailbox, and the share of mailboxes that are like this.
TRAFFIC = ((0.3, 0.70), (4.0, 0.25), (40.0, 0.05))
# One request: median and spread (log-normal), plus some for each message.
ANSWER_SECONDS, ANSWER_SPREAD, MESSAGE_SECONDS = 0.2, 0.6, 0.03
# How long a connection to a server that is gone takes to fail.
FAILURE_SECONDS = 5.0


@dataclass(frozen=True)
class Start:
    """One attempt: when it began, and whether it reached its server."""

    at: datetime
    reached: bool


@dataclass(frozen=True)
class Gap:
    """Two starts that reached the server, one after the other."""

    mailbox_id: int
    since: datetime
    until: datetime

    @property
    def seconds(self) -> float:
        return (self.until - self.since).total_seconds()


@dataclass
class Outage:
    """A server that does not answer for a while."""

    server_id: int
    begins: datetime
    ends: datetime

    def at(self, server_id: int, now: datetime) -> bool:
        return server_id == self.server_id and self.begins <= now < self.ends

    def touches(self, gap: Gap) -> bool:
        return gap.since < self.ends and gap.until > self.begins


class Provider:
    """Stands for a connection: the simulated pipeline makes its one request."""

    requests = 1


@dataclass
class Day:
    """Clock, events, workers and the truth."""

    fleet: Fleet
    seed: int = 1
    tick_s: float = 1.0
    now: datetime = NOON
    outage: Outage | None = None
    starts: dict[int, list[Start]] = field(default_factory=dict)
    busiest: Counter[int] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self.dice = random.Random(self.seed)
        self.transport = Queues(self)
        self.dead: set[str] = set()
        self.workers: dict[str, Worker] = {}
        self.rates: dict[int, float] = {}
        self._events: list[tuple[datetime, int, Callable[[], Any]]] = []
        self._order = count()
        self._hub = getcurrent()
        self._at_once: Counter[int] = Counter()
        self._names = count(1)
        self.dispatcher = Dispatcher(self.transport, clock=lambda: self.now, watcher=self.transport)
        self.after(0, self._tick)

    # -- the stage

    def people(self, sizes: Sequence[int]) -> list[ServerProfile]:
        """Add servers with so many mailboxes each, at every point of their intervals; return the servers."""
        servers = [self.fleet.server() for _size in sizes]
        for server, size in zip(servers, sizes, strict=True):
            for box in self.fleet.mailboxes(server, size, arrivals=[[int(self.now.timestamp()) - 7200, 0]]):
                since = self.now - timedelta(seconds=self.dice.uniform(0, BOUND_SECONDS - 60))
                self.starts[box.pk] = [Start(since, reached=True)]
                self.rates[box.pk] = self.dice.choices(*zip(*TRAFFIC, strict=True))[0]
                Mailbox.objects.filter(pk=box.pk).update(
                    measured_from=since, attempted_at=since, due_at=since + timedelta(seconds=BOUND_SECONDS - 30)
                )
        return servers

    def hire(self) -> "Worker":
        """Start a worker process."""
        worker = Worker(self, f"worker-{next(self._names)}")
        self.workers[worker.name] = worker
        self.after(0, worker.greenlet.switch)
        return worker

    def kill_one(self) -> None:
        """Kill a worker in the middle of a run, if one is at work; otherwise try again in a moment."""
        for worker in list(self.workers.values()):
            if worker.job is not None:
                del self.workers[worker.name]
                self.dead.add(worker.name)
                worker.greenlet.throw(GreenletExit)
                return
        self.after(0.2, self.kill_one)

    # -- time

    def after(self, seconds: float, do: Callable[[], Any]) -> None:
        """Do something later."""
        heapq.heappush(self._events, (self.now + timedelta(seconds=seconds), next(self._order), do))

    def sleep(self, seconds: float) -> None:
        """Let others go on meanwhile; called in a worker."""
        self.after(seconds, getcurrent().switch)
        self._hub.switch()

    def park(self) -> None:
        """Let others go on until somebody wakes this worker."""
        self._hub.switch()

    def run(self, *, hours: float) -> None:
        """Let time pass."""
        end = self.now + timedelta(hours=hours)
        while self._events and self._events[0][0] <= end:
            self.now, _order, do = heapq.heappop(self._events)
            do()
        self.now = end

    def _tick(self) -> None:
        self.after(self.tick_s, self._tick)
        self.dispatcher.tick()

    # -- what the real code calls

    def sync(self, run: Run, provider: Provider, *, beat: Callable[[], None], **_options: Any) -> RunReport:
        """Stand in for the pipeline: take the time that a mail server takes, and find what has arrived."""
        beat()
        server_id, began = run.mailbox.server_id, self.now
        self._at_once[server_id] += 1
        self.busiest[server_id] = max(self.busiest[server_id], self._at_once[server_id])
        try:
            return self._answer(run, began)
        finally:
            self._at_once[server_id] -= 1

    def _answer(self, run: Run, began: datetime) -> RunReport:
        starts = self.starts[run.mailbox_id]
        if self.outage and self.outage.at(run.mailbox.server_id, began):
            starts.append(Start(began, reached=False))
            self.sleep(FAILURE_SECONDS)
            return RunReport(requests=1, error=Unavailable("no answer"))
        last = next(start.at for start in reversed(starts) if start.reached)
        arrived = self._arrived(run.mailbox_id, (began - last).total_seconds())
        self.sleep(self.dice.lognormvariate(0, ANSWER_SPREAD) * ANSWER_SECONDS + arrived * MESSAGE_SECONDS)
        # What a worker that dies has reached is known to nobody: the start counts when the run comes to its end.
        starts.append(Start(began, reached=True))
        return RunReport(requests=1, reached_server=True, arrived=arrived, tracked=arrived)

    def _arrived(self, mailbox_id: int, seconds: float) -> int:
        """Draw how many messages came: few at night, many before noon."""
        hour = self.now.hour
        daytime = 0.1 if hour < 6 or hour > 20 else 1.8 if 8 <= hour < 12 else 1.0
        expected = self.rates[mailbox_id] * daytime * seconds / 3600
        return sum(1 for _message in range(int(expected) + 3) if self.dice.random() < expected / (int(expected) + 3))

    # -- the truth

    def gaps(self) -> list[Gap]:
        """Every gap that has ended."""
        found = []
        for mailbox_id, starts in self.starts.items():
            reached = [start.at for start in starts if start.reached]
            found += [Gap(mailbox_id, a, b) for a, b in pairwise(reached)]
        return found

    def late_now(self) -> set[int]:
        """The mailboxes whose last start that reached the server is further back than the bound."""
        bound = timedelta(seconds=BOUND_SECONDS)
        return {
            mailbox_id
            for mailbox_id, starts in self.starts.items()
            if next(start.at for start in reversed(starts) if start.reached) + bound < self.now
        }


class Worker:
    """A worker process: real job code, one job after the other."""

    def __init__(self, day: Day, name: str) -> None:
        self.day, self.name = day, name
        self.job: Claim | None = None
        self.parked = False
        self.greenlet = greenlet(self._live)

    def _live(self) -> None:
        while True:
            self.job = self.day.transport.take()
            if self.job is None:
                self.parked = True
                self.day.park()
                self.parked = False
            else:
                jobs.Batch(list(self.job.run_ids), worker=self.name, clock=lambda: self.day.now).work()
                self.day.sleep(0.003)


class Queues:
    """The queue in memory: jobs come out in order of urgency and age."""

    def __init__(self, day: Day) -> None:
        self.day = day
        self.jobs: dict[str, deque[Claim]] = {name: deque() for name in ("immediate", "sync", "bulk")}

    def enqueue(self, claims: Sequence[Claim]) -> None:
        for claim in claims:
            self.jobs[claim.queue].append(claim)
        for worker in self.day.workers.values():
            if worker.parked and claims:
                worker.parked = False
                self.day.after(0.002, worker.greenlet.switch)

    def take(self) -> Claim | None:
        return next((waiting.popleft() for waiting in self.jobs.values() if waiting), None)

    def waiting(self, job_ids: Collection[str]) -> tuple[set[str], set[str]]:
        here = {claim.job_id for waiting in self.jobs.values() for claim in waiting}
        at_work = {worker.job.job_id for worker in self.day.workers.values() if worker.job}
        return here & set(job_ids), set(job_ids) - here - at_work

    def dead(self, names: Collection[str]) -> set[str]:
        """Which of the workers have died, as their locks tell in reality."""
        return self.day.dead & set(names)

    def tidy(self) -> None:
        """Housekeeping has its own tests."""

    def go_on_backfilling(self) -> None:
        """There is nothing to look at again."""

    def tend_canaries(self) -> None:
        """There are none."""
