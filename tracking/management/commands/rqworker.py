"""`manage.py rqworker`: django-rq's command with our defaults, so that it works as typed, with or without queues."""

from typing import Any

from django.conf import settings
from django.core.management.base import CommandParser
from django_rq.management.commands.rqworker import Command as RqWorker


class Command(RqWorker):
    """Runs a worker on all queues in order of urgency, or on the queues named."""

    help = "Runs a worker on all queues in order of urgency, or on those named. See docs/decisions/workers.md."

    def add_arguments(self, parser: CommandParser) -> None:
        """Take django-rq's arguments, with JSON for job arguments and signs of life in short distance."""
        super().add_arguments(parser)  # type: ignore[no-untyped-call]  # django-rq does not annotate it
        parser.set_defaults(serializer="rq.serializers.JSONSerializer", worker_ttl=45)

    def handle(self, *args: str, **options: Any) -> None:
        """Run the worker. It says what goes wrong; what goes well is on the screens (`-v 2` to see every job)."""
        if options["verbosity"] == 1:
            options["verbosity"] = 0
        super().handle(*(args or settings.QUEUES), **options)  # type: ignore[no-untyped-call]  # django-rq does not annotate it
