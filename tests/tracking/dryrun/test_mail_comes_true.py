"""What a dry run announces of mail is what happens: a random office, a random change, published and decided again (S16)."""

import random
from typing import Any

import pytest
from django.db import transaction
from hypothesis import HealthCheck, Phase, example, given, settings
from hypothesis import strategies as st

from mailboxes.models import Mailbox, SyncProfile
from mailboxes.states import Track
from tests.tracking.dryrun.untouched import nothing_written
from tests.tracking.office import Office
from tracking.dryrun.outcomes import Effect
from tracking.dryrun.trial import Trial
from tracking.engine import pipeline
from tracking.models import Activity, Contact, ItemDecision, Lead
from tracking.policy import drafts
from tracking.policy.document import in_force
from tracking.repair.reinitialise import What, folders_of, reset

pytestmark = pytest.mark.django_db
SENDERS = ("pau@c.example", "lea@l.example", "who@else.example", "ben@office.example", "robot@c.example")
CHOICES: dict[str, list[Any]] = {
    "track": list(Track.values),
    "exclude_internal": [True, False],
    "exclude_automated": [True, False],
    "blocked": ["", "else.example", "pau@c.example\nl.example"],
    "internal_domains": ["", "l.example"],
}


class Busy:
    """An office with two mailboxes of one sync profile and random mail in them."""

    def __init__(self, seed):
        self.random = random.Random(seed)
        self.office = Office()
        self.change(SyncProfile.objects.filter(pk=self.office.profile.pk))
        self.boxes = [self.office.mailbox(name, track="") for name in ("anna", "ben")]
        Contact.objects.create(first_name="Pau", last_name="Riera", email1="pau@c.example")
        Lead.objects.create(name="Lea", email1="lea@l.example")
        self.number = 0
        for _ in range(self.random.randint(6, 16)):
            self.deliver()
        self.settle()

    def change(self, rows):
        rows.update(**{name: self.random.choice(values) for name, values in CHOICES.items()})

    def deliver(self):
        self.number += 1
        parent = self.random.randint(1, self.number)
        fields = {
            "message_id": f"<{self.number}@c.example>",
            "in_reply_to": f"<{parent}@c.example>" if parent != self.number and self.random.random() < 0.6 else "",
            "conversation_id": self.random.choice(("", "c1", "c2")),
            "sender": self.random.choice(SENDERS),
            "to": self.random.sample(("anna@office.example", "ben@office.example", "pau@c.example"), 2),
            "auto_submitted": self.random.choice(("", "", "auto-generated")),
        }
        boxes = self.boxes if self.random.random() < 0.3 else [self.random.choice(self.boxes)]
        for box in boxes:
            self.office.server.deliver(box.address, self.random.choice(("inbox", "inbox", "sent")), **fields)

    def settle(self):
        """Decide on everything until nothing changes any more."""
        before = None
        while before != (before := self.decided()):
            self.decide_again()

    def decided(self):
        return dict(ItemDecision.objects.values_list("pk", "outcome"))

    def decide_again(self):
        for box in self.boxes:
            self.office.sync(box)
            reset(box, folders_of(box, What.MAILBOX, None), What.MAILBOX, self.office.now)
            self.office.sync(box)

    def proposed(self):
        document = in_force(SyncProfile.objects.get(pk=self.office.profile.pk))
        for name in self.random.sample(list(CHOICES), self.random.randint(1, 3)):
            document["settings"][name] = self.random.choice(CHOICES[name])
        return document

    def as_if_it_came_now(self, decision):
        """Return how the message would be decided on if it came now; nothing of that stays."""
        Activity.objects.get(pk=decision.activity_id).delete()
        ItemDecision.objects.filter(pk=decision.pk).delete()
        run = self.office.begin(decision.mailbox)
        run.mailbox = Mailbox.objects.select_related("server", "sync_profile", "owner").get(pk=decision.mailbox_id)
        provider = self.office.server.provider(run.mailbox.address)
        clock = lambda: self.office.now  # noqa: E731 -- as the pipeline wants it
        pipeline.take(run, provider, decision.folder, [decision.item_id], clock=clock, beat=lambda: None)
        made = ItemDecision.objects.get(mailbox=decision.mailbox, item_id=decision.item_id)
        return made.outcome, made.reason


def _trial(busy, document):
    profile = SyncProfile.objects.get(pk=busy.office.profile.pk)
    trial = Trial(profile, document, days=30, now=busy.office.now)
    with nothing_written(busy.office.server):
        result = trial.run(lambda box: busy.office.server.provider(box.address))
    assert not result.errors
    assert not result.not_read
    return trial, result


def _publish(busy, document):
    profile = SyncProfile.objects.get(pk=busy.office.profile.pk)
    draft = drafts.begin(profile, by="fina", now=busy.office.now, proposed=document)
    drafts.publish(draft, revision=1, by="fina", now=busy.office.now)


def _said(reason):
    """Return the reason; by which of two ways a message belongs to its thread is not stored of late parents."""
    return "same_conversation" if reason == "reply_to_tracked" else str(reason)


def _tracked_again(busy):
    """Return what each tracked message would be decided to be if it came now, by decision."""
    found = {}
    for decision in ItemDecision.objects.filter(outcome="tracked").select_related("folder", "mailbox"):
        with transaction.atomic():
            found[decision.pk] = busy.as_if_it_came_now(decision)
            transaction.set_rollback(True)
    return found


@given(seed=st.integers(0, 10**9))
@example(seed=254)  # two answers to a message that is not tracked
@settings(
    max_examples=40, deadline=None, phases=[Phase.explicit, Phase.generate],
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)  # fmt: skip
def test_what_is_announced_of_mail_is_what_happens(seed):
    with transaction.atomic():
        busy = Busy(seed)
        document = busy.proposed()
        profile = SyncProfile.objects.get(pk=busy.office.profile.pk)
        if document != in_force(profile):
            _check(busy, document)
        transaction.set_rollback(True)


def _check(busy, document):
    _trial_made, result = _trial(busy, document)
    outcomes = result.outcomes
    before = dict(ItemDecision.objects.values_list("pk", "reason"))
    _publish(busy, document)

    told = {item.ref: item for item in outcomes.items}
    for pk, (outcome, reason) in _tracked_again(busy).items():
        item = told.get(pk)
        if item is not None and item.effect is Effect.DROP:
            assert (outcome, reason) == ("refused", item.after), item
        elif item is not None:
            assert item.effect is Effect.REASON, item
            assert (outcome, _said(reason)) == ("tracked", _said(item.after)), item
        else:
            assert outcome != "refused", (pk, reason)

    refused = set(ItemDecision.objects.filter(outcome="refused").values_list("pk", flat=True))
    kept = set(ItemDecision.objects.exclude(outcome="refused").values_list("pk", flat=True))
    busy.decide_again()
    now = {row.pk: row for row in ItemDecision.objects.all()}
    # Publishing and deciding again take nothing away.
    assert all(now[pk].outcome != "refused" for pk in kept)
    added = {pk for pk in refused if now[pk].outcome in ("tracked", "updated")}
    assert added == {item.ref for item in outcomes.of(Effect.ADD)}
    for pk in refused - added:
        after = told[pk].after if pk in told else before[pk]
        assert now[pk].reason == after, (pk, before[pk], after, now[pk].reason)
