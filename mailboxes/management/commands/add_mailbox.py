"""`manage.py add_mailbox ADDRESS --server NAME --owner USERNAME`: a mailbox that crmsync is to keep in step."""

from typing import Any

from django.core.management.base import CommandParser
from django.utils import timezone

from mailboxes.adding import CannotAdd, add_mailbox
from mailboxes.models import ServerProfile
from mailboxes.states import Track
from security.commands import Failed, JsonCommand
from security.models import User


class Command(JsonCommand):
    """Adds a mailbox."""

    help = "Adds a mailbox to a connected server. Without --enable it waits for approval."

    def arguments(self, parser: CommandParser) -> None:
        """Describe the arguments."""
        parser.add_argument("address", help="the mailbox's primary address")
        parser.add_argument("--server", required=True, help="name given to connect_server")
        parser.add_argument("--owner", required=True, metavar="USERNAME", help="the person whose mailbox it is")
        parser.add_argument(
            "--track",
            choices=[str(value) for value in Track],
            help="which mail is tracked by itself; without it, as the sync profile says (replies)",
        )
        parser.add_argument("--enable", action="store_true", help="approve the mailbox and let it sync from now on")

    def run(self, **options: Any) -> None:
        """Add the mailbox and say what comes next."""
        server = ServerProfile.objects.filter(name=options["server"]).first()
        if server is None:
            known = ", ".join(ServerProfile.objects.values_list("name", flat=True)) or "none yet"
            raise Failed(
                f"There is no server called '{options['server']}' (connected: {known}). Run connect_server first.",
                code="server_unknown",
            )
        owner = User.objects.filter(username=options["owner"]).first()
        if owner is None:
            raise Failed(
                f"There is no user '{options['owner']}'. --owner names somebody who can sign in; an administrator adds "
                "people first (manage.py createsuperuser, or the demo's users).",
                code="owner_unknown",
            )
        try:
            mailbox = add_mailbox(
                options["address"],
                server=server,
                owner=owner,
                track=Track(options["track"]) if options["track"] else None,
                enable=options["enable"],
                by="command line",
                now=timezone.now(),
            )
        except CannotAdd as error:
            raise Failed(str(error), code="cannot_add") from error
        document = {
            "address": mailbox.address,
            "server": server.name,
            "owner": owner.username,
            "track": mailbox.effective_track,
            "intent": mailbox.intent,
        }
        following = (
            "It syncs by itself from now on, as soon as the dispatcher and a worker run."
            if options["enable"]
            else "It waits for approval: add it with --enable, or approve it in the browser."
        )
        self.result(document, f"Added {mailbox.address}. {following}")
