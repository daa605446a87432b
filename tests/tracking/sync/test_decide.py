"""The promotion check and the plan as pure functions: for any envelope there is an answer, and the right one."""

from dataclasses import replace
from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from mailboxes.provider.errors import ItemUnreadable
from mailboxes.provider.port import Address, Change, ChangeKind, Envelope
from tracking.sync import identity
from tracking.sync.facts import Known, KnownActivity, KnownItem, Option, Outcome, Reason, RecordRef, Rules
from tracking.sync.plan import Fail, Link, Plan, Refuse, Remove, Touch, Track, plan_page, sort_changes

RULES = Rules(mailbox_id=1, mailbox_address="anna@office.example", option=Option.ALL)

texts = st.text(max_size=12)
ids = st.sampled_from(["", "<a@x.example>", "<b@x.example>", " <c@x.example>\r\n", "<", "\x00", "<d>", "ü@x"])
addresses = st.builds(
    Address, st.sampled_from(["", "@", "kim@c.example", "ANNA@office.example", "a@b@c", "ü@ö.example"]), texts
)
envelopes = st.builds(
    Envelope,
    item_id=st.text(min_size=1, max_size=3),
    change_key=texts,
    sender=st.none() | addresses,
    to=st.lists(addresses, max_size=3).map(tuple),
    cc=st.lists(addresses, max_size=1).map(tuple),
    bcc=st.lists(addresses, max_size=1).map(tuple),
    subject=texts,
    item_class=st.sampled_from(
        ["IPM.Note", "ipm.note.smime", "IPM.Task", "", "REPORT.IPM.Note.NDR", "IPM.Schedule.Meeting.Request"]
    ),
    received_at=st.none() | st.datetimes(timezones=st.just(UTC)),
    sensitivity=st.sampled_from(["Normal", "Private", ""]),
    message_id=ids,
    in_reply_to=ids,
    references=st.lists(ids, max_size=4).map(tuple),
    conversation_id=st.sampled_from(["", "c1", "c2"]),
    auto_submitted=st.sampled_from(["", "no", "auto-replied; x", ";"]),
    search_key=st.sampled_from(["", "s1"]),
    is_draft=st.booleans(),
)
rules = st.builds(
    Rules,
    mailbox_id=st.just(1),
    mailbox_address=st.just("anna@office.example"),
    option=st.sampled_from(Option),
    exclude_internal=st.booleans(),
    exclude_automated=st.booleans(),
    blocked=st.sampled_from([frozenset(), frozenset({"c.example"}), frozenset({""})]),
    internal_domains=st.sampled_from([frozenset(), frozenset({"office.example"})]),
)
known = st.builds(
    Known,
    activities=st.dictionaries(
        ids.map(identity.key_of_message_id).filter(bool), st.builds(KnownActivity, texts, st.integers(1, 9)), max_size=2
    ),
    records=st.dictionaries(
        st.just("kim@c.example"),
        st.lists(st.builds(RecordRef, st.sampled_from(["contact", "lead", "case"]), st.integers(1, 3)), max_size=3).map(
            tuple
        ),
    ),
)


@given(st.lists(envelopes, max_size=6, unique_by=lambda e: e.item_id), rules, known, st.booleans())
def test_every_envelope_gets_exactly_one_answer(page, rules, known, sent):
    plan = plan_page([(e.item_id, e) for e in page], sent=sent, rules=rules, known=known)
    answered = [a.envelope.item_id if isinstance(a, (Track, Link)) else a.item_id for a in plan.actions]
    assert sorted(answered) == sorted(e.item_id for e in page)
    assert all(isinstance(a, (Track, Link, Refuse)) for a in plan.actions)
    tracked = [a.message_key for a in plan.actions if isinstance(a, Track)]
    assert len(tracked) == len(set(tracked))
    assert not set(tracked) & set(known.activities)


@given(st.lists(envelopes, max_size=6, unique_by=lambda e: e.item_id), rules, known, st.randoms())
def test_a_plan_does_not_depend_on_the_order_in_which_the_server_lists_mail(page, rules, known, random):
    pairs = [(e.item_id, e) for e in page]
    shuffled = pairs.copy()
    random.shuffle(shuffled)
    plans = [plan_page(p, sent=False, rules=rules, known=known) for p in (pairs, shuffled)]
    assert plans[0] == plans[1]


