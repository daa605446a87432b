"""`manage.py backfill ADDRESS --from DATE --to DATE`: count the mail of some days, and track it by today's rules."""

from datetime import date
from typing import Any

from django.core.management.base import CommandParser
from django.utils import timezone

from mailboxes.catalogue import lookup
from mailboxes.claims import AlreadyRunning
from mailboxes.issues import told
from mailboxes.models import Folder, Mailbox, Run
from mailboxes.provider.writing import WholeProvider
from mailboxes.queries_one import mailbox_at
from mailboxes.report import RunReport
from security.commands import Failed, JsonCommand, WrongUse
from tracking.backfill import engine, requests
from tracking.backfill.parts import may_be_read
from tracking.backfill.requests import NotPossible
from tracking.backfill.retro import kinds
from tracking.decisions import reasons
from tracking.engine.foreground import beside
from tracking.models import Backfill
from tracking.records.links import MODELS
from tracking.workers import leases

_BY = "command"
_SENTENCES = {
    "archived": "{address} is archived. Switch it on first.",
    "channel_off": "No mail is read from {address}: its channel for mail is off.",
    "order": "The last day is before the first.",
    "too_early": "The first day is too long ago. Write the year with four digits.",
    "future": "The first day has not come yet.",
    "folder": "No mail is read from this folder.",
    "reading": "One is being read already. Wait until it has ended, or cancel it on the page Repair.",
    "not_counted": "It was changed by somebody else meanwhile. Nothing was read here.",
}


class Command(JsonCommand):
    """Looks at earlier mail."""

    help = "Counts the mail of a range of days, or the refused mail of a record, and has it tracked by today's rules."

    def arguments(self, parser: CommandParser) -> None:
        """Describe the arguments."""
        parser.add_argument("address", help="the mailbox's address")
        parser.add_argument("--from", dest="first", metavar="DATE", help="the first day, as 2026-03-01")
        parser.add_argument("--to", dest="last", metavar="DATE", help="the last day (included)")
        parser.add_argument("--folder", default="", help="one folder by name or role instead of all that are read")
        parser.add_argument(
            "--record", default="", metavar="KIND:ID", help="refused mail of a record instead of a range"
        )
        parser.add_argument("--dry-run", action="store_true", help="count only")

    def run(self, **options: Any) -> None:
        """Count, then read unless it is a dry run."""
        mailbox = mailbox_at(options["address"])
        try:
            row = self._asked(mailbox, options)
            report = self._work(mailbox, row)
            counted = _document(mailbox, row, report)
            if report.error is None and not options["dry_run"] and row.state != Backfill.State.FAILED:
                row.mailbox = mailbox
                requests.confirm(row, by=_BY, now=timezone.now())
                row.refresh_from_db()
                report = self._work(mailbox, row)
                counted = _document(mailbox, row, report)
            elif options["dry_run"] or row.state != Backfill.State.COUNTED:
                requests.cancel(row, timezone.now())
        except NotPossible as error:
            raise Failed(_SENTENCES[error.code].format(address=mailbox.address), code=error.code) from error
        self.result(counted, lambda: _words(counted))
        if report.error is not None:
            raise Failed(f"It ended early: {told(report.error)}", code=report.error.code)
        if row.state == Backfill.State.FAILED:
            remedy = lookup(row.error_code).remedy
            raise Failed(f"It cannot go on: {row.error_code}. What to do: {remedy}", code=row.error_code)

    def _asked(self, mailbox: Mailbox, options: dict[str, Any]) -> Backfill:
        now = timezone.now()
        if options["record"]:
            if options["first"] or options["last"] or options["folder"]:
                raise WrongUse("A record's mail has no range and no folder.")
            kind, pk = _record(options["record"])
            return requests.of_record(mailbox, kind, pk, by=_BY, now=now)
        if not options["first"] or not options["last"]:
            raise WrongUse("Say from which day to which: --from 2026-03-01 --to 2026-03-31.")
        first, last = _day(options["first"]), _day(options["last"])
        folder = _folder(mailbox, options["folder"]) if options["folder"] else None
        return requests.of_range(mailbox, first, last, folder, by=_BY, now=now)

    def _work(self, mailbox: Mailbox, row: Backfill) -> RunReport:
        def work(run: Run, provider: WholeProvider, beat: Any) -> RunReport:
            row.mailbox = mailbox
            return engine.work(row, run, provider, clock=timezone.now, beat=beat)

        try:
            with leases.shown_alive():
                _run, report = beside(mailbox, work, clock=timezone.now, wait_s=leases.patience_s())
        except AlreadyRunning as error:
            requests.cancel(row, timezone.now())
            raise Failed(
                f"{mailbox.address} is being synced by a worker. Try again in a moment.", code="already_running"
            ) from error
        row.refresh_from_db()
        return report


def _day(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError as error:
        raise WrongUse(f"{text} is no day; write it as 2026-03-01.") from error


def _record(text: str) -> tuple[str, int]:
    kind, _, number = text.partition(":")
    if kind not in kinds() or not (number.isascii() and number.isdigit() and len(number) < 19):
        raise WrongUse(f"{text} names no record with addresses; write it as contact:17 ({', '.join(kinds())}).")
    if not MODELS[kind]._default_manager.filter(pk=int(number), deleted_at=None).exists():
        raise Failed(f"There is no {kind} {number}.", code="no_record")
    return kind, int(number)


def _folder(mailbox: Mailbox, name: str) -> Folder:
    there = mailbox.folders.filter(gone_at=None)
    found = [folder for folder in there if name.lower() in (folder.name.lower(), folder.role) and may_be_read(folder)]
    if not found:
        names = ", ".join(sorted(folder.name for folder in there if may_be_read(folder)))
        raise Failed(
            f"There is no folder {name} that mail is read from. There are: {names or 'none yet'}.", code="no_folder"
        )
    if len(found) > 1:
        raise WrongUse(f"{len(found)} folders are called {name}; give one of them another name first.")
    return found[0]


def _document(mailbox: Mailbox, row: Backfill, report: RunReport) -> dict[str, Any]:
    folders = list(row.counted.values())
    document: dict[str, Any] = {
        "address": mailbox.address,
        "id": row.pk,
        "kind": row.kind,
        "since": row.since,
        "until": row.until,
        "state": row.state,
        "folders": folders,
        "counted": {
            name: sum(each[name] for each in folders)
            for name in ("held", "known", "aside", "would_track", "would_link", "unread")
        },
        "read": None,
        "requests": row.requests,
    }
    if row.confirmed_at is not None:
        names = ("examined", "tracked", "updated", "refused", "quarantined")
        document["read"] = {name: getattr(row, name) for name in names}
    if report.error is not None:
        document |= {"error": report.error.code, "message": report.error.detail}
    return document


def _words(document: dict[str, Any]) -> str:
    lines = [f"{document['address']}: {document['state']}, {document['requests']} requests"]
    for each in document["folders"]:
        lines.append(
            f"  {each['name']}: {each['held']} in Exchange, {each['known']} tracked already, {each['would_track']} would "
            f"be tracked, {each['would_link']} linked to a copy, {each['aside']} failed or discarded"
        )
        lines += [f"    {number} {reasons.sentence(reason)}" for reason, number in sorted(each["refused"].items())]
        if each["unread"]:
            lines.append(f"    {each['unread']} could not be read")
    if read := document["read"]:
        lines.append(
            f"  Read: {read['tracked']} tracked, {read['updated']} linked, {read['refused']} refused, "
            f"{read['quarantined']} set aside."
        )
    else:
        lines.append("  Nothing was stored.")
    return "\n".join(lines)
