"""The engine over a mail system in memory: what one run does, page by page."""

from datetime import timedelta
from pathlib import Path

import pytest
from django.db import DataError

from mailboxes.models import Folder, Run
from mailboxes.provider.errors import (
    AuthRejected,
    FolderGone,
    ItemGone,
    ItemUnreadable,
    Throttled,
    Unavailable,
)
from mailboxes.provider.memory import File, MemoryServer
from mailboxes.provider.memory.provider import MemoryProvider
from mailboxes.provider.port import AttachmentKind
from mailboxes.states import Track
from security.access import visible
from security.models import User
from tests.tracking.office import Office
from tracking.dryrun.preview import preview
from tracking.engine import blobs, pipeline
from tracking.engine.apply import LeaseLost
from tracking.models import (
    Activity,
    Attachment,
    Case,
    Contact,
    EmailBody,
    Holder,
    ItemDecision,
    ItemFailure,
    Lead,
    Participant,
    Thread,
)
from tracking.sync.facts import Known

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _blobs(tmp_path, settings):
    settings.BLOB_ROOT = tmp_path


@pytest.fixture
def office() -> Office:
    return Office()


def test_s25_tracking_keeps_a_copy_with_body_and_attachments(office):
    anna = office.mailbox("anna")
    office.server.deliver(
        anna.address,
        sender="kim@customer.example",
        to=[anna.address],
        subject="Offer",
        html="<p>See attached</p>",
        files=(File("offer.pdf", b"%PDF-1.7 offer"), File("again.pdf", b"%PDF-1.7 offer")),
    )
    report = office.sync(anna)
    assert (report.examined, report.tracked) == (1, 1)
    activity = Activity.objects.get()
    assert (activity.subject, activity.body.html, activity.direction) == ("Offer", "<p>See attached</p>", "incoming")
    first, second = activity.attachments.all()
    assert (first.name, first.sha256 == second.sha256, blobs.get(first.sha256)) == (
        "offer.pdf",
        True,
        b"%PDF-1.7 offer",
    )
    assert ItemDecision.objects.get().reason == "all_mail"


def test_s24_refused_mail_leaves_only_a_decision_and_its_content_is_never_asked_for(office):
    anna = office.mailbox("anna", Track.REPLIES)
    office.server.deliver(anna.address, sender="kim@customer.example", to=[anna.address], subject="Secret subject")
    report = office.sync(anna)
    assert dict(report.refused) == {"not_a_reply": 1}
    decision = ItemDecision.objects.get()
    assert (decision.reason, decision.facts, decision.activity) == ("not_a_reply", {}, None)
    assert len(decision.message_hash) == 64
    assert not Activity.objects.exists()
    assert not Participant.objects.exists()
    assert office.server.calls[anna.address, "contents"] == 0
    assert office.server.calls[anna.address, "attachments"] == 0


def test_an_idle_run_is_one_request_and_the_same_with_five_folders_more(office):
    anna = office.mailbox("anna")
    office.server.deliver(anna.address)
    office.sync(anna)
    assert office.sync(anna, full=False).requests == 1
    for number in range(5):
        office.server.add_folder(anna.address, f"Customer {number}")
    office.sync(anna)
    Folder.objects.filter(mailbox=anna, role="other").update(followed=True)
    office.sync(anna)
    report = office.sync(anna, full=False)
    assert (report.requests, report.idle) == (1, True)


def test_without_counters_an_idle_run_is_one_request_per_followed_folder():
    office = Office(server=MemoryServer(counters=False))
    anna = office.mailbox("anna")
    office.sync(anna)
    assert office.sync(anna, full=False).requests == 2
    office.row.refresh_from_db()
    assert office.row.counters is False


def test_mail_counts_as_arriving_once_the_first_sync_is_done(office):
    anna = office.mailbox("anna")
    office.server.deliver(anna.address)
    assert office.sync(anna).arrived == 0
    type(anna).objects.filter(pk=anna.pk).update(first_sync_done=True)
    office.server.deliver(anna.address)
    office.server.deliver(anna.address, auto_submitted="auto-replied")
    assert office.sync(anna).arrived == 2


