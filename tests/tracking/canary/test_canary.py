"""The canary: something of each kind goes through the whole path, over real EWS; what does not come through is told."""

import json
from datetime import timedelta

import pytest
from django.core.management import call_command
from django.utils import timezone
from redis import RedisError

from mailboxes.connection import open_provider
from mailboxes.models import Alert, Mailbox, Run, ServerProfile
from mailboxes.provider.errors import Unavailable
from mailboxes.provider.ews.client import POOL
from mailboxes.provider.port import Address
from mailboxes.provider.writing import OutgoingMail as Message
from mailboxes.sandbox.server import SandboxServer
from mailboxes.sandbox.store import SandboxStore
from mailboxes.states import Intent, State
from security.commands import Failed, WrongUse
from security.models import User
from tests.proofs.exchange import Exchange
from tests.tracking.office import Office
from tracking.canary import planting, tending
from tracking.canary.planting import ENTRIES
from tracking.engine.filter_queries import MODELS
from tracking.models import Activity, Canary, CanaryRound, ItemDecision, ItemLink, OutgoingMail, Thread
from tracking.workers import housekeeping
from tracking.workers.transport import TEND_CANARIES, RedisTransport, queue

pytestmark = pytest.mark.django_db

BIRD = "bird@office.example"


@pytest.fixture
def exchange(settings, tmp_path, monkeypatch):
    settings.BLOB_ROOT = tmp_path
    # Runs are done by hand here.
    monkeypatch.setattr("tracking.outgoing.decisions._have_sent", lambda mailbox, by: None)
    with SandboxServer(SandboxStore()) as sandbox:
        yield Exchange(sandbox.store, sandbox.url)
    POOL.forget()


@pytest.fixture
def canary(exchange) -> Canary:
    mailbox = exchange.mailbox(BIRD)
    owner = User.objects.create_user(username="bird")
    Mailbox.objects.filter(pk=mailbox.pk).update(owner=owner)
    mailbox.refresh_from_db()
    exchange.sync(mailbox)
    return tending.appoint(mailbox, every_minutes=30, by="marta", now=timezone.now())


def tend(canary):
    """Look after the canary as a worker does, with everything read anew."""
    fresh = Canary.objects.select_related("mailbox__owner", "mailbox__server", "mailbox__sync_profile").get(
        pk=canary.pk
    )
    tending.tend_one(fresh, timezone.now)


def whole_round(exchange, canary):
    for _each in range(5):
        tend(canary)
        assert exchange.sync(canary.mailbox).error is None
    tend(canary)


def aged(canary, **ago):
    """Move everything that has happened in open rounds back in time."""
    for row in canary.rounds.filter(ended_at=None):
        for name in ("planted_at", "out_at", "changed_at"):
            if at := getattr(row, name):
                setattr(row, name, at - timedelta(**ago))
        row.save()


def test_each_kind_goes_out_and_comes_back_and_nothing_stays_behind(exchange, canary):
    whole_round(exchange, canary)
    rows = list(canary.rounds.all())
    assert sorted(row.kind for row in rows) == sorted(CanaryRound.Kind.values)
    for row in rows:
        assert not row.lost
        assert (
            row.planted_at <= row.out_at <= (row.changed_at or row.in_at) <= row.in_at <= row.ended_at <= row.cleaned_at
        )
        assert (row.changed_at is None) is (row.kind == "mail")
    assert not Alert.objects.filter(resolved_at=None).exists()
    for left in (Activity, Thread, OutgoingMail, ItemLink, *(MODELS[kind] for kind in ENTRIES.values())):
        assert not left.objects.exists(), left
    assert not ItemDecision.objects.filter(activity__isnull=False).exists()
    for folder in ("inbox", "sentitems", "drafts", "calendar", "contacts", "tasks"):
        assert not exchange.store.folder(BIRD, folder).items, folder
    # Runs go on well after the cleaning.
    report = exchange.sync(canary.mailbox)
    assert (report.error, report.written.total(), report.tracked) == (None, 0, 0)