@given(envelopes, rules)
def test_nothing_but_the_reason_of_a_refusal_is_carried_on(envelope, rules):
    (action,) = plan_page([("i", replace(envelope, item_id="i"))], sent=False, rules=rules, known=Known()).actions
    if isinstance(action, Refuse):
        assert action == Refuse("i", envelope.change_key, envelope.message_id, action.reason)


@given(
    st.lists(
        st.builds(Change, st.sampled_from(ChangeKind), st.sampled_from("abc"), st.sampled_from(["", "1", "2"])),
        max_size=8,
    )
)
def test_every_item_of_a_page_is_asked_for_at_most_once(changes):
    items = {"a": KnownItem("1", Outcome.TRACKED), "b": KnownItem("1", Outcome.REFUSED)}
    asked = sort_changes(changes, items)
    named = [*asked.read, *(action.item_id for action in asked.actions)]
    assert len(named) == len(set(named))
    assert set(asked.listed) == {
        c.item_id for c in {c.item_id: c for c in changes}.values() if c.kind is not ChangeKind.REMOVED
    }


def test_what_a_change_of_an_item_asks_for():
    """The table of docs/sync.md, row by row."""
    created, updated, removed, read = ChangeKind.CREATED, ChangeKind.UPDATED, ChangeKind.REMOVED, ChangeKind.READ_FLAG
    tracked, refused, set_aside = (KnownItem("1", o) for o in (Outcome.TRACKED, Outcome.REFUSED, Outcome.QUARANTINED))
    given_up = KnownItem("1", Outcome.DISCARDED)
    away = KnownItem("1", Outcome.TRACKED, here=False)
    refused_elsewhere = KnownItem("2", Outcome.REFUSED, here=False)
    rows = [
        (created, None, "read"),
        (updated, None, "read"),
        (read, None, "read"),
        (removed, None, None),
        (updated, tracked, Touch("i", "2")),
        (read, tracked, Touch("i", "2")),
        (removed, tracked, Remove("i")),
        (updated, refused, "read"),
        (read, refused, Touch("i", "2")),
        (removed, refused, Remove("i")),
        (updated, set_aside, "read"),
        (created, given_up, Touch("i", "2")),
        (updated, given_up, Touch("i", "2")),
        (read, given_up, Touch("i", "2")),
        (removed, given_up, Remove("i")),
        (created, away, Touch("i", "2", arrived=True)),
        (created, refused_elsewhere, "read"),
        (read, refused_elsewhere, "read"),
        (removed, away, None),
    ]
    for kind, item, wanted in rows:
        asked = sort_changes([Change(kind, "i", "2")], {"i": item} if item else {})
        got = "read" if asked.read else next(iter(asked.actions), None)
        assert got == wanted, (kind, item)


def test_an_unchanged_item_asks_for_nothing():
    asked = sort_changes([Change(ChangeKind.UPDATED, "i", "1")], {"i": KnownItem("1", Outcome.REFUSED)})
    assert (asked.read, asked.actions, asked.arrived, asked.listed) == ((), (), 0, ("i",))


def test_an_unreadable_envelope_is_a_failure_with_its_code():
    plan = plan_page([("i", ItemUnreadable("why", code="item_corrupt"))], sent=False, rules=RULES, known=Known())
    assert plan == Plan((Fail("i", "", Reason.UNREADABLE, "item_corrupt", "why"),))


def test_only_the_origin_and_the_nearest_of_very_many_references_count():
    many = tuple(f"<{n}@x.example>" for n in range(500))
    envelope = Envelope("i", "", None, (), (), (), "", references=many)
    keys = identity.parent_keys(envelope)
    assert len(keys) == 30
    assert keys[0] == identity.key_of_message_id(many[-1])
    assert keys[-1] == identity.key_of_message_id(many[0])


def test_without_a_message_id_a_message_is_the_mailboxs_own():
    envelope = Envelope("i", "", None, (), (), (), "", search_key="s", received_at=datetime(2026, 1, 1, tzinfo=UTC))
    assert identity.message_key(envelope, 1) != identity.message_key(envelope, 2)
    assert identity.message_key(envelope, 1) == identity.message_key(replace(envelope, item_id="moved"), 1)
    assert identity.message_hash("", "key") == ""
