"""`manage.py why ADDRESS MESSAGE-ID`: what was decided on a message in a mailbox, and why; or decide again now."""

from typing import Any

from django.core.management.base import CommandParser
from django.utils import timezone

from mailboxes.claims import AlreadyRunning
from mailboxes.issues import told
from mailboxes.models import Mailbox
from mailboxes.queries_one import mailbox_at
from mailboxes.states import Intent
from security.commands import Failed, JsonCommand, WrongUse
from tracking.engine.foreground import beside
from tracking.repair import why
from tracking.sync import identity
from tracking.workers import leases


class Command(JsonCommand):
    """Explains one message."""

    help = "Says what was decided on a message in a mailbox, why, when and by which run; --again decides anew."

    def arguments(self, parser: CommandParser) -> None:
        """Describe the arguments."""
        parser.add_argument("address", help="the mailbox's address")
        parser.add_argument(
            "message_id", metavar="message-id", help="the message's Message-ID, with or without <>, or an item id"
        )
        parser.add_argument(
            "--again", action="store_true", help="look for it in the mailbox and decide on it again, with today's rules"
        )

    def run(self, **options: Any) -> None:
        """Find, perhaps decide again, and show."""
        if not identity.bare_message_id(options["message_id"]):
            raise WrongUse("The Message-ID is empty.")
        mailbox = mailbox_at(options["address"])
        again = self._again(mailbox, options["message_id"]) if options["again"] else None
        document = why.trace(mailbox, options["message_id"])
        if again is not None:
            document["again"] = {
                "evaluated": again.evaluated,
                "unchanged": again.unchanged,
                "lies_in": again.lies_in,
            }
        self.result(document, lambda: _words(document))

    def _again(self, mailbox: Mailbox, message_id: str) -> why.Again:
        if mailbox.intent == Intent.ARCHIVED:
            raise Failed(f"{mailbox.address} is archived. Switch it on first.", code="archived")
        again = why.Again()
        try:
            with leases.shown_alive():
                _run, report = beside(
                    mailbox,
                    lambda run, provider, beat: why.evaluate(
                        run, provider, message_id, again, clock=timezone.now, beat=beat
                    ),
                    clock=timezone.now,
                )
        except AlreadyRunning as error:
            raise Failed(
                f"{mailbox.address} is being synced by a worker. Nothing was done here; try again in a moment.",
                code="already_running",
            ) from error
        if report.error is not None:
            raise Failed(
                f"It could not be decided again: {told(report.error)}",
                code=report.error.code,
            )
        return again


def _words(document: dict[str, Any]) -> str:
    lines = [f"{document['message_id']} in {document['address']}"]
    for item in document["items"]:
        lines += _item_words(item)
    if not document["known"]:
        lines += _unknown_words(document)
    if "again" in document:
        lines += _again_words(document["again"])
    return "\n".join(lines)


def _item_words(item: dict[str, Any]) -> list[str]:
    run, failure, activity = item["run"], item["failure"], item["activity"]
    place = item["folder"] or "no folder any more: it was moved or deleted"
    followed = "" if item["folder_followed"] or not item["folder"] else " (not followed any more)"
    lines = [
        f"  {item['outcome']}: {item['sentence']}",
        f"    in         {place}{followed}",
        f"    decided    {item['decided_at']:%Y-%m-%d %H:%M:%S} UTC by "
        + (f"run {run['id']} ({run['trigger']})" if run else "a run that is not kept any more"),
    ]
    if facts := {key: value for key, value in item["facts"].items() if value}:
        lines.append("    facts      " + ", ".join(f"{key} {value}" for key, value in facts.items()))
    if failure:
        state = (
            f"settled {failure['resolved_at']:%Y-%m-%d %H:%M} UTC"
            if failure["resolved_at"]
            else f"next try {failure['retry_at']:%Y-%m-%d %H:%M} UTC"
        )
        lines += [
            f"    failed     {failure['code']}: {failure['sentence']} ({failure['attempts']} attempts, {state})",
            f"    what to do {failure['remedy']} ({failure['who']})",
        ]
    if activity:
        lines.append(
            f"    activity   {activity['id']} in thread {activity['thread']}, held by {activity['holders']} mailboxes"
            + (f", regarding {activity['regarding']}" if activity["regarding"] else "")
        )
        answers = f" (answers activity {activity['answers']})" if activity["answers"] else ""
        lines.append(f"    found by   {activity['found_by']}{answers}")
        if activity["removed_at"]:
            lines.append(f"    held until {activity['removed_at']:%Y-%m-%d %H:%M} UTC, when it left this mailbox")
    return lines


def _unknown_words(document: dict[str, Any]) -> list[str]:
    followed = ", ".join(document["followed"]) or "none yet"
    lines = [
        "  Nothing is known of it: no run has met it in a followed folder.",
        f"    followed   {followed}",
    ]
    if document["unidentified"]:
        lines.append(f"    or it is one of {document['unidentified']} items whose Message-ID could not be read")
    if document["other_mailboxes"]:
        lines.append(f"    {document['other_mailboxes']} other mailboxes have met it")
    if "again" not in document:
        lines.append("    --again looks for it in every folder of the mailbox")
    return lines


def _again_words(again: dict[str, Any]) -> list[str]:
    if not again["lies_in"]:
        return ["  The mailbox does not hold it: the mail server finds it in no folder."]
    lines = []
    for place in again["lies_in"]:
        followed = "followed" if place["followed"] else "not followed, so nothing there is read"
        lines.append(f"  The mail server has it in {place['folder']} ({followed}).")
    if again["evaluated"]:
        lines.append(f"  Decided again on {again['evaluated']}; what is shown above is the new decision.")
    if again["unchanged"]:
        lines.append("  It is tracked, and a copy is never made again.")
    return lines