def test_a_full_pass_finds_what_the_counters_did_not_show(office):
    anna = office.mailbox("anna")
    office.sync(anna)
    office.server.deliver(anna.address)
    inbox = Folder.objects.get(mailbox=anna, role="inbox")
    current = office.server.provider(anna.address).counters([inbox.provider_id])[inbox.provider_id]
    Folder.objects.filter(pk=inbox.pk).update(counters=current)
    assert office.sync(anna, full=False).tracked == 0
    assert office.sync(anna, full=True).tracked == 1


def test_one_message_in_two_mailboxes_is_one_activity_with_two_holders(office):
    anna, ben = office.mailbox("anna"), office.mailbox("ben", Track.NONE)
    item = office.server.deliver(anna.address, sender="kim@customer.example", to=[anna.address, ben.address])
    office.server.copy(item, ben.address)
    assert office.sync(anna).tracked == 1
    report = office.sync(ben)
    assert (report.tracked, report.updated) == (0, 1)
    activity = Activity.objects.get()
    assert {holder.mailbox_id for holder in activity.holders.all()} == {anna.pk, ben.pk}
    assert ItemDecision.objects.get(mailbox=ben).reason == "already_tracked"


def test_a_duplicate_message_id_in_one_mailbox_is_updated_and_counted_once(office):
    anna = office.mailbox("anna")
    for _copy in range(3):
        office.server.deliver(anna.address, message_id="<same@customer.example>")
    report = office.sync(anna)
    assert (report.examined, report.tracked, report.updated) == (3, 1, 2)
    assert set(ItemDecision.objects.values_list("reason", flat=True)) == {"all_mail", "duplicate_in_mailbox"}


def test_replies_are_tracked_and_found_by_their_headers_also_on_the_same_page(office):
    anna, ben = office.mailbox("anna"), office.mailbox("ben", Track.REPLIES)
    office.server.deliver(anna.address, message_id="<1@c.example>", sender="kim@c.example", subject="Offer")
    office.sync(anna)
    office.server.deliver(
        ben.address,
        message_id="<2@c.example>",
        in_reply_to="<1@c.example>",
        sender="kim@c.example",
        subject="RE: Offer",
    )
    office.server.deliver(
        ben.address, message_id="<3@c.example>", references=("<9@x.example>", "<2@c.example>"), sender="kim@c.example"
    )
    office.server.deliver(ben.address, message_id="<4@c.example>", sender="kim@c.example")
    report = office.sync(ben)
    assert (report.tracked, dict(report.refused)) == (2, {"not_a_reply": 1})
    thread = Thread.objects.get()
    assert (thread.subject, thread.messages, thread.activities.count()) == ("Offer", 3, 3)
    reply = Activity.objects.get(message_id="<2@c.example>")
    assert (reply.parent.message_id, reply.correlation) == ("<1@c.example>", "reply_headers")


def test_the_conversation_id_correlates_where_headers_are_missing(office):
    anna, ben = office.mailbox("anna"), office.mailbox("ben", Track.REPLIES)
    office.server.deliver(anna.address, conversation_id="conv-1", sender="kim@c.example")
    office.sync(anna)
    office.server.deliver(ben.address, conversation_id="conv-1", sender="kim@c.example")
    office.sync(ben)
    assert ItemDecision.objects.get(mailbox=ben).reason == "same_conversation"
    assert Thread.objects.get().messages == 2


def test_a_parent_that_arrives_after_its_replies_joins_their_thread(office):
    anna = office.mailbox("anna")
    office.server.deliver(anna.address, message_id="<b@c.example>", in_reply_to="<a@c.example>")
    office.sync(anna)
    office.server.deliver(anna.address, message_id="<c@c.example>", references=("<z@c.example>",))
    office.sync(anna)
    assert Thread.objects.count() == 2
    office.server.deliver(anna.address, message_id="<a@c.example>", references=("<z@c.example>",), subject="Start")
    office.sync(anna)
    thread = Thread.objects.get()
    assert (thread.messages, thread.activities.count(), thread.keys.count()) == (3, 3, 4)


