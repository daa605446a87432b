"""`manage.py dispatch`: runs the dispatcher until it is told to stop. Any number may run; one works, the others wait."""

import signal
import threading
import time
from typing import Any

from django.core.management.base import BaseCommand
from django.utils import timezone

from tracking.workers.dispatcher import Dispatcher, serve
from tracking.workers.presence import Watch, dispatcher_lock
from tracking.workers.transport import RedisTransport


class Command(BaseCommand):
    """Claims due mailboxes and puts them into the queues, until SIGTERM or Ctrl-C."""

    help = "Claims due mailboxes and puts them into the queues. Several may run: one works, the others take over."

    def handle(self, *_args: Any, **_options: Any) -> None:
        """Serve until stopped."""
        stop = threading.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: stop.set())
        lock = dispatcher_lock()
        try:
            serve(
                Dispatcher(RedisTransport(), clock=timezone.now, watcher=Watch()),
                lock,
                sleep=stop.wait,
                monotonic=time.monotonic,
                stopped=stop.is_set,
            )
        finally:
            lock.release()
