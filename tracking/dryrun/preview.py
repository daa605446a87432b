"""A dry run: the same reading and the same planning as a run, with nothing stored and no content read (S16).

What earlier pages of the same preview would have tracked counts as tracked for later ones, as it would in a run.
"""

from collections.abc import Sequence
from dataclasses import replace

from mailboxes.models import Folder, Mailbox
from mailboxes.provider.errors import CursorExpired, ItemUnreadable, ProviderError, Scope
from mailboxes.provider.port import Envelope, FolderRole, MailProvider
from mailboxes.report import RunReport
from tracking.engine.content import read_envelopes
from tracking.engine.folder_rules import rule_in
from tracking.engine.lookups import known_items, known_messages, rules_of
from tracking.engine.pipeline import FOLLOWED, PAGE_ITEMS
from tracking.sync import identity
from tracking.sync.facts import KnownActivity
from tracking.sync.plan import Fail, Link, Plan, Refuse, Track, plan_page, sort_changes


def preview(mailbox: Mailbox, provider: MailProvider) -> RunReport:
    """Return what a run to the end of what is there would come to. Provider errors end up in the report."""
    return _Preview(mailbox, provider).run()


class Rehearsal:
    """Decides on envelopes and stores nothing; what it would have tracked counts as tracked for those that come after."""

    def __init__(self, mailbox: Mailbox) -> None:
        self.mailbox = mailbox
        self.rules = rules_of(mailbox)
        self.activities: dict[str, KnownActivity] = {}
        self.conversations: dict[str, KnownActivity] = {}

    def plan(self, folder: Folder, answers: Sequence[tuple[str, Envelope | ItemUnreadable]]) -> Plan:
        """Return what a run would do with these items of a folder."""
        envelopes = [answer for _item_id, answer in answers if isinstance(answer, Envelope)]
        known = known_messages(self.mailbox, envelopes)
        known = replace(
            known,
            activities={**self.activities, **known.activities},
            conversations={**self.conversations, **known.conversations},
        )
        rule = rule_in(folder, self.mailbox.owner)
        plan = plan_page(answers, sent=folder.role == FolderRole.SENT, rules=self.rules, known=known, folder=rule)
        for action in plan.actions:
            if isinstance(action, Track):
                tracked = KnownActivity(action.message_key, mailboxes=frozenset({self.mailbox.pk}))
                self.activities[action.message_key] = tracked
                if key := identity.conversation_key(action.envelope):
                    self.conversations[key] = tracked
        return plan


class _Preview:
    def __init__(self, mailbox: Mailbox, provider: MailProvider) -> None:
        self.mailbox, self.provider = mailbox, provider
        self.rehearsal = Rehearsal(mailbox)
        self.report = RunReport(full_pass=True)

    def run(self) -> RunReport:
        try:
            for folder in self._folders():
                try:
                    self._read(folder)
                except ProviderError as error:
                    if error.scope is not Scope.FOLDER or folder.pk is None:
                        raise
                    self.report.folder_errors[folder.pk] = error
        except ProviderError as error:
            self.report.error = error
        self.report.requests = self.provider.requests
        return self.report

    def _folders(self) -> list[Folder]:
        """Return the followed folders; before the first run there are no rows, and none are made."""
        rows = [folder for folder in self.mailbox.folders.all() if folder.followed and folder.gone_at is None]
        if rows or self.mailbox.folders.exists():
            return rows
        return [
            Folder(mailbox=self.mailbox, provider_id=info.id, name=info.name, role=info.role.value, followed=True)
            for info in self.provider.well_known_folders()
            if info.role in FOLLOWED
        ]

    def _read(self, folder: Folder) -> None:
        cursor = folder.cursor
        while True:
            try:
                page = self.provider.changes(folder.provider_id, cursor, PAGE_ITEMS)
            except CursorExpired:
                if cursor is None:
                    raise
                page = self.provider.changes(folder.provider_id, None, PAGE_ITEMS)
            self.report.reached_server = True
            asked = sort_changes(page.changes, known_items(folder, {change.item_id for change in page.changes}))
            self.report.arrived += asked.arrived
            self._plan(folder, asked.read)
            cursor = page.cursor
            if not page.more:
                return

    def _plan(self, folder: Folder, item_ids: tuple[str, ...]) -> None:
        answers = read_envelopes(self.provider, item_ids, beat=lambda: None)
        self._count(self.rehearsal.plan(folder, answers))

    def _count(self, plan: Plan) -> None:
        self.report.updated += len(plan.of(Link))
        self.report.quarantined += sum(
            action.code != "item_gone" for action in plan.actions if isinstance(action, Fail)
        )
        self.report.refused.update(str(action.reason) for action in plan.actions if isinstance(action, Refuse))
        self.report.tracked += len(plan.of(Track))