@pytest.mark.parametrize(
    ("track", "tracked"), [(Track.RECORDS, {"contact", "lead"}), (Track.ENABLED, {"contact", "lead", "case"})]
)
def test_mail_from_records_is_tracked_by_kind_of_record(office, track, tracked):
    anna = office.mailbox("anna", track)
    Contact.objects.create(last_name="Kim", email2="KIM@customer.example")
    Lead.objects.create(name="Lee", email1="lee@lead.example")
    Case.objects.create(title="Broken pump", email1="pump@case.example")
    for sender in ("kim@customer.example", "Lee@Lead.example", "pump@case.example", "nobody@else.example"):
        office.server.deliver(anna.address, sender=sender, to=[anna.address])
    report = office.sync(anna)
    kinds = {decision.facts["kind"] for decision in ItemDecision.objects.filter(outcome="tracked")}
    assert kinds == tracked
    assert report.refused["no_record"] == 4 - len(tracked)


def test_sent_mail_counts_by_its_recipients_and_is_outgoing(office):
    anna = office.mailbox("anna", Track.RECORDS)
    contact = Contact.objects.create(last_name="Kim", email1="kim@customer.example")
    office.server.deliver(anna.address, "sent", sender=anna.address, to=["kim@customer.example"])
    office.sync(anna)
    activity = Activity.objects.get()
    assert (activity.direction, activity.decisions.get().reason) == ("outgoing", "to_record")
    assert activity.participants.get(role="to").record_id == contact.pk


def test_an_address_of_two_records_is_an_ambiguity_never_a_guess(office):
    anna = office.mailbox("anna")
    Contact.objects.create(last_name="Kim", email1="kim@customer.example")
    Lead.objects.create(name="Kim", email3="kim@customer.example")
    office.server.deliver(anna.address, sender="kim@customer.example")
    office.sync(anna)
    sender = Participant.objects.get(role="from")
    assert (sender.ambiguous, sender.record_kind, sender.record_id) == (True, "", None)


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"auto_submitted": "auto-replied"}, "automated"),
        ({"item_class": "REPORT.IPM.Note.NDR"}, "automated"),
        ({"sender": "ben@office.example", "to": ["anna@office.example"]}, "internal"),
        ({"sender": "someone@own.example", "to": ["anna@office.example"]}, "internal"),
        ({"sender": "ads@spam.example"}, "blocked"),
        ({"sender": "ads@deep.spam.example"}, "blocked"),
        ({"sensitivity": "Private"}, "private"),
        ({"is_draft": True}, "draft"),
        ({"item_class": "IPM.Contact"}, "not_mail"),
    ],
)
def test_exclusions_refuse_with_their_reason(office, fields, reason):
    anna = office.mailbox("anna")
    office.mailbox("ben")
    office.profile.blocked = "spam.example\n"
    office.profile.internal_domains = "own.example"
    office.profile.save()
    office.server.deliver(anna.address, **{"to": [anna.address], **fields})
    assert dict(office.sync(anna).refused) == {reason: 1}


def test_a_message_without_auto_submitted_no_is_written_by_a_person(office):
    anna = office.mailbox("anna")
    office.server.deliver(anna.address, auto_submitted="no")
    assert office.sync(anna).tracked == 1


def test_refused_mail_is_evaluated_again_when_it_changes_but_not_when_it_is_read(office):
    anna = office.mailbox("anna", Track.RECORDS)
    item = office.server.deliver(anna.address, sender="kim@customer.example")
    office.sync(anna)
    Contact.objects.create(last_name="Kim", email1="kim@customer.example")
    office.server.set_read(item)
    assert office.sync(anna).examined == 0
    office.server.touch(item, categories=("Blue",))
    assert office.sync(anna).tracked == 1
    folder = Folder.objects.get(mailbox=anna, role="inbox")
    assert (folder.tracked, folder.refused) == (1, 0)


