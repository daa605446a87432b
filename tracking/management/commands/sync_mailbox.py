"""`manage.py sync_mailbox ADDRESS`: one sync in the foreground, to the end of what is there; or what one would do."""

from datetime import timedelta
from typing import Any

from django.conf import settings
from django.core.management.base import CommandParser
from django.utils import timezone

from mailboxes.claims import AlreadyRunning
from mailboxes.connection import open_provider
from mailboxes.issues import told
from mailboxes.models import Mailbox, Run
from mailboxes.provider.errors import ProviderError
from mailboxes.report import RunReport
from mailboxes.schedule import in_words
from mailboxes.states import Intent
from security.commands import Failed, JsonCommand
from tracking.dryrun.preview import preview
from tracking.engine.foreground import sync_now
from tracking.workers import leases


class Command(JsonCommand):
    """Syncs a mailbox now."""

    help = "Syncs one mailbox in the foreground. --dry-run reads and decides, and writes nothing."

    def arguments(self, parser: CommandParser) -> None:
        """Describe the arguments."""
        parser.add_argument("address", help="the mailbox's address")
        parser.add_argument("--dry-run", action="store_true", help="only say what a sync would do")

    def run(self, **options: Any) -> None:
        """Sync, or preview, and report."""
        mailbox = (
            Mailbox.objects.select_related("server", "sync_profile", "owner")
            .filter(address__iexact=options["address"])
            .first()
        )
        if mailbox is None:
            raise Failed(f"There is no mailbox {options['address']}. add_mailbox adds it.", code="mailbox_unknown")
        if mailbox.intent == Intent.ARCHIVED:
            raise Failed(f"{mailbox.address} is archived. Switch it on first.", code="archived")
        if mailbox.intent != Intent.ON:
            self.note(f"{mailbox.address} is {mailbox.get_intent_display()}: only this sync is done, none by itself.")
        if options["dry_run"]:
            self._preview(mailbox)
        else:
            self._sync(mailbox)

    def _preview(self, mailbox: Mailbox) -> None:
        try:
            report = preview(mailbox, open_provider(mailbox))
        except ProviderError as error:
            report = RunReport(error=error)
        self._tell(mailbox, report, {"dry_run": True, "next_interval_s": None, "reason": None})

    def _sync(self, mailbox: Mailbox) -> None:
        try:
            with leases.shown_alive():
                run, report = sync_now(mailbox, clock=timezone.now, wait_s=leases.patience_s(), on_wait=self._wait)
        except AlreadyRunning as error:
            raise Failed(
                f"{mailbox.address} is being synced by {_holder(error.run)}. "
                "Nothing was done here; try again when that run has ended (sync_status shows it).",
                code="already_running",
            ) from error
        self._tell(mailbox, report, {"run": run.pk, **_next(run)})

    def _wait(self, run: Run) -> None:
        self.note(f"Waiting: the mailbox is being synced by {_holder(run)}.")

    def _tell(self, mailbox: Mailbox, report: RunReport, more: dict[str, Any]) -> None:
        document = {"address": mailbox.address, **counts(report), **more}
        if report.error is not None:
            document |= {"error": report.error.code, "message": report.error.detail}
        if report.folder_errors:
            document["folder_errors"] = {str(pk): error.code for pk, error in report.folder_errors.items()}
        self.result(document, lambda: _words(mailbox, report, more))
        if report.error is not None:
            raise Failed(
                f"The sync of {mailbox.address} ended early. What was stored before stays; the next sync goes on there. "
                f"{told(report.error)} check_mailbox {mailbox.address} looks at each step.",
                code=report.error.code,
            )


def _holder(run: Run) -> str:
    """Return who has the run, since when, and until when at most if there is no further sign of life."""
    until = run.heartbeat_at + timedelta(seconds=settings.LEASE_SECONDS)
    who = f"'{run.worker}'" if run.worker else "a job that waits for a worker"
    return (
        f"{who} since {run.claimed_at:%H:%M:%S} UTC; without a further sign of life its lease ends at "
        f"{until:%H:%M:%S} UTC at the latest"
    )


def counts(report: RunReport) -> dict[str, Any]:
    """Return the numbers of a run, each item counted once; beside them what was written into the mailbox, by kind."""
    return {
        "requests": report.requests,
        "full_pass": report.full_pass,
        "examined": report.examined,
        "tracked": report.tracked,
        "updated": report.updated,
        "refused": dict(sorted(report.refused.items())),
        "quarantined": report.quarantined,
        "written": {kind: number for kind, number in sorted(report.written.items()) if number},
    }


def _next(run: Run) -> dict[str, Any]:
    # 0: nothing happens before a person acts.
    return {"next_interval_s": run.interval_s or None, "reason": in_words(run.interval_reason)}


def _words(mailbox: Mailbox, report: RunReport, more: dict[str, Any]) -> str:
    refused = ", ".join(f"{count} {reason}" for reason, count in sorted(report.refused.items())) or "none"
    lines = [
        f"{mailbox.address}: {report.examined} examined with {report.requests} requests",
        f"  tracked      {report.tracked}",
        f"  updated      {report.updated}",
        f"  refused      {report.refused.total()} ({refused})",
        f"  quarantined  {report.quarantined}",
    ]
    if written := ", ".join(f"{number} {kind}" for kind, number in sorted(report.written.items()) if number):
        lines.append(f"  written      {report.written.total()} ({written})")
    if more.get("dry_run"):
        lines.append("  (dry run: nothing was written)")
    elif more.get("next_interval_s") is not None:
        lines.append(f"  next sync {more['next_interval_s']} s after the start of this one: {more['reason']}")
    return "\n".join(lines)
