"""The pages of policy as people use them: drafts that are changed, tried and published; filters built by clicking (S16)."""

from datetime import timedelta

import pytest
from django.urls import reverse
from django.utils import timezone
from redis.exceptions import ConnectionError as RedisGone

from mailboxes.models import Mailbox, SyncProfile
from mailboxes.provider.entries import EntryKind
from tests.scene import make_person
from tracking.dryrun import rows as dry_runs
from tracking.linked import links
from tracking.models import (
    Contact,
    DryRun,
    FieldDirection,
    ItemDecision,
    PolicyChange,
    PolicyDraft,
    SyncFilter,
)
from tracking.policy import drafts
from tracking.policy.document import in_force

pytestmark = pytest.mark.django_db
SETTINGS = {
    "track": "all", "exclude_automated": "on", "blocked": "spam.example\nbob@x.example", "internal_domains": "",
    "min_seconds": "120", "normal_seconds": "300", "max_seconds": "720", "smart_days": "14", "smart_words": "3",
    "unknown_senders": "nothing", "same_domains": "", "contact_addresses": "business", "appointment_attachments": "none",
}  # fmt: skip


@pytest.fixture
def scene(organisation, db):
    for model in (PolicyDraft, PolicyChange, SyncFilter):
        model.objects.all().delete()
    return organisation.copy()


@pytest.fixture
def profile(scene):
    return scene.box.sync_profile


@pytest.fixture
def admin(client, scene):
    client.force_login(scene.person("fina"))
    return client


def begun(client, profile):
    answer = client.post(reverse("begin_draft", args=[profile.pk]))
    return PolicyDraft.objects.get(pk=int(answer["Location"].split("/")[2]))


def at(draft, name="draft", *more):
    return reverse(name, args=[draft.pk, *more])


def text(answer):
    return " ".join(answer.content.decode().split())


def row(path, column, operator="", value=""):
    return {"row": [f"c:{path}"], f"column-{path}": column, f"operator-{path}": operator, f"value-{path}": value}


def form(draft, *rows, **more):
    data = {"revision": draft.revision, "name": "Theirs", "excludes": "0", "active": "on", "any-": "0", "row": []}
    for each in rows:
        data["row"] = [*data["row"], *each["row"]]
        data |= {name: value for name, value in each.items() if name != "row"}
    return {**data, **more}


def test_a_change_of_settings_is_drafted_and_published_with_its_history(admin, profile):
    draft = begun(admin, profile)
    assert admin.post(at(draft), {**SETTINGS, "revision": draft.revision}).status_code == 302
    profile.refresh_from_db()
    assert profile.track == "replies"
    draft.refresh_from_db()
    shown = text(admin.get(at(draft)))
    assert "spam.example, bob@x.example" in shown
    answer = admin.post(at(draft, "publish_draft"), {"revision": draft.revision})
    assert answer["Location"] == reverse("sync_profile", args=[profile.pk])
    profile.refresh_from_db()
    assert profile.track == "all"
    assert profile.exclude_internal is False
    change = PolicyChange.objects.get()
    assert change.published_by == "fina"
    page = text(admin.get(reverse("policy_change", args=[change.pk])))
    assert "leave out mail among colleagues" in page
    taken_back = admin.post(reverse("revert_change", args=[change.pk]))
    made = PolicyDraft.objects.get()
    assert taken_back["Location"] == at(made)
    admin.post(at(made, "publish_draft"), {"revision": made.revision})
    profile.refresh_from_db()
    assert (profile.track, profile.exclude_internal) == ("replies", True)


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ({"blocked": "spam.example\nnot an address"}, "Line 2, “not an address”, is no address and no domain."),
        ({"internal_domains": "a@b.example"}, "Line 1, “a@b.example”, is no domain."),
        ({"normal_seconds": "60"}, "The usual interval lies between the shortest and the longest one."),
        ({"track": "everything"}, "Select a valid choice"),
        ({"min_seconds": "soon"}, "Enter a whole number."),
        ({"blocked": "\n".join(f"a{n}.example" for n in range(5001))}, "5000 are the most"),
    ],
)
def test_wrong_settings_are_said_and_nothing_typed_is_lost(admin, profile, wrong, sentence):
    draft = begun(admin, profile)
    answer = admin.post(at(draft), {**SETTINGS, **wrong, "revision": draft.revision})
    assert answer.status_code == 200
    assert sentence in text(answer)
    assert "spam.example" in text(answer) or "blocked" in wrong
    draft.refresh_from_db()
    assert draft.proposed == draft.base