def test_a_changed_tracked_message_is_not_read_again(office):
    anna = office.mailbox("anna")
    item = office.server.deliver(anna.address)
    office.sync(anna)
    before = office.server.calls[anna.address, "envelopes"]
    office.server.touch(item, categories=("Blue",))
    report = office.sync(anna)
    assert (report.examined, office.server.calls[anna.address, "envelopes"]) == (0, before)
    assert Holder.objects.get().change_key == ItemDecision.objects.get().change_key != ""


def test_a_move_out_of_sight_is_a_soft_mark_and_a_move_back_takes_it_off(office):
    anna = office.mailbox("anna")
    item = office.server.deliver(anna.address)
    office.sync(anna)
    away = office.server.move(item, "deleted")
    office.sync(anna)
    assert Holder.objects.get().removed_at is not None
    assert Folder.objects.get(mailbox=anna, role="inbox").tracked == 0
    office.server.move(away, "inbox")
    report = office.sync(anna)
    assert (report.tracked, report.updated, Activity.objects.count()) == (0, 1, 1)
    assert Holder.objects.filter(removed_at__isnull=True).count() == 1


def test_an_expired_cursor_leads_to_a_new_listing_without_duplicates(office):
    anna = office.mailbox("anna")
    kept = [office.server.deliver(anna.address) for _ in range(4)]
    office.sync(anna)
    office.server.expire_cursor(anna.address)
    office.server.remove(kept[0])
    office.server.deliver(anna.address)
    report = office.sync(anna)
    assert (report.tracked, report.updated, report.error) == (1, 0, None)
    assert Activity.objects.count() == 5
    assert Holder.objects.filter(removed_at__isnull=False).get().item_id == kept[0]
    folder = Folder.objects.get(mailbox=anna, role="inbox")
    assert (folder.listing_before, folder.tracked) == (None, 4)


def test_a_listing_that_is_cut_short_goes_on_and_forgets_nothing(office, monkeypatch):
    monkeypatch.setattr(pipeline, "PAGE_ITEMS", 2)
    anna = office.mailbox("anna")
    for _ in range(5):
        office.server.deliver(anna.address)
    office.sync(anna)
    office.server.expire_cursor(anna.address)
    office.server.fail("changes", Unavailable(), nth=3)
    assert isinstance(office.sync(anna).error, Unavailable)
    report = office.sync(anna)
    assert report.error is None
    assert Holder.objects.filter(removed_at__isnull=True).count() == 5


def test_an_item_that_fails_three_times_is_quarantined_and_the_others_go_on(office):
    anna = office.mailbox("anna")
    bad = office.server.deliver(anna.address)
    office.server.deliver(anna.address)
    office.server.fail_item(bad, ItemUnreadable("ErrorItemCorrupt", code="item_corrupt"))
    report = office.sync(anna)
    assert (report.tracked, report.quarantined, report.examined) == (1, 1, 2)
    assert office.server.calls[anna.address, "envelopes"] == 3
    failure = ItemFailure.objects.get()
    assert (failure.code, failure.item_id, failure.quarantined_at is not None) == ("item_corrupt", bad, True)


def test_quarantined_mail_is_tried_again_and_heals(office):
    anna = office.mailbox("anna")
    bad = office.server.deliver(anna.address)
    office.server.fail_item(bad, ItemUnreadable(code="item_corrupt"), methods=["contents"])
    assert office.sync(anna).quarantined == 1
    office.now += timedelta(hours=2)
    assert office.sync(anna).quarantined == 1
    failure = ItemFailure.objects.get()
    assert (failure.attempts, failure.retry_at - office.now) == (2, timedelta(days=1))
    office.server.heal()
    office.now += timedelta(days=2)
    assert office.sync(anna).tracked == 1
    folder = Folder.objects.get(mailbox=anna, role="inbox")
    assert (folder.quarantined, folder.tracked) == (0, 1)
    assert ItemFailure.objects.get().resolved_at is not None


