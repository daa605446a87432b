"""`bench idle`: what a run costs in which nothing has happened (design §10): requests, and CPU of the worker process.

The worker is a real `manage.py rqworker`; its CPU is all that the process used while the runs were done, its side of
queue and database included, divided by the runs.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mailboxes.sandbox import statefile
from mailboxes.sandbox.store import SandboxStore
from tracking.benches import children, mail
from tracking.benches.stage import Stage, add, connect

MORE_FOLDERS = 5
_PROJECTS = tuple(f"Project {number}" for number in range(MORE_FOLDERS))
# What an owner may have switched on: so many tracked folders, the category, and all kinds of entries.
TRACKED_FOLDERS = 20
_TRACKED = tuple(f"Project {number}" for number in range(TRACKED_FOLDERS))
MOST_REQUESTS, MOST_CPU_MS = 1.0, 5.0
_MAILS_EACH = 3


@dataclass(frozen=True, slots=True)
class Options:
    """How many mailboxes, and how often each is synced in each measurement."""

    mailboxes: int = 100
    rounds: int = 10


@dataclass(frozen=True, slots=True)
class Cost:
    """What a number of runs cost, each."""

    runs: int
    requests: float
    cpu_ms: float


def measure(options: Options, *, env: Mapping[str, str], folder: Path) -> dict[str, Any]:
    """Return the figures. This process and those it starts with `env` live in one scratch installation.

    `folder` takes the sandboxes' states. Raises `children.ChildFailed`.
    """
    with children.worker(env) as worker:
        children.wait_for_worker(worker)
        with _server(env, folder, worker, _addresses(options, "counters.example")) as bench:
            bench.first_sync()
            idle = bench.cost(options.rounds)
            full_pass = bench.full_pass()
            usual = bench.stage.followed()
            bench.stage.follow(_PROJECTS)
            more_folders = (bench.stage.followed() - usual) / options.mailboxes
            more = bench.cost(options.rounds)
            plain = bench.plain(idle.runs)
        with _server(env, folder, worker, _addresses(options, "without.example"), "--no-counters") as bare:
            bare.first_sync()
            uncounted = bare.cost(options.rounds)
            followed = bare.stage.followed() / options.mailboxes
        with _server(env, folder, worker, _addresses(options, "everything.example"), names=_TRACKED) as whole:
            whole.first_sync()
            whole.stage.switch_everything_on(_TRACKED)
            whole.stage.rounds(2)
            everything = whole.cost(options.rounds)
            all_folders = whole.stage.followed() / options.mailboxes
    return {
        "bench": "idle",
        "mailboxes": options.mailboxes,
        "runs": idle.runs,
        "requests_per_run": idle.requests,
        "cpu_ms_per_run": idle.cpu_ms,
        "more_folders": more_folders,
        "requests_per_run_5_more": more.requests,
        "cpu_ms_per_run_5_more": more.cpu_ms,
        "everything_on": {
            "followed_folders": all_folders,
            "requests_per_run": everything.requests,
            "cpu_ms_per_run": everything.cpu_ms,
        },
        "requests_per_full_pass": full_pass.requests,
        "cpu_ms_per_full_pass": full_pass.cpu_ms,
        "without_counters": {
            "followed_folders": followed,
            "requests_per_run": uncounted.requests,
            "cpu_ms_per_run": uncounted.cpu_ms,
        },
        "plain_exchangelib": plain,
        "ratio": round(idle.cpu_ms / plain["cpu_ms_per_run"], 2) if plain["cpu_ms_per_run"] else None,
        "target": {"requests_per_run": MOST_REQUESTS, "cpu_ms_per_run": MOST_CPU_MS},
        "met": max(idle.requests, more.requests, everything.requests) <= MOST_REQUESTS
        and max(idle.cpu_ms, more.cpu_ms) <= MOST_CPU_MS,
    }


def table(found: Mapping[str, Any]) -> str:
    """Return the figures for people."""
    bare, plain, whole = found["without_counters"], found["plain_exchangelib"], found["everything_on"]
    rows = (
        ("idle run", found["requests_per_run"], found["cpu_ms_per_run"]),
        (
            f"with {found['more_folders']:g} folders more",
            found["requests_per_run_5_more"],
            found["cpu_ms_per_run_5_more"],
        ),
        (
            f"all kinds, category, {whole['followed_folders']:g} folders",
            whole["requests_per_run"],
            whole["cpu_ms_per_run"],
        ),
        ("hourly full pass", found["requests_per_full_pass"], found["cpu_ms_per_full_pass"]),
        (f"no counters, {bare['followed_folders']:g} folders", bare["requests_per_run"], bare["cpu_ms_per_run"]),
        ("plain exchangelib, 1 folder", plain["requests_per_run"], plain["cpu_ms_per_run"]),
    )
    return "\n".join(
        [
            f"idle: {found['mailboxes']} mailboxes, {found['runs']} runs, one rqworker",
            f"  {'':<36} {'requests':>9} {'CPU ms':>8}",
            *(f"  {name:<36} {requests:>9.2f} {cpu:>8.2f}" for name, requests, cpu in rows),
            f"  ratio of CPU, ours to plain: {found['ratio']}",
            f"  target: at most {MOST_REQUESTS:g} request and {MOST_CPU_MS:g} ms; {'met' if found['met'] else 'NOT met'}",
        ]
    )


class _Bench:
    """One sandbox Exchange whose mailboxes are synced."""

    def __init__(self, server: children.Sandbox, worker: int, addresses: list[str]) -> None:
        self._server, self._worker, self._addresses = server, worker, addresses
        profile = connect(
            f"bench {addresses[0]}",
            server.url,
            username=server.service_address,
            password=server.service_password,
            impersonate=True,
        )
        self.stage = Stage(add(profile, addresses), worker=worker)

    def first_sync(self) -> None:
        """Sync every mailbox, and once more, so that everything has been learnt that is learnt once."""
        self.stage.first_sync()
        self.stage.rounds(1)

    def cost(self, rounds: int) -> Cost:
        """Return what an idle run costs, after a round that nobody measures."""
        self.stage.rounds(1)
        return self._measured(rounds)

    def full_pass(self) -> Cost:
        """Return what the hourly full pass costs."""
        self.stage.demand_full_pass()
        return self._measured(1)

    def _measured(self, rounds: int) -> Cost:
        self._server.reset()
        before = children.cpu_seconds(self._worker)
        runs = self.stage.rounds(rounds)
        used = children.cpu_seconds(self._worker) - before
        return Cost(runs, round(self._server.requests() / runs, 3), round(used / runs * 1000, 3))

    def plain(self, runs: int) -> dict[str, Any]:
        """Return what plain exchangelib uses for asking one folder for changes, as often."""
        address = self._addresses[0]
        self._server.reset()
        found = children.plain("idle", self._server.url, "basic", address, address, str(runs), password=address)
        return {
            "runs": runs,
            "requests_per_run": round(self._server.count("SyncFolderItems") / runs, 3),
            "cpu_ms_per_run": round(found["cpu_s"] / runs * 1000, 3),
        }


def _addresses(options: Options, domain: str) -> list[str]:
    return [f"person{number:03d}@{domain}" for number in range(options.mailboxes)]


@contextmanager
def _server(
    env: Mapping[str, str],
    folder: Path,
    worker: int,
    addresses: list[str],
    *options: str,
    names: Sequence[str] = _PROJECTS,
) -> Iterator[_Bench]:
    store = SandboxStore()
    for address in addresses:
        store.add_mailbox(address, address)
        for name in names:
            store.create_folder(address, "inbox", name)
        for raw in mail.messages(_MAILS_EACH, seed=address):
            store.deliver_mime(address, raw)
    state = folder / f"{addresses[0]}.state"
    statefile.save(store, state)
    with children.sandbox(env, "--state", str(state), *options) as server:
        yield _Bench(server, worker, addresses)
