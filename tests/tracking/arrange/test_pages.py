"""Pages where people settle addresses and arrange threads: what they show, what they change, what they say to wrong input."""

import html
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import Permission
from django.test import Client

from mailboxes.claims import AlreadyRunning
from mailboxes.models import Mailbox, Run
from mailboxes.report import RunReport
from security.models import User
from tests import scene as scenes
from tests.tracking.mail.test_pages import (
    first,
    page,
    scene,  # noqa: F401 -- a fixture
    thread,
)
from tests.tracking.office import Office
from tracking.arrange import splits
from tracking.engine import foreground
from tracking.engine.faults import LeaseGone
from tracking.models import (
    Account,
    Activity,
    AddressChoice,
    Contact,
    IgnoredDomain,
    ItemDecision,
    Lead,
    Opportunity,
    Participant,
    Thread,
    ThreadCut,
    ThreadStop,
    TrackingEvent,
    UnknownSender,
)

SHARED = "info@shared.example"


def post(client: Client, at: str, /, **fields: Any) -> str:
    """Post and return the page that follows."""
    answer = client.post(at, fields, follow=True)
    assert answer.status_code == 200, (at, answer.status_code)
    return html.unescape(answer.content.decode())


def shared(scene: scenes.Scene) -> list[Participant]:  # noqa: F811 -- the fixture by its name
    return list(Participant.objects.filter(email=SHARED, activity__owner=scene.person("anna")).order_by("pk"))


@pytest.fixture(autouse=True)
def _here(scene: scenes.Scene) -> None:  # noqa: F811
    """Every test is of the scene, signed in as Anna."""


# -- several records


def test_complaint_18_the_candidates_of_an_address_stand_side_by_side(client: Client) -> None:
    shown = page(client, "/addresses/")
    assert SHARED in shown
    for text in ("Bombes Empordà", "Marta Gil", "None of them", "Remember it for this address"):
        assert text in shown
    assert page(client, "/addresses/waiting/").count("3") == 1


def test_settling_for_good_resolves_all_and_is_listed_to_be_taken_back(client: Client, scene: scenes.Scene) -> None:  # noqa: F811
    lead = Lead.objects.get(name="Marta Gil")
    shown = post(client, "/addresses/settle/", address=SHARED, record=f"lead-{lead.pk}", scope="address")
    assert "remembered" in shown
    assert {(p.record_kind, p.record_id, p.ambiguous) for p in shared(scene)} == {("lead", lead.pk, False)}
    assert "Marta Gil" in page(client, "/addresses/remembered/?q=info")
    choice = AddressChoice.objects.get(address=SHARED)
    assert "are looked at anew" in post(client, f"/addresses/remembered/{choice.pk}/undo/")
    assert all(p.ambiguous for p in shared(scene))
    assert "Nothing fits" in page(client, "/addresses/remembered/?q=info")


def test_settling_for_a_thread_names_it_by_one_of_its_messages(client: Client, scene: scenes.Scene) -> None:  # noqa: F811
    account = Account.objects.get(name="Bombes Empordà")
    post(
        client,
        "/addresses/settle/",
        address=SHARED,
        record=f"account-{account.pk}",
        scope="thread",
        message=first(scene).pk,
    )
    settled = {p.activity.thread_id for p in shared(scene) if not p.ambiguous}
    assert settled == {thread(scene).pk}
    assert "Bombes Empordà (account)" in page(client, f"/threads/{thread(scene).pk}/")


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"record": "none"},
        {"record": "none", "scope": "everything"},
        {"record": "contact-x", "scope": "address"},
        {"record": "planet-1", "scope": "address"},
        {"record": "contact-999999", "scope": "address"},
        {"record": "\x00", "scope": "address"},
        {"record": "none", "scope": "message", "message": "x"},
        {"record": f"contact-{'9' * 40}", "scope": "address"},
    ],
)
def test_wrong_input_settles_nothing_and_says_so(client: Client, scene: scenes.Scene, fields: dict[str, str]) -> None:  # noqa: F811
    assert "Nothing was changed" in post(client, "/addresses/settle/", address=SHARED, **fields)
    assert all(p.ambiguous for p in shared(scene))


