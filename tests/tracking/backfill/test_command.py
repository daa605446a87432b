"""`manage.py backfill`: counts, reads, and says what is wrong with what was typed."""

import json
from datetime import UTC, datetime
from io import StringIO
from typing import Any

import pytest
from django.core.management import call_command

from mailboxes import claims
from mailboxes.models import Mailbox
from mailboxes.provider.errors import FolderGone, Unavailable
from mailboxes.states import Intent, Track, Trigger
from security.commands import Failed, WrongUse
from tests.tracking.office import Office
from tracking.engine import foreground
from tracking.models import Activity, Backfill, Contact

pytestmark = pytest.mark.django_db
MARCH = ("--from", "2026-03-01", "--to", "2026-03-31")


@pytest.fixture
def office(monkeypatch: pytest.MonkeyPatch) -> Office:
    office = Office()
    monkeypatch.setattr(foreground, "open_provider", lambda mailbox: office.server.provider(mailbox.address))
    return office


@pytest.fixture
def marta(office: Office) -> Mailbox:
    """A mailbox that refused two messages of March and one of April, and tracks everything by now."""
    marta = office.mailbox("marta", track=Track.NONE)
    for number, month in enumerate((3, 3, 4)):
        office.server.deliver(
            marta.address, "inbox", sender="anna@c.example", to=[marta.address], message_id=f"<{number}@x>",
            received_at=datetime(2026, month, 9, 12, tzinfo=UTC),
        )  # fmt: skip
    office.sync(marta)
    Mailbox.objects.filter(pk=marta.pk).update(track=Track.ALL)
    return marta


def ask(*arguments: str) -> dict[str, Any]:
    out = StringIO()
    call_command("backfill", *arguments, "--json", stdout=out, stderr=StringIO())
    return dict(json.loads(out.getvalue()))


def test_it_counts_and_reads_a_range(marta: Mailbox) -> None:
    document = ask(marta.address, *MARCH)
    assert document["state"] == "done"
    assert document["counted"] == {"held": 2, "known": 0, "aside": 0, "would_track": 2, "would_link": 0, "unread": 0}
    assert document["read"] == {"examined": 2, "tracked": 2, "updated": 0, "refused": 0, "quarantined": 0}
    assert document["requests"] > 0
    assert Activity.objects.count() == 2
    again = ask(marta.address, *MARCH)
    assert (again["counted"]["known"], again["read"]["examined"]) == (2, 0), "a second time finds nothing to do"


def test_a_dry_run_stores_nothing_and_leaves_nothing_open(marta: Mailbox) -> None:
    document = ask(marta.address, *MARCH, "--dry-run")
    assert (document["counted"]["would_track"], document["read"]) == (2, None)
    assert not Activity.objects.exists()
    assert not Backfill.objects.filter(state__in=Backfill.OPEN).exists()


def test_people_read_it_in_words(marta: Mailbox) -> None:
    Mailbox.objects.filter(pk=marta.pk).update(track=Track.REPLIES)
    out = StringIO()
    call_command("backfill", marta.address, *MARCH, stdout=out, stderr=StringIO())
    words = out.getvalue()
    assert "2 in Exchange" in words
    assert "2 Refused, because it answers no tracked message" in words
    assert "0 tracked, 0 linked, 2 refused, 0 set aside" in words


def test_it_reads_the_refused_mail_of_a_record(marta: Mailbox) -> None:
    Mailbox.objects.filter(pk=marta.pk).update(track=Track.RECORDS)
    record = Contact.objects.create(last_name="A", email1="anna@c.example")
    call_command("sync_mailbox", marta.address, "--json", stdout=StringIO(), stderr=StringIO())
    # What was refused because nothing was tracked is none of a record's business.
    assert ask(marta.address, "--record", f"contact:{record.pk}")["counted"]["held"] == 0


def test_one_folder_is_named_by_name_or_role(marta: Mailbox) -> None:
    assert ask(marta.address, *MARCH, "--folder", "INBOX", "--dry-run")["counted"]["held"] == 2
    assert ask(marta.address, *MARCH, "--folder", "sent", "--dry-run")["counted"]["held"] == 0


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        ((), WrongUse, "Say from which day"),
        (("--from", "2026-03-01"), WrongUse, "Say from which day"),
        (("--from", "01/03/2026", "--to", "2026-03-31"), WrongUse, "01/03/2026 is no day"),
        (("--from", "2026-02-30", "--to", "2026-03-31"), WrongUse, "no day"),
        (("--from", "2026-03-02", "--to", "2026-03-01"), Failed, "last day is before"),
        (("--from", "1026-03-02", "--to", "2026-03-01"), Failed, "too long ago"),
        (("--from", "2999-03-02", "--to", "2999-03-03"), Failed, "not come yet"),
        ((*MARCH, "--folder", "Nowhere"), Failed, "There are: Inbox, Sent"),
        ((*MARCH, "--folder", "Calendar"), Failed, "no folder Calendar"),
        (("--record", "user:1"), WrongUse, "names no record"),
        (("--record", "contact:x"), WrongUse, "names no record"),
        (("--record", "contact:1", *MARCH), WrongUse, "no range"),
        (("--record", "contact:999999999"), Failed, "There is no contact"),
        (("--what",), WrongUse, "what"),
    ],
)
def test_wrong_use_is_told_in_a_sentence(marta: Mailbox, arguments: tuple[str, ...], error: type, words: str) -> None:
    with pytest.raises(error, match=words):
        ask(marta.address, *arguments)
    assert not Backfill.objects.filter(state__in=Backfill.OPEN).exists()


def test_a_mailbox_that_is_archived_or_not_there_is_told(marta: Mailbox) -> None:
    with pytest.raises(Failed, match="no mailbox"):
        ask("nobody@office.example", *MARCH)
    Mailbox.objects.filter(pk=marta.pk).update(intent=Intent.ARCHIVED)
    with pytest.raises(Failed, match="archived"):
        ask(marta.address, *MARCH)


def test_a_server_that_fails_ends_it_with_its_cause_and_it_can_be_gone_on_with(office: Office, marta: Mailbox) -> None:
    office.server.fail("contents", Unavailable(code="timed_out"))
    with pytest.raises(Failed, match="ended early"):
        ask(marta.address, *MARCH)
    row = Backfill.objects.get()
    assert (row.state, row.error_code) == ("reading", "timed_out"), "workers go on with it"


def test_one_that_cannot_go_on_ends_with_its_cause_and_what_to_do(office: Office, marta: Mailbox) -> None:
    office.server.fail("listing", FolderGone())
    with pytest.raises(Failed, match=r"cannot go on: folder_gone\. What to do: Stop following it"):
        ask(marta.address, *MARCH, "--folder", "inbox")
    row = Backfill.objects.get()
    assert (row.state, row.confirmed_at) == ("failed", None)


def test_a_mailbox_at_work_is_not_waited_for_for_ever(marta: Mailbox, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tracking.workers.leases.patience_s", lambda: 0.0)
    claims.claim_one(marta, Trigger.COMMAND, "", datetime.now(UTC))
    with pytest.raises(Failed, match="being synced"):
        ask(marta.address, *MARCH)
    assert Backfill.objects.get().state == "cancelled"
