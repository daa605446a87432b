"""Policy as a document: read, compared, written, and refused where it says what cannot be."""

import copy
from datetime import UTC, date, datetime, timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from mailboxes.models import Mailbox, SyncProfile
from mailboxes.provider.entries import EntryKind
from security.models import User
from tests.tracking.office import Office
from tracking.demo import policy as demo_policy
from tracking.linked import channel
from tracking.models import Contact, FieldDirection, PolicyChange, PolicyDraft, SyncFilter, Task
from tracking.policy import drafts, templates, typed, words
from tracking.policy.document import completed, in_force, problems
from tracking.policy.examples import failing, row_of

pytestmark = pytest.mark.django_db
NOW = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)


@pytest.fixture
def office():
    return Office()


@pytest.fixture
def profile(office):
    return SyncProfile.objects.get(pk=office.profile.pk)


def a_filter(**fields):
    return {
        "scope": "system", "kind": "contact", "name": "Some", "excludes": False, "active": True,
        "conditions": {"any": False, "parts": []}, "examples": [], **fields,
    }  # fmt: skip


def where(column, operator, value=None):
    return {"any": False, "parts": [{"column": column, "operator": operator, "value": value}]}


def publish(subject, document):
    draft = drafts.begin(subject, by="fina", now=NOW, proposed=document)
    return drafts.publish(draft, revision=1, by="fina", now=NOW)


def test_what_is_published_is_what_is_read_again(profile):
    document = in_force(profile)
    document["settings"] |= {"track": "all", "blocked": "a.example"}
    document["filters"]["new"] = a_filter(conditions=where("active", "is", True))
    document["directions"] = {"contact": {"notes": "to_crm", "pager": "both"}}
    change = publish(profile, document)
    present = in_force(SyncProfile.objects.get(pk=profile.pk))
    assert present == change.after
    (made,) = present["filters"].values()
    assert made == document["filters"]["new"]
    # What is as crmsync comes needs no row.
    assert present["directions"] == {"contact": {"notes": "to_crm"}}
    assert FieldDirection.objects.count() == 1
    draft = drafts.revert(change, by="fina", now=NOW)
    drafts.publish(draft, revision=1, by="fina", now=NOW)
    assert in_force(SyncProfile.objects.get(pk=profile.pk)) == change.before
    assert [each.after == each.before for each in PolicyChange.objects.all()] == [False, False]


def test_what_only_a_later_version_knows_is_as_it_is_in_force(profile):
    document = in_force(profile)
    old = copy.deepcopy(document)
    del old["settings"]["blocked"]
    assert completed(old, document) == document
    draft = drafts.begin(profile, by="fina", now=NOW)
    PolicyDraft.objects.filter(pk=draft.pk).update(
        base=old, proposed={**old, "settings": {**old["settings"], "track": "all"}}
    )
    draft.refresh_from_db()
    assert not drafts.is_overtaken(draft)
    drafts.publish(draft, revision=1, by="fina", now=NOW)
    assert SyncProfile.objects.get(pk=profile.pk).track == "all"


@pytest.mark.parametrize(
    "wrong",
    [
        {"filters": {"1": a_filter(name=" ")}},
        {"filters": {"1": a_filter(conditions=where("shoe_size", "is", "40"))}},
        {"filters": {"1": a_filter(scope="owner")}},
        {"filters": {"1": a_filter(kind="shoe")}},
        {"settings": {"track": "some"}},
        {"settings": {"min_seconds": 900}},
        {"settings": {"normal_seconds": "soon"}},
        {"directions": {"appointment": {"span": "none"}}},
        {"directions": {"contact": {"shoe_size": "both"}}},
        {"directions": {"contact": {"notes": "sideways"}}},
    ],
)
def test_what_cannot_be_never_comes_into_force_whatever_way_it_was_made(profile, wrong):
    document = in_force(profile)
    for part, values in wrong.items():
        document[part] = {**document[part], **values}
    assert problems(profile, document)
    with pytest.raises(drafts.NotPublishable) as refused:
        publish(profile, document)
    assert refused.value.problems
    assert not SyncFilter.objects.exists()
    assert not PolicyChange.objects.exists()


def test_a_draft_that_is_gone_or_saved_meanwhile_is_outdated(profile):
    draft = drafts.begin(profile, by="fina", now=NOW)
    drafts.save(draft, draft.proposed, revision=1, by="fina", now=NOW)
    for act in (drafts.publish, drafts.take_over):
        with pytest.raises(drafts.Outdated):
            act(draft, revision=1, by="fina", now=NOW)
    drafts.discard(draft)
    with pytest.raises(drafts.Outdated):
        drafts.save(draft, draft.proposed, revision=2, by="fina", now=NOW)