def test_a_record_without_the_address_cannot_be_chosen(client: Client, scene: scenes.Scene) -> None:  # noqa: F811
    pau = Contact.objects.get(last_name="Riera")
    shown = post(client, "/addresses/settle/", address=SHARED, record=f"contact-{pau.pk}", scope="address")
    assert "none of those that have the address" in shown
    assert all(p.ambiguous for p in shared(scene))


def test_settled_by_somebody_else_meanwhile_one_is_told(client: Client, scene: scenes.Scene) -> None:  # noqa: F811
    fields = {"address": SHARED, "record": "none", "scope": "address"}
    post(client, "/addresses/settle/", **fields)
    assert "somebody has settled it in the meantime" in post(client, "/addresses/settle/", **fields)
    assert client.post("/addresses/settle/", {**fields, "owner": "999999"}).status_code == 404


def test_who_looks_after_all_mailboxes_sees_numbers_and_no_address(client: Client, scene: scenes.Scene) -> None:  # noqa: F811
    client.force_login(scene.person("dora"))
    shown = page(client, "/addresses/")
    assert "Anna Puig" in shown
    assert SHARED not in shown
    assert "Every address is clear" in shown
    client.force_login(scene.person("cleo"))
    shown = page(client, "/addresses/")
    assert "Anna Puig" not in shown
    assert "by-owner" not in shown


def test_who_arranges_others_mail_settles_for_its_owner(client: Client, scene: scenes.Scene) -> None:  # noqa: F811
    client.force_login(scene.person("fina"))
    assert "in the mail of Anna Puig" in page(client, "/addresses/")
    anna = scene.person("anna")
    post(client, "/addresses/settle/", address=SHARED, record="none", scope="address", owner=anna.pk)
    assert AddressChoice.objects.get(address=SHARED).owner == anna


# -- unknown senders


def jordi() -> UnknownSender:
    return UnknownSender.objects.get(name="Jordi Vila")


def test_complaint_22_unknown_senders_are_listed_with_this_weeks_count(client: Client, scene: scenes.Scene) -> None:  # noqa: F811
    shown = page(client, "/addresses/unknown/")
    assert "someone0@new.example" in shown
    assert "2 unknown senders this week" in shown
    assert "someone1@new.example" not in page(client, "/addresses/unknown/?q=jordi")
    assert "No sender fits" in page(client, "/addresses/unknown/?q=nobody+here")
    client.force_login(scene.person("bruno"))
    assert "Nobody unknown waits" in page(client, "/addresses/unknown/")


def test_chosen_senders_become_contacts_leads_or_are_ignored(client: Client, scene: scenes.Scene) -> None:  # noqa: F811
    carme = UnknownSender.objects.get(name="Carme Sol")
    shown = post(client, "/addresses/unknown/settle/", sender=[jordi().pk], what="contact")
    assert "1 sender was accepted." in shown
    assert Contact.objects.get(email1="someone0@new.example").owner == scene.person("anna")
    assert "1 sender was left alone" in post(client, "/addresses/unknown/settle/", sender=[jordi().pk], what="contact")
    shown = post(client, "/addresses/unknown/settle/", sender=[carme.pk], what="ignore_domain")
    assert "1 sender is ignored from now on" in shown
    ignored = page(client, "/addresses/unknown/?state=ignored")
    assert "new.example" in ignored
    assert "someone1@new.example" in ignored
    assert "someone0@new.example" in page(client, "/addresses/unknown/?state=accepted")
    assert "listed again" in post(client, "/addresses/unknown/settle/", sender=[carme.pk], what="again")
    assert "0 senders are listed again" in post(client, "/addresses/unknown/settle/", sender=[carme.pk], what="again")
    for domain in IgnoredDomain.objects.all():
        assert "is listed from now on" in post(client, f"/addresses/domains/{domain.pk}/listen/")
    assert not IgnoredDomain.objects.exists()


@pytest.mark.parametrize(
    ("fields", "text"),
    [({}, "choose at least one sender"), ({"sender": ["x", "-1", "9" * 30]}, "choose at least one sender")],
)
def test_without_a_sender_nothing_is_settled(client: Client, fields: dict[str, Any], text: str) -> None:
    assert text in post(client, "/addresses/unknown/settle/", what="contact", **fields)
    assert "choose what is to become of them" in post(
        client, "/addresses/unknown/settle/", sender=[jordi().pk], what="x"
    )


