"""The embedded Valkey: the queue's server, on a private socket, its data kept by an append-only file."""

import contextlib
import re
import signal
import socket
from pathlib import Path
from typing import IO

from crmsync_site.embedded import addresses, process
from crmsync_site.embedded.errors import ServiceError
from crmsync_site.embedded.files import private_folder
from crmsync_site.embedded.privilege import account_for
from crmsync_site.embedded.programs import valkey_program

_START_SECONDS = 30.0
_STOP = ((signal.SIGTERM, 10.0),)


class Valkey:
    """The server of one `CRMSYNC_VAR`. `start` leaves it answering, `stop` leaves no process."""

    name = "valkey"

    def __init__(self, var: Path, *, volatile: bool = False) -> None:
        self.var = var
        self.data = var / "valkey"
        self.socket = addresses.valkey_socket(var)
        self.volatile = volatile
        self.child: process.Process | None = None

    def start(self, log: IO[bytes]) -> None:
        """Replace a server left by a killed keeper, start and wait until it answers."""
        private_folder(addresses.socket_folder(self.var))
        account = account_for(self.data, self.socket.parent)
        program = valkey_program(account)
        left_over = re.search(r"process_id:(\d+)", _ask(self.socket, b"INFO server\r\n"))
        if left_over:
            process.stop_stranger(int(left_over.group(1)), _STOP)
        private_folder(self.data, account.uid)
        private_folder(self.socket.parent, account.uid)
        self.socket.unlink(missing_ok=True)
        options = {
            "--port": "0",
            "--unixsocket": str(self.socket),
            "--unixsocketperm": "700",
            "--dir": str(self.data),
            "--databases": "64",  # a test run gives each of its processes one
            "--save": "",
            "--appendonly": "no" if self.volatile else "yes",
            "--appendfsync": "everysec",
            # Jobs must never be thrown away to make room.
            "--maxmemory-policy": "noeviction",
            "--loglevel": "warning",
        }
        arguments = [part for pair in options.items() for part in pair]
        self.child = process.start([program, *arguments], account, log, signal.SIGTERM)
        child = self.child
        if (
            not process.wait_until(lambda: self._ready() or child.poll() is not None, _START_SECONDS)
            or not self._ready()
        ):
            self.stop()
            raise ServiceError("Valkey did not start.")

    def alive(self) -> bool:
        """Whether the server still runs."""
        return self.child is not None and self.child.poll() is None

    def stop(self) -> None:
        """Stop the server; the append-only file is flushed."""
        if self.child is not None:
            process.stop(self.child, _STOP)
            self.child = None

    def _ready(self) -> bool:
        return _ask(self.socket, b"PING\r\n").startswith("+PONG")


def _ask(path: Path, command: bytes) -> str:
    """Return the first piece of the server's answer, or nothing when nobody answers."""
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(1.0)
        connection.connect(str(path))
        connection.sendall(command)
        return connection.recv(65536).decode(errors="replace")
    return ""