def test_who_saves_over_somebody_elses_save_is_told_and_keeps_what_was_typed(admin, scene, profile):
    draft = begun(admin, profile)
    drafts.save(draft, draft.proposed, revision=draft.revision, by="other", now=timezone.now())
    answer = admin.post(at(draft), {**SETTINGS, "revision": 1})
    assert "other saved this draft meanwhile" in text(answer)
    assert "spam.example" in text(answer)
    data = form(draft, row("0", "last_name", "contains", "Riera"), revision=1, do="save")
    answer = admin.post(at(draft, "draft_filter", "new") + "?scope=system&kind=contact", data)
    assert "other saved this draft meanwhile" in text(answer)
    assert 'value="Riera"' in text(answer)
    answer = admin.post(at(draft, "draft_directions"), {"revision": 1, "contact-notes": "none"})
    assert "other saved this draft meanwhile" in text(answer)
    answer = admin.post(at(draft, "publish_draft"), {"revision": 1}, follow=True)
    assert "somebody saved the draft after you opened this page" in text(answer)


def test_what_came_into_force_meanwhile_is_shown_before_it_is_taken_back(admin, profile):
    first, second = begun(admin, profile), begun(admin, profile)
    admin.post(at(first), {**SETTINGS, "revision": 1})
    admin.post(at(second), {**SETTINGS, "track": "none", "revision": 1})
    admin.post(at(first, "publish_draft"), {"revision": 2})
    answer = admin.post(at(second, "publish_draft"), {"revision": 2}, follow=True)
    assert "Something else came into force meanwhile" in text(answer)
    profile.refresh_from_db()
    assert profile.track == "all"
    admin.post(at(second, "take_over_draft"), {"revision": 2})
    assert "Something else came into force" not in text(admin.get(at(second)))
    admin.post(at(second, "publish_draft"), {"revision": 3})
    profile.refresh_from_db()
    assert profile.track == "none"


def test_a_filter_is_built_row_by_row_without_a_script(admin, scene, profile):
    draft = begun(admin, profile)
    address = at(draft, "draft_filter", "new") + "?scope=system&kind=contact"
    assert "choose a field" in text(admin.get(address))
    rows = [row("0", "last_name", "contains", "Riera")]
    page = text(admin.post(address, form(draft, *rows, do="refresh")))
    assert "Matches now: 1 of 1" in page
    assert PolicyDraft.objects.get().proposed == draft.proposed
    page = text(admin.post(address, form(draft, *rows, do="add:")))
    assert 'name="row" value="c:1"' in page
    assert "Complete every row" in page
    page = text(admin.post(address, form(draft, *rows, do="group:")))
    assert 'name="row" value="g:1"' in page
    assert 'name="row" value="c:1-0"' in page
    group = {"row": ["g:1"], "any-1": "1"}
    inner = [row("1-0", "active", "is", "false"), row("1-1", "birthday", "next_days", "30")]
    page = text(admin.post(address, form(draft, *rows, group, *inner, do="remove:1-0")))
    assert 'name="row" value="c:1-0"' in page
    assert 'name="row" value="c:1-1"' not in page
    answer = admin.post(address, form(draft, *rows, group, *inner, do="save"))
    assert answer["Location"] == at(draft)
    made = next(iter(PolicyDraft.objects.get().proposed["filters"].values()))
    assert made["conditions"] == {
        "any": False,
        "parts": [
            {"column": "last_name", "operator": "contains", "value": "Riera"},
            {
                "any": True,
                "parts": [
                    {"column": "active", "operator": "is", "value": False},
                    {"column": "birthday", "operator": "next_days", "value": 30},
                ],
            },
        ],
    }
    draft.refresh_from_db()
    assert "last name contains “Riera” and (active is “no” or birthday lies in the next days 30)" in text(
        admin.get(at(draft))
    )
    key = next(iter(draft.proposed["filters"]))
    assert 'value="Riera"' in text(admin.get(at(draft, "draft_filter", key)))
    admin.post(at(draft, "draft_filter", key), {"revision": draft.revision, "do": "delete"})
    assert PolicyDraft.objects.get().proposed["filters"] == {}