def test_the_mail_it_sends_goes_to_itself_alone(exchange, canary):
    whole_round(exchange, canary)
    (left,) = exchange.store.departed
    assert (left.kind, left.recipients) == ("mail", (BIRD,))


def test_the_next_round_waits_for_its_time_and_for_the_last_one(exchange, canary):
    tend(canary)
    tend(canary)
    assert canary.rounds.count() == 4
    aged(canary, minutes=31)
    tend(canary)
    # Not back yet: another round would only add to what waits.
    assert canary.rounds.count() == 4
    whole_round(exchange, canary)
    assert canary.rounds.count() == 8


def test_what_does_not_come_through_raises_an_alert_that_ends_by_itself(exchange, canary):
    tend(canary)
    aged(canary, minutes=28)
    tend(canary)
    (alert,) = Alert.objects.filter(resolved_at=None)
    assert (alert.code, alert.mailbox_id) == ("canary_late", canary.mailbox_id)
    assert "task" in alert.detail
    # A run that ends well says nothing about it...
    exchange.sync(canary.mailbox)
    assert Alert.objects.filter(code="canary_late", resolved_at=None).exists()
    # ...but what comes through does.
    whole_round(exchange, canary)
    assert not Alert.objects.filter(code="canary_late", resolved_at=None).exists()


def test_what_never_comes_is_given_up_cleaned_away_and_told_until_a_round_succeeds(exchange, canary):
    tend(canary)
    exchange.sync(canary.mailbox)
    aged(canary, hours=4)
    tend(canary)
    lost = list(canary.rounds.filter(ended_at__isnull=False))
    assert all(row.lost and row.cleaned_at for row in lost if row.kind != "mail" or not row.in_at)
    assert Alert.objects.filter(code="canary_late", resolved_at=None).exists()
    assert canary.rounds.count() == 8
    whole_round(exchange, canary)
    assert not Alert.objects.filter(code="canary_late", resolved_at=None).exists()


def test_a_mail_that_is_given_up_half_sent_leaves_no_draft(exchange, canary):
    tend(canary)
    mail = OutgoingMail.objects.get()
    made = Message(mail.message_id, mail.subject, to=(Address(BIRD),))
    open_provider(canary.mailbox).create_message(made, stamp=mail.stamp)
    OutgoingMail.objects.update(make_asked_at=timezone.now())
    assert exchange.store.folder(BIRD, "drafts").items
    aged(canary, hours=4)
    tend(canary)
    assert not exchange.store.folder(BIRD, "drafts").items
    assert not OutgoingMail.objects.filter(pk=mail.pk).exists()


def mime(subject, message_id):
    return f"From: {BIRD}\r\nTo: {BIRD}\r\nSubject: {subject}\r\nMessage-ID: {message_id}\r\n\r\nGood day\r\n".encode()


def test_a_mail_that_arrives_after_it_was_given_up_is_taken_away_by_a_later_look(exchange, canary):
    tend(canary)
    mail = OutgoingMail.objects.get()
    mark, message_id = mail.subject, mail.message_id
    aged(canary, hours=4)
    tend(canary)
    assert not OutgoingMail.objects.filter(subject=mark).exists()
    late, other = (
        mime(subject, named) for subject, named in ((mark, message_id), (f"Re: {mark}", "<other@else.example>"))
    )
    exchange.store.deliver_mime(BIRD, late)
    other_id = exchange.store.deliver_mime(BIRD, other)
    exchange.sync(canary.mailbox)
    assert Activity.objects.filter(subject=mark).exists()
    tend(canary)
    assert not Activity.objects.filter(subject=mark).exists()
    assert not ItemDecision.objects.filter(activity__subject=mark).exists()
    assert Activity.objects.filter(message_id="<other@else.example>").exists(), "nothing but its own mail is taken away"
    assert [item.id for item in exchange.store.folder(BIRD, "inbox").items.values()] == [other_id]
    run = Run.objects.latest("pk")
    tend(canary)
    assert Run.objects.latest("pk") == run, "then there is nothing left to do"


