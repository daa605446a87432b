"""`manage.py canary [ADDRESS]`: has something put through the whole path again and again, and says how long that takes."""

from typing import Any

from django.core.management.base import CommandParser
from django.utils import timezone

from mailboxes.models import Mailbox
from mailboxes.queries_one import mailbox_at
from mailboxes.states import Intent
from security.commands import Failed, JsonCommand, WrongUse
from tracking.canary import pages as canary_pages
from tracking.canary import tending
from tracking.canary.pages import Bird, Kind, Way
from tracking.models import Activity, Canary, ItemLink


class Command(JsonCommand):
    """Appoints canary mailboxes and shows what they tell."""

    help = (
        "Without an address, shows how long items of each kind take through the whole path. With one and --on, makes that "
        "mailbox a canary: it must serve nothing else, and its sync profile and channels are set for it."
    )

    def arguments(self, parser: CommandParser) -> None:
        """Describe the arguments."""
        parser.add_argument("address", nargs="?", help="the canary mailbox's address")
        switch = parser.add_mutually_exclusive_group()
        switch.add_argument("--on", action="store_true", help="make the mailbox a canary")
        switch.add_argument("--off", action="store_true", help="plant nothing more, clean away what is under way")
        parser.add_argument("--every", type=int, metavar="MINUTES", help="minutes between two rounds (30, at least 15)")

    def run(self, **options: Any) -> None:
        """Do what was asked and show all canaries."""
        if (options["on"] or options["off"]) and not options["address"]:
            raise WrongUse("--on and --off need the address of a mailbox.")
        if options["every"] is not None and not options["on"]:
            raise WrongUse("--every belongs to --on.")
        if options["every"] is not None and not 15 <= options["every"] <= 1440:
            raise WrongUse("--every takes 15 to 1440 minutes: a round needs up to four runs.")
        mailbox = mailbox_at(options["address"]) if options["address"] else None
        if mailbox is not None and options["on"]:
            self._appoint(mailbox, options["every"] or 30)
        elif mailbox is not None:
            canary = Canary.objects.filter(mailbox=mailbox, active=True).first()
            if canary is None:
                raise Failed(f"{mailbox.address} is no canary. --on makes it one.", code="no_canary")
            if options["off"]:
                tending.dismiss(canary, timezone.now())
        canaries = Canary.objects.all() if mailbox is None else Canary.objects.filter(mailbox=mailbox)
        shown = canary_pages.birds(canaries, timezone.now())
        self.result({"canaries": [_document(bird) for bird in shown]}, lambda: _words(shown))

    def _appoint(self, mailbox: Mailbox, every: int) -> None:
        if mailbox.intent != Intent.ON:
            raise Failed(f"{mailbox.address} is not switched on, so nothing would come through.", code="not_on")
        strangers = Activity.objects.filter(holders__mailbox=mailbox, written_here=None).exclude(
            subject__startswith="canary-"
        )
        in_use = strangers.exists() or ItemLink.objects.filter(mailbox=mailbox).exists()
        if in_use and not Canary.objects.filter(mailbox=mailbox).exists():
            raise Failed(
                f"{mailbox.address} holds tracked mail, or entries that are in step with records. A canary must serve nothing else: it tracks everything and deletes "
                "what it made. Add a mailbox of its own.",
                code="mailbox_in_use",
            )
        tending.appoint(mailbox, every_minutes=every, by="command line", now=timezone.now())


def _document(bird: Bird) -> dict[str, Any]:
    return {
        "address": bird.mailbox.address,
        "every_minutes": bird.canary.every_minutes,
        "late_since": bird.late_since,
        "kinds": {
            kind.name: {
                "to_exchange_s": _way(kind.out),
                "from_exchange_s": _way(kind.back),
                "rounds_24h": kind.rounds,
                "lost_24h": kind.lost,
                "waits_since": kind.waits_since,
            }
            for kind in bird.kinds
        },
    }


def _way(way: Way) -> dict[str, float | None]:
    return {"last": way.last, "median_24h": way.middle, "longest_24h": way.longest}


def _words(shown: list[Bird]) -> str:
    if not shown:
        return "There is no canary. canary ADDRESS --on makes a mailbox one that serves nothing else."
    lines = []
    for bird in shown:
        late = f", LATE since {timezone.localtime(bird.late_since):%H:%M}" if bird.late_since else ""
        lines.append(f"{bird.mailbox.address}: a round every {bird.canary.every_minutes} minutes{late}")
        lines += [_line(kind) for kind in bird.kinds]
    return "\n".join(lines)


def _line(kind: Kind) -> str:
    waits = f", waiting since {timezone.localtime(kind.waits_since):%H:%M:%S}" if kind.waits_since else ""
    ways = f"to Exchange {_seconds(kind.out.last)}, back {_seconds(kind.back.last)}"
    return f"  {kind.name:<12} {ways}; {kind.rounds} rounds in 24 hours, {kind.lost} lost{waits}"


def _seconds(value: float | None) -> str:
    return "not yet" if value is None else f"{value:.0f} s"