def test_an_item_that_is_gone_when_it_is_read_blocks_nothing_and_is_owed_nothing(office):
    anna = office.mailbox("anna")
    item = office.server.deliver(anna.address)
    office.server.fail_item(item, ItemGone())
    assert office.sync(anna).examined == 0
    office.now += timedelta(hours=1)
    assert office.sync(anna).examined == 0
    assert ItemFailure.objects.get().resolved_at is not None
    assert not ItemDecision.objects.exists()


def test_an_item_announced_too_early_is_tracked_a_little_later(office):
    anna = office.mailbox("anna")
    item = office.server.deliver(anna.address)
    office.server.fail_item(item, ItemGone())
    office.sync(anna)
    office.server.heal()
    office.now += timedelta(hours=1)
    assert office.sync(anna).tracked == 1


def test_an_item_that_was_forgotten_and_is_announced_anew_is_looked_for_anew(office):
    anna = office.mailbox("anna")
    item = office.server.deliver(anna.address)
    office.server.fail_item(item, ItemGone())
    office.sync(anna)
    office.now += timedelta(hours=1)
    office.sync(anna)
    office.server.announce(item)
    office.sync(anna)
    assert ItemFailure.objects.get().resolved_at is None
    office.server.heal()
    office.now += timedelta(hours=1)
    assert office.sync(anna).tracked == 1


class WorkerDied(BaseException):
    """Stands for a kill: nothing in the engine may catch it."""


def test_an_item_that_kills_its_worker_is_found_and_set_aside(office):
    anna = office.mailbox("anna")
    items = [office.server.deliver(anna.address) for _ in range(6)]
    killer = items[3]
    provider_class = type(office.server.provider(anna.address))
    original = provider_class.envelopes

    def envelopes(self, item_ids):
        if killer in item_ids:
            raise WorkerDied
        return original(self, item_ids)

    provider_class.envelopes = envelopes
    try:
        for _ in range(7):
            try:
                report = office.sync(anna)
                break
            except WorkerDied:
                continue
    finally:
        provider_class.envelopes = original
    assert report.error is None
    assert Activity.objects.count() == 5
    assert ItemDecision.objects.get(outcome="quarantined").reason == "kills_worker"


def test_a_server_that_fails_says_nothing_against_the_items(office):
    anna = office.mailbox("anna")
    office.server.deliver(anna.address)
    for _ in range(10):
        office.server.fail("envelopes", Unavailable())
        assert isinstance(office.sync(anna).error, Unavailable)
    assert (office.sync(anna).tracked, ItemFailure.objects.count()) == (1, 0)


def test_a_server_that_fails_at_a_new_listing_says_nothing_against_the_items_either(office):
    anna = office.mailbox("anna")
    office.server.deliver(anna.address)
    office.sync(anna)
    office.server.expire_cursor(anna.address)
    office.server.fail("changes", Unavailable(), nth=2)
    assert isinstance(office.sync(anna).error, Unavailable)
    assert Folder.objects.get(mailbox=anna, role="inbox").attempts == 0


@pytest.mark.parametrize("error", [AuthRejected(), Throttled(), Unavailable()])
def test_an_error_of_the_server_ends_the_run_and_keeps_what_is_stored(office, monkeypatch, error):
    monkeypatch.setattr(pipeline, "PAGE_ITEMS", 1)
    anna = office.mailbox("anna")
    for _ in range(3):
        office.server.deliver(anna.address)
    office.server.fail("changes", error, nth=2)
    report = office.sync(anna)
    assert (report.error, report.tracked) == (error, 1)
    assert office.sync(anna).tracked == 2


