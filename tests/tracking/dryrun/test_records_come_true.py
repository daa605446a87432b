"""What a dry run announces of records is what happens: random filters and directions, published, then a full pass (S16)."""

import random
from collections import Counter
from datetime import timedelta

import pytest
from django.db import transaction
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from mailboxes.models import Mailbox
from mailboxes.provider.entries import FIELDS, EntryKind, Field, canonical
from tests.tracking.dryrun.untouched import nothing_written
from tests.tracking.linked.desk import Desk, timed_office
from tracking.dryrun.outcomes import Effect
from tracking.dryrun.trial import Trial
from tracking.engine.filter_queries import MODELS
from tracking.linked.records import values_of
from tracking.models import FieldDirection, ItemLink, SyncFilter
from tracking.policy import drafts
from tracking.policy.document import in_force

pytestmark = pytest.mark.django_db
WORDS = ("red", "blue", "green")
WAYS = ("both", "to_crm", "to_exchange", "none")
FREE = {
    EntryKind.TASK: {Field.SUBJECT: "subject", Field.BODY: "description"},
    EntryKind.CONTACT: {Field.JOB_TITLE: "job_title", Field.DEPARTMENT: "department"},
}
TEXTS = {EntryKind.TASK: ("subject", "description"), EntryKind.CONTACT: ("job_title", "department")}


class Random:
    """Two desks of one office and one kind, with random records, entries and filters."""

    def __init__(self, seed, kind, patch):
        self.random, self.kind = random.Random(seed), kind
        self.office = timed_office()
        patch.setattr("django.utils.timezone.now", lambda: self.office.now)
        self.desks = [Desk(kind, name=name, office=self.office) for name in ("anna", "ben")]
        Mailbox.objects.update(entries=True)
        self.profile = self.office.profile
        for desk in self.desks:
            for _ in range(self.random.randint(2, 5)):
                desk.record(**self.texts(), **({"last_name": "Riera"} if kind is EntryKind.CONTACT else {}))
        if self.random.random() < 0.4:
            self.filter(scope="system", sync_profile=self.profile)
        for field in FREE[kind]:
            way = self.random.choice(WAYS)
            FieldDirection.objects.create(sync_profile=self.profile, kind=kind, field=field, direction=way)
        self.sync()
        if self.random.random() < 0.4:
            self.filter(scope="system", sync_profile=self.profile)
        for _ in range(self.random.randint(2, 6)):
            self.edit()
        self.sync()
        self.sync()

    def texts(self):
        return {name: self.random.choice(("", *WORDS)) for name in TEXTS[self.kind]}

    def condition(self):
        column, word = self.random.choice(TEXTS[self.kind]), self.random.choice(WORDS)
        operator = self.random.choice(("is", "is_not", "contains", "is_empty", "is_set"))
        return {
            "column": column,
            "operator": operator,
            "value": None if operator.startswith("is_") and operator != "is_not" else word,
        }

    def conditions(self):
        parts = [self.condition() for _ in range(self.random.randint(1, 2))]
        return {"any": self.random.random() < 0.5, "parts": parts}

    def values(self, **more):
        return {
            "kind": self.kind.value, "name": "colours", "excludes": self.random.random() < 0.4,
            "conditions": self.conditions(), **more,
        }  # fmt: skip

    def filter(self, **more):
        SyncFilter.objects.create(**self.values(**more))

    def edit(self):
        self.office.now += timedelta(minutes=1)
        links = list(ItemLink.objects.filter(unlinked_at=None).exclude(item_id="").order_by("pk"))
        if not links:
            return
        link = self.random.choice(links)
        field, column = self.random.choice(list(FREE[self.kind].items()))
        if self.random.random() < 0.5:
            self.office.server.change_entry(link.item_id, {field: self.random.choice(WORDS)}, telling=False)
        else:
            record = MODELS[self.kind]._default_manager.get(pk=link.record_id)
            setattr(record, column, self.random.choice(WORDS))
            record.save()

    def sync(self):
        for desk in self.desks:
            desk.sync(full=True)

    def proposed(self, subject):
        document = in_force(subject)
        own = isinstance(subject, Mailbox)
        for key in list(document["filters"]):
            dice = self.random.random()
            if dice < 0.4:
                del document["filters"][key]
            elif dice < 0.55:
                document["filters"][key]["conditions"] = self.conditions()
        if self.random.random() < 0.3:
            document["filters"]["new"] = {
                **self.values(), "scope": "owner" if own else "system", "active": True, "examples": []
            }  # fmt: skip
        if not own:
            for field in self.random.sample(list(FREE[self.kind]), self.random.randint(0, 2)):
                way = self.random.choice(WAYS)
                document["directions"].setdefault(self.kind.value, {})[field.value] = way
        return document

    def state(self):
        """Return what is linked, and what every linked pair says on both sides."""
        linked, records, entries = {}, {}, {}
        for link in ItemLink.objects.all():
            record = MODELS[self.kind]._default_manager.get(pk=link.record_id)
            key = (link.mailbox_id, link.record_id)
            linked[key] = link.unlinked_at is None
            owner = link.mailbox.owner
            records[key] = values_of(record, owner)
            entry = self.office.server.provider(link.mailbox.address).entries([link.item_id])[0]
            values = getattr(entry, "values", {})
            entries[key] = {name: canonical(self.kind, name, values.get(name)) for name in FIELDS[self.kind]}
        return linked, records, entries


