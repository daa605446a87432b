"""What every adapter of the port must do (mailboxes/provider/port.py): one suite, every mail system."""

from datetime import UTC, datetime, timedelta, timezone

import pytest

from mailboxes.provider.errors import CursorExpired, FolderGone, ItemGone, ItemUnreadable
from mailboxes.provider.port import (
    Address,
    AttachmentBytes,
    AttachmentInfo,
    AttachmentKind,
    ChangeKind,
    Content,
    Envelope,
    FolderRole,
    Listing,
)
from tests.mailboxes.provider.worlds import ANA, Letter, Provider, World, folder_of


@pytest.fixture
def provider(world: World) -> Provider:
    return world.provider()


@pytest.fixture
def inbox(provider: Provider) -> str:
    return folder_of(provider, FolderRole.INBOX)


def all_changes(
    provider: Provider, folder: str, cursor: str | None = None, limit: int = 100
) -> tuple[list[tuple[ChangeKind, str]], str]:
    """Read page by page to the end; return what was told and the last cursor."""
    told: list[tuple[ChangeKind, str]] = []
    while True:
        page = provider.changes(folder, cursor, limit)
        assert len(page.changes) <= limit
        assert page.cursor
        told += [(change.kind, change.item_id) for change in page.changes]
        cursor = page.cursor
        if not page.more:
            return told, cursor


def one_envelope(provider: Provider, item_id: str) -> Envelope:
    (found,) = provider.envelopes([item_id])
    assert isinstance(found, Envelope)
    return found


def one_content(provider: Provider, item_id: str) -> Content:
    (found,) = provider.contents([item_id])
    assert isinstance(found, Content)
    return found


# -- folders ----------------------------------------------------------------------------------------------------------


def test_folders_are_found_by_role_in_one_request(provider: Provider) -> None:
    roles = [info.role for info in provider.well_known_folders()]
    assert provider.requests == 1
    assert {FolderRole.INBOX, FolderRole.SENT, FolderRole.DRAFTS, FolderRole.DELETED, FolderRole.JUNK} <= set(roles)
    assert FolderRole.OTHER not in roles
    assert len(roles) == len(set(roles))


def test_every_folder_is_listed_with_role_parent_and_total(world: World, provider: Provider, inbox: str) -> None:
    clients = world.add_folder("Clients")
    world.deliver(Letter(), clients)
    found = {info.id: info for info in provider.folders()}
    assert found[inbox].role is FolderRole.INBOX
    assert found[inbox].parent_id is None
    assert (found[clients].name, found[clients].role, found[clients].parent_id) == ("Clients", FolderRole.OTHER, inbox)
    assert found[clients].total == 1


# -- counters ---------------------------------------------------------------------------------------------------------


def test_counters_of_many_folders_cost_one_request_and_stay_while_nothing_changes(provider: Provider) -> None:
    ids = [info.id for info in provider.well_known_folders()]
    before = provider.requests
    first = provider.counters(ids)
    assert provider.requests == before + 1
    assert set(first) == set(ids)
    assert all(first.values())
    assert provider.counters(ids) == first


@pytest.mark.parametrize("what", ["deliver", "touch", "set_read", "remove", "move"])
def test_counters_move_with_every_change(world: World, provider: Provider, inbox: str, what: str) -> None:
    item = world.deliver(Letter())
    before = provider.counters([inbox])
    match what:
        case "deliver":
            world.deliver(Letter())
        case "touch":
            world.touch(item)
        case "set_read":
            world.set_read(item)
        case "remove":
            world.remove(item)
        case "move":
            world.move(item, "sent")
    assert provider.counters([inbox]) != before


def test_counters_leave_out_a_folder_that_is_gone(world: World, provider: Provider, inbox: str) -> None:
    gone = world.add_folder("Old")
    world.remove_folder(gone)
    assert set(provider.counters([inbox, gone])) == {inbox}


def test_counters_of_nothing_are_nothing(provider: Provider) -> None:
    assert provider.counters([]) == {}


def test_server_without_counters_says_none(world: World, provider: Provider, inbox: str) -> None:
    world.without_counters()
    assert provider.counters([inbox]) == {inbox: None}


# -- changes ----------------------------------------------------------------------------------------------------------