def test_a_folder_that_fails_does_not_stop_the_others(office):
    anna = office.mailbox("anna")
    office.sync(anna)
    office.server.deliver(anna.address, "sent", sender=anna.address, to=["kim@customer.example"])
    office.server.fail("changes", FolderGone())
    report = office.sync(anna)
    inbox = Folder.objects.get(mailbox=anna, role="inbox")
    assert (report.tracked, list(report.folder_errors)) == (1, [inbox.pk])
    assert (inbox.issue_code, inbox.gone_at is not None) == ("folder_gone", True)
    # The full pass sees that it is there after all.
    office.server.deliver(anna.address)
    assert office.sync(anna).tracked == 1


def test_a_folder_keeps_its_row_when_it_is_renamed_and_is_marked_when_it_goes(office):
    anna = office.mailbox("anna")
    folder_id = office.server.add_folder(anna.address, "Old name")
    office.sync(anna)
    office.server.rename_folder(anna.address, folder_id, "New name")
    office.sync(anna)
    assert Folder.objects.get(provider_id=folder_id).name == "New name"
    office.server.remove_folder(anna.address, folder_id)
    office.sync(anna)
    assert Folder.objects.get(provider_id=folder_id).gone_at is not None


def test_a_run_yields_between_pages_and_the_next_goes_on(office, monkeypatch):
    monkeypatch.setattr(pipeline, "PAGE_ITEMS", 2)
    anna = office.mailbox("anna")
    for _ in range(5):
        office.server.deliver(anna.address)
    tracked = []
    for _ in range(3):
        report = office.sync(anna, full=False, yield_after_s=0)
        tracked.append((report.tracked, report.more))
    assert tracked == [(2, True), (2, True), (1, False)]
    assert office.sync(anna, full=False).requests == 1


def test_a_run_whose_lease_is_gone_stores_nothing(office):
    anna = office.mailbox("anna")
    office.server.deliver(anna.address)
    office.server.before("contents", lambda: Run.objects.update(finished_at=office.now))
    with pytest.raises(LeaseLost):
        office.sync(anna)
    assert not Activity.objects.exists()
    assert office.sync(anna).tracked == 1


def test_a_full_disk_keeps_the_cursor_and_is_named(office, monkeypatch):
    anna = office.mailbox("anna")
    office.server.deliver(anna.address, files=(File("a.bin", b"x"),))

    def full(data):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(blobs, "put", full)
        report = office.sync(anna)
    assert (report.error.code, report.tracked) == ("disk_full", 0)
    assert office.sync(anna).tracked == 1


def test_attachments_that_cannot_be_had_are_named_and_lose_nothing_else(office):
    anna = office.mailbox("anna")
    item = office.server.deliver(
        anna.address,
        files=(
            File("link", b"", kind=AttachmentKind.REFERENCE),
            File("a.bin", b"x"),
            File("mail", b"M", kind=AttachmentKind.ITEM),
        ),
    )
    office.server.fail_item(item, ItemUnreadable(code="item_corrupt"), methods=["attachments"])
    office.sync(anna)
    assert list(Attachment.objects.values_list("missing", flat=True)) == [
        "attachment_is_link",
        "item_corrupt",
        "item_corrupt",
    ]


def test_a_message_that_moves_while_its_attachments_are_read_keeps_them(office):
    anna = office.mailbox("anna")
    item = office.server.deliver(anna.address, files=(File("a.bin", b"x"),))
    office.server.before("attachments", lambda: office.server.move(item, "sent"))
    for _ in range(2):
        office.sync(anna)
    assert list(Attachment.objects.values_list("name", "missing")) == [("a.bin", "")]
    assert Holder.objects.get(removed_at=None).folder.role == "sent"


def test_an_attachment_that_alone_is_gone_costs_the_message_nothing(office):
    anna = office.mailbox("anna")
    item = office.server.deliver(anna.address, files=(File("a.bin", b"x"),))
    office.server.fail_item(item, ItemGone(), methods=["attachments"])
    assert office.sync(anna).tracked == 1
    assert Attachment.objects.get().missing == "item_gone"


