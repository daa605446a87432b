"""`bench import`: messages stored per second, beside messages that plain exchangelib merely fetches (design §10).

Both sides read the same mailbox of the same server, one process and one connection each, in turn, several times; the
figures are medians. Ours is the everyday way: dispatcher, queue, one `manage.py rqworker`, everything tracked, bodies
in PostgreSQL and attachments in the blob store. Only the finding of the Inbox is done before the clock starts, for both.
"""

import shutil
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Any

from django.conf import settings
from django.db import connection
from django.db.models import Sum

from mailboxes.connection import open_provider
from mailboxes.models import Folder, Mailbox, Run
from mailboxes.provider.errors import ProviderError
from mailboxes.provider.port import FolderRole
from tracking.benches import children, mail
from tracking.benches.stage import Stage, add, connect
from tracking.models import Activity, Attachment, EmailBody

LEAST_RATIO = 1.0
_ADDRESS = "import@bench.example"


@dataclass(frozen=True, slots=True)
class Options:
    """How many messages (of a sandbox of our own) and how often; or which server's mailbox to read."""

    messages: int = 5_000
    rounds: int = 3
    attachments: bool = True
    url: str = ""
    address: str = ""
    username: str = ""
    password: str = ""
    auth: str = "basic"


@dataclass(frozen=True, slots=True)
class Side:
    """One side's part of a round. `server_cpu_ms`: of the server, per message; None when it is not ours to look at."""

    messages: int
    seconds: float
    cpu_ms: float
    server_cpu_ms: float | None

    @property
    def per_s(self) -> float:
        """Return messages per second."""
        return self.messages / self.seconds


@dataclass(frozen=True, slots=True)
class _Server:
    url: str
    auth: str
    address: str
    username: str
    password: str
    pid: int | None

    def cpu(self) -> float | None:
        return None if self.pid is None else children.cpu_seconds(self.pid)


def measure(options: Options, *, env: Mapping[str, str], folder: Path) -> dict[str, Any]:
    """Return the figures. This process and those it starts with `env` live in one scratch installation.

    `folder` takes the generated mail. Raises `children.ChildFailed`.
    """
    ours: list[Side] = []
    plain: list[Side] = []
    with _server(options, env, folder) as (server, mails):
        for number in range(options.rounds):
            # In turn, and each first as often as the other: what the server remembers helps both.
            if number % 2 == 0:
                ours.append(_ours(server, env))
                plain.append(_plain(server))
            else:
                plain.append(_plain(server))
                ours.append(_ours(server, env))
        kept = {"bodies": EmailBody.objects.count(), "attachments": _kept()}
    stored, fetched = median(side.per_s for side in ours), median(side.per_s for side in plain)
    return {
        "bench": "import",
        "stored_per_s": round(stored, 1),
        "plain_fetch_per_s": round(fetched, 1),
        "ratio": round(stored / fetched, 2),
        "messages": ours[-1].messages,
        "rounds": options.rounds,
        "mail": mails,
        "stored": kept,
        "cpu_ms_per_message": {"ours": _median(ours, "cpu_ms"), "plain": _median(plain, "cpu_ms")},
        "server_cpu_ms_per_message": {"ours": _median(ours, "server_cpu_ms"), "plain": _median(plain, "server_cpu_ms")},
        "each_round": {"ours": [_round(side) for side in ours], "plain": [_round(side) for side in plain]},
        "target": {"ratio": LEAST_RATIO},
        "met": stored / fetched >= LEAST_RATIO,
    }


def table(found: Mapping[str, Any]) -> str:
    """Return the figures for people."""
    cpu, server = found["cpu_ms_per_message"], found["server_cpu_ms_per_message"]

    def row(name: str, per_s: float, side: str) -> str:
        at_server = "-" if server[side] is None else f"{server[side]:.2f}"
        return f"  {name:<30} {per_s:>10.1f} {cpu[side]:>8.2f} {at_server:>10}"

    lines = [
        f"import: {found['messages']} messages, one worker and one connection, median of {found['rounds']}",
        f"  {'':<30} {'messages/s':>10} {'CPU ms':>8} {'server ms':>10}",
        row("ours, stored", found["stored_per_s"], "ours"),
        row("plain exchangelib, fetched", found["plain_fetch_per_s"], "plain"),
        f"  ratio {found['ratio']}; target: at least {LEAST_RATIO}; {'met' if found['met'] else 'NOT met'}",
    ]
    if found["mail"]:
        lines.append(f"  mail: {found['mail']['megabytes']} MB; {found['mail']['distribution']}")
    return "\n".join(lines)