def test_a_dismissed_canary_is_cleaned_away_and_then_left_alone(exchange, canary):
    tend(canary)
    exchange.sync(canary.mailbox)
    tending.dismiss(canary, timezone.now())
    assert tending.to_tend().get() == canary
    tend(canary)
    assert not tending.to_tend().exists()
    assert not exchange.store.folder(BIRD, "tasks").items
    tend(canary)
    assert canary.rounds.count() == 4


def test_a_mailbox_that_a_run_has_is_helped_on_a_minute_later(exchange, canary, monkeypatch):
    tend(canary)
    exchange.sync(canary.mailbox)

    def taken(*_args, **_rest):
        raise tending.AlreadyRunning(Run(mailbox=canary.mailbox))

    with monkeypatch.context() as patched:
        patched.setattr(tending, "beside", taken)
        tend(canary)
    assert not canary.rounds.filter(changed_at__isnull=False).exists()
    tend(canary)
    assert canary.rounds.filter(changed_at__isnull=False).count() == 3


def test_a_server_that_fails_meanwhile_costs_a_minute_and_nothing_else(exchange, canary, monkeypatch):
    tend(canary)
    exchange.sync(canary.mailbox)

    def fails(*_args):
        raise Unavailable

    with monkeypatch.context() as patched:
        patched.setattr(planting, "change", fails)
        tend(canary)
    assert not canary.rounds.filter(changed_at__isnull=False).exists()
    whole_round(exchange, canary)
    assert not canary.rounds.filter(lost=True).exists()


@pytest.mark.parametrize("why", ["off", "refused", "held back", "server stopped", "server held back"])
def test_a_server_that_no_run_would_ask_is_not_asked_by_the_canary_either(exchange, canary, monkeypatch, why):
    tend(canary)
    exchange.sync(canary.mailbox)
    later = timezone.now() + timedelta(hours=1)
    mailboxes, servers = Mailbox.objects.filter(pk=canary.mailbox_id), ServerProfile.objects.all()
    match why:
        case "off":
            mailboxes.update(intent=Intent.OFF)
        case "refused":
            mailboxes.update(state=State.SIGN_IN_FAILED)
        case "held back":
            mailboxes.update(not_before=later)
        case "server stopped":
            servers.update(stopped_at=timezone.now(), stopped_code="auth_rejected")
        case "server held back":
            servers.update(not_before=later)
    asked = []
    monkeypatch.setattr(tending, "beside", lambda *_args, **_rest: asked.append(1))
    tend(canary)
    assert asked == []


def test_of_two_looks_at_once_one_plants(exchange, canary):
    tending._plant(canary, timezone.now())
    tending._plant(canary, timezone.now())
    assert canary.rounds.count() == 4


def test_what_was_made_before_a_crash_is_not_there_without_its_row(exchange, canary, monkeypatch):
    def dies(**_values):
        raise KeyboardInterrupt

    monkeypatch.setattr(CanaryRound.objects, "create", dies)
    with pytest.raises(KeyboardInterrupt):
        tend(canary)
    assert not OutgoingMail.objects.exists()
    assert not canary.rounds.exists()


def test_a_look_takes_nothing_back_that_another_one_did(exchange, canary, monkeypatch):
    tend(canary)
    changed = timezone.now()
    monkeypatch.setattr(planting, "look", lambda _row, _mailbox: CanaryRound.objects.update(changed_at=changed))
    tend(canary)
    assert {row.changed_at for row in canary.rounds.all()} == {changed}


@pytest.mark.django_db(transaction=True)
def test_a_queue_that_is_gone_costs_nothing_that_is_planted(monkeypatch):
    def gone(_transport, _claims):
        raise RedisError("gone")

    monkeypatch.setattr(RedisTransport, "enqueue", gone)
    canary = tending.appoint(Office().mailbox("bird"), every_minutes=30, by="marta", now=timezone.now())
    tend(canary)
    assert canary.rounds.count() == 4
    assert OutgoingMail.objects.get().state == "waiting"


def test_rounds_are_kept_for_two_weeks(exchange, canary):
    whole_round(exchange, canary)
    canary.rounds.filter(kind="task").update(cleaned_at=timezone.now() - timedelta(days=15))
    housekeeping.prune(timezone.now())
    assert sorted(canary.rounds.values_list("kind", flat=True)) == ["appointment", "contact", "mail"]