def test_from_the_beginning_everything_is_told_once_page_by_page(world: World, provider: Provider, inbox: str) -> None:
    items = {world.deliver(Letter(subject=f"Number {n}")) for n in range(7)}
    told, _cursor = all_changes(provider, inbox, limit=3)
    assert sorted(told) == sorted((ChangeKind.CREATED, item) for item in items)


def test_after_the_cursor_only_what_is_new_is_told(world: World, provider: Provider, inbox: str) -> None:
    world.deliver(Letter())
    _told, cursor = all_changes(provider, inbox)
    assert all_changes(provider, inbox, cursor)[0] == []
    later = world.deliver(Letter())
    assert all_changes(provider, inbox, cursor)[0] == [(ChangeKind.CREATED, later)]
    assert all_changes(provider, inbox, cursor)[0] == [(ChangeKind.CREATED, later)], "a cursor can be used again"


def test_changes_name_their_kind(world: World, provider: Provider, inbox: str) -> None:
    touched, read, removed = (world.deliver(Letter()) for _ in range(3))
    _told, cursor = all_changes(provider, inbox)
    world.touch(touched)
    world.set_read(read)
    world.remove(removed)
    assert sorted(all_changes(provider, inbox, cursor)[0]) == sorted(
        [(ChangeKind.UPDATED, touched), (ChangeKind.READ_FLAG, read), (ChangeKind.REMOVED, removed)]
    )


def test_a_move_is_a_removal_and_a_creation_with_the_same_search_key(
    world: World, provider: Provider, inbox: str
) -> None:
    sent = folder_of(provider, FolderRole.SENT)
    item = world.deliver(Letter())
    key = one_envelope(provider, item).search_key
    _told, from_inbox = all_changes(provider, inbox)
    moved = world.move(item, "sent")
    assert moved != item
    assert all_changes(provider, inbox, from_inbox)[0] == [(ChangeKind.REMOVED, item)]
    assert all_changes(provider, sent)[0] == [(ChangeKind.CREATED, moved)]
    assert key
    assert one_envelope(provider, moved).search_key == key


def test_the_change_key_is_the_item_s_and_differs_after_a_change(world: World, provider: Provider, inbox: str) -> None:
    item = world.deliver(Letter())
    (change,) = provider.changes(inbox, None, 10).changes
    assert change.change_key == one_envelope(provider, item).change_key == one_content(provider, item).change_key
    world.touch(item)
    assert one_envelope(provider, item).change_key != change.change_key


@pytest.mark.parametrize("cursor", ["nonsense", "1/999999", "AAAA", "🙂 <&>"])
def test_a_cursor_that_the_server_does_not_know_has_expired(provider: Provider, inbox: str, cursor: str) -> None:
    with pytest.raises(CursorExpired):
        provider.changes(inbox, cursor, 10)


def test_a_folder_that_is_gone_says_so(world: World, provider: Provider) -> None:
    gone = world.add_folder("Old")
    world.remove_folder(gone)
    with pytest.raises(FolderGone):
        provider.changes(gone, None, 10)


# -- envelopes --------------------------------------------------------------------------------------------------------


def test_an_envelope_holds_what_the_decision_needs(world: World, provider: Provider) -> None:
    letter = Letter(
        subject="Re: Preus — 価格",
        to=(Address(ANA, "Ana"), Address("Carla@Partner.example", "Carla")),
        cc=(Address("dan@third.example", ""),),
        message_id="<2@partner.example>",
        in_reply_to="<1@example.com>",
        references=("<0@example.com>", "<1@example.com>"),
        auto_submitted="Auto-Replied",
    )
    found = one_envelope(provider, world.deliver(letter))
    assert found.sender == letter.sender
    assert found.to == letter.to, "addresses stay as they are written"
    assert [each.email for each in found.cc] == ["dan@third.example"]
    assert found.subject == letter.subject
    assert found.message_id == letter.message_id
    assert found.in_reply_to == letter.in_reply_to
    assert found.references == letter.references
    assert found.auto_submitted.startswith("auto-replied") or found.auto_submitted == "Auto-Replied"
    assert found.received_at == letter.received
    assert found.received_at is not None
    assert found.received_at.utcoffset() is not None
    assert found.item_class.startswith("IPM.Note")
    assert (found.sensitivity, found.is_draft, found.stamp) == ("Normal", False, "")


