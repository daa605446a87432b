"""Loopback ports: whether one is free, and one that stays the same from run to run."""

import contextlib
import socket
import time
from pathlib import Path

_HOST = "127.0.0.1"
_PATIENCE_SECONDS = 5.0


def is_free(port: int) -> bool:
    """Whether a server could listen on this port of the loopback address now."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((_HOST, port))
        except OSError:
            return False
    return True


def wait_free(port: int, seconds: float) -> bool:
    """Wait until the port is free, at most `seconds`: what a killed launcher started may still be ending."""
    end = time.monotonic() + seconds
    while not is_free(port):
        if time.monotonic() > end:
            return False
        time.sleep(0.05)
    return True


def answers(port: int) -> bool:
    """Whether somebody accepts connections on this port of the loopback address."""
    with socket.socket() as probe:
        probe.settimeout(1.0)
        return probe.connect_ex((_HOST, port)) == 0


def remembered(file: Path) -> int:
    """Return the port written in `file` if it is free (soon), else choose a free one and write it there."""
    with contextlib.suppress(OSError, ValueError):
        port = int(file.read_text())
        if wait_free(port, _PATIENCE_SECONDS):
            return port
    with socket.socket() as probe:
        probe.bind((_HOST, 0))
        port = int(probe.getsockname()[1])
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    file.write_text(f"{port}\n")
    return port