def test_one_look_at_a_time_waits_in_the_queue():
    waiting = queue("sync")
    waiting.empty()
    RedisTransport().tend_canaries()
    RedisTransport().tend_canaries()
    (name,) = waiting.get_job_ids()
    assert name.startswith(TEND_CANARIES)
    waiting.empty()


# -- the command


def test_the_command_appoints_shows_and_dismisses(exchange, canary, capsys):
    whole_round(exchange, canary)
    call_command("canary", "--json")
    (shown,) = json.loads(capsys.readouterr().out)["canaries"]
    assert shown["address"] == BIRD
    assert shown["late_since"] is None
    for kind in CanaryRound.Kind.values:
        assert shown["kinds"][kind]["rounds_24h"] == 1
        assert shown["kinds"][kind]["to_exchange_s"]["last"] >= 0
        assert shown["kinds"][kind]["from_exchange_s"]["longest_24h"] >= 0
    call_command("canary", BIRD, "--on", "--every", "60")
    assert "every 60 minutes" in capsys.readouterr().out
    call_command("canary", BIRD, "--off")
    assert "There is no canary" in capsys.readouterr().out
    with pytest.raises(Failed, match="is no canary"):
        call_command("canary", BIRD)


def test_a_mailbox_that_serves_somebody_is_not_made_a_canary(exchange):
    anna = exchange.mailbox("anna@office.example")
    from_outside = (
        b"From: x@elsewhere.example\r\nTo: anna@office.example\r\nSubject: Offer\r\nMessage-ID: <1@x>\r\n\r\nHi\r\n"
    )
    exchange.store.deliver_mime("anna@office.example", from_outside)
    exchange.sync(anna)
    with pytest.raises(Failed, match="holds tracked mail"):
        call_command("canary", "anna@office.example", "--on")
    Activity.objects.all().delete()
    ItemLink.objects.create(mailbox=anna, kind="contact", record_id=1, stamp="x", item_id="1", linked_at=timezone.now())
    with pytest.raises(Failed, match="in step with records"):
        call_command("canary", "anna@office.example", "--on")
    Mailbox.objects.update(intent=Intent.OFF)
    with pytest.raises(Failed, match="not switched on"):
        call_command("canary", "anna@office.example", "--on")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--on"], "need the address"),
        ([BIRD, "--every", "20"], "belongs to --on"),
        ([BIRD, "--on", "--every", "5"], "15 to 1440"),
        ([BIRD, "--on", "--off"], "not allowed with"),
    ],
)
def test_what_makes_no_sense_is_wrong_use(arguments, message):
    with pytest.raises(WrongUse, match=message):
        call_command("canary", *arguments)


def test_an_unknown_address_is_told():
    with pytest.raises(Failed, match="nobody@office"):
        call_command("canary", "nobody@office.example", "--on")


# -- the page


def test_the_page_delays_shows_the_canary_to_who_may_see_its_mailbox(exchange, canary, client):
    whole_round(exchange, canary)
    client.force_login(User.objects.get(username="bird"))
    shown = client.get("/delays/").content.decode()
    assert BIRD in shown
    assert "comes through" in shown
    client.force_login(User.objects.create_user(username="stranger"))
    assert BIRD not in client.get("/delays/").content.decode()


def test_a_secret_that_cannot_be_decrypted_keeps_no_other_canary_from_being_looked_after(db, monkeypatch, settings):
    office, looked_after = Office(), []
    monkeypatch.setattr(tending, "tend_one", lambda canary, _clock: looked_after.append(canary.mailbox.address))
    for name in ("first", "second"):
        tending.appoint(office.mailbox(name), every_minutes=30, by="marta", now=timezone.now())
    Mailbox.objects.filter(address__startswith="first").update(username="first", secret="a password")
    settings.ENCRYPTION_KEYS = ["another key"]
    tending.tend()
    assert looked_after == ["first@office.example", "second@office.example"]
