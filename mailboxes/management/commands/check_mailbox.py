"""`manage.py check_mailbox ADDRESS`: what works and what does not between here and a mailbox, step by step."""

import time
from typing import Any

from django.core.management.base import CommandParser
from django.utils import timezone

from mailboxes.check import Step, Verdict, check, prevents_sync
from mailboxes.models import Mailbox
from security.commands import Failed, JsonCommand

MARKS = {Verdict.OK: "ok", Verdict.WARNING: "warning", Verdict.FAILED: "FAILED", Verdict.SKIPPED: "-"}


class Command(JsonCommand):
    """Checks a mailbox."""

    help = "Tests a mailbox step by step and stores what it learns. Exit code 0 when nothing prevents syncing, else 1."

    def arguments(self, parser: CommandParser) -> None:
        """Describe the arguments."""
        parser.add_argument("address", help="the mailbox's address, as given to add_mailbox")

    def run(self, **options: Any) -> None:
        """Check, and say what prevents syncing."""
        address = options["address"]
        mailbox = Mailbox.objects.select_related("server", "owner").filter(address__iexact=address).first()
        if mailbox is None:
            raise Failed(f"There is no mailbox {address} here. Add it with add_mailbox.", code="mailbox_not_added")
        steps: list[Step] = []
        for step in check(mailbox, timezone.now, time.sleep):
            steps.append(step)
            self.say(_line(step))
        prevented = prevents_sync(steps)
        server = mailbox.server
        document = {
            "address": mailbox.address,
            "server": server.name,
            "ok": not prevented,
            "build": server.build,
            "api_version": server.api_version,
            "counters": server.counters,
            "counter_facts": server.counter_facts,
            "steps": [
                {
                    "name": step.name,
                    "verdict": step.verdict,
                    "sentence": step.sentence,
                    "remedy": step.remedy,
                    "code": step.code,
                    "detail": step.detail,
                }
                for step in steps
            ],
        }
        self.result(
            document, f"{mailbox.address}: " + ("syncing is prevented." if prevented else "nothing prevents syncing.")
        )
        if prevented:
            failed = next(step for step in steps if step.verdict is Verdict.FAILED)
            raise Failed(f"{failed.sentence} {failed.remedy}", code=failed.code)


def _line(step: Step) -> str:
    said = " ".join(
        filter(None, (step.sentence, step.remedy and f"What to do: {step.remedy}", step.detail and f"({step.detail})"))
    )
    return f"{step.name:16} {MARKS[step.verdict]:8} {said}"