def test_a_change_that_others_made_by_any_way_is_noticed(profile):
    draft = drafts.begin(profile, by="fina", now=NOW)
    proposed = {**draft.proposed, "settings": {**draft.proposed["settings"], "track": "all"}}
    drafts.save(draft, proposed, revision=1, by="fina", now=NOW)
    SyncFilter.objects.create(
        scope="system", sync_profile=profile, kind="task", name="by a command", conditions={"parts": []}
    )
    assert drafts.is_overtaken(draft)
    with pytest.raises(drafts.Overtaken):
        drafts.publish(draft, revision=2, by="fina", now=NOW)
    assert SyncProfile.objects.get(pk=profile.pk).track == "replies"


def test_publishing_has_everything_looked_at_only_where_it_concerns_entries(office, profile):
    box = office.mailbox("anna", full_pass_at=NOW)
    document = in_force(profile)
    document["settings"]["track"] = "all"
    publish(profile, document)
    box.refresh_from_db()
    assert box.full_pass_at == NOW
    document = in_force(SyncProfile.objects.get(pk=profile.pk))
    document["filters"]["new"] = a_filter()
    publish(profile, document)
    box.refresh_from_db()
    assert box.full_pass_at is None
    Mailbox.objects.update(full_pass_at=NOW, due_at=None)
    publish(box, {"filters": {"new": a_filter(scope="owner")}})
    box.refresh_from_db()
    assert (box.full_pass_at, box.due_at) == (None, NOW)


def test_examples_are_asked_as_their_owner_and_an_owners_as_the_mailboxs(office, profile):
    box = office.mailbox("anna")
    other = User.objects.create(username="ben")
    mine, theirs = (Contact.objects.create(last_name="A", owner=owner) for owner in (box.owner, other))
    examples = [{"record": each.pk, "must": True} for each in (mine, theirs)]
    of_profile = {"filters": {"1": a_filter(conditions=where("owner", "is_me"), examples=examples)}}
    assert failing(profile, of_profile, NOW) == []
    of_owner = {"filters": {"1": a_filter(scope="owner", conditions=where("owner", "is_me"), examples=examples)}}
    assert [(each.record_id, each.gone) for each in failing(box, of_owner, NOW)] == [(theirs.pk, False)]
    of_owner["filters"]["1"]["active"] = False
    assert failing(box, of_owner, NOW) == []
    broken = {"filters": {"1": a_filter(conditions=where("size", "is", "4"), examples=examples)}}
    assert failing(profile, broken, NOW) == []
    assert row_of(EntryKind.CONTACT, mine)["owner"] == box.owner.pk


def test_a_filter_in_words_whatever_is_stored():
    kind = EntryKind.TASK
    said = words.conditions(
        kind,
        {"any": True, "parts": [
            *where("subject", "contains", "call")["parts"], *where("due_date", "at_least", "2026-03-01")["parts"],
            *where("due_date", "last_days", 3)["parts"], *where("importance", "is", "High")["parts"],
            {"any": False, "parts": where("owner", "is_not_me")["parts"]}, {"column": "x", "operator": "y"}, 7,
        ]},
    )  # fmt: skip
    assert said == (
        "subject contains “call” or due is on or after “2026-03-01” or due lies in the last days 3 or importance is “high” "
        "or (owner is not me) or x ?"
    )
    assert words.conditions(kind, None) == "every one"
    assert words.conditions(EntryKind.CONTACT, where("size", "is", "4")) == "size is “4”"


def test_differences_in_words(profile):
    before = in_force(profile)
    after = copy.deepcopy(before)
    after["settings"] |= {"track": "none", "exclude_internal": False, "blocked": "a.example\nb.example"}
    after["filters"] = {"1": a_filter(name="New", excludes=True, active=False, examples=[{"record": 1, "must": True}])}
    after["directions"] = {"task": {"subject": "to_crm"}}
    found = {each.what: (each.before, each.after) for each in words.differences(before, after)}
    assert found == {
        "track": ("replies to tracked mail", "none"),
        "leave out mail among colleagues": ("yes", "no"),
        "blocked addresses and domains": ("", "a.example, b.example"),
        "filter New (system, contact)": ("", "keeps out: every one; switched off; examples: 1"),
        "task: subject": ("both ways", "to the CRM only"),
    }
    renamed = copy.deepcopy(after)
    renamed["filters"]["1"]["name"] = "Newer"
    assert [each.what for each in words.differences(after, renamed)] == ["filter New → Newer (system, contact)"]
    assert [each.after for each in words.differences(after, before) if each.what.startswith("filter")] == [""]


