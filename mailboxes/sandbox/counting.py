"""How often what was asked, for tests and benches that assert "an idle run is one request"."""

import threading
import time
from collections import Counter, defaultdict
from typing import Any


class RequestLog:
    """Counts requests per operation and per mailbox. Safe to use from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.reset()

    def reset(self) -> None:
        """Begin at nought."""
        with self._lock:
            self._operations: Counter[str] = Counter()
            self._mailboxes: defaultdict[str, Counter[str]] = defaultdict(Counter)
            self._statuses: Counter[int] = Counter()
            self._connections = 0
            self._sent = 0
            self._cpu = time.process_time()

    def connection(self) -> None:
        """Count a connection."""
        with self._lock:
            self._connections += 1

    def operation(self, name: str, mailbox: str) -> None:
        """Count an authenticated request for an operation; `mailbox` is whom it acts on."""
        with self._lock:
            self._operations[name] += 1
            self._mailboxes[mailbox.lower()][name] += 1

    def answered(self, status: int, length: int) -> None:
        """Count an answer to a request of the protocol."""
        with self._lock:
            self._statuses[status] += 1
            self._sent += length

    @property
    def total(self) -> int:
        """The number of authenticated requests."""
        with self._lock:
            return self._operations.total()

    def count(self, operation: str, mailbox: str = "") -> int:
        """Return how often an operation was asked, of one mailbox or ("") of all."""
        with self._lock:
            return self._mailboxes[mailbox.lower()][operation] if mailbox else self._operations[operation]

    def listed(self) -> dict[str, Any]:
        """Return the counts as JSON: total, operations, mailboxes (address → operation → count), statuses,

        connections, bytes_sent, and cpu_s, the processor seconds of this process since the last reset.
        """
        with self._lock:
            return {
                "total": self._operations.total(),
                "operations": dict(self._operations),
                "mailboxes": {address: dict(counts) for address, counts in self._mailboxes.items() if counts},
                "statuses": {str(status): count for status, count in self._statuses.items()},
                "connections": self._connections,
                "bytes_sent": self._sent,
                "cpu_s": round(time.process_time() - self._cpu, 6),
            }
