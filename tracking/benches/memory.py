"""`bench memory`: what a worker weighs after many runs, and whether it grows (design §10).

A worker that idles shows nothing. Between two rounds mail with attachments arrives and records change, in mailboxes that
are kept in step as well, so that every part of a run has been used before the worker is weighed.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from itertools import count
from pathlib import Path
from typing import Any

from django.utils import timezone

from mailboxes.sandbox import statefile
from mailboxes.sandbox.store import SandboxStore
from tracking.benches import children, mail
from tracking.benches.stage import Stage, add, connect
from tracking.linked import channel
from tracking.models import Activity, ItemLink, Task

MOST_MB = 150.0
# What the allocator may keep or give back between two weighings without anything having been held on to.
MOST_GROWTH_MB = 5.0
_MAILS_A_ROUND = 5


@dataclass(frozen=True, slots=True)
class Options:
    """How many mailboxes, and after how many runs the worker is weighed first and last."""

    mailboxes: int = 20
    first: int = 100
    runs: int = 1_000


def measure(options: Options, *, env: Mapping[str, str], folder: Path) -> dict[str, Any]:
    """Return the figures. This process and those it starts with `env` live in one scratch installation.

    `folder` takes the sandbox's state. Raises `children.ChildFailed`.
    """
    addresses = [f"person{number:03d}@memory.example" for number in range(options.mailboxes)]
    weighed: list[tuple[int, float]] = []
    with _server(env, folder, addresses) as server, children.worker(env) as worker:
        children.wait_for_worker(worker)
        office = _Office(server, worker, addresses)
        office.stage.first_sync()
        done, marks = 0, [options.first, *range(options.first * 2, options.runs, options.first), options.runs]
        for mark in dict.fromkeys(mark for mark in marks if mark <= options.runs):
            while done < mark:
                office.something_happens()
                done += office.stage.rounds(1)
            weighed.append((done, children.weight_mb(worker)))
        happened = office.told()
    first, last = weighed[0][1], weighed[-1][1]
    growth = round(last - first, 1)
    return {
        "bench": "memory",
        "mailboxes": options.mailboxes,
        "runs": weighed[-1][0],
        "pss_mb": last,
        "growth_mb": growth,
        "growth_between_runs": [weighed[0][0], weighed[-1][0]],
        "each": [{"runs": runs, "pss_mb": mb} for runs, mb in weighed],
        "happened": happened,
        "target": {"pss_mb": MOST_MB, "growth_mb": MOST_GROWTH_MB},
        "met": last <= MOST_MB and growth <= MOST_GROWTH_MB,
    }


def table(found: Mapping[str, Any]) -> str:
    """Return the figures for people."""
    first, last = found["growth_between_runs"]
    what = ", ".join(f"{number} {name}" for name, number in found["happened"].items())
    return "\n".join(
        [
            f"memory: one rqworker, {found['mailboxes']} mailboxes, {found['runs']} runs ({what})",
            *(f"  after {one['runs']:>6} runs {one['pss_mb']:>8.1f} MB" for one in found["each"]),
            f"  growth between runs {first} and {last}: {found['growth_mb']} MB",
            f"  target: at most {MOST_MB:g} MB, growth at most {MOST_GROWTH_MB:g} MB; {'met' if found['met'] else 'NOT met'}",
        ]
    )


class _Office:
    """Mailboxes of all kinds in which something goes on happening."""

    def __init__(self, server: children.Sandbox, worker: int, addresses: list[str]) -> None:
        self._server, self._addresses, self._numbers = server, addresses, count()
        profile = connect(
            "bench memory",
            server.url,
            username=server.service_address,
            password=server.service_password,
            impersonate=True,
        )
        mailboxes = add(profile, addresses)
        for mailbox in mailboxes:
            channel.switch(mailbox, on=True, by="bench", now=timezone.now())
        self._owner = mailboxes[0].owner
        self.stage = Stage(mailboxes, worker=worker)

    def something_happens(self) -> None:
        """Have mail arrive in some mailboxes, a task made and another one changed."""
        for _ in range(_MAILS_A_ROUND):
            number = next(self._numbers)
            self._server.deliver(self._addresses[number % len(self._addresses)], mail.message(number, seed="memory"))
        task = Task.objects.create(
            owner=self._owner, subject=f"Call number {next(self._numbers)}", description="x" * 2000
        )
        changed = Task.objects.exclude(pk=task.pk).order_by("?").first()
        if changed is not None:
            changed.due_date = timezone.localdate() + timedelta(days=7)
            changed.save()

    def told(self) -> dict[str, int]:
        """Return what came of it."""
        return {
            "messages tracked": Activity.objects.count(),
            "entries linked": ItemLink.objects.exclude(item_id="").count(),
        }


@contextmanager
def _server(env: Mapping[str, str], folder: Path, addresses: list[str]) -> Iterator[children.Sandbox]:
    store = SandboxStore()
    for address in addresses:
        store.add_mailbox(address, address)
        for raw in mail.messages(3, seed=address):
            store.deliver_mime(address, raw)
    state = folder / "memory.state"
    statefile.save(store, state)
    with children.sandbox(env, "--state", str(state)) as server:
        yield server
