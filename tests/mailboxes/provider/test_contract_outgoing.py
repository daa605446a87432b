"""What every adapter must do with mail that is sent (mailboxes/provider/writing.py): one suite for all."""

import pytest

from mailboxes.provider.errors import ChangedMeanwhile, ItemGone, Unavailable, WriteRefused
from mailboxes.provider.port import Address, AttachmentBytes, AttachmentInfo, Content, Envelope, FolderRole
from mailboxes.provider.writing import FoundMessage, OutgoingFile, OutgoingMail
from tests.mailboxes.provider.worlds import ANA, BEN, Provider, World, folder_of

DAN = "dan@third.example"
MAIL = OutgoingMail(
    message_id="<crm-7.1@crm.example>",
    subject="Your offer & <more>",
    to=(Address(BEN, "Ben"),),
    cc=(Address(DAN),),
    bcc=(Address("eva@fourth.example"),),
    text="Good day,\n\nhere it is.",
    in_reply_to="<1@partner.example>",
    references=("<0@partner.example>", "<1@partner.example>"),
)
EVERYBODY = sorted((each, MAIL.subject) for each in (BEN, DAN, "eva@fourth.example"))


@pytest.fixture
def provider(world: World) -> Provider:
    return world.provider()


def sent(provider: Provider, mail: OutgoingMail = MAIL, stamp: str = "mail-7") -> FoundMessage:
    draft = provider.create_message(mail, stamp=stamp)
    provider.send_message(draft.item_id, draft.change_key)
    found = provider.find_message(stamp)
    assert found is not None
    return found


def envelope(provider: Provider, item_id: str) -> Envelope:
    (found,) = provider.envelopes([item_id])
    assert isinstance(found, Envelope)
    return found


def content(provider: Provider, item_id: str) -> Content:
    (found,) = provider.contents([item_id])
    assert isinstance(found, Content)
    return found


def test_a_draft_says_what_is_to_be_sent_and_nothing_leaves(world: World, provider: Provider) -> None:
    draft = provider.create_message(MAIL, stamp="mail-7")
    assert (draft.sent, draft.message_id) == (False, MAIL.message_id)
    found = envelope(provider, draft.item_id)
    assert (found.is_draft, found.stamp, found.change_key) == (True, "mail-7", draft.change_key)
    assert (found.subject, found.message_id) == (MAIL.subject, MAIL.message_id)
    assert (found.in_reply_to, found.references) == (MAIL.in_reply_to, MAIL.references)
    for people, wanted in ((found.to, MAIL.to), (found.cc, MAIL.cc), (found.bcc, MAIL.bcc)):
        assert [each.email for each in people] == [each.email for each in wanted]
    drafts = provider.changes(folder_of(provider, FolderRole.DRAFTS), None, 10).changes
    assert [each.item_id for each in drafts] == [draft.item_id]
    assert world.arrived() == []


def test_a_draft_is_sent_once_to_everybody_and_its_copy_is_found(world: World, provider: Provider) -> None:
    draft = provider.create_message(MAIL, stamp="mail-7")
    assert provider.find_message("mail-7") == draft
    provider.send_message(draft.item_id, draft.change_key)
    assert world.arrived() == EVERYBODY
    found = provider.find_message("mail-7")
    assert found is not None
    assert (found.sent, found.message_id) == (True, MAIL.message_id)
    copy = envelope(provider, found.item_id)
    assert (copy.is_draft, copy.stamp, copy.change_key) == (False, "mail-7", found.change_key)
    assert [each.email for each in copy.bcc] == ["eva@fourth.example"]
    folder = folder_of(provider, FolderRole.SENT)
    assert [each.item_id for each in provider.changes(folder, None, 10).changes] == [found.item_id]
    assert isinstance(provider.envelopes([draft.item_id])[0], ItemGone)
    with pytest.raises(ItemGone):
        provider.send_message(draft.item_id, draft.change_key)
    assert world.arrived() == EVERYBODY


def test_what_was_never_made_is_not_found(provider: Provider) -> None:
    provider.create_message(MAIL, stamp="mail-7")
    assert provider.find_message("mail") is None
    assert provider.find_message("mail-8") is None


def test_every_draft_of_a_stamp_is_found_and_nothing_that_was_sent(world: World, provider: Provider) -> None:
    sent(provider)
    left = [provider.create_message(MAIL, stamp="mail-7").item_id for _each in range(2)]
    provider.create_message(MAIL, stamp="mail-8")
    found = provider.find_drafts("mail-7")
    assert sorted(each.item_id for each in found) == sorted(left)
    assert not any(each.touched for each in found)
    assert provider.find_drafts("mail") == []


def test_html_is_sent_as_it_is_and_text_as_text(provider: Provider) -> None:
    rich = OutgoingMail("<2@crm.example>", "Rich", MAIL.to, html="<p>Grüße &amp; <b>more</b></p>", text="not this")
    assert "<b>more</b>" in content(provider, sent(provider, rich, "rich").item_id).html
    plain = content(provider, sent(provider).item_id)
    assert (plain.html, plain.text.strip().replace("\r\n", "\n")) == ("", MAIL.text)