@pytest.mark.parametrize(
    ("rows", "sentence"),
    [
        ([row("0", "")], "Choose a field, or remove the row."),
        ([row("0", "shoe_size", "is", "40")], "There is no field “shoe_size” any more."),
        ([row("0", "last_name", "at_least", "40")], "This cannot be asked of the field."),
        ([row("0", "last_name", "is", " ")], "Give a value, or ask whether the field is empty."),
        ([row("0", "last_name", "is", "x" * 401)], "This is too long: 400 characters are the most."),
        ([row("0", "birthday", "is", "soon")], "Give a day, such as 2026-12-31."),
        ([row("0", "birthday", "last_days", "many")], "Give a number of days, such as 30."),
        ([row("0", "birthday", "last_days", "99999")], "Give a number of days, such as 30."),
        ([row("0", "active", "is", "maybe")], "Choose yes or no."),
        ([{"row": ["g:0"], "any-0": "1"}], "This group is empty."),
    ],
)
def test_what_cannot_be_asked_is_said_beside_its_row(admin, profile, rows, sentence):
    draft = begun(admin, profile)
    answer = admin.post(
        at(draft, "draft_filter", "new") + "?scope=template&kind=contact", form(draft, *rows, do="save")
    )
    assert answer.status_code == 200
    assert sentence in text(answer)
    assert "The filter is not saved yet" in text(answer)
    assert PolicyDraft.objects.get().proposed["filters"] == {}


@pytest.mark.parametrize(("value", "said"), [("half", "Give a whole number, such as 50."), ("High", "Choose a value.")])
def test_numbers_and_choices_of_tasks_are_looked_at_too(admin, profile, value, said):
    column = "percent_complete" if value == "half" else "status"
    draft = begun(admin, profile)
    address = at(draft, "draft_filter", "new") + "?scope=system&kind=task"
    assert said in text(admin.post(address, form(draft, row("0", column, "is", value), do="save")))


def test_a_filter_needs_a_name_and_more_than_any_form_sends_is_refused_as_a_whole(admin, profile):
    draft = begun(admin, profile)
    address = at(draft, "draft_filter", "new") + "?scope=system&kind=contact"
    one = row("0", "last_name", "is", "x")
    assert "Give the filter a name." in text(admin.post(address, form(draft, one, name="", do="save")))
    many = form(draft, *(row(str(n), "last_name", "is", "x") for n in range(101)), do="save")
    deep = form(draft, *({"row": ["g:" + "-".join("0" * n)]} for n in range(1, 6)), do="save")
    for too_much in (many, deep):
        answer = admin.post(address, too_much)
        assert answer.status_code == 302
        assert "more than a filter can hold" in text(admin.get(address))


@pytest.mark.parametrize(
    "address", ["x/?scope=system&kind=contact", "new/", "new/?scope=owner&kind=contact", "new/?scope=system&kind=shoe"]
)
def test_filters_that_cannot_be_do_not_exist(admin, profile, address):
    draft = begun(admin, profile)
    assert admin.get(f"/drafts/{draft.pk}/filters/{address}").status_code == 404