def test_envelopes_come_in_the_order_asked_for_with_errors_in_place(world: World, provider: Provider) -> None:
    first, gone, last = (world.deliver(Letter(subject=name)) for name in ("first", "gone", "last"))
    world.remove(gone)
    found = provider.envelopes([last, gone, first])
    assert [each.subject if isinstance(each, Envelope) else type(each) for each in found] == ["last", ItemGone, "first"]
    assert provider.envelopes([]) == []


def test_an_id_that_is_none_costs_only_itself(world: World, provider: Provider) -> None:
    item = world.deliver(Letter())
    good, bad = provider.envelopes([item, "no such id"])
    assert isinstance(good, Envelope)
    assert isinstance(bad, ItemUnreadable)


def test_many_items_are_read_in_few_requests(world: World, provider: Provider) -> None:
    items = [world.deliver(Letter(subject=str(n))) for n in range(130)]
    before = provider.requests
    found = provider.envelopes(items)
    assert [each.subject for each in found if isinstance(each, Envelope)] == [str(n) for n in range(130)]
    assert provider.requests - before <= 2


def test_text_that_cannot_be_stored_is_left_out(world: World, provider: Provider) -> None:
    (found,) = provider.envelopes([world.deliver(Letter(subject="a\x01b"))])
    assert isinstance(found, Envelope)
    assert "\x01" not in found.subject
    assert found.subject.startswith("a")


# -- contents and attachments -----------------------------------------------------------------------------------------


def test_a_plain_body_is_text_and_an_html_body_is_html(world: World, provider: Provider) -> None:
    plain, rich = world.deliver(Letter(text="Grüße\n")), world.deliver(Letter(html="<p>Grüße <b>!</b></p>"))
    assert one_content(provider, plain).text.strip() == "Grüße"
    assert one_content(provider, plain).html == ""
    assert "<b>!</b>" in one_content(provider, rich).html
    assert one_content(provider, rich).text == ""


def test_attachments_are_listed_then_read(world: World, provider: Provider) -> None:
    files = (
        ("offer.pdf", b"%PDF" + bytes(range(256)) * 40, "application/pdf"),
        ("empty.bin", b"", "application/octet-stream"),
    )
    content = one_content(provider, world.deliver(Letter(files=files)))
    assert [(each.name, each.content_type, each.kind) for each in content.attachments] == [
        (name, kind, AttachmentKind.FILE) for name, _data, kind in files
    ]
    before = provider.requests
    found = provider.attachments(list(reversed(content.attachments)))
    assert provider.requests == before + 1
    assert [each.data for each in found if isinstance(each, AttachmentBytes)] == [
        data for _n, data, _k in reversed(files)
    ]
    assert [each.id for each in found if isinstance(each, AttachmentBytes)] == [
        each.id for each in reversed(content.attachments)
    ]
    assert content.size > 0
    assert content.sent_at is not None


def test_an_attachment_that_is_gone_is_an_error_in_its_place(world: World, provider: Provider) -> None:
    item = world.deliver(Letter(files=(("a.txt", b"a", "text/plain"),)))
    (info,) = one_content(provider, item).attachments
    world.remove(item)
    (found,) = provider.attachments([info])
    assert isinstance(found, ItemUnreadable)


def test_a_link_has_no_bytes(provider: Provider) -> None:
    before = provider.requests
    (found,) = provider.attachments([AttachmentInfo("somewhere", "plan.docx", kind=AttachmentKind.REFERENCE)])
    assert isinstance(found, ItemUnreadable)
    assert provider.requests - before <= 1


def test_contents_come_with_errors_in_place(world: World, provider: Provider) -> None:
    here, gone = world.deliver(Letter(text="here")), world.deliver(Letter())
    world.remove(gone)
    first, second = provider.contents([gone, here])
    assert isinstance(first, ItemGone)
    assert isinstance(second, Content)


# -- drafts -----------------------------------------------------------------------------------------------------------


def test_a_draft_is_made_changed_and_ended(provider: Provider) -> None:
    drafts = folder_of(provider, FolderRole.DRAFTS)
    item = provider.create_draft("crmsync: a test")
    made = one_envelope(provider, item)
    assert (made.subject, made.is_draft, made.to) == ("crmsync: a test", True, ())
    changed = provider.touch_draft(item)
    assert one_envelope(provider, changed).change_key != made.change_key
    provider.delete_draft(changed)
    assert isinstance(provider.envelopes([changed])[0], ItemGone)
    assert all_changes(provider, drafts)[0] == []


