"""`bench dispatch`: idle mailboxes synced per second by one small machine (design §10), and where its time goes.

Everything is as `make run` has it: a real dispatcher, the real queue, two workers. All mailboxes are due at once; the rate
is that at which they have been synced, from that moment to the end of the last. That nobody waits a whole interval for
them to become due again is all that differs from everyday life.
"""

import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import redis
from django.conf import settings
from django.db import connection
from django.db.models import Count, Max, Q, Sum
from django.utils import timezone

from mailboxes.models import Mailbox, Run, ServerProfile
from mailboxes.sandbox import statefile
from mailboxes.sandbox.store import SandboxStore
from mailboxes.states import Outcome
from tracking.benches import children
from tracking.benches.stage import add, connect

# 20,000 mailboxes in 12 minutes are 27.8 a second; at 75 % load the machine does 37 (design §10).
LEAST_PER_S = 37.0
# The workers of `crmsync_site.launcher.programs`.
QUEUES = (("immediate", "sync"), ("sync", "bulk", "maintenance"))
_POLL_SECONDS = 0.1
_PATIENCE_SECONDS = 180.0
# So many requests at once while mailboxes are made ready; the usual number is measured with.
_IN_A_HURRY = 27


@dataclass(frozen=True, slots=True)
class Options:
    """How many mailboxes, and how often all of them are synced."""

    mailboxes: int = 2_000
    rounds: int = 5


@dataclass(frozen=True, slots=True)
class _Round:
    seconds: float
    runs: int
    requests: int
    cpu: dict[str, float]


def measure(options: Options, *, env: Mapping[str, str], folder: Path) -> dict[str, Any]:
    """Return the figures. This process and those it starts with `env` live in one scratch installation.

    `folder` takes the sandbox's state. Raises `children.ChildFailed`.
    """
    addresses = [f"person{number:05d}@dispatch.example" for number in range(options.mailboxes)]
    load = os.getloadavg()[0]
    with (
        _server(env, folder, addresses) as server,
        children.worker(env, *QUEUES[0]) as first,
        children.worker(env, *QUEUES[1]) as second,
        children.dispatcher(env) as dispatcher,
    ):
        for pid in (first, second):
            children.wait_for_worker(pid, count=2)
        processes: dict[str, Callable[[], float | None]] = {
            "workers": lambda: children.cpu_seconds(first) + children.cpu_seconds(second),
            "dispatcher": lambda: children.cpu_seconds(dispatcher),
            "mail_server": lambda: children.cpu_seconds(server.pid),
            "database": _database_cpu,
            "queue": _queue_cpu,
        }
        _make_ready(server, addresses, lambda: children.cpu_seconds(dispatcher))
        rounds = [_round(processes) for _ in range(options.rounds + 1)][1:]
    return _told(options, rounds, load)


def _told(options: Options, rounds: list[_Round], load: float) -> dict[str, Any]:
    rate = round(median(one.runs / one.seconds for one in rounds), 1)
    spent = {name: round(median(one.cpu[name] / one.runs for one in rounds) * 1000, 2) for name in rounds[0].cpu}
    busy = [sum(one.cpu.values()) / (one.seconds * (os.cpu_count() or 1)) for one in rounds]
    return {
        "bench": "dispatch",
        "mailboxes": options.mailboxes,
        "mailboxes_per_s": rate,
        "each_round": [round(one.runs / one.seconds, 1) for one in rounds],
        "requests_per_run": round(sum(one.requests for one in rounds) / sum(one.runs for one in rounds), 3),
        "cpu_ms_per_mailbox": spent,
        "busy": round(median(busy), 2),
        "cores": os.cpu_count(),
        "load_before": round(load, 1),
        "workers": len(QUEUES),
        "target": {"mailboxes_per_s": LEAST_PER_S},
        "met": rate >= LEAST_PER_S,
    }