def test_others_may_not_settle_what_they_may_read(client: Client, scene: scenes.Scene) -> None:  # noqa: F811
    client.force_login(scene.person("emil"))
    assert "someone0@new.example" in page(client, "/addresses/unknown/")
    assert client.post("/addresses/unknown/settle/", {"sender": [jordi().pk], "what": "ignore"}).status_code == 403
    client.force_login(scene.person("bruno"))
    assert "choose at least one" in post(client, "/addresses/unknown/settle/", sender=[jordi().pk], what="ignore")
    assert jordi().state == "open"


def test_a_sender_is_linked_to_a_record_that_is_found(client: Client) -> None:
    at = f"/addresses/unknown/{jordi().pk}/link/"
    assert 'value="Jordi Vila"' in page(client, at)
    assert "No record that you may see fits" in page(client, f"{at}?q=nobody")
    assert "Search for a record" in page(client, f"{at}?q=")
    pau = Contact.objects.get(last_name="Riera")
    assert f"contact-{pau.pk}" in page(client, f"{at}?q=pau+bombes")
    for wrong in ("", "contact-0", "opportunity-1", "none"):
        assert "choose one of the records" in post(client, f"{at}now/", record=wrong)
    assert "The address was added" in post(client, f"{at}now/", record=f"contact-{pau.pk}")
    pau.refresh_from_db()
    assert pau.email2 == "someone0@new.example"
    assert "somebody has settled it" in post(client, f"{at}now/", record=f"contact-{pau.pk}")


def test_a_record_with_three_addresses_takes_no_fourth(client: Client) -> None:
    Contact.objects.filter(last_name="Riera").update(email2="a@x.example", email3="b@x.example")
    pau = Contact.objects.get(last_name="Riera")
    shown = post(client, f"/addresses/unknown/{jordi().pk}/link/now/", record=f"contact-{pau.pk}")
    assert "three addresses already" in shown
    assert jordi().state == "open"


def test_the_list_of_senders_can_be_taken_along(client: Client) -> None:
    answer = client.get("/addresses/unknown/export/?q=carme")
    lines = b"".join(answer).decode("utf-8-sig").splitlines()
    assert len(lines) == 2
    assert lines[1].startswith("someone1@new.example,Carme Sol,2,")


def test_a_sender_who_is_on_record_by_now_is_marked(client: Client, scene: scenes.Scene) -> None:  # noqa: F811
    Lead.objects.create(name="Jordi of New", email1="Someone0@new.example", owner=scene.person("anna"))
    assert "on record by now" in page(client, "/addresses/unknown/")


# -- regarding


def test_a_message_and_a_thread_are_about_what_a_person_says(client: Client, scene: scenes.Scene) -> None:  # noqa: F811
    at, message = f"/threads/{thread(scene).pk}/regarding/", first(scene)
    pau = Contact.objects.get(last_name="Riera")
    assert "12 pumps for Figueres" in page(client, f"{at}?message={message.pk}&q=pau")
    shown = post(client, f"{at}set/", record=f"contact-{pau.pk}", message=message.pk, scope="message", why="he asked")
    assert "by hand" in shown
    assert "he asked" in shown
    message.refresh_from_db()
    assert (message.regarding_kind, message.regarding_id, message.regarding_by) == ("contact", pau.pk, "manual")
    assert thread(scene).activities.filter(regarding_by="manual").count() == 1
    post(client, f"{at}set/", record="none")
    assert set(thread(scene).activities.values_list("regarding_kind", "regarding_by")) == {("", "manual")}
    event = TrackingEvent.objects.filter(what="regarding").latest("pk")
    assert (event.facts["messages"], event.by) == (3, "anna")
    deal = Opportunity.objects.get()
    assert ["contact", pau.pk, "manual"] in event.facts["before"]
    assert ["opportunity", deal.pk, ""] in event.facts["before"]


@pytest.mark.parametrize("record", ["", "x", "contact-999999", "contact-", "none-1"])
def test_a_record_that_was_not_chosen_changes_nothing(client: Client, scene: scenes.Scene, record: str) -> None:  # noqa: F811
    at = f"/threads/{thread(scene).pk}/regarding/"
    assert "Nothing was changed" in post(client, f"{at}set/", record=record, message=first(scene).pk, scope="message")
    assert not Activity.objects.filter(regarding_by="manual").exists()


