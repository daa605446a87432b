"""`manage.py channels ADDRESS`: what flows between a mailbox and the CRM; switched on and off by name (S15)."""

from typing import Any

from django.core.management.base import CommandParser
from django.utils import timezone

from mailboxes.models import Mailbox
from security.commands import Failed, JsonCommand
from tracking.channels import Channel, is_on, switch
from tracking.linked import channel
from tracking.models import ItemLink, LinkState, OutgoingMail


class Command(JsonCommand):
    """Shows and switches the channels of a mailbox."""

    help = "Shows what flows between one mailbox and the CRM, and switches it: --incoming, --outgoing, --entries."

    def arguments(self, parser: CommandParser) -> None:
        """Describe the arguments."""
        parser.add_argument("address", help="the mailbox's address")
        parser.add_argument("--incoming", choices=["on", "off"], help="read mail, and track what fits")
        parser.add_argument("--outgoing", choices=["on", "off"], help="send mail that the owner writes in the CRM")
        parser.add_argument("--entries", choices=["on", "off"], help="keep appointments, contacts and tasks in step")

    def run(self, **options: Any) -> None:
        """Switch what was named, and report."""
        mailbox = Mailbox.objects.select_related("sync_profile").filter(address__iexact=options["address"]).first()
        if mailbox is None:
            raise Failed(f"There is no mailbox {options['address']}. add_mailbox adds it.", code="mailbox_unknown")
        for one in Channel:
            if options[one.value] is not None:
                switch(mailbox, one, on=options[one.value] == "on", by="command line", now=timezone.now())
        linked = ItemLink.objects.filter(mailbox=mailbox, unlinked_at=None)
        counts = {kind.value: linked.filter(kind=kind).count() for kind in channel.STARTERS}
        found = {
            "address": mailbox.address,
            **{one.value: is_on(mailbox, one) for one in Channel},
            "waiting": OutgoingMail.objects.filter(mailbox=mailbox, state=OutgoingMail.State.WAITING).count(),
            "linked": counts,
            "braked": list(
                LinkState.objects.filter(mailbox=mailbox, braked_at__isnull=False).values_list("kind", flat=True)
            ),
        }
        in_step = ", ".join(f"{count} {kind}s" for kind, count in counts.items())
        self.result(
            found,
            f"{mailbox.address}\n"
            f"  mail in                           {_word(mailbox.incoming)}\n"
            f"  mail out                          {_word(mailbox.outgoing)}  ({found['waiting']} waiting)\n"
            f"  appointments, contacts and tasks  {_word(mailbox.entries)}  ({in_step} in step)",
        )


def _word(on: bool) -> str:
    return "on" if on else "off"