def table(found: Mapping[str, Any]) -> str:
    """Return the figures for people."""
    spent = found["cpu_ms_per_mailbox"]
    return "\n".join(
        [
            f"dispatch: {found['mailboxes']} idle mailboxes, dispatcher, queue, {found['workers']} workers, "
            f"{found['cores']} cores (load before: {found['load_before']})",
            f"  {found['mailboxes_per_s']} mailboxes per second (median of {found['each_round']}), "
            f"{found['requests_per_run']:g} request each",
            f"  CPU ms per mailbox: {', '.join(f'{name} {ms:g}' for name, ms in spent.items())}; "
            f"all together {sum(spent.values()):.2f}",
            f"  these processes kept {found['busy']:.0%} of the machine busy",
            f"  target: at least {LEAST_PER_S:g} per second; {'met' if found['met'] else 'NOT met'}",
        ]
    )


def _make_ready(server: children.Sandbox, addresses: list[str], alive: Callable[[], object]) -> None:
    """Have every mailbox past its first sync, and let the server learn what it learns once."""
    profile = connect(
        "bench dispatch",
        server.url,
        username=server.service_address,
        password=server.service_password,
        impersonate=True,
    )
    usual = profile.concurrency
    ServerProfile.objects.filter(pk=profile.pk).update(concurrency=_IN_A_HURRY)
    add(profile, addresses)
    _wait(Q(first_sync_done=False) | Q(backlog=True), alive)
    ServerProfile.objects.filter(pk=profile.pk).update(concurrency=usual)


def _round(processes: Mapping[str, Callable[[], float | None]]) -> _Round:
    """Have all mailboxes synced once; return what it took."""
    begun = timezone.now()
    before, clock = {name: cpu() for name, cpu in processes.items()}, time.monotonic()
    Mailbox.objects.update(due_at=begun)
    _wait(Q(due_at__lte=begun), processes["dispatcher"])
    seconds = time.monotonic() - clock
    cpu = {
        name: used - earlier
        for name, read in processes.items()
        if (used := read()) is not None and (earlier := before[name]) is not None
    }
    done = Run.objects.filter(claimed_at__gte=begun).aggregate(runs=Count("pk"), requests=Sum("requests"))
    wrong = Run.objects.filter(claimed_at__gte=begun).exclude(outcome=Outcome.DONE, examined=0).first()
    if wrong is not None:
        raise children.ChildFailed(
            f"A run was not idle: {wrong.outcome} {wrong.error_code} {wrong.error_detail}".strip()
        )
    return _Round(seconds, done["runs"], done["requests"], cpu)


def _wait(waiting: Q, alive: Callable[[], object]) -> None:
    """Wait until no mailbox waits and no run is under way; raises `ChildFailed` when nothing moves any more."""
    moved, last = time.monotonic(), None
    while Mailbox.objects.filter(waiting).exists() or Run.objects.filter(finished_at=None).exists():
        alive()
        latest = Run.objects.aggregate(latest=Max("finished_at"))["latest"]
        if latest != last:
            moved, last = time.monotonic(), latest
        if time.monotonic() - moved > _PATIENCE_SECONDS:
            raise children.ChildFailed(f"Nothing was synced for {_PATIENCE_SECONDS:.0f} s.")
        time.sleep(_POLL_SECONDS)


def _database_cpu() -> float | None:
    """Return the seconds PostgreSQL has used, sessions that ended included; None when it runs on another machine."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        row = cursor.fetchone()
    try:
        if "postgres" not in Path(f"/proc/{row[0]}/comm").read_text():
            return None
        server = int(_stat(int(row[0]))[1])
        own = _stat(server)
    except OSError:
        return None
    ticks = sum(int(field) for field in own[11:15])
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                fields = _stat(int(entry.name))
            except OSError:
                continue
            if int(fields[1]) == server:
                ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def _stat(pid: int) -> list[str]:
    """Return the fields of /proc/PID/stat from the state on: the parent second, the times from the twelfth on."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()


def _queue_cpu() -> float | None:
    with redis.Redis.from_url(settings.REDIS_URL) as client:
        told = client.info("cpu")
    return float(told["used_cpu_user"]) + float(told["used_cpu_sys"])


@contextmanager
def _server(env: Mapping[str, str], folder: Path, addresses: list[str]) -> Iterator[children.Sandbox]:
    store = SandboxStore()
    for address in addresses:
        store.add_mailbox(address, address)
    state = folder / "dispatch.state"
    statefile.save(store, state)
    with children.sandbox(env, "--state", str(state)) as server:
        yield server