def test_a_record_that_one_may_not_see_is_neither_found_nor_set_nor_named(client: Client, scene: scenes.Scene) -> None:  # noqa: F811
    hidden = Lead.objects.create(name="Secret Lead", email1="s@x.example", owner=scene.person("bruno"))
    at = f"/threads/{thread(scene).pk}/regarding/"
    assert "Secret Lead" not in page(client, f"{at}?q=secret")
    assert "Nothing was changed" in post(client, f"{at}set/", record=f"lead-{hidden.pk}")
    client.force_login(scene.person("fina"))
    post(client, f"{at}set/", record=f"lead-{hidden.pk}")
    client.force_login(scene.person("anna"))
    shown = page(client, f"/threads/{thread(scene).pk}/")
    assert "Secret Lead" not in shown
    assert "a lead that you may not see" in shown


# -- split, join


def test_from_a_message_on_a_thread_is_split_and_joined_again(client: Client, scene: scenes.Scene) -> None:  # noqa: F811
    ThreadCut.objects.all().delete()
    old = thread(scene)
    second, third = old.activities.order_by("received_at")[1:]
    shown = page(client, f"/threads/{old.pk}/split/?first={second.pk}")
    assert shown.count("checked") == 2
    shown = post(client, f"/threads/{old.pk}/split/now/", message=[second.pk, third.pk], why="about the valves")
    new = Thread.objects.latest("pk")
    assert "Split. This is the new thread" in shown
    assert "Join again" in shown
    assert "split off 2 messages" in shown
    assert "about the valves" in shown
    assert set(new.activities.all()) == {second, third}
    assert "are one thread again" in post(client, f"/threads/{new.pk}/join/", other=old.pk)
    assert old.activities.count() == 3
    assert "joined two threads again" in page(client, f"/threads/{old.pk}/")


def test_a_split_needs_messages_a_reason_and_something_that_stays(client: Client, scene: scenes.Scene) -> None:  # noqa: F811
    old = thread(scene)
    at, ids = f"/threads/{old.pk}/split/now/", list(old.activities.values_list("pk", flat=True))
    for fields, text in (
        ({"why": "kept words"}, "Choose at least one message"),
        ({"message": ["x"], "why": "kept words"}, "Choose at least one message"),
        ({"message": ids[:1], "why": " \x00 "}, "Say in a few words why"),
        ({"message": ids, "why": "kept words"}, "at least one message must stay"),
    ):
        answer = client.post(at, fields)
        assert answer.status_code == 400
        assert text in answer.content.decode()
        if fields["why"].strip("\x00 "):
            assert 'value="kept words"' in answer.content.decode()
    assert old.activities.count() == 3


def test_only_who_holds_all_that_moves_may_split_it(client: Client, scene: scenes.Scene) -> None:  # noqa: F811
    old, box = thread(scene), scene.boxes["bruno"]
    theirs = scenes.add_message(scene, old, box, 0, None)
    mine = first(scene)
    shown = page(client, f"/threads/{old.pk}/split/")
    assert f'value="{theirs.pk}"' not in shown
    client.force_login(scene.person("bruno"))
    assert f'value="{mine.pk}"' not in page(client, f"/threads/{old.pk}/split/")
    answer = client.post(f"/threads/{old.pk}/split/now/", {"message": [mine.pk], "why": "w"})
    assert answer.status_code == 400
    client.force_login(scene.person("anna"))
    post(client, f"/threads/{old.pk}/split/now/", message=[mine.pk, theirs.pk], why="mine alone")
    theirs.refresh_from_db()
    assert theirs.thread == old


def test_joining_what_was_not_split_or_is_not_seen_does_nothing(client: Client, scene: scenes.Scene) -> None:  # noqa: F811
    at = f"/threads/{thread(scene).pk}/join/"
    unrelated = Thread.objects.get(subject="Re: noise of pump P-40")
    assert "Nothing was joined" in post(client, at, other=unrelated.pk)
    assert scene.hidden
    for other in ("", "x", scene.hidden.pk):
        assert client.post(at, {"other": other}).status_code == 404


