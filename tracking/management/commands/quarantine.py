"""`manage.py quarantine ADDRESS`: items that could not be read or stored; try them, give them up, take their facts away."""

from typing import Any

from django.core.management.base import CommandParser
from django.utils import timezone

from mailboxes.claims import AlreadyRunning
from mailboxes.issues import issue_of, told
from mailboxes.models import Mailbox
from mailboxes.queries_one import mailbox_at
from mailboxes.states import Intent
from security.commands import Failed, JsonCommand, WrongUse
from tracking.engine.foreground import beside
from tracking.models import ItemDecision, ItemFailure
from tracking.repair import quarantine
from tracking.workers import leases


class Command(JsonCommand):
    """Lists and repairs what was set aside."""

    help = "Lists the items of a mailbox that were set aside or discarded; retries, discards or exports one."

    def arguments(self, parser: CommandParser) -> None:
        """Describe the arguments."""
        parser.add_argument("address", help="the mailbox's address")
        what = parser.add_mutually_exclusive_group()
        what.add_argument("--retry", metavar="ID", help="try this item again now, a discarded one too; or: all")
        what.add_argument("--discard", metavar="ID", type=int, help="give this item up; needs --reason")
        what.add_argument("--export", metavar="ID", type=int, help="print everything that is known of this item")
        parser.add_argument("--reason", default="", help="why the item is discarded")

    def run(self, **options: Any) -> None:
        """Do what was asked, then list."""
        if options["discard"] is not None and not options["reason"].strip():
            raise WrongUse("--discard needs a --reason: it is kept with the decision.")
        mailbox = mailbox_at(options["address"])
        if options["export"] is not None:
            document = quarantine.export(self._item(mailbox, options["export"]))
            self.result(document, lambda: _exported_words(document))
            return
        if options["discard"] is not None:
            self._discard(mailbox, options["discard"], options["reason"])
        if options["retry"] is not None:
            self._retry(mailbox, options["retry"])
        document = _listed(mailbox)
        self.result(document, lambda: _words(document))

    def _item(self, mailbox: Mailbox, pk: int) -> ItemFailure:
        found = ItemFailure.objects.select_related("folder", "mailbox").filter(mailbox=mailbox, pk=pk).first()
        if found is None:
            raise Failed(f"{mailbox.address} has no failed item {pk}. Without options they are listed.", code="no_item")
        return found

    def _discard(self, mailbox: Mailbox, pk: int, reason: str) -> None:
        try:
            quarantine.discard(self._item(mailbox, pk), why=reason, by="command line", now=timezone.now())
        except quarantine.NotSetAside as error:
            raise Failed(
                f"Item {pk} is not set aside (any more); nothing was discarded.", code="not_set_aside"
            ) from error

    def _retry(self, mailbox: Mailbox, which: str) -> None:
        if mailbox.intent == Intent.ARCHIVED:
            raise Failed(f"{mailbox.address} is archived. Switch it on first.", code="archived")
        if which == "all":
            wanted = list(ItemFailure.objects.filter(mailbox=mailbox, resolved_at=None).order_by("pk"))
        elif which.isascii() and which.isdigit():
            wanted = [self._item(mailbox, int(which))]
        else:
            raise WrongUse("--retry takes the number of an item, or all.")
        due = quarantine.retry(wanted, now=timezone.now())
        if not due:
            self.note("There is nothing to try again.")
            return
        left = sum(failure.folder.in_step for failure in due)
        if left:
            self.note(f"{left} of {len(due)} belong to a calendar, contacts or tasks: the next run tries them.")
        try:
            with leases.shown_alive():
                _run, report = beside(
                    mailbox,
                    lambda run, provider, beat: quarantine.try_now(run, provider, due, clock=timezone.now, beat=beat),
                    clock=timezone.now,
                )
        except AlreadyRunning as error:
            raise Failed(
                f"{mailbox.address} is being synced by a worker. The items are tried by its next full pass.",
                code="already_running",
            ) from error
        if report.error is not None:
            raise Failed(
                f"The retry ended early: {told(report.error)}",
                code=report.error.code,
            )


def _listed(mailbox: Mailbox) -> dict[str, Any]:
    open_ = ItemFailure.objects.filter(mailbox=mailbox, resolved_at=None).select_related("folder").order_by("pk")
    given_up = quarantine.discarded(mailbox).select_related("folder").order_by("pk")
    facts = dict(
        ItemDecision.objects.filter(mailbox=mailbox, outcome=ItemDecision.Outcome.DISCARDED).values_list(
            "item_id", "facts"
        )
    )
    return {
        "address": mailbox.address,
        "quarantined": [_row(failure) for failure in open_],
        "discarded": [
            {**_row(failure), "by": facts[failure.item_id].get("by"), "why": facts[failure.item_id].get("why")}
            for failure in given_up
        ],
    }


def _row(failure: ItemFailure) -> dict[str, Any]:
    issue = issue_of(failure.code, failure.detail)
    return {
        "id": failure.pk,
        "folder": failure.folder.name,
        "code": failure.code,
        "sentence": issue.sentence if issue else "",
        "remedy": issue.remedy if issue else "",
        "who": issue.who if issue else "",
        "attempts": failure.attempts,
        "first_at": failure.first_at,
        "last_at": failure.last_at,
        "retry_at": failure.retry_at,
    }


def _words(document: dict[str, Any]) -> str:
    lines = [f"{document['address']}: {len(document['quarantined'])} set aside, {len(document['discarded'])} discarded"]
    for row in document["quarantined"]:
        lines += [
            f"  {row['id']}  {row['folder']}: {row['code']}, {row['attempts']} attempts, "
            f"next try {row['retry_at']:%Y-%m-%d %H:%M} UTC",
            f"      {row['sentence']}",
            f"      What to do: {row['remedy']} ({row['who']})",
        ]
    lines += [
        f"  {row['id']}  {row['folder']}: {row['code']}, discarded by {row['by']}: {row['why']}"
        for row in document["discarded"]
    ]
    return "\n".join(lines)


def _exported_words(document: dict[str, Any]) -> str:
    error, decision = document["error"], document["decision"]
    lines = [
        f"{document['mailbox']}, {document['folder']}: {error['code']}",
        f"  {error['sentence']} {error['cause']}",
        f"  What to do: {error['remedy']}",
        f"  detail    {error['detail'] or 'none'}",
        f"  attempts  {document['attempts']}, first {document['first_at']:%Y-%m-%d %H:%M}, last {document['last_at']:%Y-%m-%d %H:%M} UTC",
        f"  decision  {decision['sentence']}" if decision else "  decision  none",
        f"  item id   {document['item_id']}",
    ]
    return "\n".join(lines)