def test_a_failing_example_keeps_a_filter_from_being_published(admin, scene, profile):
    pau = Contact.objects.get(last_name="Riera")
    draft = begun(admin, profile)
    address = at(draft, "draft_filter", "new") + "?scope=system&kind=contact"
    rows = [row("0", "last_name", "is", "Puig")]
    page = text(admin.post(address, form(draft, *rows, do="find", find="riera")))
    assert f"must:{pau.pk}" in page
    page = text(admin.post(address, form(draft, *rows, do=f"must:{pau.pk}")))
    assert 'must fit</span> <span class="badge plain bad">fails' in page
    admin.post(address, form(draft, *rows, do="save", example=[f"{pau.pk}:1", "999999:1", "x"]))
    draft.refresh_from_db()
    (key, made), *none = draft.proposed["filters"].items()
    assert not none
    assert made["examples"] == [{"record": pau.pk, "must": True}]
    answer = admin.post(at(draft, "publish_draft"), {"revision": draft.revision}, follow=True)
    assert "Theirs: “Pau Riera” must fit, and does not." in text(answer)
    assert not SyncFilter.objects.filter(name="Theirs").exists()
    rows = [row("0", "last_name", "is", "riera")]
    admin.post(at(draft, "draft_filter", key), form(draft, *rows, do="save", example=f"{pau.pk}:1"))
    draft.refresh_from_db()
    admin.post(at(draft, "publish_draft"), {"revision": draft.revision})
    assert SyncFilter.objects.get(name="Theirs").examples == [{"record": pau.pk, "must": True}]
    # Whoever throws the record away, the example fails from then on.
    Contact.objects.filter(pk=pau.pk).update(deleted_at=timezone.now())
    again = begun(admin, profile)
    assert "the record of an example is gone" in text(admin.get(at(again)))
    page = text(admin.post(at(again, "draft_filter", key), form(again, *rows, do=f"forget:{pau.pk}")))
    assert "Pau Riera" not in page


def test_s16_an_owners_filter_beside_a_system_filter(client, scene, profile):
    """An owner's own filters choose; the system filter of the profile narrows them, and the owner sees it above theirs."""
    box = scene.box
    SyncFilter.objects.create(
        scope="system", sync_profile=profile, kind="contact", name="Only active ones",
        conditions={"parts": [{"column": "active", "operator": "is", "value": True}]},
    )  # fmt: skip
    client.force_login(scene.person("anna"))
    page = text(client.get(reverse("own_filters", args=[box.pk])))
    assert "Only active ones" in page
    assert "active is “yes”" in page
    answer = client.post(reverse("begin_own_draft", args=[box.pk]))
    draft = PolicyDraft.objects.get(mailbox=box)
    assert answer["Location"] == at(draft)
    rows = [row("0", "owner", "is_me"), row("1", "department", "is", "Sales")]
    admin_address = at(draft, "draft_filter", "new") + "?scope=system&kind=contact"
    assert client.get(admin_address).status_code == 404
    assert client.get(at(draft, "draft_directions")).status_code == 404
    client.post(at(draft, "draft_filter", "new") + "?scope=owner&kind=contact", form(draft, *rows, do="save"))
    draft.refresh_from_db()
    answer = client.post(at(draft, "publish_draft"), {"revision": draft.revision})
    assert answer["Location"] == reverse("own_filters", args=[box.pk])
    mine = SyncFilter.objects.get(mailbox=box, name="Theirs")
    assert (mine.scope, mine.kind) == ("owner", "contact")
    anna = scene.person("anna")
    both = Contact.objects.create(last_name="Both", department="sales", owner=anna)
    Contact.objects.create(last_name="Inactive", department="Sales", active=False, owner=anna)
    Contact.objects.create(last_name="Elsewhere", department="Works", owner=anna)
    SyncFilter.objects.filter(mailbox=box).exclude(pk=mine.pk).delete()
    flow = links.flowing_records(Mailbox.objects.get(pk=box.pk), EntryKind.CONTACT, timezone.now())
    assert list(flow.records) == [both]