def test_an_attachment_that_fails_once_is_asked_for_again(office, monkeypatch):
    anna = office.mailbox("anna")
    office.server.deliver(anna.address, files=(File("a.bin", b"x"), File("b.bin", b"y")))
    asked: list[int] = []
    read = MemoryProvider.attachments

    def flaky(self, infos):
        asked.append(len(infos))
        answers = read(self, infos)
        return [answers[0], ItemUnreadable("ErrorInternalServerError")] if len(asked) == 1 else answers

    monkeypatch.setattr(MemoryProvider, "attachments", flaky)
    office.sync(anna)
    assert list(Attachment.objects.values_list("name", "missing")) == [("a.bin", ""), ("b.bin", "")]
    assert asked == [2, 1]


def test_what_the_database_refuses_is_quarantined_alone(office):
    anna = office.mailbox("anna")
    office.server.deliver(anna.address)
    bad = office.server.deliver(anna.address, importance="High")
    office.server.deliver(anna.address)
    # A year that PostgreSQL's timestamps hold but its driver cannot encode stands for "something nobody thought of".
    original = Activity.objects.bulk_create

    def refuse(rows, **options):
        if any(row.importance == "High" for row in rows):
            raise DataError("no")
        return original(rows, **options)

    Activity.objects.bulk_create = refuse
    try:
        report = office.sync(anna)
    finally:
        Activity.objects.bulk_create = original
    assert (report.tracked, report.quarantined) == (2, 1)
    assert ItemFailure.objects.get().item_id == bad


def test_a_preview_counts_what_a_run_would_do_and_writes_nothing(office):
    anna = office.mailbox("anna")
    office.server.deliver(anna.address, message_id="<1@c.example>")
    office.server.deliver(anna.address, message_id="<1@c.example>")
    office.server.deliver(anna.address, auto_submitted="auto-generated")
    bad = office.server.deliver(anna.address)
    office.server.fail_item(bad, ItemUnreadable())
    seen = preview(anna, office.server.provider(anna.address))
    assert (seen.tracked, seen.updated, dict(seen.refused), seen.quarantined) == (1, 1, {"automated": 1}, 1)
    assert not ItemDecision.objects.exists()
    assert not Folder.objects.exists()
    assert office.server.calls[anna.address, "contents"] == 0
    done = office.sync(anna)
    assert (done.tracked, done.updated, done.refused, done.quarantined) == (1, 1, seen.refused, 1)


def _outsider(office, track=Track.ALL):
    """Add somebody who takes no part in anybody's mail and may read only what is theirs."""
    User.objects.create_user("mallory")
    return office.mailbox("mallory", track)


def _secret(office, address, **fields):
    return office.server.deliver(
        address,
        message_id="<offer@customer.example>",
        sender="kim@customer.example",
        to=[address],
        subject="Offer",
        **{"text": "The price is 4,000", **fields},
    )


def _late(monkeypatch):
    """Have the plan made as if nothing were tracked yet: another mailbox overtakes it before it is stored."""
    monkeypatch.setattr(pipeline, "known_messages", lambda mailbox, envelopes: Known())


@pytest.mark.parametrize("overtaken", [False, True])
def test_whoever_knows_a_message_id_does_not_get_to_read_the_message(office, monkeypatch, overtaken):
    anna, mallory = office.mailbox("anna"), _outsider(office)
    _secret(office, anna.address, files=(File("price.pdf", b"4,000"),))
    office.sync(anna)
    forged = {"text": "Let me see", "files": ()}
    for _copy in range(2):
        _secret(office, mallory.address, **forged)
    if overtaken:
        _late(monkeypatch)
    report = office.sync(mallory)
    assert (report.tracked, report.updated) == (1, 1)
    mine = visible(mallory.owner, Activity).get()
    assert mine.body.text == "Let me see"
    assert visible(mallory.owner, EmailBody).get().activity == mine
    assert not visible(mallory.owner, Attachment).exists()
    assert {p.activity_id for p in visible(mallory.owner, Participant)} == {mine.pk}
    assert set(ItemDecision.objects.filter(mailbox=mallory).values_list("activity", flat=True)) == {mine.pk}
    # Found again as what it is: a third copy, in a later run, is the outsider's own as well.
    _secret(office, mallory.address, **forged)
    assert office.sync(mallory).updated == 1
    assert visible(mallory.owner, Activity).get() == mine


