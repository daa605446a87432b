"""Pages of records: lists by kind, and a record with its threads."""

import csv
import html
import io
import re

import pytest
from django.test import Client

from tests import scene as scenes
from tracking.models import Account, Activity, Case, Contact, Lead, Opportunity, Participant
from tracking.records.pages import KINDS


@pytest.fixture
def scene(organisation: scenes.Scene, db: None, client: Client) -> scenes.Scene:
    scene = organisation.copy()
    client.force_login(scene.person("anna"))
    return scene


def page(client: Client, address: str) -> str:
    answer = client.get(address)
    assert answer.status_code == 200, address
    return html.unescape(answer.content.decode())


@pytest.mark.parametrize("kind", list(KINDS))
def test_each_kind_has_a_list_a_csv_and_a_page_for_each_record(client: Client, scene: scenes.Scene, kind: str) -> None:
    record = KINDS[kind].model._default_manager.get()
    assert str(record) in page(client, f"/records/{kind}/")
    assert str(record) in page(client, f"/records/{kind}/{record.pk}/")
    rows = list(csv.DictReader(io.StringIO(client.get(f"/records/{kind}/export/").getvalue().decode("utf-8-sig"))))
    assert [row["name"] for row in rows] == [str(record)]


def test_a_kind_that_is_none_does_not_exist(client: Client, scene: scenes.Scene) -> None:
    for address in ("/records/user/", "/records/user/1/", "/records/user/export/"):
        assert client.get(address).status_code == 404


def test_records_belong_to_their_owners(client: Client, scene: scenes.Scene) -> None:
    client.force_login(scene.person("bruno"))
    assert "None that you may see" in page(client, "/records/contact/")
    client.force_login(scene.person("emil"))
    assert "Pau Riera" in page(client, "/records/contact/")


@pytest.mark.parametrize(
    ("kind", "words", "found"),
    [("contact", "riera", True), ("contact", "PAU bombes", True), ("contact", "pau gil", False), ("lead", "tallers", True),
     ("account", "empordà", True), ("opportunity", "figueres", True), ("case", "case-118", True), ("case", "pump", False)],
)  # fmt: skip
def test_search_wants_every_word_in_name_address_or_organisation(
    client: Client, scene: scenes.Scene, kind: str, words: str, found: bool
) -> None:
    assert ("<tbody>" in page(client, f"/records/{kind}/?q={words}")) is found
    if not found:
        assert "Nothing fits" in page(client, f"/records/{kind}/?q={words}")


@pytest.mark.parametrize("sort", ["name", "-name", "address", "besides", "-owner", "threads", "x"])
def test_lists_sort(client: Client, scene: scenes.Scene, sort: str) -> None:
    Contact.objects.create(last_name="Zamora", email1="a@x.example", owner=scene.person("anna"))
    names = re.findall(r'href="/records/contact/\d+/">([^<]+)', page(client, f"/records/contact/?sort={sort}"))
    assert names == (["Zamora", "Pau Riera"] if sort in {"-name", "address"} else ["Pau Riera", "Zamora"])


def test_threads_are_counted_once_and_only_those_that_can_be_read(client: Client, scene: scenes.Scene) -> None:
    pau = Contact.objects.get(last_name="Riera")
    assert re.search(r'data-label="Threads">6<', page(client, "/records/contact/"))
    deal = Opportunity.objects.get()
    assert re.search(r'data-label="Threads">6<', page(client, "/records/opportunity/"))
    Activity.objects.filter(thread=scene.hidden).update(regarding_kind="opportunity", regarding_id=deal.pk)
    assert "Only for Bruno" not in page(client, f"/records/opportunity/{deal.pk}/")
    shown = page(client, f"/records/contact/{pau.pk}/")
    assert shown.count('href="/threads/') - shown.count('href="/threads/"') == 6


def test_a_record_leads_to_its_account_and_an_account_to_its_people(client: Client, scene: scenes.Scene) -> None:
    pau, account = Contact.objects.get(last_name="Riera"), Account.objects.get()
    assert f'href="/records/account/{account.pk}/"' in page(client, f"/records/contact/{pau.pk}/")
    assert f'href="/records/contact/{pau.pk}/"' in page(client, f"/records/account/{account.pk}/")
    Account.objects.update(owner=scene.person("fina"))
    assert "/records/account/" not in page(client, f"/records/contact/{pau.pk}/").partition("<main")[2].replace(
        '/records/account/"', ""
    )


@pytest.mark.parametrize("kind", ["contact", "opportunity"])
def test_lists_name_no_account_that_the_reader_may_not_see(client: Client, scene: scenes.Scene, kind: str) -> None:
    assert "Bombes Empordà" in page(client, f"/records/{kind}/")
    Account.objects.update(owner=scene.person("fina"))
    assert "Bombes Empordà" not in page(client, f"/records/{kind}/")
    assert "Bombes" not in client.get(f"/records/{kind}/export/").getvalue().decode()
    # A search would tell letter by letter.
    assert "Nothing fits" in page(client, f"/records/{kind}/?q=empordà")


def test_a_record_nobody_wrote_about_says_so(client: Client, scene: scenes.Scene) -> None:
    lead = Lead.objects.get()
    assert "No tracked mail that you may read" in page(client, f"/records/lead/{lead.pk}/")
    case = Case.objects.get()
    Participant.objects.filter(role="to").update(record_kind="case", record_id=case.pk)
    assert "Offer for twelve pumps" in page(client, f"/records/case/{case.pk}/")
