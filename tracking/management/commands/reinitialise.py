"""`manage.py reinitialise ADDRESS`: read a folder or the whole mailbox again, after saying what that comes to."""

from typing import Any

from django.core.management.base import CommandParser
from django.utils import timezone

from mailboxes.claims import AlreadyRunning
from mailboxes.issues import told
from mailboxes.models import Folder, Mailbox, Run
from mailboxes.provider.writing import WholeProvider
from mailboxes.queries_one import mailbox_at
from mailboxes.report import RunReport
from mailboxes.states import Intent
from security.commands import Failed, JsonCommand, WrongUse
from tracking.engine.foreground import as_run
from tracking.engine.pipeline import sync
from tracking.management.commands.sync_mailbox import counts
from tracking.repair.reinitialise import FolderPreview, NotFollowed, What, folders_of, preview, reset
from tracking.workers import leases


class Command(JsonCommand):
    """Reads again from the start."""

    help = "Reads a folder or a mailbox again from the start. Without --yes it only says what would be read."

    def arguments(self, parser: CommandParser) -> None:
        """Describe the arguments."""
        parser.add_argument("address", help="the mailbox's address")
        what = parser.add_mutually_exclusive_group(required=True)
        what.add_argument("--cursor", metavar="FOLDER", help="list this folder again; decisions stay as they are")
        what.add_argument(
            "--folder", metavar="FOLDER", help="list this folder again and decide anew on what was refused"
        )
        what.add_argument("--all", action="store_true", help="the same for every followed folder of the mailbox")
        parser.add_argument("--yes", action="store_true", help="do it; without it, the preview is all")

    def run(self, **options: Any) -> None:
        """Show what would be read; with --yes, read it."""
        mailbox = mailbox_at(options["address"])
        what = What.CURSOR if options["cursor"] else What.FOLDER if options["folder"] else What.MAILBOX
        named = options["cursor"] or options["folder"]
        folder = _folder(mailbox, named) if named else None
        try:
            folders = folders_of(mailbox, what, folder)
        except NotFollowed as error:
            raise Failed(f"{named} is not followed, so nothing in it is read.", code="not_followed") from error
        document = _document(mailbox, what, preview(folders, what))
        if not options["yes"]:
            self.result(document, lambda: _words(document))
            return
        if mailbox.intent == Intent.ARCHIVED:
            raise Failed(f"{mailbox.address} is archived. Switch it on first.", code="archived")
        report = self._read_again(mailbox, folders, what)
        document |= {"done": True, **counts(report)}
        if report.error is not None:
            document |= {"error": report.error.code, "message": report.error.detail}
        self.result(document, lambda: _words(document))
        if report.error is not None:
            raise Failed(
                f"Reading again ended early: {told(report.error)}",
                code=report.error.code,
            )

    def _read_again(self, mailbox: Mailbox, folders: list[Folder], what: What) -> RunReport:
        def work(run: Run, provider: WholeProvider, beat: Any) -> RunReport:
            reset(mailbox, folders, what, timezone.now())
            run.full_pass = what is What.MAILBOX
            return sync(run, provider, clock=timezone.now, yield_after_s=None, beat=beat)

        try:
            with leases.shown_alive():
                _run, report = as_run(mailbox, work, clock=timezone.now, wait_s=leases.patience_s())
        except AlreadyRunning as error:
            raise Failed(
                f"{mailbox.address} is being synced by a worker. Try again in a moment.", code="already_running"
            ) from error
        return report


def _folder(mailbox: Mailbox, name: str) -> Folder:
    found = [
        folder
        for folder in mailbox.folders.filter(gone_at=None)
        if name.lower() in (folder.name.lower(), folder.role) and (folder.followed or folder.role != "other")
    ] or list(mailbox.folders.filter(gone_at=None, name__iexact=name))
    if not found:
        followed = ", ".join(mailbox.folders.filter(followed=True, gone_at=None).values_list("name", flat=True))
        raise Failed(f"There is no folder {name}. Followed are: {followed or 'none yet'}.", code="no_folder")
    if len(found) > 1:
        raise WrongUse(f"{len(found)} folders are called {name}; give one of them another name first.")
    return found[0]


def _document(mailbox: Mailbox, what: What, previews: list[FolderPreview]) -> dict[str, Any]:
    rows = [
        {
            "folder": one.folder.name,
            "in_exchange": one.held,
            "kept": one.kept,
            "matched": one.matched,
            "reread": one.reread,
            "unknown": one.unknown,
        }
        for one in previews
    ]
    return {
        "address": mailbox.address,
        "what": what,
        "done": False,
        "folders": rows,
        "envelopes": sum(one.reread + one.unknown for one in previews),
    }


def _words(document: dict[str, Any]) -> str:
    lines = [f"{document['address']}, {document['what']}:"]
    for row in document["folders"]:
        held = "an unknown number of" if row["in_exchange"] is None else row["in_exchange"]
        lines += [
            f"  {row['folder']}: {held} items are listed",
            f"    {row['kept']} tracked stay as they are, {row['matched']} others are matched without being read",
            f"    {row['reread']} are read and decided on again, {row['unknown']} have no decision yet",
        ]
    lines.append(f"  {document['envelopes']} envelopes are read. No copy is made twice, none is deleted.")
    if document["done"]:
        lines.append(
            f"  Done with {document['requests']} requests: {document['tracked']} tracked, {document['updated']} updated, "
            f"{sum(document['refused'].values())} refused, {document['quarantined']} quarantined."
        )
    else:
        lines.append("  Nothing was done: --yes does it.")
    return "\n".join(lines)
