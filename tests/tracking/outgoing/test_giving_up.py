"""A mail that the server never comes to an end with: tried for a day, then a person's to decide; never sent twice."""

from datetime import timedelta

import pytest
from pytest_django import Settings

from mailboxes.models import Alert, Mailbox
from mailboxes.provider.errors import Unavailable
from tests.tracking.outgoing.post import MemoryPost, Post, assert_one
from tracking.models import OutgoingMail
from tracking.outgoing import decisions, giving_up
from tracking.outgoing import session as sending


def alerts() -> list[Alert]:
    return list(Alert.objects.filter(code="sending_given_up", resolved_at=None))


def tried_out(post: MemoryPost, method: str, code: str = "timed_out") -> OutgoingMail:
    """Have a mail tried as often as it is by itself, with everything that `method` does cut off before it is done."""
    post.settle(1)
    mail = post.write()
    post.server.fail(method, Unavailable("cut off", code=code), times=1_000)
    for _each in range(200):
        mail.refresh_from_db()
        if mail.try_at is None:
            return mail
        post.now = max(post.now, mail.try_at)
        post.run()
    raise AssertionError("it is tried for ever")


@pytest.mark.parametrize("code", ["timed_out", "connection_lost", "server_error", "answer_unreadable"])
def test_it_is_tried_for_about_a_day(memory: MemoryPost, code: str) -> None:
    began = memory.now
    mail = tried_out(memory, "create_message", code)
    assert timedelta(hours=20) < memory.now - began < timedelta(hours=28)
    assert (mail.state, mail.error_code) == ("failed", "sending_given_up"), "nobody ever asked for it to be sent"
    assert mail.error_detail == f"{code}: cut off"
    (alert,) = alerts()
    assert (alert.mailbox, alert.detail) == (memory.anna, mail.error_detail)
    calls = memory.server.calls.total()
    memory.run()
    assert memory.server.calls.total() == calls + 1, "nothing of it is asked any more"


def test_one_that_was_asked_to_be_sent_is_unknown_and_sent_once_when_a_person_says_so(memory: MemoryPost) -> None:
    mail = tried_out(memory, "send_message")
    assert (mail.state, memory.arrived()) == ("unknown", [])
    memory.server.heal()
    decisions.send_again(mail, by=memory.author, now=memory.now)
    assert alerts() == []
    memory.settle(2)
    assert_one(memory, mail)


def test_what_others_decide_on_ends_the_alert_only_with_the_last(memory: MemoryPost, settings: Settings) -> None:
    settings.SEND_ATTEMPTS = 2
    first = tried_out(memory, "create_message")
    second = tried_out(memory, "create_message")
    (alert,) = alerts()
    assert alert.times == 2
    decisions.discard(first, by=memory.author, now=memory.now)
    assert len(alerts()) == 1
    memory.server.heal()
    memory.settle(1)
    assert len(alerts()) == 1, "a run that succeeds says nothing about it"
    decisions.correct(second, by=memory.author, now=memory.now)
    assert alerts() == []


def test_one_that_turns_up_in_sent_items_ends_the_alert(memory: MemoryPost, settings: Settings) -> None:
    settings.SEND_ATTEMPTS = 1
    memory.settle(1)
    mail = memory.write()
    memory.server.lose("send_message", Unavailable("cut off", code="timed_out"))
    memory.run()
    mail.refresh_from_db()
    # The very run that gives it up reads Sent Items, and finds what was sent.
    memory.settle(1)
    assert_one(memory, mail)
    assert alerts() == []


def test_a_draft_that_cannot_be_taken_back_is_not_tried_for_ever(memory: MemoryPost, settings: Settings) -> None:
    settings.SEND_ATTEMPTS = 3
    mail = tried_out(memory, "send_message")
    decisions.discard(mail, by=memory.author, now=memory.now)
    memory.server.heal()
    memory.server.fail("delete_draft", Unavailable("cut off", code="timed_out"), times=1_000)
    for _each in range(10):
        memory.now += timedelta(hours=1)
        memory.run()
    mail.refresh_from_db()
    assert (mail.state, mail.try_at) == ("discarded", None)
    assert memory.server.calls[memory.anna.address, "delete_draft"] == 3
    assert alerts() == []


def test_a_server_that_is_away_for_days_counts_nothing_against_the_mail(memory: MemoryPost) -> None:
    memory.settle(1)
    mail = memory.write()
    memory.server.fail("create_message", Unavailable("away"), times=100)
    for _each in range(100):
        memory.now += timedelta(hours=1)
        memory.run()
    mail.refresh_from_db()
    assert (mail.state, alerts()) == ("waiting", [])
    memory.settle(1)
    assert_one(memory, mail)


def test_over_either_mail_system_it_ends_with_a_decision_and_one_mail(
    post: Post, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.SEND_ATTEMPTS = 2
    post.settle(1)
    mail = post.write()
    with monkeypatch.context() as broken:

        def cut_off(_self: object, *_arguments: object) -> bool:
            raise Unavailable("cut off", code="timed_out")

        broken.setattr(sending.Session, "_hand_over", cut_off)
        post.run()
        post.run()
    mail.refresh_from_db()
    assert (mail.state, mail.error_code) == ("failed", giving_up.GIVEN_UP)
    assert (post.arrived(), len(post.drafts()), len(alerts())) == ([], 1, 1)
    Mailbox.objects.update(not_before=None)
    decisions.send_again(mail, by=post.author, now=post.now)
    post.settle(2)
    assert_one(post, mail)
