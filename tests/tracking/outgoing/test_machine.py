"""Mail, faults and deaths in any order: what left is what was sent, once each, and everything comes to an end.

Owners write, give up, send again, change their drafts, delete copies; the server loses answers and refuses; workers die
at any statement or request; channels are switched off and on.
"""

from typing import Any

import pytest
from django.db import transaction
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from mailboxes.models import Mailbox, Run
from mailboxes.provider.errors import Throttled, Unavailable, WriteRefused
from mailboxes.provider.port import FolderRole
from tests.tracking.outgoing.post import ANNA, Death, MemoryPost, deal
from tracking.models import Activity, OutgoingMail
from tracking.outgoing import decisions

METHODS = (
    "create_message",
    "send_message",
    "find_message",
    "envelopes",
    "contents",
    "delete_draft",
    "changes",
    "counters",
)
ERRORS = {
    "timed_out": Unavailable("silence", code="timed_out"),
    "connection_lost": Unavailable("cut", code="connection_lost"),
    "unreachable": Unavailable("no way"),
    "server_busy": Throttled("wait"),
    "recipients_refused": WriteRefused("no", code="recipients_refused"),
}
LOSABLE = ("timed_out", "connection_lost", "unreachable", "server_busy")


class Sending(RuleBasedStateMachine):
    """One mailbox that sends. `resent` are mails that a person had sent again although they may have left before."""

    @initialize()
    def begin(self) -> None:
        self.savepoint = transaction.atomic()
        self.savepoint.__enter__()
        self.post = MemoryPost()
        self.post.settle(1)
        self.resent: set[int] = set()
        self.withdrawn: set[int] = set()
        self.changed: set[int] = set()

    def teardown(self) -> None:
        if hasattr(self, "savepoint"):
            transaction.set_rollback(True)
            self.savepoint.__exit__(None, None, None)

    def one(self, data: st.DataObject, *states: str) -> OutgoingMail | None:
        found = list(OutgoingMail.objects.filter(state__in=states).order_by("pk"))
        return data.draw(st.sampled_from(found)) if found else None

    # -- what people do

    @rule(about=st.booleans())
    def write(self, *, about: bool) -> None:
        fields: dict[str, Any] = {"regarding_kind": "opportunity", "regarding_id": deal().pk} if about else {}
        self.post.write(**fields)

    @rule(data=st.data())
    def send_again(self, data: st.DataObject) -> None:
        if mail := self.one(data, "failed", "unknown"):
            if mail.state == "unknown":
                self.resent.add(mail.pk)
            decisions.send_again(mail, by=self.post.author, now=self.post.now)

    @rule(data=st.data())
    def discard(self, data: st.DataObject) -> None:
        if mail := self.one(data, "failed", "unknown", "waiting", "sending"):
            Run.objects.filter(finished_at=None).delete()
            decisions.discard(mail, by=self.post.author, now=self.post.now)
            self.withdrawn.add(mail.pk)

    @rule(data=st.data(), what=st.sampled_from(["change", "bin", "remove"]))
    def meddle_with_a_draft(self, data: st.DataObject, what: str) -> None:
        server = self.post.server
        if ids := server.item_ids(ANNA, FolderRole.DRAFTS):
            item_id = data.draw(st.sampled_from(list(ids)))
            stamp = server.mail(item_id).stamp
            self.changed.add(OutgoingMail.objects.get(stamp=stamp).pk)
            if what == "change":
                server.touch(item_id, importance="High")
            elif what == "bin":
                server.move(item_id, FolderRole.DELETED)
            else:
                server.remove(item_id)

    @rule(data=st.data(), gone=st.booleans())
    def tidy_sent_items(self, data: st.DataObject, *, gone: bool) -> None:
        server = self.post.server
        if ids := server.item_ids(ANNA, FolderRole.SENT):
            item_id = data.draw(st.sampled_from(list(ids)))
            self.changed.add(OutgoingMail.objects.get(stamp=server.mail(item_id).stamp).pk)
            if gone:
                server.remove(item_id)
            else:
                server.move(item_id, FolderRole.DELETED)

    @rule(outgoing=st.booleans(), incoming=st.booleans())
    def switch(self, *, outgoing: bool, incoming: bool) -> None:
        Mailbox.objects.update(outgoing=outgoing, incoming=incoming)

    # -- what goes wrong

    @rule(method=st.sampled_from(METHODS), code=st.sampled_from(sorted(ERRORS)), nth=st.integers(1, 3))
    def refuse(self, method: str, code: str, nth: int) -> None:
        if code != "recipients_refused" or method in ("create_message", "send_message"):
            self.post.server.fail(method, ERRORS[code], nth=nth)

    @rule(method=st.sampled_from(METHODS), code=st.sampled_from(LOSABLE), nth=st.integers(1, 3))
    def lose(self, method: str, code: str, nth: int) -> None:
        self.post.server.lose(method, ERRORS[code], nth=nth)

    @rule(nth=st.integers(1, 140))
    def die(self, nth: int) -> None:
        self.post.run(Death(nth))

    @rule(full=st.booleans())
    def run(self, *, full: bool) -> None:
        self.post.run(full=full)

    # -- what must hold

    @invariant()
    @precondition(lambda self: hasattr(self, "post"))
    def nothing_arrives_twice_and_nothing_that_nobody_sent(self) -> None:
        arrived = self.post.arrived()
        sent = {mail.subject: mail.pk for mail in OutgoingMail.objects.exclude(state="draft")}
        assert set(arrived) <= set(sent)
        for subject in set(arrived):
            assert arrived.count(subject) == 1 or sent[subject] in self.resent, subject
        keys = list(Activity.objects.values_list("message_id", flat=True))
        assert len(keys) == len(set(keys))

    def end(self) -> None:
        """Let everything go well for a while: each mail is where its author can see what became of it, and true."""
        self.post.server.heal()
        Mailbox.objects.update(outgoing=True, incoming=True)
        OutgoingMail.objects.filter(try_at__isnull=False).update(try_at=self.post.now)
        Mailbox.objects.update(mail_due_at=self.post.now)
        for _each in range(8):
            self.post.run(full=True)
        arrived = self.post.arrived()
        for mail in OutgoingMail.objects.all():
            assert mail.state in ("sent", "failed", "unknown", "discarded"), mail.state
            there = mail.subject in arrived
            if mail.state == "sent":
                assert there
                assert mail.activity is not None or mail.pk in self.changed
            elif mail.pk not in self.changed:
                # Nobody was at it in the mailbox, so whatever it says is so.
                assert not there, (mail.state, mail.error_code)
                assert mail.state != "unknown"
        untouched = OutgoingMail.objects.exclude(pk__in=self.changed).exclude(state="failed")
        left = set(self.post.drafts())
        assert not left & set(untouched.values_list("subject", flat=True))


def machine() -> type[RuleBasedStateMachine]:
    """Return the machine, which ends each course of events by letting it settle."""

    class Ending(Sending):
        def teardown(self) -> None:
            try:
                if hasattr(self, "post"):
                    self.end()
            finally:
                super().teardown()

    return Ending


def _settings(examples: int, **more: Any) -> settings:
    return settings(
        max_examples=examples, stateful_step_count=25, deadline=None, derandomize=True,
        suppress_health_check=list(HealthCheck), **more,
    )  # fmt: skip


@pytest.mark.django_db
def test_whatever_happens_in_whatever_order_each_mail_leaves_once() -> None:
    run_state_machine_as_test(machine(), settings=_settings(25))


@pytest.mark.soak
@pytest.mark.slow
@pytest.mark.django_db
def test_whatever_happens_in_whatever_order_each_mail_leaves_once_a_thousand_times() -> None:
    run_state_machine_as_test(machine(), settings=_settings(1000))