# -- stop


def stopped() -> ThreadStop:
    return ThreadStop.objects.get()


def test_a_thread_is_stopped_from_ones_own_mailbox_and_taken_up_again(client: Client, scene: scenes.Scene) -> None:  # noqa: F811
    at = f"/threads/{thread(scene).pk}"
    shown = page(client, f"{at}/stop/")
    assert scene.box.address in shown
    assert "every mailbox of the organisation" not in shown
    shown = post(client, f"{at}/stop/now/", scope=scene.box.pk, why="it is settled")
    assert "Stopped from" in shown
    assert "it is settled" in shown
    assert "was stopped already" in post(client, f"{at}/stop/now/", scope=scene.box.pk)
    stop = ThreadStop.objects.get(thread=thread(scene))
    assert "Taken up again" in post(client, f"{at}/resume/", stop=stop.pk)
    assert "taken up again already" in post(client, f"{at}/resume/", stop=stop.pk)
    assert "stopped the thread" in page(client, at + "/")


def test_for_the_organisation_only_with_the_privilege(client: Client, scene: scenes.Scene) -> None:  # noqa: F811
    at = f"/threads/{thread(scene).pk}"
    assert client.post(f"{at}/stop/now/", {"scope": "all"}).status_code == 403
    answer = client.post(f"{at}/stop/now/", {"scope": str(scene.boxes["bruno"].pk), "why": "kept words"})
    assert answer.status_code == 400
    assert 'value="kept words"' in answer.content.decode()
    client.force_login(scene.person("fina"))
    assert "Stopped from every mailbox" in post(client, f"{at}/stop/now/", scope="all")
    client.force_login(scene.person("anna"))
    shown = page(client, at + "/")
    assert "Stopped from every mailbox" in shown
    assert "Take up again" not in shown
    assert client.post(f"{at}/resume/", {"stop": ThreadStop.objects.get(mailbox=None).pk}).status_code == 403


def test_what_was_refused_meanwhile_is_counted_and_read_again(
    client: Client,
    scene: scenes.Scene,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    stop = stopped()
    at = f"/threads/{stop.thread_id}"
    folder = scene.box.folders.order_by("pk")[0]
    for n in range(2):
        ItemDecision.objects.create(
            mailbox=scene.box, folder=folder, item_id=f"stopped-{n}", outcome="refused", reason="thread_stopped",
            facts={"stop": stop.pk}, decided_at=scene.now,
        )  # fmt: skip
    assert "2 messages were refused because of it" in page(client, at + "/")
    assert "2 messages were refused meanwhile" in post(client, f"{at}/resume/", stop=stop.pk)
    assert "Read them again" in page(client, at + "/")
    asked: list[str] = []

    def beside(mailbox: Any, work: Any, **_more: Any) -> tuple[Run, RunReport]:
        asked.append(mailbox.address)
        return Run(), answers.pop(0)

    answers = [RunReport(tracked=2), RunReport(error=LeaseGone())]
    monkeypatch.setattr(foreground, "beside", beside)
    assert "2 messages are tracked now" in post(client, f"{at}/evaluate/", stop=stop.pk)
    assert "could not be read just now" in post(client, f"{at}/evaluate/", stop=stop.pk)
    assert asked == [scene.box.address] * 2

    def busy(_mailbox: Any, _work: Any, **_more: Any) -> None:
        raise AlreadyRunning(Run(mailbox=scene.box))

    monkeypatch.setattr(foreground, "beside", busy)
    assert "Try again in a minute" in post(client, f"{at}/evaluate/", stop=stop.pk)


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"intent": "off"}, "is not switched on, so nothing is read of it"),
        ({"intent": "paused"}, "is not switched on, so nothing is read of it"),
        ({"incoming": False}, "is not switched on, so nothing is read of it"),
        ({"state": "sign_in_failed", "issue_code": "sign_in_refused"}, "was not read. "),
    ],
)
def test_what_no_run_would_read_is_not_read_again_by_a_press_either(
    client: Client,
    scene: scenes.Scene,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
    changed: dict[str, Any],
    said: str,
) -> None:
    stop = stopped()
    ItemDecision.objects.create(
        mailbox=scene.box, folder=scene.box.folders.order_by("pk")[0], item_id="stopped", outcome="refused",
        reason="thread_stopped", facts={"stop": stop.pk}, decided_at=scene.now,
    )  # fmt: skip
    Mailbox.objects.filter(pk=scene.box.pk).update(**changed)
    asked: list[str] = []
    monkeypatch.setattr(
        foreground, "beside", lambda mailbox, *_work, **_more: (Run(), asked.append(mailbox.address) or RunReport())
    )
    shown = post(client, f"/threads/{stop.thread_id}/evaluate/", stop=stop.pk)
    assert scene.box.address in shown
    assert said in shown
    assert asked == []


