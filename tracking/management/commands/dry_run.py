"""`manage.py dry_run PROFILE`: what a change of a sync profile would come to on the last days; nothing is written."""

from typing import Any

from django.core.management.base import CommandParser
from django.db.models import BooleanField, IntegerField
from django.utils import timezone

from mailboxes.connection import open_provider
from mailboxes.issues import told
from mailboxes.models import Mailbox, SyncProfile
from mailboxes.provider.errors import ProviderError
from security.commands import Failed, JsonCommand, WrongUse
from tracking.dryrun.trial import MOST_READ, Result, Trial, totals
from tracking.models import PolicyDraft
from tracking.policy.document import SETTINGS, Document, in_force, problems

_EFFECTS = {
    "add": "would be tracked", "drop": "would have been refused", "reason": "another reason", "kept_out": "refused, and would stay so", "kept_in": "tracked, and would be again","create": "would be made in Exchange",
    "again": "would be linked again", "not_made": "would not be made", "unlink": "would be unlinked", "stays": "would stay linked",
    "to_exchange": "would change in Exchange", "to_crm": "would change in the CRM", "not_written": "would not be written",
    "same": "unchanged", "unclear": "unclear without reading",
}  # fmt: skip


class Command(JsonCommand):
    """Tries a change of policy."""

    help = "Says what a draft, or settings given here, would have come to on the last days. Nothing is written or published."

    def arguments(self, parser: CommandParser) -> None:
        """Describe the arguments."""
        parser.add_argument("profile", help="the sync profile's name")
        parser.add_argument("--days", type=int, default=30, help="how far back (30)")
        parser.add_argument("--draft", type=int, help="the draft to try, by its number")
        parser.add_argument(
            "--set",
            action="append",
            default=[],
            metavar="NAME=VALUE",
            dest="values",
            help="a setting, such as track=all",
        )
        parser.add_argument(
            "--read",
            action="store_true",
            help="read envelopes of refused mail and linked entries again, in memory only",
        )
        parser.add_argument("--most", type=int, default=MOST_READ, help=f"items read at most ({MOST_READ})")

    def run(self, **options: Any) -> None:
        """Try and report."""
        profile = SyncProfile.objects.filter(name=options["profile"]).first()
        if profile is None:
            names = ", ".join(SyncProfile.objects.values_list("name", flat=True))
            raise Failed(f"There is no sync profile {options['profile']}. There are: {names}.", code="profile_unknown")
        if bool(options["draft"]) is bool(options["values"]):
            raise WrongUse("Give either --draft or at least one --set.")
        if options["days"] < 1:
            raise WrongUse("--days must be 1 or more.")
        document = self._draft(profile, options["draft"]) if options["draft"] else _changed(profile, options["values"])
        if wrong := problems(profile, document):
            raise WrongUse(" ".join(f"{each.where}: {each.sentence}" for each in wrong))
        trial = Trial(profile, document, days=options["days"], now=timezone.now())
        cost = trial.cost()
        self.note(
            f"{cost.reads} items would have to be read from Exchange; {cost.stored} are judged from what is stored."
        )
        if cost.reads and not options["read"]:
            self.note("They are not read: --read does that. What needs it is unclear.")
        result = trial.run(open_provider if options["read"] else None, most_read=options["most"])
        shown = {
            "profile": profile.name, "days": options["days"], "to_read": cost.reads, "read": result.read,
            "not_read": result.not_read, **_document(result),
        }  # fmt: skip
        self.result(shown, lambda: _words(shown))

    def _draft(self, profile: SyncProfile, number: int) -> Document:
        draft = PolicyDraft.objects.filter(pk=number, sync_profile=profile).first()
        if draft is None:
            raise Failed(f"There is no draft {number} of {profile.name}.", code="draft_unknown")
        document: Document = draft.proposed
        return document


def _changed(profile: SyncProfile, values: list[str]) -> Document:
    document = in_force(profile)
    for each in values:
        name, sign, text = each.partition("=")
        if not sign or name not in SETTINGS:
            raise WrongUse(f"'{each}' is no setting. There are: {', '.join(SETTINGS)}.")
        document["settings"][name] = _value(name, text)
    return document


def _value(name: str, text: str) -> str | int | bool:
    column = SyncProfile._meta.get_field(name)
    if isinstance(column, BooleanField):
        if text.lower() not in ("true", "false", "yes", "no"):
            raise WrongUse(f"{name} is true or false, not '{text}'.")
        return text.lower() in ("true", "yes")
    if isinstance(column, IntegerField):
        if not text.isdecimal():
            raise WrongUse(f"{name} is a number, not '{text}'.")
        return int(text)
    return text.replace(",", "\n") if name in ("blocked", "internal_domains") else text


def _document(result: Result) -> dict[str, Any]:
    addresses = dict(
        Mailbox.objects.filter(pk__in={key[0] for key in result.outcomes.counts} | set(result.errors)).values_list(
            "pk", "address"
        )
    )
    return {
        "totals": [
            {"kind": kind, "effect": effect, "items": number} for (kind, effect), number in sorted(totals(result).items())
        ],
        "mailboxes": [
            {"address": addresses[mailbox], "kind": kind, "effect": effect.value, "before": str(before), "after": str(after), "items": number}
            for (mailbox, kind, effect, before, after), number in sorted(result.outcomes.counts.items())
        ],
        "errors": {addresses[mailbox]: code for mailbox, code in result.errors.items()},
    }  # fmt: skip


def _words(shown: dict[str, Any]) -> str:
    lines = [
        f"{shown['profile']}, the last {shown['days']} days ({shown['read']} items read, {shown['not_read']} not):"
    ]
    lines += [f"  {row['kind']:12} {_EFFECTS[row['effect']]:32} {row['items']:>7}" for row in shown["totals"]]
    lines += [f"  {address}: {told(ProviderError(code=code))}" for address, code in shown["errors"].items()]
    lines.append("Nothing was written. Publishing a change deletes nothing that is tracked.")
    return "\n".join(lines)