def _median(sides: list[Side], name: str) -> float | None:
    values = [getattr(side, name) for side in sides]
    return None if None in values else round(median(values), 3)


def _round(side: Side) -> dict[str, Any]:
    return {"messages": side.messages, "seconds": round(side.seconds, 3), "per_s": round(side.per_s, 1)}


def _kept() -> dict[str, Any]:
    return {"count": Attachment.objects.count(), "bytes": Attachment.objects.aggregate(n=Sum("size"))["n"] or 0}


# -- the server


@contextmanager
def _server(options: Options, env: Mapping[str, str], folder: Path) -> Iterator[tuple[_Server, dict[str, Any] | None]]:
    """Yield the server and what is known of its mail: one that was named, or a sandbox filled for the purpose."""
    if options.url:
        yield _Server(options.url, options.auth, options.address, options.username, options.password, None), None
        return
    files = folder / "mail"
    files.mkdir()
    sizes = mail.describe(_written(options, files))
    own = ("--mailbox", f"{_ADDRESS}:bench", "--load", str(files), "--into", _ADDRESS)
    with children.sandbox(env, *own) as sandbox:
        mails = {**asdict(sizes), "distribution": mail.DISTRIBUTION}
        yield _Server(sandbox.url, "basic", _ADDRESS, _ADDRESS, "bench", sandbox.pid), mails


def _written(options: Options, files: Path) -> Iterator[bytes]:
    for number, raw in enumerate(mail.messages(options.messages, attachments=options.attachments)):
        (files / f"{number:07d}.eml").write_bytes(raw)
        yield raw


# -- the two sides


def _plain(server: _Server) -> Side:
    before = server.cpu()
    found = children.plain("fetch", server.url, server.auth, server.username, server.address, password=server.password)
    count = max(found["messages"], 1)
    return Side(found["messages"], found["seconds"], found["cpu_s"] / count * 1000, _each(before, server.cpu(), count))


def _ours(server: _Server, env: Mapping[str, str]) -> Side:
    mailbox = _fresh(server)
    with children.worker(env) as worker:
        children.wait_for_worker(worker)
        stage = Stage([mailbox], worker=worker, patience_s=3600.0)
        at_server, used = server.cpu(), children.cpu_seconds(worker)
        began = time.time()
        stage.first_sync()
        used = children.cpu_seconds(worker) - used
        after = server.cpu()
        last = Run.objects.filter(mailbox=mailbox).latest("finished_at").finished_at
    stored = Activity.objects.count()
    count = max(stored, 1)
    seconds = last.timestamp() - began if last else 0.0
    return Side(stored, seconds, used / count * 1000, _each(at_server, after, count))


def _each(before: float | None, after: float | None, count: int) -> float | None:
    return None if before is None or after is None else (after - before) / count * 1000


def _fresh(server: _Server) -> Mailbox:
    """Return the mailbox as added a moment ago, with nothing stored, of which the Inbox alone is followed."""
    with connection.cursor() as cursor:
        cursor.execute("TRUNCATE mailboxes_serverprofile, mailboxes_mailbox, tracking_thread CASCADE")
    shutil.rmtree(settings.BLOB_ROOT, ignore_errors=True)
    profile = connect(
        "bench import",
        server.url,
        username=server.username,
        password=server.password,
        impersonate=False,
        auth=server.auth,
    )
    (mailbox,) = add(profile, [server.address])
    mailbox = Mailbox.objects.select_related("server").get(pk=mailbox.pk)
    try:
        found = open_provider(mailbox).well_known_folders()
    except ProviderError as error:
        raise children.ChildFailed(f"{server.address} cannot be read: {error.code} ({error.detail})") from error
    for info in found:
        Folder.objects.create(
            mailbox=mailbox,
            provider_id=info.id,
            name=info.name,
            role=info.role,
            followed=info.role is FolderRole.INBOX,
        )
    return mailbox