@pytest.mark.parametrize("forged", [{"text": "Almost"}, {"files": ()}, {"files": (File("price.pdf", b"9"),)}])
def test_every_part_of_the_content_counts_in_telling_copies_apart(office, forged):
    anna, mallory = office.mailbox("anna"), _outsider(office)
    right = {"text": "See attached", "files": (File("price.pdf", b"4,000"),)}
    _secret(office, anna.address, **right)
    office.sync(anna)
    _secret(office, mallory.address, **{**right, **forged})
    assert office.sync(mallory).tracked == 1
    assert Activity.objects.count() == 2


def test_another_message_under_a_used_id_gets_the_answer_of_its_mailbox(office, settings):
    anna, mallory = office.mailbox("anna"), _outsider(office, Track.REPLIES)
    _secret(office, anna.address)
    office.sync(anna)
    _secret(office, mallory.address, text="Let me see", files=(File("mine.pdf", b"mine"),))
    assert dict(office.sync(mallory).refused) == {"not_a_reply": 1}
    assert not visible(mallory.owner, Activity).exists()
    assert ItemDecision.objects.get(mailbox=mallory).activity is None
    # It was read to be compared, and nothing of it stays.
    assert office.server.calls[mallory.address, "attachments"] == 1
    assert not list(Path(settings.BLOB_ROOT).rglob("*"))


@pytest.mark.parametrize("overtaken", [False, True])
def test_a_member_of_a_distribution_list_holds_the_same_message(office, monkeypatch, overtaken):
    anna, member = office.mailbox("anna"), _outsider(office)
    item = _secret(office, anna.address, files=(File("price.pdf", b"4,000"),))
    office.sync(anna)
    office.server.copy(item, member.address)
    if overtaken:
        _late(monkeypatch)
    report = office.sync(member)
    assert (report.tracked, report.updated) == (0, 1)
    assert visible(member.owner, Activity).get() == Activity.objects.get()


@pytest.mark.parametrize("overtaken", [False, True])
def test_who_is_named_in_a_message_holds_it_whatever_the_way_did_to_its_text(office, monkeypatch, overtaken):
    anna, ben = office.mailbox("anna"), _outsider(office)
    people = {"to": ["kim@customer.example", ben.address.upper()], "message_id": "<offer@customer.example>"}
    office.server.deliver(anna.address, "sent", sender=anna.address, text="Offer", **people)
    office.sync(anna)
    office.server.deliver(ben.address, sender=anna.address, text="Offer [checked for viruses]", **people)
    if overtaken:
        _late(monkeypatch)
    assert office.sync(ben).updated == 1
    if not overtaken:
        assert office.server.calls[ben.address, "contents"] == 0
    assert visible(ben.owner, Activity).get() == Activity.objects.get()


def test_a_copy_that_cannot_be_read_out_proves_nothing_and_is_tried_again(office):
    anna, mallory = office.mailbox("anna"), _outsider(office)
    item = _secret(office, anna.address)
    office.sync(anna)
    copy = office.server.copy(item, mallory.address)
    office.server.fail_item(copy, ItemUnreadable(), methods=["contents"])
    assert office.sync(mallory).quarantined == 1
    assert not visible(mallory.owner, Activity).exists()
    office.server.heal()
    office.now += timedelta(hours=1)
    assert office.sync(mallory).updated == 1
    assert visible(mallory.owner, Activity).exists()
