"""Three postal addresses and three e-mail addresses of a contact: which flow, both ways, and nothing lost by choosing."""

import importlib

import pytest
from django.apps import apps

from mailboxes.models import Mailbox, SyncProfile
from mailboxes.provider.entries import EntryKind, Field, FullName, PostalAddress
from tests.mailboxes.provider.conftest import sandbox  # noqa: F401 -- a fixture by its name
from tests.mailboxes.provider.worlds import EwsWorld, MemoryWorld
from tests.tracking.linked.places import Place
from tracking.linked import links
from tracking.models import Contact, FieldConflict, FieldDirection
from tracking.sync.directions import Direction

pytestmark = pytest.mark.django_db
POSTAL = {name: Field(name) for name in ("business_address", "home_address", "other_address")}
HERE = {name: {"street": f"{name} here", "city": "Lleida"} for name in POSTAL}
THERE = {field: PostalAddress(street=f"{name} there", city="Girona") for name, field in POSTAL.items()}
CHOSEN = {
    "business": {"business_address"},
    "home": {"home_address"},
    "other": {"other_address"},
    "all": set(POSTAL),
}


@pytest.fixture(params=["memory", "ews"])
def place(request):
    world = MemoryWorld() if request.param == "memory" else EwsWorld(request.getfixturevalue("sandbox"))
    return Place(world, EntryKind.CONTACT)


def there(place):
    """Return the streets of the entry, those that it has."""
    values = place.entry().values
    return {name: values[field].street for name, field in POSTAL.items() if values[field] is not None}


def here():
    """Return the streets of the record, those that it has."""
    contact = Contact.objects.get()
    return {name: getattr(contact, name)["street"] for name in POSTAL if getattr(contact, name)}


@pytest.mark.parametrize("choice", CHOSEN)
def test_a_record_brings_the_addresses_that_are_chosen(place, choice):
    place.set_profile(contact_addresses=choice)
    place.record(last_name="Puig", **HERE)
    place.sync()
    assert there(place) == {name: f"{name} here" for name in CHOSEN[choice]}


@pytest.mark.parametrize("choice", CHOSEN)
def test_an_entry_brings_the_addresses_that_are_chosen(place, choice):
    place.set_profile(contact_addresses=choice)
    place.put({Field.NAME: FullName("", "", "Puig"), **THERE})
    place.sync()
    assert here() == {name: f"{name} there" for name in CHOSEN[choice]}
    # What was not taken is still there.
    assert set(there(place)) == set(POSTAL)


@pytest.mark.parametrize("choice", CHOSEN)
def test_changes_flow_both_ways_in_what_is_chosen_and_in_nothing_else(place, choice):
    place.set_profile(contact_addresses="all")
    place.record(last_name="Puig", **HERE)
    place.sync()
    place.set_profile(contact_addresses=choice)
    place.sync()
    assert (set(here()), set(there(place))) == (set(POSTAL), set(POSTAL))
    place.change(THERE)
    place.sync()
    assert here() == {name: f"{name} {'there' if name in CHOSEN[choice] else 'here'}" for name in POSTAL}
    contact = Contact.objects.get()
    for name in POSTAL:
        setattr(contact, name, {"street": f"{name} again"})
    contact.save()
    place.sync()
    assert there(place) == {name: f"{name} {'again' if name in CHOSEN[choice] else 'there'}" for name in POSTAL}
    assert not FieldConflict.objects.exists()


def test_choosing_more_fills_each_side_from_the_other(place):
    contact = place.record(last_name="Puig", home_address=HERE["home_address"])
    place.sync()
    place.change({Field.OTHER_ADDRESS: THERE[Field.OTHER_ADDRESS]})
    place.sync()
    assert there(place) == {"other_address": "other_address there"}
    place.set_profile(contact_addresses="all")
    place.sync()
    assert there(place) == {"other_address": "other_address there", "home_address": "home_address here"}
    contact.refresh_from_db()
    assert (contact.home_address, contact.other_address["street"]) == (HERE["home_address"], "other_address there")
    settled = place.sync()
    assert (settled.written, settled.taken, settled.conflicts) == (0, 0, 0)


@pytest.mark.parametrize("choice", ["business", "other"])
def test_choosing_less_takes_no_address_away_nor_does_choosing_more_again(place, choice):
    place.set_profile(contact_addresses="all")
    place.record(last_name="Puig", **HERE)
    place.sync()
    place.set_profile(contact_addresses=choice)
    place.sync()
    # While it does not flow, one of them is taken away: on the other side it is still wanted.
    place.change({Field.HOME_ADDRESS: None})
    place.sync()
    assert (set(here()), "home_address" in there(place)) == (set(POSTAL), False)
    place.set_profile(contact_addresses="all")
    place.sync()
    assert (set(here()), set(there(place))) == (set(POSTAL), set(POSTAL))
    assert there(place)["home_address"] == "home_address here"


def test_two_addresses_that_differ_when_they_are_chosen_are_both_kept(place):
    place.record(last_name="Puig", home_address=HERE["home_address"])
    place.sync()
    place.change({Field.HOME_ADDRESS: THERE[Field.HOME_ADDRESS]})
    place.set_profile(contact_addresses="all")
    place.sync()
    conflict = FieldConflict.objects.get()
    kept = [each["street"] for each in (conflict.ours, conflict.theirs) if each]
    assert (conflict.field, kept) == ("home_address", ["home_address here", "home_address there"])
    assert here() == there(place)


def test_three_mail_addresses_flow_both_ways_by_their_directions(place):
    place.record(last_name="Puig", email1="1@x.example", email2="2@x.example", email3="3@x.example")
    FieldDirection.objects.create(
        sync_profile=place.profile, kind="contact", field="email3", direction=Direction.TO_EXCHANGE
    )
    place.sync()
    names = [Field.EMAIL1, Field.EMAIL2, Field.EMAIL3]
    assert [place.entry().values[name] for name in names] == ["1@x.example", "2@x.example", "3@x.example"]
    place.change({Field.EMAIL1: None, Field.EMAIL2: "two@x.example", Field.EMAIL3: "three@x.example"})
    place.sync()
    contact = Contact.objects.get()
    assert (contact.email1, contact.email2, contact.email3) == ("", "two@x.example", "3@x.example")


def test_what_flowed_by_its_direction_before_there_was_a_choice_goes_on_flowing():
    quiet = SyncProfile.objects.create(name="quiet")
    opened = SyncProfile.objects.create(name="opened")
    FieldDirection.objects.create(sync_profile=opened, kind="contact", field="home_address", direction="both")
    migration = importlib.import_module("tracking.migrations.0019_contact_addresses")
    migration.take_over(apps, None)
    assert [SyncProfile.objects.get(pk=each.pk).contact_addresses for each in (quiet, opened)] == ["business", "all"]
    opened.refresh_from_db()
    ways = links.directions_of(Mailbox(sync_profile=opened), EntryKind.CONTACT)
    assert (ways[Field.BUSINESS_ADDRESS], ways[Field.HOME_ADDRESS], ways[Field.OTHER_ADDRESS]) == (
        Direction.BOTH, Direction.BOTH, Direction.NONE,
    )  # fmt: skip
    assert FieldDirection.objects.get().field == "other_address"
