"""`bench growth`: what a sync of 100 changes costs with few and with many stored activities (design §10).

Two installations at once, alike but for what is stored, each synced by a process of its own (`side.py`); in each pair
both get the same 100 messages, and each is first as often as the other. Cost is CPU of the process that syncs and the
time that PostgreSQL says it spent in the statements of that database; waiting for the mail server is in neither.
"""

import json
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from random import Random
from statistics import median
from typing import Any, cast

from django.conf import settings

from tracking.benches import children, scratch
from tracking.benches.stored import BASE, NAMES, address_of, message_id_of

MOST_RATIO = 1.2
CHANGES = 100


@dataclass(frozen=True, slots=True)
class Options:
    """How many activities the larger side has, and how many pairs are measured."""

    activities: int = 1_000_000
    pairs: int = 9


def measure(options: Options, *, env: Mapping[str, str]) -> dict[str, Any]:
    """Return the figures; `env` is the smaller side's installation, the other is made here. Raises `children.ChildFailed`."""
    mailboxes = [word for name in NAMES for word in ("--mailbox", f"{name}@growth.example:{name}")]
    with ExitStack() as stack:
        server = stack.enter_context(children.sandbox(env, *mailboxes))
        larger_env = stack.enter_context(scratch.installation())
        small, large = (
            stack.enter_context(_side(one, name, size, server))
            for one, name, size in ((env, NAMES[0], BASE), (larger_env, NAMES[1], options.activities))
        )
        pairs = []
        # The first pair fills caches and is not counted.
        for number in range(options.pairs + 1):
            messages = changes(number)
            for name in NAMES:
                for raw in messages:
                    server.deliver(f"{name}@growth.example", raw)
            order = (small, large) if number % 2 else (large, small)
            costs = {side.name: side.sync() for side in order}
            pairs.append((costs[NAMES[0]], costs[NAMES[1]]))
        pairs = pairs[1:]
        stored = {"small": small.stored, "large": large.stored}
    ratios = [_cost(large) / _cost(small) for small, large in pairs]
    ratio = round(median(ratios), 3)
    return {
        "bench": "growth",
        "changes": CHANGES,
        "activities": [stored["small"]["activities"], stored["large"]["activities"]],
        "stored": stored,
        "ratio": ratio,
        "ratios": sorted(round(one, 3) for one in ratios),
        "small": _typical([one for one, _ in pairs]),
        "large": _typical([one for _, one in pairs]),
        "target": {"ratio": MOST_RATIO},
        "met": ratio <= MOST_RATIO,
    }


def table(found: Mapping[str, Any]) -> str:
    """Return the figures for people."""
    lines = [
        f"growth: a sync of {found['changes']} changes, medians of {len(found['ratios'])} pairs",
        f"  {'stored activities':<26} {found['activities'][0]:>12,} {found['activities'][1]:>12,}",
    ]
    for key, label in _ROWS.items():
        lines.append(f"  {label:<26} {found['small'][key]:>12,} {found['large'][key]:>12,}")
    return "\n".join(
        [
            *lines,
            f"  ratio of CPU and database time together: {found['ratio']} (pairs: {found['ratios']})",
            f"  target: at most {MOST_RATIO:g}; {'met' if found['met'] else 'NOT met'}",
        ]
    )


_ROWS = {
    "cpu_ms": "CPU ms of the worker",
    "database_ms": "ms in the database",
    "rows_fetched": "rows fetched by index",
    "rows_scanned": "rows returned by scans",
    "rows_written": "rows written",
    "buffers_hit": "buffers found",
    "buffers_read": "buffers read",
    "tracked": "tracked",
    "updated": "copies linked",
    "refused": "refused",
}


def changes(number: int) -> list[bytes]:
    """Return the messages of one pair: answers to stored mail, mail from known people, copies of stored mail, strangers'.

    They name only what both sides have stored: the first `BASE` messages and people.
    """
    random = Random(f"growth/{number}")  # noqa: S311 -- the same mail every time is what is wanted
    recipients = ", ".join(f"{name}@growth.example" for name in NAMES)
    raws = []
    for at in range(CHANGES):
        known = random.randrange(BASE)
        sender, own_id, more = address_of(known), f"<{number}.{at}.new@growth.example>", ""
        if at % 10 < 4:
            more = f"In-Reply-To: {message_id_of(known)}\r\nReferences: {message_id_of(known)}\r\n"
        elif at % 10 < 6:
            # Each once: 20 of a pair, counted through the stored messages.
            own_id = message_id_of((number * 20 + at // 10 * 2 + at % 2) * 7 % BASE)
        elif at % 10 == 9:
            sender = f"stranger{number}.{at}@elsewhere.example"
        raws.append(
            f"From: {sender}\r\nTo: {recipients}\r\nSubject: Valve {known}\r\nMessage-ID: {own_id}\r\n{more}"
            f"Date: Mon, 2 Nov 2026 09:{at % 60:02d}:00 +0000\r\nMIME-Version: 1.0\r\n"
            f"Content-Type: text/plain; charset=utf-8\r\n\r\n{'The valve is on its way. ' * 40}\r\n".encode()
        )
    return raws


def _cost(figures: Mapping[str, float]) -> float:
    return figures["cpu_ms"] + figures["database_ms"]


def _typical(each: list[dict[str, float]]) -> dict[str, float]:
    return {key: round(median(one[key] for one in each), 1) for key in each[0]}


class _Side:
    """The process that lives in one of the two installations; it answers a line with a line."""

    def __init__(self, process: "subprocess.Popen[str]", name: str) -> None:
        self._process, self.name = process, name
        self.stored = self._answer()

    def sync(self) -> dict[str, float]:
        """Have the side's mailbox synced; return what that cost."""
        assert self._process.stdin is not None  # noqa: S101 -- told to the type checker; it is a pipe
        self._process.stdin.write("sync\n")
        self._process.stdin.flush()
        return cast(dict[str, float], self._answer())

    def _answer(self) -> dict[str, Any]:
        assert self._process.stdout is not None  # noqa: S101 -- told to the type checker; it is a pipe
        line = self._process.stdout.readline()
        if not line:
            raise children.ChildFailed("A side of the bench ended; what precedes says why.")
        return cast(dict[str, Any], json.loads(line))


@contextmanager
def _side(env: Mapping[str, str], name: str, size: int, server: children.Sandbox) -> Iterator[_Side]:
    command = [sys.executable, str(Path(settings.BASE_DIR) / "manage.py"), "bench", "growth", "--side", name]
    given = {"size": size, "url": server.url, "username": server.service_address, "password": server.service_password}
    with subprocess.Popen(  # noqa: S603 -- our own command
        [*command, "--json"], env={**env, "CRMSYNC_LOG_LEVEL": "WARNING"}, text=True,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    ) as process:  # fmt: skip
        assert process.stdin is not None  # noqa: S101 -- told to the type checker; it is a pipe
        process.stdin.write(json.dumps(given) + "\n")
        process.stdin.flush()
        try:
            yield _Side(process, name)
        finally:
            process.stdin.close()
            process.wait(60)
