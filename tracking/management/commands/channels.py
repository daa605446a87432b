"""`manage.py channels ADDRESS`: what flows between a mailbox and the CRM; switched on and off by name."""

from typing import Any

from django.core.management.base import CommandParser
from django.utils import timezone

from mailboxes.models import Mailbox
from security.commands import Failed, JsonCommand
from tracking.linked import channel
from tracking.models import ItemLink, LinkState


class Command(JsonCommand):
    """Shows and switches the channels of a mailbox."""

    help = "Shows what flows between one mailbox and the CRM. --entries switches appointments, contacts and tasks."

    def arguments(self, parser: CommandParser) -> None:
        """Describe the arguments."""
        parser.add_argument("address", help="the mailbox's address")
        parser.add_argument("--entries", choices=["on", "off"], help="keep appointments, contacts and tasks in step")

    def run(self, **options: Any) -> None:
        """Switch what was named, and report."""
        mailbox = Mailbox.objects.select_related("sync_profile").filter(address__iexact=options["address"]).first()
        if mailbox is None:
            raise Failed(f"There is no mailbox {options['address']}. add_mailbox adds it.", code="mailbox_unknown")
        if options["entries"] is not None:
            channel.switch(mailbox, on=options["entries"] == "on", by="command line", now=timezone.now())
        linked = ItemLink.objects.filter(mailbox=mailbox, unlinked_at=None)
        counts = {kind.value: linked.filter(kind=kind).count() for kind in channel.STARTERS}
        found = {
            "address": mailbox.address,
            "mail": True,
            "entries": mailbox.entries,
            "linked": counts,
            "braked": list(
                LinkState.objects.filter(mailbox=mailbox, braked_at__isnull=False).values_list("kind", flat=True)
            ),
        }
        in_step = ", ".join(f"{count} {kind}s" for kind, count in counts.items())
        self.result(
            found,
            f"{mailbox.address}\n  mail                              on\n"
            f"  appointments, contacts and tasks  {'on' if mailbox.entries else 'off'}  ({in_step} in step)",
        )
