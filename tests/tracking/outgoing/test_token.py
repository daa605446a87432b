"""What a mail carries so that answers find it: a token in header and Message-ID, in the subject only where wanted."""

import pytest
from django.conf import settings

from mailboxes.models import SyncProfile
from mailboxes.provider.port import Envelope, FolderRole
from tests.tracking.outgoing.post import Post, assert_one
from tracking.models import OutgoingMail
from tracking.sync import token
from tracking.sync.token import Kind, Named


def sent(post: Post) -> Envelope:
    """Return the envelope of the copy in Sent Items, as the mail server tells it."""
    provider = post.provider()
    folder = next(each for each in provider.folders() if each.role is FolderRole.SENT)
    (change,) = provider.changes(folder.id, None, 10).changes
    (envelope,) = provider.envelopes([change.item_id])
    assert isinstance(envelope, Envelope)
    return envelope


def names(post: Post, mail: OutgoingMail) -> Named:
    return Named(Kind.OUTGOING, mail.pk)


def test_a_mail_carries_its_token_in_header_and_message_id_and_keeps_its_subject(post: Post) -> None:
    SyncProfile.objects.update(token=True)
    mail = post.write("Offer")
    post.settle(1)
    assert_one(post, mail)
    envelope = sent(post)
    assert token.read(envelope.token, settings.TOKEN_KEY) == names(post, mail)
    assert token.in_message_id(envelope.message_id) == envelope.token
    assert envelope.subject == "Offer"


def test_its_subject_shows_the_token_where_that_is_wanted_and_its_thread_does_not(post: Post) -> None:
    SyncProfile.objects.update(token=True, token_in_subject=True)
    mail = post.write("Re: Offer [crm:aaaaaaaaaaaaaaaaaaaaaaaa]")
    post.settle(1)
    mail.refresh_from_db()
    envelope = sent(post)
    assert envelope.subject == f"Re: Offer [crm:{envelope.token}]", "that of earlier mail is replaced"
    assert mail.activity is not None
    assert mail.activity.thread.subject == "Offer"


@pytest.mark.parametrize("post", ["memory"], indirect=True)
def test_switched_off_a_mail_carries_nothing(post: Post) -> None:
    post.write("Offer")
    post.settle(1)
    envelope = sent(post)
    assert envelope.token == ""
    assert token.in_message_id(envelope.message_id) == ""


@pytest.mark.parametrize("post", ["memory"], indirect=True)
def test_switched_while_it_waits_its_header_says_what_its_message_id_does(post: Post) -> None:
    first = post.write("First")
    SyncProfile.objects.update(token=True)
    post.settle(1)
    first.refresh_from_db()
    assert sent(post).token == token.in_message_id(first.message_id) == ""


@pytest.mark.parametrize("post", ["memory"], indirect=True)
def test_a_long_subject_makes_room_for_the_token(post: Post) -> None:
    SyncProfile.objects.update(token=True, token_in_subject=True)
    post.write("x" * 255)
    post.settle(1)
    envelope = sent(post)
    assert envelope.subject == "x" * 224 + f" [crm:{envelope.token}]"
    assert len(envelope.subject) == 255