def test_events_name_no_blind_copy_to_those_who_may_not_know_it(client: Client, scene: scenes.Scene) -> None:  # noqa: F811
    TrackingEvent.objects.create(
        at=scene.now, by="fina", what="resolved", thread_id=thread(scene).pk, activity_id=first(scene).pk,
        facts={"address": "quiet@x.example", "kind": "", "id": None},
    )  # fmt: skip
    assert "quiet@x.example" not in page(client, f"/threads/{thread(scene).pk}/")
    client.force_login(scene.person("emil"))
    assert "quiet@x.example" in page(client, f"/threads/{thread(scene).pk}/")


# -- what one may not see, and may not change


def test_a_thread_is_called_by_what_one_may_read_of_it(client: Client, tmp_path: Any, settings: Any) -> None:
    settings.BLOB_ROOT = tmp_path
    office = Office()
    ona, nil = office.mailbox("ona"), office.mailbox("nil")
    subjects = ("Lunch", "A dismissal", "More lunch")
    for number, (box, subject) in enumerate(zip((ona, nil, ona), subjects, strict=True)):
        office.server.deliver(
            box.address, message_id=f"<s{number}@c>", references=["<s0@c>"] if number else [], subject=subject,
            sender="kim@customer.example", to=[box.address], received_at=office.now + timedelta(minutes=number),
        )  # fmt: skip
        office.sync(box)
    found = {each.subject: each for each in Activity.objects.filter(subject__in=subjects).select_related("thread")}
    old = found["Lunch"].thread
    new = splits.split(old, [found[each].pk for each in subjects[1:]], by="x", why="two subjects", now=office.now)
    User.objects.filter(username="ona").update(is_superuser=False)
    client.force_login(User.objects.get(username="ona"))
    assert new.subject == "A dismissal"
    assert "More lunch" in page(client, f"/threads/{old.pk}/")
    for at in (old.pk, new.pk):
        for name in ("", "split/", "stop/", "regarding/"):
            assert "dismissal" not in page(client, f"/threads/{at}/{name}")
    assert "More lunch" in page(client, f"/threads/{new.pk}/stop/")


def test_an_address_is_added_to_no_record_of_others(client: Client, scene: scenes.Scene) -> None:  # noqa: F811
    anna = scene.person("anna")
    anna.user_permissions.add(Permission.objects.get(codename="read_all_records"))
    theirs = Contact.objects.create(first_name="Pau", last_name="Of Bruno", owner=scene.person("bruno"))
    at = f"/addresses/unknown/{jordi().pk}/link/"
    assert "Of Bruno" not in page(client, f"{at}?q=pau")
    assert "choose one of the records" in post(client, f"{at}now/", record=f"contact-{theirs.pk}")
    theirs.refresh_from_db()
    assert theirs.email1 == ""


def test_who_settles_for_another_links_to_what_that_one_may_see(client: Client, scene: scenes.Scene) -> None:  # noqa: F811
    fina = scene.person("fina")
    client.force_login(fina)
    hers = Contact.objects.create(last_name="Of Fina", owner=fina)
    nobodys = Contact.objects.create(last_name="Of nobody")
    for record in (hers, nobodys):
        shown = post(client, f"/addresses/unknown/{jordi().pk}/link/now/", record=f"contact-{record.pk}")
        assert "choose one of the records" in shown
    assert not Participant.objects.filter(record_kind="contact", record_id__in=[hers.pk, nobodys.pk]).exists()
    pau = Contact.objects.get(last_name="Riera")
    shown = post(client, f"/addresses/unknown/{jordi().pk}/link/now/", record=f"contact-{pau.pk}")
    assert "The address was added" in shown
