"""`manage.py reconcile ADDRESS`: what Exchange holds against what is known here, folder by folder; fetches what is missing."""

from typing import Any

from django.core.management.base import CommandParser
from django.utils import timezone

from mailboxes.claims import AlreadyRunning
from mailboxes.issues import told
from mailboxes.models import Mailbox, Run
from mailboxes.provider.writing import WholeProvider
from mailboxes.queries_one import mailbox_at
from mailboxes.report import RunReport
from mailboxes.states import Intent
from security.commands import Failed, JsonCommand
from tracking.engine.foreground import as_run
from tracking.models import Reconciliation
from tracking.repair.reconcile import begin_anew, night_of, reconcile
from tracking.workers import leases

COUNTS = ("held", "tracked", "refused", "quarantined", "discarded", "recovered", "missing", "stale")


class Command(JsonCommand):
    """Compares a mailbox with what is known of it."""

    help = "Syncs a mailbox, lists what lies in its followed folders and compares; what is missing is fetched."

    def arguments(self, parser: CommandParser) -> None:
        """Describe the arguments."""
        parser.add_argument("address", help="the mailbox's address")

    def run(self, **options: Any) -> None:
        """Compare and show; fails when anything is missing all the same."""
        mailbox = mailbox_at(options["address"])
        if mailbox.intent == Intent.ARCHIVED:
            raise Failed(f"{mailbox.address} is archived. Switch it on first.", code="archived")
        report = self._compare(mailbox)
        document = _document(mailbox, report)
        self.result(document, lambda: _words(document))
        if report.error is not None:
            raise Failed(
                f"The comparison ended early: {told(report.error)}",
                code=report.error.code,
            )
        if document["missing"]:
            raise Failed(
                f"{document['missing']} items are in Exchange and could not be decided on. Please report it with the "
                "worker's log; re-initialising the folder reads it anew.",
                code="items_missing",
            )

    def _compare(self, mailbox: Mailbox) -> RunReport:
        def work(run: Run, provider: WholeProvider, beat: Any) -> RunReport:
            begin_anew(run, timezone.now())
            return reconcile(run, provider, clock=timezone.now, beat=beat)

        try:
            with leases.shown_alive():
                _run, report = as_run(mailbox, work, clock=timezone.now, wait_s=leases.patience_s())
        except AlreadyRunning as error:
            raise Failed(
                f"{mailbox.address} is being synced by a worker. Nothing was done here; try again in a moment.",
                code="already_running",
            ) from error
        return report


def _document(mailbox: Mailbox, report: RunReport) -> dict[str, Any]:
    rows = list(
        Reconciliation.objects.filter(mailbox=mailbox, night=night_of(timezone.now()))
        .select_related("folder")
        .order_by("folder__role", "folder__name")
    )
    document: dict[str, Any] = {
        "address": mailbox.address,
        "requests": report.requests,
        "folders": [
            {
                "folder": row.folder.name,
                **{name: getattr(row, name) for name in COUNTS},
                "compared_at": row.finished_at,
            }
            for row in rows
        ],
        **{name: sum(getattr(row, name) for row in rows) for name in COUNTS},
    }
    if report.error is not None:
        document |= {"error": report.error.code, "message": report.error.detail}
    if report.folder_errors:
        document["folder_errors"] = {str(pk): error.code for pk, error in report.folder_errors.items()}
    return document


def _words(document: dict[str, Any]) -> str:
    width = max([len(row["folder"]) for row in document["folders"]], default=6)
    names = ("in Exchange", *COUNTS[1:])
    lines = [f"{document['address']}: compared with {document['requests']} requests"]
    lines.append("  " + "".ljust(width) + "".join(f"  {name:>11}" for name in names))
    lines += [
        "  " + row["folder"].ljust(width) + "".join(f"  {row[name]:>11}" for name in COUNTS)
        for row in [*document["folders"], {"folder": "all", **document}]
    ]
    if document["recovered"]:
        lines.append(f"  {document['recovered']} items that no change had told of were decided on now.")
    if document["stale"]:
        lines.append(
            f"  {document['stale']} items are known here and not listed any more: re-initialise the cursor of the folder."
        )
    return "\n".join(lines)