def test_a_draft_that_is_gone_cannot_be_changed(provider: Provider) -> None:
    item = provider.create_draft("crmsync: a test")
    provider.delete_draft(item)
    with pytest.raises(ItemGone):
        provider.delete_draft(item)
    with pytest.raises(ItemGone):
        provider.touch_draft(item)


# -- what lies where --------------------------------------------------------------------------------------------------


def test_a_listing_names_what_lies_in_a_folder_part_by_part_oldest_first(
    world: World, provider: Provider, inbox: str
) -> None:
    hours = [9, 7, 11, 8, 10]
    items = {
        hour: world.deliver(
            Letter(message_id=f"<{hour}@partner.example>", received=datetime(2026, 3, 2, hour, tzinfo=UTC))
        )
        for hour in hours
    }
    world.remove(items.pop(11))
    seen: list[str] = []
    offset: int | None = 0
    parts = 0
    while offset is not None:
        part = provider.listing(inbox, offset, 3)
        seen += [each.item_id for each in part.changes]
        offset = part.offset
        parts += 1
    assert (parts, seen) == (2, [items[hour] for hour in sorted(items)])


def test_a_listing_of_a_range_names_what_was_received_from_its_first_moment_to_before_its_last(
    world: World, provider: Provider, inbox: str
) -> None:
    items = {
        hour: world.deliver(
            Letter(message_id=f"<{hour}@partner.example>", received=datetime(2026, 3, 2, hour, tzinfo=UTC))
        )
        for hour in (9, 7, 11, 8, 10)
    }

    def listed(since: int | None, until: int | None, offset: int = 0, limit: int = 10) -> list[str]:
        bounds = {
            name: None if hour is None else datetime(2026, 3, 2, hour, tzinfo=UTC)
            for name, hour in (("since", since), ("until", until))
        }
        part = provider.listing(inbox, offset, limit, **bounds)
        assert (part.offset is None) == (len(part.changes) < limit)
        return [each.item_id for each in part.changes]

    assert listed(8, 10) == [items[8], items[9]]
    assert listed(10, None) == [items[10], items[11]]
    assert listed(None, 8) == [items[7]]
    assert listed(12, None) == []
    assert listed(8, 12, limit=3) + listed(8, 12, 3, limit=3) == [items[hour] for hour in (8, 9, 10, 11)]
    # Other zones name the same moments.
    east = timezone(timedelta(hours=5))
    since = datetime(2026, 3, 2, 15, tzinfo=east)
    assert [each.item_id for each in provider.listing(inbox, 0, 10, since=since).changes] == [items[10], items[11]]


def test_a_listing_tells_the_ids_and_change_keys_that_changes_tell(
    world: World, provider: Provider, inbox: str
) -> None:
    world.deliver(Letter())
    assert provider.listing(inbox, 0, 10).changes == provider.changes(inbox, None, 10).changes


def test_a_listing_of_an_empty_folder_is_empty_and_that_of_a_folder_that_is_gone_fails(
    world: World, provider: Provider
) -> None:
    folder = world.add_folder("Clients")
    assert provider.listing(folder, 0, 10) == Listing((), None)
    world.remove_folder(folder)
    with pytest.raises(FolderGone):
        provider.listing(folder, 0, 10)


def test_a_message_is_found_by_its_message_id_in_the_folders_named(
    world: World, provider: Provider, inbox: str
) -> None:
    clients, gone = world.add_folder("Clients"), world.add_folder("Gone")
    here = world.deliver(Letter(message_id="<a&b@partner.example>"))
    there = world.deliver(Letter(message_id="<a&b@partner.example>"), clients)
    world.deliver(Letter(message_id="<other@partner.example>"))
    world.remove_folder(gone)
    found = provider.find("<a&b@partner.example>", [inbox, gone, clients])
    assert found == [(inbox, here), (clients, there)]
    assert provider.find("<a&b@partner.example>", [clients]) == [(clients, there)]
    assert provider.find("<never@partner.example>", [inbox, clients]) == []
    assert provider.find("<a&b@partner.example>", []) == []