def test_directions_are_a_grid_in_which_fixed_ones_say_why(admin, profile):
    draft = begun(admin, profile)
    page = text(admin.get(at(draft, "draft_directions")))
    assert "An appointment without its time is none" in page
    assert 'name="appointment-span"' not in page
    data = {"revision": draft.revision, "contact-notes": "to_crm", "appointment-span": "none"}
    assert admin.post(at(draft, "draft_directions"), data).status_code == 302
    draft.refresh_from_db()
    assert draft.proposed["directions"] == {"contact": {"notes": "to_crm"}}
    page = text(admin.post(at(draft, "draft_directions"), {"revision": draft.revision, "contact-notes": "up"}))
    assert "Choose one of the four directions." in page
    admin.post(at(draft, "publish_draft"), {"revision": draft.revision})
    row_made = FieldDirection.objects.get()
    assert (row_made.kind, row_made.field, row_made.direction) == ("contact", "notes", "to_crm")
    assert "contact: notes" in text(admin.get(reverse("policy_change", args=[PolicyChange.objects.get().pk])))


def test_trying_says_first_what_would_be_read_and_can_do_without(admin, scene, profile):
    Mailbox.objects.exclude(pk=scene.box.pk).update(intent="off")
    draft = begun(admin, profile)
    admin.post(at(draft), {**SETTINGS, "track": "none", "revision": 1})
    answer = admin.post(at(draft, "try_draft"), {"days": "30"})
    turnable = ItemDecision.objects.filter(
        mailbox=scene.box,
        outcome="refused",
        reason__in=["not_a_reply", "internal", "automated", "no_record", "blocked"],
    ).count()
    assert f"{turnable} items would be read from Exchange" in text(answer)
    assert not DryRun.objects.exists()
    answer = admin.post(at(draft, "try_draft"), {"days": "30", "read": "0"}, follow=True)
    page = text(answer)
    assert "would have been refused" in page
    assert "Offer for twelve pumps" in page
    run = DryRun.objects.get()
    assert run.state == "done"
    assert "pumps" not in str(run.result)
    assert admin.post(at(draft, "try_draft"), {"days": "0"}, follow=True).status_code == 200
    assert "last 30 days" in text(admin.get(at(draft)))
    DryRun.objects.update(expires_at=timezone.now() - timedelta(seconds=1))
    assert admin.get(reverse("dry_run", args=[run.pk])).status_code == 404


def test_who_may_not_see_mail_and_mailboxes_sees_counts_alone(client, scene, profile):
    manager = make_person("marti", "Marti", "Roig", "security.manage_policy")
    Mailbox.objects.exclude(pk=scene.box.pk).update(intent="off")
    client.force_login(manager)
    draft = begun(client, profile)
    client.post(at(draft), {**SETTINGS, "track": "none", "revision": 1})
    page = text(client.post(at(draft, "try_draft"), {"days": "30", "read": "0"}, follow=True))
    assert "would have been refused" in page
    assert "pumps" not in page
    assert scene.box.address not in page
    assert "mailboxes you may not see" in page


def test_templates_are_applied_again_after_a_look_at_what_changes(admin, scene, profile):
    SyncFilter.objects.create(
        scope="template", sync_profile=profile, kind="task", name="My open tasks",
        conditions={"parts": [{"column": "importance", "operator": "is", "value": "High"}]},
    )  # fmt: skip
    mine = SyncFilter.objects.create(
        scope="owner", mailbox=scene.box, kind="task", name="My open tasks", conditions={"parts": []}
    )
    other = SyncFilter.objects.create(
        scope="owner", mailbox=scene.box, kind="task", name="Others", conditions={"parts": []}
    )
    address = reverse("apply_templates", args=[profile.pk])
    page = text(admin.get(address))
    assert scene.box.address.split("@")[0] in page
    assert "importance is “high”" in page
    answer = admin.post(address, {"mailbox": [str(scene.box.pk)]}, follow=True)
    assert "Applied to 1 mailboxes." in text(answer)
    mine.refresh_from_db()
    assert mine.conditions["parts"][0]["value"] == "High"
    assert SyncFilter.objects.filter(pk=other.pk).exists()
    assert PolicyChange.objects.get().mailbox == scene.box
    # Its owner can take it back.
    admin.force_login(scene.person("anna"))
    admin.post(reverse("revert_change", args=[PolicyChange.objects.get().pk]))
    made = PolicyDraft.objects.get(mailbox=scene.box)
    admin.post(at(made, "publish_draft"), {"revision": made.revision})
    mine.refresh_from_db()
    assert mine.conditions == {"parts": []}