def _changed(before, after, keys):
    return {(key, name.value) for key in keys for name in before[key] if before[key][name] != after[key][name]}


@pytest.mark.parametrize("kind", list(FREE))
def test_what_is_announced_of_records_is_what_happens(monkeypatch, kind):
    seen = Counter()

    @given(seed=st.integers(0, 10**9))
    @settings(
        max_examples=25, deadline=None, derandomize=True, database=None, phases=[Phase.explicit, Phase.generate],
        suppress_health_check=[HealthCheck.function_scoped_fixture],
    )  # fmt: skip
    def comes_true(seed):
        with transaction.atomic():
            seen.update(_check(Random(seed, kind, monkeypatch)))
            transaction.set_rollback(True)

    comes_true()
    # The dice showed every side.
    assert {Effect.CREATE, Effect.AGAIN, Effect.UNLINK, Effect.TO_EXCHANGE, Effect.TO_CRM} <= set(seen), seen


def _check(made):
    subject = made.profile
    if made.random.random() < 0.3:
        subject = Mailbox.objects.get(pk=made.random.choice(made.desks).mailbox.pk)
    subject = type(subject).objects.get(pk=subject.pk)
    document = made.proposed(subject)
    trial = Trial(subject, document, days=30, now=made.office.now + timedelta(minutes=5))
    with nothing_written(made.office.server):
        result = trial.run(lambda box: made.office.server.provider(box.address))
    assert not result.errors
    told = result.outcomes
    linked, records, entries = made.state()
    try:
        drafts.publish(
            drafts.begin(subject, by="fina", now=made.office.now, proposed=document),
            revision=1, by="fina", now=made.office.now,
        )  # fmt: skip
    except drafts.NothingChanged:
        assert not told.items
    made.sync()
    linked_now, records_now, entries_now = made.state()

    def keys(*effects):
        return {(item.mailbox, item.ref) for item in told.of(*effects)}

    assert {key for key in linked_now if key not in linked} == keys(Effect.CREATE)
    assert {key for key, on in linked.items() if not on and linked_now[key]} == keys(Effect.AGAIN)
    assert {key for key, on in linked.items() if on and not linked_now[key]} == keys(Effect.UNLINK)
    stayed = {key for key, on in linked.items() if on and linked_now[key]}
    for effect, before, after in (
        (Effect.TO_EXCHANGE, entries, entries_now),
        (Effect.TO_CRM, records, records_now),
    ):
        announced = {((item.mailbox, item.ref), name) for item in told.of(effect) for name in item.fields}
        assert _changed(before, after, stayed) == announced
    return Counter(item.effect for item in told.items)
