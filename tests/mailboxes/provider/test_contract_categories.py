"""What every adapter must do with categories (mailboxes/provider/categories.py): one suite for all."""

from datetime import UTC, datetime, timedelta

import pytest

from mailboxes.provider.categories import Category, standing
from mailboxes.provider.errors import ChangedMeanwhile, FolderGone, ItemGone
from mailboxes.provider.port import ChangeKind, Envelope, FolderRole
from tests.mailboxes.provider.worlds import Letter, Provider, World, folder_of

TRACKED = Category("", "Tracked in CRM")
NOT = Category("", "Cannot be tracked & <co>")


@pytest.fixture
def provider(world: World) -> Provider:
    return world.provider()


def ensured(provider: Provider, *wanted: Category) -> list[Category]:
    found = provider.ensure_categories(wanted)
    assert found is not None
    return found


def envelope(provider: Provider, item_id: str) -> Envelope:
    (found,) = provider.envelopes([item_id])
    assert isinstance(found, Envelope)
    return found


def test_a_new_mailbox_has_a_list_with_nothing_of_ours(provider: Provider) -> None:
    assert provider.categories() == []


def test_what_is_missing_is_added_once_with_an_id_of_its_own(provider: Provider) -> None:
    first, second = ensured(provider, TRACKED, NOT)
    assert (first.name, second.name) == (TRACKED.name, NOT.name)
    assert first.id
    assert second.id
    assert first.id != second.id
    assert provider.categories() == [first, second]
    assert ensured(provider, TRACKED, NOT) == [first, second]
    assert ensured(provider, Category("", "TRACKED in crm")) == [first]


def test_the_id_stays_when_its_owner_renames_it(world: World, provider: Provider) -> None:
    first, second = ensured(provider, TRACKED, NOT)
    world.rename_category(TRACKED.name, "Customers")
    assert provider.categories() == [Category(first.id, "Customers"), second]
    assert ensured(provider, first) == [Category(first.id, "Customers")]


def test_what_its_owner_deleted_is_made_again_under_its_id(world: World, provider: Provider) -> None:
    first, second = ensured(provider, TRACKED, NOT)
    world.rename_category(TRACKED.name, "")
    assert provider.categories() == [second]
    assert ensured(provider, first, second) == [first, second]
    assert provider.categories() == [second, first]


def test_a_server_without_a_list_says_so(world: World, provider: Provider) -> None:
    world.without_categories()
    assert provider.categories() is None
    assert provider.ensure_categories([TRACKED]) is None


def test_looking_costs_one_request_and_so_does_what_is_there(provider: Provider) -> None:
    ensured(provider, TRACKED)
    before = provider.requests
    provider.categories()
    assert provider.requests == before + 1
    ensured(provider, TRACKED)
    assert provider.requests == before + 2


def test_a_message_gets_its_categories_and_nothing_else_changes(world: World, provider: Provider) -> None:
    item = world.deliver(Letter())
    before = envelope(provider, item)
    new_key = provider.categorize(item, before.change_key, ["Red", NOT.name])
    after = envelope(provider, item)
    assert (after.categories, after.change_key) == (("Red", NOT.name), new_key)
    assert new_key != before.change_key
    assert (after.subject, after.sender, after.message_id) == (before.subject, before.sender, before.message_id)
    provider.categorize(item, new_key, [])
    assert envelope(provider, item).categories == ()
    assert world.notices() == 0
    assert world.arrived() == []


def test_a_category_is_told_of_as_a_change_with_the_key_that_the_write_gave(world: World, provider: Provider) -> None:
    item, inbox = world.deliver(Letter()), folder_of(provider, FolderRole.INBOX)
    cursor = provider.changes(inbox, None, 10).cursor
    new_key = provider.categorize(item, envelope(provider, item).change_key, ["Red"])
    (change,) = provider.changes(inbox, cursor, 10).changes
    assert (change.kind, change.item_id, change.change_key) == (ChangeKind.UPDATED, item, new_key)


def test_a_message_that_changed_meanwhile_is_left_alone(world: World, provider: Provider) -> None:
    item = world.deliver(Letter())
    before = envelope(provider, item)
    world.touch(item)
    with pytest.raises(ChangedMeanwhile):
        provider.categorize(item, before.change_key, [NOT.name])
    assert NOT.name not in envelope(provider, item).categories


def test_a_message_that_is_gone_says_so(world: World, provider: Provider) -> None:
    item = world.deliver(Letter())
    key = envelope(provider, item).change_key
    world.remove(item)
    with pytest.raises(ItemGone):
        provider.categorize(item, key, ["Red"])


def test_a_folder_is_counted_from_a_time_on_in_one_request(world: World, provider: Provider) -> None:
    clients = world.add_folder("Clients")
    assert provider.count(clients, None) == 0
    noon = datetime(2026, 3, 2, 12, tzinfo=UTC)
    for hours in (-1, 0, 1):
        world.deliver(Letter(message_id=f"<{hours}@x.example>", received=noon + timedelta(hours=hours)), clients)
    before = provider.requests
    assert provider.count(clients, None) == 3
    assert provider.requests == before + 1
    assert provider.count(clients, noon) == 2
    assert provider.count(clients, noon + timedelta(days=1)) == 0


def test_a_folder_that_is_gone_cannot_be_counted(world: World, provider: Provider) -> None:
    clients = world.add_folder("Clients")
    world.remove_folder(clients)
    with pytest.raises(FolderGone):
        provider.count(clients, None)


def test_an_id_counts_before_a_name() -> None:
    listed = [Category("1", "B"), Category("2", "A")]
    assert standing(Category("1", "A"), listed) == listed[0]
    assert standing(Category("9", "a"), listed) == listed[1]
    assert standing(Category("9", "c"), listed) is None