def test_a_draft_can_be_thrown_away_and_one_that_changes_nothing_is_not_published(admin, profile):
    draft = begun(admin, profile)
    answer = admin.post(at(draft, "publish_draft"), {"revision": 1}, follow=True)
    assert "The draft says what is in force already." in text(answer)
    before = in_force(SyncProfile.objects.get(pk=profile.pk))
    assert admin.post(at(draft, "discard_draft")).status_code == 302
    assert not PolicyDraft.objects.exists()
    assert in_force(SyncProfile.objects.get(pk=profile.pk)) == before


def test_lists_name_profiles_with_what_concerns_their_reader(client, scene, profile):
    client.force_login(scene.person("anna"))
    page = text(client.get(reverse("sync_profiles")))
    assert "Everybody" in page
    assert "Drafts" not in page
    client.force_login(scene.person("cleo"))
    assert "No sync profile concerns you" in text(client.get(reverse("sync_profiles")))


def test_a_dry_run_that_waits_or_failed_says_so_and_a_queue_that_is_gone_begins_none(
    admin, scene, profile, monkeypatch
):
    draft = begun(admin, profile)
    admin.post(at(draft), {**SETTINGS, "revision": 1})
    answer = admin.post(at(draft, "try_draft"), {"days": "7", "read": "1"})
    run = DryRun.objects.get()
    assert answer["Location"] == reverse("dry_run", args=[run.pk])
    page = text(admin.get(reverse("dry_run", args=[run.pk])))
    assert "Waiting for a worker" in page
    assert 'hx-trigger="every 2s"' in page
    DryRun.objects.update(state="failed")
    assert "ended with an error" in text(admin.get(reverse("dry_run", args=[run.pk])))

    def gone(_name):
        raise RedisGone

    monkeypatch.setattr(dry_runs, "queue", gone)
    answer = admin.post(at(draft, "try_draft"), {"days": "7", "read": "1"}, follow=True)
    assert "The queue does not answer" in text(answer)
    assert DryRun.objects.count() == 1


def test_a_result_names_mailboxes_that_could_not_be_read_and_records_by_name(admin, scene, profile):
    pau = Contact.objects.get(last_name="Riera")
    draft = begun(admin, profile)
    now = timezone.now()
    run = DryRun.objects.create(
        draft=draft, revision=7, proposed=draft.proposed, days=3, state="done", asked_by=scene.person("fina"), asked_at=now,
        expires_at=now + timedelta(days=1),
        result={
            "counts": [[scene.box.pk, "contact", "to_crm", "", "", 60], [scene.box.pk, "mail", "add", "no_record", "from_record", 1]],
            "items": [
                [scene.box.pk, "contact", "to_crm", pau.pk, "", "", ["notes", "job_title"]],
                [scene.box.pk, "contact", "to_crm", 10**6, "", "", ["notes"]],
                [scene.box.pk, "mail", "add", ItemDecision.objects.filter(outcome="refused")[0].pk, "no_record", "from_record", []],
            ],
            "read": 2, "not_read": 1, "errors": {str(scene.box.pk): "unreachable", "999999": "unreachable"},
        },
    )  # fmt: skip
    page = text(admin.get(reverse("dry_run", args=[run.pk])))
    assert "Pau Riera" in page
    assert "notes, job title" in page
    assert "not for you to see" in page
    assert "refused: nothing of it is kept" in page
    assert "Tracked, because its sender is a record." in page
    assert "and 58 more" in page
    assert "of an older state of it" in page
    assert f"{scene.box.address} (2)" in page


