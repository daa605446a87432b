"""The number of SQL queries of each page is fixed: it does not grow with the rows, and it stays below a stated budget."""

from datetime import timedelta

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from tests import scene as scenes
from tracking.models import (
    Account,
    AddressChoice,
    Appointment,
    Contact,
    ItemFailure,
    Opportunity,
    OutgoingMail,
    UnknownSender,
)

# Two of each are session and user; two more are the privileges of a person who is no administrator.
BUDGETS = {
    "/": 16,
    "/mailboxes/": 10,
    "/mailboxes/export/": 8,
    "/mailboxes/{box}/": 12,
    "/mailboxes/{box}/runs/": 9,
    "/mailboxes/{box}/decisions/": 10,
    "/mailboxes/{box}/failed-items/": 10,
    "/mailboxes/{box}/in-step/": 24,
    "/mailboxes/{box}/options/": 17,
    "/mailboxes/{box}/tracked-folders/new/": 9,
    "/mailboxes/{box}/repair/": 9,
    "/mailboxes/{box}/repair/read-again/?what=mailbox": 9,
    "/mailboxes/{box}/repair/backfill/": 9,
    "/sync-profiles/": 9,
    "/sync-profiles/{profile}/": 17,
    "/mailboxes/{box}/filters/": 18,
    "/threads/": 9,
    "/threads/?q=offer&mailbox=anna": 9,
    "/threads/{thread}/": 24,
    "/threads/{thread}/regarding/?q=pau&message={message}": 14,
    "/threads/{thread}/split/": 8,
    "/threads/{thread}/stop/": 8,
    "/addresses/": 26,
    "/addresses/waiting/": 6,
    "/addresses/remembered/": 8,
    "/addresses/unknown/": 16,
    "/addresses/unknown/?state=ignored": 10,
    "/addresses/unknown/export/": 5,
    "/addresses/unknown/{sender}/link/?q=riera": 10,
    "/delays/": 8,
    "/outgoing/": 6,
    "/outgoing/?show=all": 6,
    "/outgoing/new/": 7,
    "/outgoing/{mail}/": 10,
    "/records/contact/": 8,
    "/records/account/": 8,
    "/records/contact/{contact}/": 13,
    "/records/contact/{contact}/mail/": 14,
    "/appointments/": 7,
    "/appointments/{series}/": 19,
}


def count(client: Client, address: str) -> int:
    with CaptureQueriesContext(
        connection,
    ) as captured:
        answer = client.get(address)
        answer.getvalue()
    assert answer.status_code == 200, address
    return len(captured)


@pytest.mark.parametrize("username", ["fina", "anna"])
def test_queries_do_not_grow_with_rows(db: None, client: Client, username: str) -> None:
    now = timezone.now()
    scene = scenes.build(now, others=2)
    client.force_login(scene.person(username))
    assert scene.thread
    contact = Contact.objects.get(last_name="Riera")
    names = {"box": scene.box.pk, "thread": scene.thread.pk, "contact": contact.pk}
    names["sender"] = UnknownSender.objects.get(name="Jordi Vila").pk
    names["message"] = scene.thread.activities.order_by("received_at")[0].pk
    series = Appointment.objects.get(subject="Weekly review")
    names["series"] = series.pk
    names["profile"] = scene.box.sync_profile_id
    names["mail"] = OutgoingMail.objects.get(state="failed").pk
    few = {page: count(client, page.format(**names)) for page in BUDGETS}
    grow(scene, contact)
    many = {page: count(client, page.format(**names)) for page in BUDGETS}
    assert many == few
    assert {page: n for page, n in many.items() if n > BUDGETS[page]} == {}


def grow(scene: scenes.Scene, contact: Contact) -> None:
    """Add rows of every kind a page lists, many more than there were."""
    now, anna, deal = scene.now, scene.person("anna"), Opportunity.objects.get()
    profile, server = scene.box.sync_profile, scene.box.server
    for n in range(12):
        scenes.make_mailbox(now, f"more{n}@tramuntana.example", server, anna, profile)
        age = timedelta(minutes=n + 1)
        scenes.make_thread(scene, scene.box, f"More of offer {n}", messages=2, age=age, contact=contact, deal=deal)
        account = Account.objects.create(name=f"Account {n}", owner=anna)
        Contact.objects.create(last_name=f"Contact {n}", account=account, owner=anna)
        Appointment.objects.create(
            owner=anna, subject=f"Visit {n}", starts_at=now, ends_at=now + timedelta(hours=1), zone="Europe/Madrid"
        )
        series = Appointment.objects.get(subject="Weekly review")
        series.changes.create(original=now + timedelta(days=500 + n), cancelled=True)
        ItemFailure.objects.create(
            mailbox=scene.box, folder=scene.box.folders.all()[0], item_id=f"more-{n}", code="item_unreadable",
            first_at=now, last_at=now,
        )  # fmt: skip
    for n in range(12):
        OutgoingMail.objects.create(
            mailbox=scene.box, author=anna, subject=f"More {n}", to=[{"email": "kim@c.example"}], state="waiting",
            stamp=f"more-{n}", created_at=now, state_since=now,
        )  # fmt: skip
        UnknownSender.objects.create(
            mailbox=scene.box, address=f"more{n}@new.example", first_at=now, last_at=now, noticed_at=now, messages=1
        )
        AddressChoice.objects.create(owner=anna, address=f"more{n}@shared.example", by="anna", at=now)
    for n in range(8):
        scenes.add_message(scene, scene.thread, scene.box, n, contact)
