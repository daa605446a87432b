"""The page of what is kept in step: the channel, the brake, conflicts with both values, what stayed where it was."""

import html
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.messages import get_messages
from django.test import Client

from mailboxes.models import Mailbox
from tests import scene as scenes
from tracking.linked import pages as linked_pages
from tracking.linked import settle
from tracking.models import Contact, FieldConflict, ItemLink, LinkState, SyncFilter


@pytest.fixture
def scene(organisation: scenes.Scene, db: None, client: Client) -> scenes.Scene:
    scene = organisation.copy()
    client.force_login(scene.person("anna"))
    return scene


def shown(client: Client, scene: scenes.Scene) -> str:
    answer = client.get(f"/mailboxes/{scene.box.pk}/in-step/")
    assert answer.status_code == 200
    return html.unescape(answer.content.decode())


def said(answer: Any) -> list[str]:
    return [str(message) for message in get_messages(answer.wsgi_request)]


def test_the_owner_sees_both_values_and_what_was_held_back_and_why(client: Client, scene: scenes.Scene) -> None:
    page = shown(client, scene)
    assert "+34 600 111 111" in page
    assert "+34 600 222 222" in page
    assert "mobile phone" in page
    assert "it is too long for the record, and nothing is cut short" in page
    assert "Call 3" in page
    assert "delete from the mailbox" in page


def test_who_sees_the_mailbox_but_not_the_record_sees_no_value_and_no_name(client: Client, scene: scenes.Scene) -> None:
    client.force_login(scene.person("dora"))
    page = shown(client, scene)
    assert "+34 600" not in page
    assert "Call 3" not in page
    assert "a record you may not see" in page


def hidden(scene: scenes.Scene, count: int) -> None:
    """Make conflicts, values held back and entries not written, all newer, about contacts that anna may not see."""
    conflict = FieldConflict.objects.get(link__mailbox=scene.box)
    later = conflict.found_at + timedelta(hours=1)
    contacts = Contact.objects.bulk_create(
        Contact(owner=scene.person("cleo"), last_name=f"Hidden {number}") for number in range(count)
    )
    links = ItemLink.objects.bulk_create(
        ItemLink(
            mailbox=scene.box, kind="contact", record_id=contact.pk, stamp=f"{number:032x}", item_id=f"hidden-{number}",
            born_in="crm", folder=conflict.link.folder, linked_at=later, synced_at=later,
            withheld={"mobile_phone": "too_long", "*": "write_refused"},
        )
        for number, contact in enumerate(contacts)
    )  # fmt: skip
    FieldConflict.objects.bulk_create(
        FieldConflict(
            link=link, run=conflict.run, field="mobile_phone", base=None, ours="+1", theirs="+2", ours_at=later,
            theirs_at=later, winner="crm", found_at=later,
        )
        for link in links
    )  # fmt: skip


def test_what_one_may_see_is_shown_however_much_one_may_not_came_later(
    client: Client, scene: scenes.Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    for shown_at_most in ("CONFLICTS_SHOWN", "HELD_BACK_SHOWN", "NOT_WRITTEN_SHOWN"):
        monkeypatch.setattr(linked_pages, shown_at_most, 3)
    contact = ItemLink.objects.get(pk=FieldConflict.objects.get().link_id)
    contact.withheld = {"job_title": "too_long", "*": "write_refused"}
    contact.save()
    hidden(scene, 12)
    person, mailbox = scene.person("anna"), scene.box
    assert not person.has_perm("security.read_all_records")
    assert [row.conflict.link_id for row in linked_pages.conflicts(person, mailbox)] == [contact.pk]
    assert str(Contact.objects.get(pk=contact.record_id)) in {
        row.name for row in linked_pages.held_back(person, mailbox)
    }
    assert len(linked_pages.not_written(person, mailbox)) == 1
    page = shown(client, scene)
    assert "+34 600 111 111" in page
    assert "Hidden" not in page


def test_the_other_value_of_a_conflict_can_be_had_back_once(client: Client, scene: scenes.Scene) -> None:
    conflict = FieldConflict.objects.get(link__mailbox=scene.box)
    address = f"/mailboxes/{scene.box.pk}/in-step/conflicts/{conflict.pk}/"
    answer = client.post(address)
    assert said(answer) == ["The other value stands again. The next run brings it to the mailbox."]
    assert Contact.objects.get(pk=conflict.link.record_id).mobile_phone == "+34 600 111 111"
    assert "taken back by anna" in shown(client, scene)
    assert "Nothing was changed" in said(client.post(address))[-1]


def test_who_may_not_change_the_record_gets_nothing_back(client: Client, scene: scenes.Scene) -> None:
    conflict = FieldConflict.objects.get(link__mailbox=scene.box)
    client.force_login(scene.person("dora"))
    answer = client.post(f"/mailboxes/{scene.box.pk}/in-step/conflicts/{conflict.pk}/")
    assert "Nothing was changed" in said(answer)[0]
    assert FieldConflict.objects.get().undone_at is None


def test_a_brake_is_released_by_name_and_everything_is_looked_at_again(client: Client, scene: scenes.Scene) -> None:
    state = LinkState.objects.get(mailbox=scene.box, kind="task")
    address = f"/mailboxes/{scene.box.pk}/in-step/brakes/{state.pk}/"
    assert "the list has changed since you looked at it" in said(client.post(address, {"seen": "another list"}))[-1]
    state.refresh_from_db()
    assert state.released_at is None
    seen = settle.listed(state)
    assert f'name="seen" value="{seen}"' in shown(client, scene)
    client.post(address, {"seen": seen})
    state.refresh_from_db()
    assert state.released_by == "anna"
    assert Mailbox.objects.get(pk=scene.box.pk).full_pass_at is None
    LinkState.objects.update(braked_at=None, brake=[])
    assert said(client.post(address, {"seen": seen}))[-1] == "The brake does not hold any more."


def test_s15_an_administrator_switches_the_channels(client: Client, scene: scenes.Scene) -> None:
    client.force_login(scene.person("fina"))
    addresses = {name: f"/mailboxes/{scene.box.pk}/channels/{name}/" for name in ("incoming", "outgoing", "entries")}
    for on in (False, True):
        for name, address in addresses.items():
            answer = client.post(address, {"on": "1" if on else "0"})
            assert ("switched on" if on else "switched off") in said(answer)[-1]
            assert getattr(Mailbox.objects.get(pk=scene.box.pk), name) is on
        page = shown(client, scene)
        assert ("Nothing is sent. Mail that is written waits." in page) is not on
        assert ("No mail is read, and nothing is asked about it." in page) is not on
    assert SyncFilter.objects.filter(mailbox=scene.box).count() == 3
    assert ItemLink.objects.filter(mailbox=scene.box, unlinked_at=None).count() == 7
    assert client.post(f"/mailboxes/{scene.box.pk}/channels/secret/", {"on": "1"}).status_code == 404


def test_s15_nobody_else_switches_a_channel(client: Client, scene: scenes.Scene) -> None:
    for username in ("anna", "dora"):
        client.force_login(scene.person(username))
        assert client.post(f"/mailboxes/{scene.box.pk}/channels/outgoing/", {"on": "1"}).status_code == 403
    assert Mailbox.objects.get(pk=scene.box.pk).outgoing is False
    assert "Switch on" not in shown(client, scene)