def test_who_sees_a_profile_and_may_not_manage_it_changes_nothing(client, scene, profile):
    client.force_login(scene.person("dora"))
    change = PolicyChange.objects.create(
        sync_profile=profile,
        before=in_force(profile),
        after=in_force(profile),
        published_by="x",
        published_at=timezone.now(),
    )
    assert "Take back" not in text(client.get(reverse("policy_change", args=[change.pk])))
    assert client.post(reverse("revert_change", args=[change.pk])).status_code == 403
    assert client.post(reverse("begin_draft", args=[profile.pk])).status_code == 403
    assert client.get(reverse("policy_change", args=[change.pk + 9])).status_code == 404


def test_templates_that_an_owners_example_stands_against_are_left_and_said(admin, scene, profile):
    pau = Contact.objects.get(last_name="Riera")
    SyncFilter.objects.create(
        scope="template", sync_profile=profile, kind="contact", name="Mine",
        conditions={"parts": [{"column": "last_name", "operator": "is", "value": "Nobody"}]},
    )  # fmt: skip
    mine = SyncFilter.objects.create(
        scope="owner", mailbox=scene.box, kind="contact", name="Mine", conditions={"parts": []},
        examples=[{"record": pau.pk, "must": True}],
    )  # fmt: skip
    answer = admin.post(reverse("apply_templates", args=[profile.pk]), {"mailbox": [str(scene.box.pk)]}, follow=True)
    assert f"would fail, or is a record that you may not see: {scene.box.address}." in text(answer)
    mine.refresh_from_db()
    assert mine.conditions == {"parts": []}
    assert not PolicyDraft.objects.exists()


@pytest.mark.parametrize("name", ["Riera", "Nobody"])
def test_templates_do_not_ask_an_example_that_their_reader_may_not_see(client, scene, profile, name):
    """Else whether they were applied would tell what the record's fields say, for any condition one likes."""
    manager = make_person("marc", "Marc", "Sala", "security.manage_policy", "security.read_diagnostics")
    pau = Contact.objects.get(last_name="Riera")
    SyncFilter.objects.create(
        scope="template", sync_profile=profile, kind="contact", name="Mine",
        conditions={"parts": [{"column": "last_name", "operator": "is", "value": name}]},
    )  # fmt: skip
    mine = SyncFilter.objects.create(
        scope="owner", mailbox=scene.box, kind="contact", name="Mine", conditions={"parts": []},
        examples=[{"record": pau.pk, "must": True}],
    )  # fmt: skip
    client.force_login(manager)
    answer = client.post(reverse("apply_templates", args=[profile.pk]), {"mailbox": [str(scene.box.pk)]}, follow=True)
    assert f"would fail, or is a record that you may not see: {scene.box.address}." in text(answer)
    mine.refresh_from_db()
    assert mine.conditions == {"parts": []}


@pytest.fixture
def hidden_example(client, scene, profile):
    """A draft's filter with an example that its editor may not see: address, key, form fields, the record's id."""
    pau = Contact.objects.get(last_name="Riera")
    SyncFilter.objects.create(
        scope="system", sync_profile=profile, kind="contact", name="Theirs",
        conditions={"any": False, "parts": [{"column": "last_name", "operator": "is", "value": "Riera"}]},
        examples=[{"record": pau.pk, "must": True}],
    )  # fmt: skip
    client.force_login(make_person("marc", "Marc", "Sala", "security.manage_policy"))
    draft = begun(client, profile)
    return draft, next(iter(draft.proposed["filters"])), f"{pau.pk}:1"


def test_what_is_typed_is_not_asked_of_an_example_that_the_editor_may_not_see(client, hidden_example):
    draft, key, example = hidden_example
    address = at(draft, "draft_filter", key)
    told = "“Pau Riera” must fit, and does not"
    for value in ("Riera", "Nobody", ""):
        page = text(
            client.post(address, form(draft, row("0", "last_name", "is", value), do="refresh", example=example))
        )
        assert (
            'a record you may not see</span> <span class="muted">must fit</span> <span class="badge plain ok">holds'
            in page
        )
        assert "by the conditions as they are stored" in page
        assert told not in page
    assert 'badge plain ok">holds' in text(client.get(address))


