"""One mail from Send to its thread: what goes out, what is refused, what waits, and what people decide."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from threading import Event
from time import sleep

import pytest
from django.db import connection, transaction
from django.utils import timezone
from redis import RedisError

from mailboxes.models import Mailbox, Run, ServerProfile
from mailboxes.provider.errors import (
    AuthRejected,
    ChangedMeanwhile,
    MailboxGone,
    Throttled,
    Unavailable,
    WriteRefused,
)
from mailboxes.provider.port import FolderRole
from mailboxes.states import Intent, State, Track
from security.models import User
from tests.tracking.outgoing.post import ANNA, BEN, MemoryPost, Post, assert_one, deal, is_on
from tracking import actions
from tracking.engine import blobs
from tracking.models import Activity, Holder, ItemDecision, OutgoingFile, OutgoingMail
from tracking.outgoing import decisions


def with_file(mail: OutgoingMail, data: bytes = b"drawing") -> OutgoingFile:
    return OutgoingFile.objects.create(
        mail=mail, name="drawing.txt", content_type="text/plain", size=len(data), sha256=blobs.put(data)
    )


def test_a_mail_leaves_with_all_it_has_and_its_copy_is_tracked_about_its_record(post: Post) -> None:
    first = post.write("Offer", regarding_kind="opportunity", regarding_id=deal().pk)
    post.settle(1)
    assert_one(post, first)
    answer = post.draft("Re: Offer", answers=first.activity, cc=[{"email": "eva@third.example", "name": "Eva, Ms"}])
    with_file(answer)
    decisions.send(answer, by=post.author, now=post.now)
    post.settle(1)
    assert_one(post, answer)
    activity = answer.activity
    assert activity is not None
    assert activity.thread == first.activity.thread
    assert activity.parent == first.activity
    assert activity.attachments.get().sha256 == blobs.digest(b"drawing")
    assert {each.email for each in activity.participants.all()} == {ANNA, BEN, "eva@third.example"}
    decision = ItemDecision.objects.get(activity=activity)
    assert decision.reason == "written_here"


@pytest.mark.parametrize("track", list(Track))
def test_whatever_the_tracking_option_what_was_written_here_is_tracked_once(memory: MemoryPost, track: Track) -> None:
    Mailbox.objects.update(track=track)
    mail = memory.write()
    memory.settle(2)
    assert_one(memory, mail)
    # Sent Items is read from the start again: it is still one.
    memory.run(full=True)
    assert_one(memory, mail)
    assert Activity.objects.count() == 1


def test_a_copy_that_is_found_in_sent_items_first_ends_the_same(memory: MemoryPost) -> None:
    """The worker dies after the mail has left and before it is noted; the copy is read as any other."""
    memory.settle(1)
    mail = memory.write(regarding_kind="opportunity", regarding_id=deal().pk)
    memory.server.lose("send_message", KeyboardInterrupt())
    with pytest.raises(KeyboardInterrupt):
        memory.run()
    OutgoingMail.objects.update(try_at=memory.now + timedelta(days=1), state="unknown")
    Mailbox.objects.update(mail_due_at=None)
    memory.settle(1)
    assert_one(memory, mail)


def test_a_colleague_who_got_it_first_makes_no_second_activity(memory: MemoryPost) -> None:
    ben = memory.office.mailbox("ben", Track.ALL)
    ben.sync_profile.exclude_internal = False
    ben.sync_profile.save()
    memory.server.lose("send_message", KeyboardInterrupt())
    mail = memory.write(regarding_kind="opportunity", regarding_id=deal().pk)
    with pytest.raises(KeyboardInterrupt):
        memory.run()
    memory.office.now = memory.now
    memory.office.sync(ben)
    assert Activity.objects.count() == 1
    memory.settle(2)
    assert_one(memory, mail)
    assert Holder.objects.filter(activity=mail.activity).count() == 2


def test_an_idle_run_asks_nothing_more(memory: MemoryPost) -> None:
    memory.settle(1)
    mail = memory.write()
    report = memory.run()
    assert report is not None
    assert report.written == {"mail": 1}
    memory.settle(3)
    assert_one(memory, mail)
    report = memory.run()
    assert report is not None
    assert (report.requests, report.idle) == (1, True)


# -- refused and put off


@pytest.mark.parametrize("code", ["recipients_refused", "send_as_denied", "write_refused"])
@pytest.mark.parametrize("method", ["create_message", "send_message"])
def test_what_the_server_will_not_take_fails_with_its_reason_and_can_be_sent_again(
    memory: MemoryPost, method: str, code: str
) -> None:
    mail = memory.write()
    memory.server.fail(method, WriteRefused("no", code=code))
    memory.settle(2)
    mail.refresh_from_db()
    assert (mail.state, mail.error_code, mail.error_detail, mail.try_at) == ("failed", code, "no", None)
    assert Mailbox.objects.get().mail_due_at is None
    decisions.send_again(mail, by=memory.author, now=memory.now)
    memory.settle(1)
    assert_one(memory, mail)


def test_a_failed_mail_is_corrected_by_a_new_draft_and_its_own_draft_is_taken_away(memory: MemoryPost) -> None:
    mail = memory.write(to=[{"email": "nobody", "name": ""}])
    with_file(mail)
    memory.settle(1)
    mail.refresh_from_db()
    assert (mail.state, mail.error_code) == ("failed", "recipients_refused")
    assert memory.drafts() == [mail.subject]
    draft = decisions.correct(mail, by=memory.author, now=memory.now)
    assert (draft.state, draft.subject, draft.text, draft.files.count()) == ("draft", mail.subject, "Good day", 1)
    OutgoingMail.objects.filter(pk=draft.pk).update(to=[{"email": BEN, "name": ""}])
    decisions.send(draft, by=memory.author, now=memory.now)
    memory.settle(1)
    assert_one(memory, draft)
    mail.refresh_from_db()
    assert (mail.state, mail.text, mail.try_at, mail.files.count()) == ("discarded", "", None, 0)
    assert memory.drafts() == []


@pytest.mark.parametrize("method", ["create_message", "send_message", "envelopes"])
@pytest.mark.parametrize("code", ["timed_out", "connection_lost", "server_error"])
def test_what_may_be_the_mails_fault_is_put_off_longer_each_time_and_reading_goes_on(
    memory: MemoryPost, method: str, code: str
) -> None:
    memory.settle(1)
    mail = memory.write()
    memory.server.deliver(ANNA, "inbox", subject="Hello")
    memory.server.fail(method, Unavailable("cut off", code=code), times=2)
    report = memory.run()
    assert report is not None
    if method != "envelopes":
        assert report.error is None
        mail.refresh_from_db()
        assert (mail.state, mail.error_code, mail.attempts) == ("waiting", code, 1)
        assert mail.try_at == memory.now + timedelta(seconds=5)
        memory.run()
        mail.refresh_from_db()
        assert (mail.attempts, mail.try_at) == (2, memory.now + timedelta(seconds=10))
    memory.settle(3)
    assert_one(memory, mail)


@pytest.mark.parametrize(
    "error",
    [Unavailable("away"), Throttled("busy"), AuthRejected("no"), MailboxGone("moved", code="mailbox_full")],
    ids=lambda error: error.code,
)
def test_what_is_wrong_with_server_or_mailbox_is_said_and_not_held_against_the_mail(memory: MemoryPost, error) -> None:
    memory.settle(1)
    mail = memory.write()
    memory.server.fail("create_message", error)
    report = memory.run()
    assert report is not None
    # Where reading could go on, it does.
    assert report.error is (None if error.code == "mailbox_full" else error)
    mail.refresh_from_db()
    assert (mail.state, mail.error_code) == ("waiting", error.code)
    memory.settle(1)
    assert_one(memory, mail)


def test_a_server_that_says_when_is_not_asked_before(memory: MemoryPost) -> None:
    memory.settle(1)
    mail = memory.write()
    memory.server.fail("create_message", Throttled("busy", retry_at=memory.now + timedelta(minutes=10)))
    memory.run()
    for _each in range(5):
        memory.run()
    mail.refresh_from_db()
    assert mail.state == "waiting"
    assert memory.server.calls[ANNA, "create_message"] == 1
    memory.settle(5)
    assert_one(memory, mail)


def test_a_server_whose_drafts_change_without_end_is_left_alone_for_a_while(memory: MemoryPost) -> None:
    mail = memory.write(as_it_is=True)
    memory.server.fail("send_message", ChangedMeanwhile("again"), times=20)
    memory.settle(1)
    mail.refresh_from_db()
    assert (mail.state, mail.error_code) == ("waiting", "item_conflict")
    memory.server.heal()
    memory.settle(1)
    assert_one(memory, mail)


# -- somebody was at it


def cut_off_before_sending(post: MemoryPost, **fields) -> tuple[OutgoingMail, str]:
    """Have a draft made, and the worker gone; return it with its id in Drafts."""
    mail = post.write(**fields)
    post.server.fail("send_message", KeyboardInterrupt())
    with pytest.raises(KeyboardInterrupt):
        post.run()
    (item_id,) = post.server.item_ids(ANNA, FolderRole.DRAFTS)
    return mail, item_id


def test_a_draft_that_its_owner_changed_is_not_sent_until_they_say_so(memory: MemoryPost) -> None:
    mail, item_id = cut_off_before_sending(memory)
    memory.server.touch(item_id, subject="I am still writing")
    memory.settle(2)
    mail.refresh_from_db()
    assert (mail.state, mail.error_code) == ("failed", "draft_changed")
    assert memory.arrived() == []
    decisions.send_again(mail, by=memory.author, now=memory.now)
    memory.settle(1)
    assert memory.arrived() == ["I am still writing"]
    mail.refresh_from_db()
    assert mail.activity is not None
    assert mail.activity.subject == "I am still writing"


def test_a_draft_that_its_owner_changed_is_left_to_them_when_the_mail_is_given_up(memory: MemoryPost) -> None:
    mail, item_id = cut_off_before_sending(memory)
    memory.server.touch(item_id, subject="Mine now")
    memory.settle(1)
    decisions.discard(mail, by=memory.author, now=memory.now)
    memory.settle(1)
    assert (memory.drafts(), memory.arrived()) == (["Mine now"], [])


def test_a_draft_that_its_owner_threw_away_is_not_sent(memory: MemoryPost) -> None:
    mail, item_id = cut_off_before_sending(memory)
    memory.server.move(item_id, FolderRole.DELETED)
    memory.settle(1)
    mail.refresh_from_db()
    assert (mail.state, mail.error_code, memory.arrived()) == ("failed", "draft_changed", [])


@pytest.mark.parametrize("answer", ["send again", "was sent", "discard"])
def test_a_mail_that_vanished_is_never_made_again_by_itself(memory: MemoryPost, answer: str) -> None:
    mail, item_id = cut_off_before_sending(memory)
    OutgoingMail.objects.filter(pk=mail.pk).update(item_id=item_id)
    memory.server.remove(item_id)
    memory.settle(4)
    mail.refresh_from_db()
    assert (mail.state, mail.error_code, mail.try_at, memory.arrived()) == ("unknown", "mail_lost", None, [])
    if answer == "send again":
        decisions.send_again(mail, by=memory.author, now=memory.now)
        memory.settle(1)
        assert_one(memory, mail)
        return
    (decisions.was_sent if answer == "was sent" else decisions.discard)(mail, by=memory.author, now=memory.now)
    for _each in range(10):
        memory.settle(1)
    mail.refresh_from_db()
    assert mail.state == ("sent" if answer == "was sent" else "discarded")
    assert (mail.try_at, memory.arrived()) == (None, [])
    assert Mailbox.objects.get().mail_due_at is None


def test_one_that_was_sent_after_all_is_not_sent_again_by_a_person_who_thought_it_lost(memory: MemoryPost) -> None:
    memory.server.lose("send_message", KeyboardInterrupt())
    mail = memory.write()
    with pytest.raises(KeyboardInterrupt):
        memory.run()
    OutgoingMail.objects.update(state="unknown", error_code="mail_lost", try_at=None)
    decisions.send_again(mail, by=memory.author, now=memory.now)
    memory.settle(1)
    assert_one(memory, mail)


def test_one_that_is_given_up_after_it_was_sent_is_sent(memory: MemoryPost) -> None:
    is_on(memory.anna, incoming=False)
    memory.server.lose("send_message", Unavailable("lost", code="timed_out"))
    mail = memory.write()
    memory.run()
    decisions.discard(mail, by=memory.author, now=memory.now)
    memory.settle(2)
    assert_one(memory, mail)


def test_one_that_is_given_up_before_anything_was_asked_leaves_nothing(memory: MemoryPost) -> None:
    mail, draft = memory.write(), memory.draft()
    decisions.discard(mail, by=memory.author, now=memory.now)
    decisions.discard(draft, by=memory.author, now=memory.now)
    memory.settle(1)
    mail.refresh_from_db()
    assert (mail.state, mail.text, mail.try_at, memory.arrived(), memory.drafts()) == ("discarded", "", None, [], [])
    assert not OutgoingMail.objects.filter(pk=draft.pk).exists()


def test_a_copy_that_is_kept_nowhere_is_looked_for_a_few_times_only(memory: MemoryPost) -> None:
    memory.settle(1)
    mail = memory.write()
    memory.server.before(
        "find_message", lambda: [memory.server.remove(i) for i in memory.server.item_ids(ANNA, FolderRole.SENT)]
    )
    for _each in range(10):
        memory.run()
    mail.refresh_from_db()
    assert (mail.state, mail.activity, mail.try_at, mail.text) == ("sent", None, None, "Good day")
    assert memory.arrived() == [mail.subject]


# -- who may


def test_nobody_sends_from_a_mailbox_that_is_not_theirs(memory: MemoryPost) -> None:
    eva = User.objects.create(username="eva", is_superuser=True)
    draft = memory.draft()
    theirs = memory.draft(author=eva)
    for decide in (decisions.send, decisions.discard):
        with pytest.raises(decisions.NotYours):
            decide(draft, by=eva, now=memory.now)
    with pytest.raises(decisions.NotYours):
        decisions.send(theirs, by=eva, now=memory.now)
    decisions.discard(theirs, by=eva, now=memory.now)
    mail = memory.write()
    with pytest.raises(decisions.NotYours):
        decisions.discard(mail, by=eva, now=memory.now)


@pytest.mark.parametrize("change", ["owner", "left"])
def test_mail_of_somebody_whose_mailbox_it_is_not_any_more_does_not_leave(memory: MemoryPost, change: str) -> None:
    mail = memory.write()
    if change == "owner":
        Mailbox.objects.update(owner=User.objects.create(username="eva"))
    else:
        User.objects.filter(pk=mail.author_id).update(is_active=False)
    memory.settle(1)
    mail.refresh_from_db()
    assert (mail.state, mail.error_code, memory.arrived()) == ("failed", "author_refused", [])


def test_a_file_that_is_gone_from_the_disk_keeps_the_mail_from_leaving_without_it(memory: MemoryPost) -> None:
    mail = memory.draft()
    blobs.path_of(with_file(mail).sha256).unlink()
    decisions.send(mail, by=memory.author, now=memory.now)
    memory.settle(1)
    mail.refresh_from_db()
    assert (mail.state, mail.error_code, memory.arrived()) == ("failed", "outgoing_file_missing", [])


def test_what_is_no_more_as_the_person_saw_it_is_left_alone(memory: MemoryPost) -> None:
    mail = memory.write()
    memory.settle(1)
    for decide in (decisions.send, decisions.send_again, decisions.was_sent, decisions.correct, decisions.discard):
        with pytest.raises(decisions.NotPossible):
            decide(mail, by=memory.author, now=memory.now)
    cut, _item = cut_off_before_sending(memory)
    # While a run has the mailbox, its mail is the run's; what a dead one left can be given up.
    with memory.lease(), pytest.raises(decisions.NotPossible):
        decisions.discard(cut, by=memory.author, now=memory.now)
    with pytest.raises(decisions.NotPossible):
        decisions.correct(cut, by=memory.author, now=memory.now)
    decisions.discard(cut, by=memory.author, now=memory.now)
    memory.settle(2)
    cut.refresh_from_db()
    assert (cut.state, memory.drafts()) == ("discarded", [])


# -- at once


def test_pressing_send_begins_a_run_at_once_and_one_under_way_is_followed_by_another(
    memory: MemoryPost, monkeypatch
) -> None:
    asked = []
    monkeypatch.setattr(
        actions, "RedisTransport", type("T", (), {"enqueue": lambda _self, claims: asked.extend(claims)})
    )
    mail = memory.draft()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(actions.transaction, "on_commit", lambda do: do())
        decisions.send(mail, by=memory.author, now=memory.now)
    run = Run.objects.get(mailbox=memory.anna, finished_at=None)
    assert [(claim.queue, claim.run_ids) for claim in asked] == [("immediate", (run.pk,))]
    box = Mailbox.objects.get()
    assert box.mail_due_at == memory.now


def test_a_queue_that_is_gone_delays_and_loses_nothing(memory: MemoryPost, monkeypatch) -> None:
    def gone(*_args, **_named):
        raise RedisError("gone")

    monkeypatch.setattr(actions, "sync_now", gone)
    mail = memory.write()
    memory.settle(1)
    assert_one(memory, mail)


def test_a_mailbox_that_is_off_keeps_its_mail_waiting(memory: MemoryPost) -> None:
    is_on(memory.anna, intent=Intent.OFF)
    mail = memory.write()
    assert not Run.objects.exists()
    memory.settle(2)
    mail.refresh_from_db()
    assert (mail.state, memory.drafts(), memory.arrived()) == ("waiting", [], [])
    is_on(memory.anna)
    memory.settle(1)
    assert_one(memory, mail)


@pytest.mark.parametrize("method", ["create_message", "send_message", "find_message"])
def test_switched_off_in_the_middle_nothing_more_is_done(memory: MemoryPost, method: str) -> None:
    memory.settle(1)
    mail = memory.write(make_asked_at=timezone.now()) if method == "find_message" else memory.write()
    memory.server.before(method, lambda: Mailbox.objects.update(outgoing=False))
    memory.settle(2)
    mail.refresh_from_db()
    if method == "send_message":
        # It was being sent at that moment.
        assert (mail.state, memory.arrived()) == ("sent", [mail.subject])
    else:
        assert (mail.state, memory.arrived()) == ("waiting", [])
    is_on(memory.anna, outgoing=True)
    memory.settle(2)
    assert_one(memory, mail)


@pytest.mark.django_db(transaction=True)
def test_a_mail_that_is_given_up_at_the_moment_a_run_takes_it_does_not_leave(memory: MemoryPost) -> None:
    memory.settle(1)
    mail = memory.write()
    Run.objects.filter(finished_at=None).delete()
    given_up = Event()

    def give_up() -> None:
        try:
            with transaction.atomic(), pytest.MonkeyPatch.context() as patch:
                patch.setattr(decisions, "_have_sent", lambda mailbox, by: None)
                decisions.discard(mail, by=memory.author, now=memory.now)
                given_up.set()
                # The run comes to the row meanwhile, and waits for it.
                sleep(1)
        finally:
            connection.close()

    with ThreadPoolExecutor(1) as pool:
        person = pool.submit(give_up)
        assert given_up.wait(10)
        memory.run()
        person.result()
    mail.refresh_from_db()
    assert (mail.state, memory.arrived()) == ("discarded", [])


def test_mail_of_a_mailbox_that_goes_to_somebody_else_during_the_run_does_not_leave(memory: MemoryPost) -> None:
    memory.settle(1)
    mail = memory.write()
    other = User.objects.create_user("other")
    memory.server.before("create_message", lambda: Mailbox.objects.update(owner=other))
    for _each in range(2):
        memory.run()
    mail.refresh_from_db()
    assert (mail.state, mail.error_code, memory.arrived()) == ("failed", "author_refused", [])


@pytest.mark.parametrize("how", ["server", "mailbox"])
def test_pressing_send_does_not_try_a_sign_in_that_was_refused(memory: MemoryPost, how: str) -> None:
    if how == "server":
        ServerProfile.objects.update(stopped_at=timezone.now(), stopped_code="auth_rejected")
    else:
        is_on(memory.anna)
        Mailbox.objects.update(state=State.SIGN_IN_FAILED)
    mail = memory.write()
    assert not Run.objects.exists()
    ServerProfile.objects.update(stopped_at=None)
    Mailbox.objects.update(state=State.IDLE)
    memory.settle(1)
    assert_one(memory, mail)