def test_rows_of_what_is_stored_and_back():
    stored = {"any": True, "parts": [
        *where("percent_complete", "at_least", 50)["parts"],
        {"any": False, "parts": [*where("due_date", "is", "2026-03-01")["parts"], *where("owner", "is_me")["parts"]]},
    ]}  # fmt: skip
    rows = typed.of_json(EntryKind.TASK, stored)
    assert rows.checked() == stored
    assert rows.errors == 0
    assert [each.path for each in rows.walk()] == ["", "0", "1", "1-0", "1-1"]
    deep = where("subject", "is", "x")
    for _ in range(6):
        deep = {"any": False, "parts": [deep]}
    assert max(each.depth for each in typed.of_json(EntryKind.TASK, deep).walk() if each.is_group) == typed.DEEPEST
    assert typed.of_json(EntryKind.TASK, [1]).checked() == {"any": False, "parts": []}
    rows.nest("no such group")
    rows.add("9")
    assert len(list(rows.walk())) == 5
    unknown = typed.of_json(EntryKind.TASK, where("size", "is", "4")).parts[0]
    assert ("size", "no such field: size") in unknown.columns
    assert (unknown.operators, unknown.widget) == ([], "none")
    gone = typed.of_json(EntryKind.TASK, where("importance", "is", "Urgent")).parts[0]
    assert ("Urgent", "Urgent") in gone.choices


def test_a_number_may_be_below_nothing_and_a_day_is_a_day():
    row = typed.Row(EntryKind.TASK, column="percent_complete", operator="is", value="-5")
    assert row.checked()["value"] == -5
    row = typed.Row(EntryKind.CONTACT, column="active", operator="is", value="false")
    assert row.checked()["value"] is False
    row = typed.Row(EntryKind.CONTACT, column="birthday", operator="is", value="2000-02-29")
    assert date.fromisoformat(str(row.checked()["value"])) == date(2000, 2, 29)


def test_the_demo_has_a_system_filter_an_owners_with_examples_and_a_draft_to_try(office, profile):
    box = office.mailbox("marta")
    channel.switch(box, on=True, by="demo", now=NOW)
    Task.objects.create(owner=box.owner, subject="Send the drawings")
    Task.objects.create(owner=box.owner, subject="Call", kind=Task.Kind.PHONE_CALL, importance="High")
    demo_policy.make(profile, box.owner, NOW)
    demo_policy.make(profile, box.owner, NOW + timedelta(days=1))
    assert SyncFilter.objects.get(scope="system").name == "Only active contacts"
    mine = SyncFilter.objects.get(mailbox=box, name="Calls about deliveries")
    assert [each["must"] for each in mine.examples] == [True, False]
    assert failing(box, in_force(box), NOW) == []
    draft = PolicyDraft.objects.get()
    assert problems(profile, draft.proposed) == []
    assert len(words.differences(draft.base, draft.proposed)) == 3


def test_a_demo_without_tasks_has_no_owners_filter(office, profile):
    box = office.mailbox("marta")
    demo_policy.make(profile, box.owner, NOW)
    assert not SyncFilter.objects.filter(scope="owner").exists()


# -- templates for many


@pytest.fixture
def template(profile):
    return SyncFilter.objects.create(
        sync_profile=profile, scope="template", kind="contact", name="All", conditions={"any": False, "parts": []}
    )


def test_what_an_owner_publishes_while_templates_are_applied_stays(office, profile, template):
    anna, ben = office.mailbox("anna"), office.mailbox("ben")
    plans = templates.plans(profile, Mailbox.objects.all())
    for kind, name in (("task", "Hers"), ("contact", "All")):
        SyncFilter.objects.create(
            mailbox=anna, scope="owner", kind=kind, name=name, excludes=True, conditions={"any": False, "parts": []}
        )
    assert templates.apply(plans, by=anna.owner, now=NOW) == (2, [])
    for box, names in ((anna, ["All", "Hers"]), (ben, ["All"])):
        found = SyncFilter.objects.filter(mailbox=box).order_by("name")
        assert [(each.name, each.excludes) for each in found] == [(name, name == "Hers") for name in names]
    assert not PolicyDraft.objects.exists()


def test_one_press_after_the_other_reaches_every_mailbox(office, profile, template, monkeypatch):
    monkeypatch.setattr(templates, "AT_ONCE", 2)
    boxes = [office.mailbox(f"box{number}") for number in range(5)]
    done = [
        templates.apply(templates.plans(profile, Mailbox.objects.all()), by=boxes[0].owner, now=NOW)[0]
        for _ in range(4)
    ]
    assert done == [2, 2, 1, 0]
    assert SyncFilter.objects.filter(mailbox__in=boxes).count() == 5


def test_looking_for_mailboxes_to_apply_templates_to_asks_no_more_for_more(office, profile, template):
    def queries():
        with CaptureQueriesContext(connection) as captured:
            templates.plans(profile, Mailbox.objects.all())
        return len(captured)

    office.mailbox("anna")
    few = queries()
    for number in range(6):
        office.mailbox(f"box{number}")
    assert queries() == few