def test_changed_conditions_are_saved_without_examples_that_the_editor_may_not_see(client, scene, hidden_example):
    draft, key, example = hidden_example
    address, other = at(draft, "draft_filter", key), row("0", "last_name", "is", "Nobody")
    page = text(client.post(address, form(draft, other, do="save", example=example)))
    assert "Not saved: the conditions are changed, and 1 example is a record that you may not see." in page
    assert 'value="Nobody"' in page
    draft.refresh_from_db()
    assert draft.proposed == draft.base
    # Everything but the conditions can be changed as before.
    same = row("0", "last_name", "is", "Riera")
    assert client.post(address, form(draft, same, do="save", name="Renamed", example=example)).status_code == 302
    draft.refresh_from_db()
    assert draft.proposed["filters"][key]["name"] == "Renamed"
    # Taken out once, it is no example any more, and cannot be put back.
    assert client.post(address, form(draft, other, do="save")).status_code == 302
    draft.refresh_from_db()
    assert client.post(address, form(draft, other, do="save", example=example)).status_code == 302
    draft.refresh_from_db()
    assert draft.proposed["filters"][key]["examples"] == []


def test_who_may_see_the_examples_changes_the_conditions(client, scene, hidden_example):
    draft, key, example = hidden_example
    client.force_login(scene.person("fina"))
    other = row("0", "last_name", "is", "Nobody")
    client.post(at(draft, "draft_filter", key), form(draft, other, do="save", example=example))
    draft.refresh_from_db()
    assert draft.proposed["filters"][key]["conditions"]["parts"][0]["value"] == "Nobody"


def test_examples_change_sides_and_are_forgotten(admin, profile):
    pau = Contact.objects.get(last_name="Riera")
    draft = begun(admin, profile)
    address = at(draft, "draft_filter", "new") + "?scope=system&kind=contact"
    one = row("0", "last_name", "is", "Riera")
    page = text(admin.post(address, form(draft, one, example=f"{pau.pk}:1", do=f"mustnot:{pau.pk}")))
    assert f'value="{pau.pk}:0"' in page
    page = text(admin.post(address, form(draft, one, example=f"{pau.pk}:1", do=f"forget:{pau.pk}")))
    assert 'name="example"' not in page
    page = text(admin.post(address, form(draft, one, do="find", find="nobody of that name")))
    assert "No record that you may see has these words." in page


def test_deleting_a_filter_of_an_outdated_draft_is_told(admin, profile):
    draft = begun(admin, profile)
    address = at(draft, "draft_filter", "new") + "?scope=system&kind=contact"
    admin.post(address, form(draft, row("0", "last_name", "is", "x"), do="save"))
    draft.refresh_from_db()
    key = next(iter(draft.proposed["filters"]))
    answer = admin.post(at(draft, "draft_filter", key), {"revision": 1, "do": "delete"}, follow=True)
    assert "saved this draft meanwhile" in text(answer)
    assert key in PolicyDraft.objects.get().proposed["filters"]
    answer = admin.post(at(draft, "take_over_draft"), {"revision": "x"}, follow=True)
    assert "Somebody saved the draft after you opened this page" in text(answer)


def test_only_its_owner_changes_own_filters(client, scene):
    client.force_login(scene.person("fina"))
    assert client.post(reverse("begin_own_draft", args=[scene.box.pk])).status_code == 403
    client.force_login(scene.person("bruno"))
    assert client.post(reverse("begin_own_draft", args=[scene.box.pk])).status_code == 404


@pytest.mark.parametrize(("do", "more"), [("save", {}), ("find", {"find": "a\x00b"})])
def test_a_nul_that_somebody_sends_is_no_text(admin, profile, do, more):
    draft = begun(admin, profile)
    address = f"{at(draft, 'draft_filter', 'new')}?scope=system&kind=contact"
    answer = admin.post(address, form(draft, row("0", "first_name", "is", "Pa\x00u"), do=do, **more))
    assert answer.status_code in (200, 302)
    if do == "save":
        draft.refresh_from_db()
        (kept,) = [each for each in draft.proposed["filters"].values() if each["name"] == "Theirs"]
        assert kept["conditions"]["parts"][0]["value"] == "Pau"