def test_files_and_importance_go_along(provider: Provider) -> None:
    files = (
        OutgoingFile("offer & plan.pdf", b"%PDF" + bytes(range(256)) * 20, "application/pdf"),
        OutgoingFile("logo.png", b"\x89PNG", "image/png", inline=True, content_id="logo@crm"),
    )
    mail = OutgoingMail(
        "<3@crm.example>", "Files", MAIL.to, html="<img src='cid:logo@crm'>", attachments=files, importance="High"
    )
    found = content(provider, sent(provider, mail).item_id)
    assert found.importance == "High"
    assert [(each.name, each.content_type, each.inline, each.content_id) for each in found.attachments] == [
        (each.name, each.content_type, each.inline, each.content_id) for each in files
    ]
    infos: tuple[AttachmentInfo, ...] = found.attachments
    assert [each.data for each in provider.attachments(infos) if isinstance(each, AttachmentBytes)] == [
        each.data for each in files
    ]


def test_a_draft_that_somebody_changed_is_not_sent(world: World, provider: Provider) -> None:
    draft = provider.create_message(MAIL, stamp="mail-7")
    world.touch(draft.item_id)
    with pytest.raises(ChangedMeanwhile):
        provider.send_message(draft.item_id, draft.change_key)
    assert world.arrived() == []
    found = provider.find_message("mail-7")
    assert found is not None
    assert (found.item_id, found.sent) == (draft.item_id, False)
    assert found.change_key != draft.change_key


@pytest.mark.parametrize("to", [(), (Address("nobody"),)], ids=["none", "no address"])
def test_recipients_that_are_none_are_refused_by_name(
    world: World, provider: Provider, to: tuple[Address, ...]
) -> None:
    draft = provider.create_message(OutgoingMail("<4@crm.example>", "Whom?", to), stamp="mail-7")
    with pytest.raises(WriteRefused) as caught:
        provider.send_message(draft.item_id, draft.change_key)
    assert caught.value.code == "recipients_refused"
    found = provider.find_message("mail-7")
    assert found is not None
    assert not found.sent
    assert world.arrived() == []


def test_nobody_is_sent_for_without_the_right(world: World, provider: Provider) -> None:
    mail = OutgoingMail("<5@crm.example>", "In another name", MAIL.to, sender=Address("boss@elsewhere.example"))
    draft = provider.create_message(mail, stamp="mail-7")
    with pytest.raises(WriteRefused) as caught:
        provider.send_message(draft.item_id, draft.change_key)
    assert caught.value.code == "send_as_denied"
    assert world.arrived() == []


def test_the_sender_may_be_the_mailbox_itself(world: World, provider: Provider) -> None:
    mail = OutgoingMail("<6@crm.example>", "Mine", (Address(BEN),), sender=Address(ANA, "Ana"))
    found = envelope(provider, sent(provider, mail).item_id)
    assert found.sender is not None
    assert found.sender.email == ANA
    assert world.arrived() == [(BEN, "Mine")]


def test_a_sent_copy_in_deleted_items_is_still_found(world: World, provider: Provider) -> None:
    first = sent(provider)
    moved = world.move(first.item_id, "deleted")
    found = provider.find_message("mail-7")
    assert found is not None
    assert (found.item_id, found.sent) == (moved, True)


def test_a_deleted_draft_is_found_and_was_not_sent(world: World, provider: Provider) -> None:
    draft = provider.create_message(MAIL, stamp="mail-7")
    moved = world.move(draft.item_id, "deleted")
    found = provider.find_message("mail-7")
    assert found is not None
    assert (found.item_id, found.sent) == (moved, False)


def test_of_a_draft_and_a_sent_copy_the_copy_counts(provider: Provider) -> None:
    copy = sent(provider)
    provider.create_message(MAIL, stamp="mail-7")
    assert provider.find_message("mail-7") == copy


def delivered(provider: Provider, stamp: str, known: set[str]) -> None:
    """Do what the engine does after any failure: look for the message first, make it only if it never was made."""
    found = provider.find_message(stamp)
    if found is None:
        assert not known
        found = provider.create_message(MAIL, stamp=stamp)
    known.add(found.item_id)
    if not found.sent:
        provider.send_message(found.item_id, found.change_key)


@pytest.mark.parametrize("after", [False, True], ids=["before the request", "after the server did it"])
@pytest.mark.parametrize("nth", [1, 2, 3])
def test_whatever_breaks_exactly_one_mail_leaves(world: World, provider: Provider, nth: int, *, after: bool) -> None:
    known: set[str] = set()
    world.break_request(provider, nth, after=after)
    with pytest.raises(Unavailable):
        delivered(provider, "mail-7", known)
    for _ in range(2):
        delivered(provider, "mail-7", known)
    assert world.arrived() == EVERYBODY
    assert provider.changes(folder_of(provider, FolderRole.DRAFTS), None, 10).changes == ()
    assert len(provider.changes(folder_of(provider, FolderRole.SENT), None, 10).changes) == 1
