"""Drafts that the mail server made late, after a request that nobody waited for any more: none is sent, and none stays."""

from dataclasses import dataclass
from datetime import timedelta

import pytest

from mailboxes.models import Mailbox
from mailboxes.provider.errors import Throttled, Unavailable
from mailboxes.provider.port import Address
from mailboxes.provider.writing import OutgoingMail as Message
from tests.tracking.outgoing.post import ANNA, BEN, Death, EwsPost, Killed, MemoryPost, Post, assert_one
from tracking.models import OutgoingMail
from tracking.outgoing import decisions, strays


@dataclass
class At(Death):
    """Strikes at one request."""

    where: str = ""

    def edge(self, name: str) -> None:
        if name == self.where:
            self.struck = name
            raise Killed(name)


def cut_off_before_making(post: Post) -> OutgoingMail:
    """Have a mail whose draft was asked for, and not made; the worker is gone."""
    post.settle(1)
    mail = post.write()
    assert post.run(At(where="before create_message")) is None
    mail.refresh_from_db()
    assert (mail.make_asked_at is not None, mail.item_id, post.drafts()) == (True, "", [])
    return mail


def made_late(post: Post, mail: OutgoingMail) -> None:
    """Have the mail server do what it was asked for."""
    post.provider().create_message(Message(mail.message_id, mail.subject, to=(Address(BEN),)), stamp=mail.stamp)


def test_one_that_is_there_at_the_next_attempt_is_the_one_that_is_sent(post: Post) -> None:
    mail = cut_off_before_making(post)
    made_late(post, mail)
    post.settle(2)
    assert_one(post, mail)
    assert post.drafts() == []
    assert mail.stray_at is None, "none was asked for beside it"


def test_one_that_turns_up_after_another_was_sent_is_deleted(post: Post) -> None:
    mail = cut_off_before_making(post)
    post.settle(2)
    assert_one(post, mail)
    made_late(post, mail)
    assert post.drafts() == [mail.subject]
    post.now += strays.FIRST_LOOK
    post.settle(1)
    assert post.drafts() == []
    assert_one(post, mail)


def test_one_that_turns_up_beside_ours_does_not_keep_ours_from_leaving(post: Post) -> None:
    mail = cut_off_before_making(post)
    assert post.run(At(where="before send_message")) is None
    mail.refresh_from_db()
    assert mail.item_id
    assert post.drafts() == [mail.subject]
    assert post.arrived() == []
    made_late(post, mail)
    post.settle(2)
    assert_one_left(post, mail)
    post.now += strays.FIRST_LOOK
    post.settle(1)
    assert_one(post, mail)
    assert post.drafts() == []


def assert_one_left(post: Post, mail: OutgoingMail) -> None:
    mail.refresh_from_db()
    assert (mail.state, post.arrived().count(mail.subject), len(post.drafts())) == ("sent", 1, 1)


def test_of_a_mail_that_was_given_up_none_stays_either(post: Post) -> None:
    mail = cut_off_before_making(post)
    decisions.discard(mail, by=post.author, now=post.now)
    post.settle(1)
    made_late(post, mail)
    post.now += strays.FIRST_LOOK
    post.settle(1)
    assert (post.drafts(), post.arrived()) == ([], [])
    mail.refresh_from_db()
    assert mail.state == "discarded"


def test_one_that_somebody_has_changed_is_left_to_them(post: Post) -> None:
    mail = cut_off_before_making(post)
    post.settle(2)
    made_late(post, mail)
    if isinstance(post, MemoryPost):
        (item_id,) = post.server.item_ids(ANNA, "drafts")
        post.server.touch(item_id, categories=("Mine",))
    elif isinstance(post, EwsPost):
        (item,) = post.store.folder(ANNA, "drafts").items.values()
        item.created -= 3600
    post.now += strays.FIRST_LOOK
    post.settle(1)
    assert post.drafts() == [mail.subject]


def test_it_is_looked_for_at_growing_distance_and_then_never_again(memory: MemoryPost) -> None:
    mail = cut_off_before_making(memory)
    memory.settle(2)
    before, looks = memory.server.calls[ANNA, "find_drafts"], 0
    for _each in range(100):
        mail.refresh_from_db()
        if mail.stray_at is None:
            break
        assert Mailbox.objects.get(pk=memory.anna.pk).mail_due_at == mail.stray_at
        memory.now = max(memory.now, mail.stray_at)
        memory.run()
        looks += 1
    assert mail.stray_at is None
    assert mail.make_asked_at is not None
    assert strays.LONGEST < memory.now - mail.make_asked_at < 2 * strays.LONGEST + timedelta(hours=1)
    assert memory.server.calls[ANNA, "find_drafts"] - before == looks < 15
    assert Mailbox.objects.get(pk=memory.anna.pk).mail_due_at is None
    report = memory.run()
    assert report is not None
    assert (report.requests, report.idle) == (1, True)


def test_a_mail_on_which_nobody_has_decided_yet_keeps_its_draft(memory: MemoryPost) -> None:
    mail = cut_off_before_making(memory)
    memory.server.fail("create_message", Unavailable("cut off", code="timed_out"))
    memory.run()
    OutgoingMail.objects.update(state="failed", error_code="sending_given_up", try_at=None)
    made_late(memory, mail)
    memory.now += timedelta(days=3)
    memory.run()
    assert memory.drafts() == [mail.subject]
    decisions.send_again(OutgoingMail.objects.get(), by=memory.author, now=memory.now)
    memory.settle(2)
    assert_one(memory, mail)


@pytest.mark.parametrize("off", ["outgoing", "general", "item"])
def test_a_look_that_cannot_be_made_is_made_later(memory: MemoryPost, off: str) -> None:
    mail = cut_off_before_making(memory)
    memory.settle(2)
    made_late(memory, mail)
    memory.now += strays.FIRST_LOOK
    if off == "outgoing":
        Mailbox.objects.update(outgoing=False)
        memory.run()
        Mailbox.objects.update(outgoing=True)
    else:
        error = Throttled("busy") if off == "general" else Unavailable("cut off", code="timed_out")
        memory.server.fail("find_drafts", error)
        report = memory.run()
        assert report is not None
        assert (report.error is error) == (off == "general")
    assert memory.drafts() == [mail.subject]
    memory.now += timedelta(hours=1)
    memory.settle(1)
    assert memory.drafts() == []
