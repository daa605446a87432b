"""Contacts and distribution lists through their whole life, by unmodified exchangelib and by hand."""

from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from exchangelib import Account, Contact, DistributionList, ExtendedProperty, Mailbox
from exchangelib.errors import ErrorIrresolvableConflict
from exchangelib.folders import Contacts
from exchangelib.indexed_properties import EmailAddress, PhoneNumber, PhysicalAddress
from exchangelib.properties import DLMailbox, Member

from mailboxes.sandbox import statefile
from mailboxes.sandbox.server import SandboxServer
from mailboxes.sandbox.store import SandboxError, SandboxStore
from tests import ews_schema
from tests.mailboxes.sandbox.wire import ANNA, BEN, Ask

Open = Callable[..., Account]
ALL = "<m:ItemShape><t:BaseShape>AllProperties</t:BaseShape></m:ItemShape>"


class CrmId(ExtendedProperty):  # type: ignore[misc]  # exchangelib has no types
    property_set_id = "c11ff724-aa03-4555-9952-8fa248a11c3e"
    property_name = "crm_id"
    property_type = "String"


def zoe(account: Account, **more: object) -> Contact:
    made = Contact(
        folder=account.contacts,
        display_name="Zoe Quill",
        file_as=more.pop("file_as", "Zoe Quill"),
        given_name="Zoe",
        surname="Quill",
        company_name="Quill & Co",
        department="Sales",
        job_title="Buyer",
        email_addresses=[
            EmailAddress(label=f"EmailAddress{number}", email=f"zoe{number}@quill.example") for number in (1, 2, 3)
        ],
        phone_numbers=[
            PhoneNumber(label="BusinessPhone", phone_number="+34 900"),
            PhoneNumber(label="MobilePhone", phone_number="+34 600"),
        ],
        physical_addresses=[
            PhysicalAddress(label="Business", street="Carrer 1", city="València", zipcode="46001", country="Spain"),
            PhysicalAddress(label="Home", street="Plaça 2", city="Gandia"),
        ],
        birthday=date(1990, 1, 2),
        body="Met at the fair",
        **more,
    ).save()
    return account.contacts.get(id=made.id)


def test_a_contact_keeps_all_it_is_given_and_works_out_the_rest(account: Open) -> None:
    contact = zoe(account(ANNA), file_as_mapping="LastCommaFirst")
    assert (contact.display_name, contact.file_as, contact.complete_name.full_name) == (
        "Zoe Quill",
        "Quill, Zoe",
        "Zoe Quill",
    )
    assert [one.email for one in contact.email_addresses] == [f"zoe{number}@quill.example" for number in (1, 2, 3)]
    assert {one.label: one.phone_number for one in contact.phone_numbers} == {
        "BusinessPhone": "+34 900",
        "MobilePhone": "+34 600",
    }
    assert {one.label: (one.city, one.country) for one in contact.physical_addresses} == {
        "Business": ("València", "Spain"),
        "Home": ("Gandia", None),
    }
    assert (contact.birthday, contact.company_name, contact.text_body) == (
        date(1990, 1, 2),
        "Quill & Co",
        "Met at the fair",
    )


@pytest.mark.parametrize(
    ("mapping", "filed"),
    [
        ("FirstSpaceLast", "Zoe Quill"),
        ("Company", "Quill & Co"),
        ("LastCommaFirstCompany", "Quill, Zoe\r\nQuill & Co"),
        ("CompanyLastCommaFirst", "Quill & Co\r\nQuill, Zoe"),
        ("LastSpaceFirst", "Quill Zoe"),
        ("FirstName", "Zoe"),
        ("None", "Own words"),
    ],
)
def test_a_contact_is_filed_by_its_mapping(account: Open, mapping: str, filed: str) -> None:
    contact = zoe(account(ANNA), file_as_mapping=mapping, file_as="Own words")
    assert contact.file_as == filed
    contact.surname = "Feather"
    contact.save(update_fields=["surname"])
    again = account(ANNA).contacts.all().get()
    assert again.file_as == filed.replace("Quill,", "Feather,").replace("Zoe Quill", "Zoe Feather").replace(
        "Quill Zoe", "Feather Zoe"
    )
    assert again.complete_name.last_name == "Feather"


def test_single_fields_are_set_deleted_and_appended_to(account: Open) -> None:
    anna = account(ANNA)
    contact = zoe(anna)
    contact.job_title, contact.birthday = None, date(1991, 2, 3)
    contact.email_addresses = [EmailAddress(label="EmailAddress2", email="new@quill.example")]
    contact.save(update_fields=["job_title", "birthday", "email_addresses"])
    again = anna.contacts.all().get()
    assert (again.job_title, again.birthday, again.department) == (None, date(1991, 2, 3), "Sales")
    assert [(one.label, one.email) for one in again.email_addresses] == [("EmailAddress2", "new@quill.example")]


def test_a_contact_moves_syncs_and_goes(store: SandboxStore, account: Open) -> None:
    anna = account(ANNA)
    store.create_folder(ANNA, "contacts", "Leads")
    leads = anna.contacts / "Leads"
    contact = zoe(anna, categories=["CRM"])
    assert [change for change, _ in anna.contacts.sync_items(only_fields=[])] == ["create"]
    contact.company_name = "Other"
    contact.save(update_fields=["company_name"])
    assert [change for change, _ in anna.contacts.sync_items(anna.contacts.item_sync_state, only_fields=[])] == [
        "update"
    ]
    before = contact.id
    contact.move(leads)
    assert contact.id != before
    assert [change for change, _ in anna.contacts.sync_items(anna.contacts.item_sync_state, only_fields=[])] == [
        "delete"
    ]
    moved = leads.all().get()
    assert (moved.company_name, moved.categories, len(moved.email_addresses)) == ("Other", ["CRM"], 3)
    moved.delete()
    assert leads.all().count() == 0


@pytest.mark.parametrize("kind", [Contact, DistributionList])
def test_extended_properties_and_conflicts(account: Open, kind: Any) -> None:
    anna = account(ANNA)
    kind.register("crm_id", CrmId)
    try:
        kind(folder=anna.contacts, display_name="X", crm_id="42").save()
        first, second = (anna.contacts.filter(crm_id="42").get() for _ in range(2))
        first.display_name = "Y"
        first.save(update_fields=["display_name"], conflict_resolution="NeverOverwrite")
        second.display_name = "Z"
        for resolution in ("NeverOverwrite", "AutoResolve"):
            with pytest.raises(ErrorIrresolvableConflict):
                second.save(update_fields=["display_name"], conflict_resolution=resolution)
        second.crm_id = "43"
        second.save(update_fields=["crm_id"], conflict_resolution="AutoResolve")
        second.save(update_fields=["display_name"], conflict_resolution="AlwaysOverwrite")
        again = anna.contacts.all().get()
        assert (again.display_name, again.crm_id) == ("Z", "43")
    finally:
        kind.deregister("crm_id")


def buyers(account: Account) -> DistributionList:
    DistributionList(
        folder=account.contacts,
        display_name="Buyers",
        members=[
            Member(mailbox=Mailbox(name="Ben", email_address=BEN)),
            Member(mailbox=Mailbox(email_address="x@outside.example")),
        ],
        categories=["CRM"],
    ).save()
    found = account.contacts.all().get()
    assert isinstance(found, DistributionList)
    return found


def test_a_distribution_list_lives(store: SandboxStore, server: SandboxServer, account: Open, tmp_path: Path) -> None:
    anna = account(ANNA)
    group = buyers(anna)
    assert (group.display_name, group.file_as, group.subject, group.categories) == (
        "Buyers",
        "Buyers",
        "Buyers",
        ["CRM"],
    )
    assert [(one.mailbox.email_address, one.status) for one in group.members] == [
        (BEN, "Normal"),
        ("x@outside.example", "Normal"),
    ]
    expanded = anna.protocol.expand_dl(DLMailbox(item_id=group._id, mailbox_type="PrivateDL"))
    assert [one.email_address for one in expanded] == [BEN, "x@outside.example"]
    group.members = [*group.members, Member(mailbox=Mailbox(email_address="y@outside.example"))]
    group.display_name = "All buyers"
    group.save(update_fields=["members", "display_name"])
    again = anna.contacts.all().get()
    assert (len(again.members), again.display_name, again.subject) == (3, "All buyers", "All buyers")
    statefile.save(store, tmp_path / "state")
    assert statefile.load(tmp_path / "state").item(again.id).content.values == store.item(again.id).content.values
    moved = Contacts(parent=anna.contacts, name="Lists").save()
    again.move(moved)
    assert (anna.contacts.all().count(), moved.all().get().display_name) == (0, "All buyers")
    moved.all().get().delete()
    assert moved.all().count() == 0


def test_members_come_and_go_one_by_one(store: SandboxStore, ask: Ask) -> None:
    ews_schema.require()
    item = store.item(store.add_list(ANNA, "Buyers", [BEN]))

    def change(update: str, *, code: str = "NoError") -> list[str]:
        reply = ask(
            f'<m:UpdateItem ConflictResolution="AlwaysOverwrite"><m:ItemChanges><t:ItemChange><t:ItemId Id="{item.id}"/>'
            f"<t:Updates>{update}</t:Updates></t:ItemChange></m:ItemChanges></m:UpdateItem>"
        )
        assert reply.codes == [code]
        got = ask(f'<m:GetItem>{ALL}<m:ItemIds><t:ItemId Id="{item.id}"/></m:ItemIds></m:GetItem>')
        return [f"{one.get('Key')}" for one in got.all("t:Member")]

    (first,) = change(
        '<t:SetItemField><t:FieldURI FieldURI="item:Importance"/><t:DistributionList><t:Importance>High</t:Importance></t:DistributionList></t:SetItemField>'
    )
    both = change(
        '<t:AppendToItemField><t:FieldURI FieldURI="distributionlist:Members"/><t:DistributionList><t:Members><t:Member><t:Mailbox>'
        "<t:EmailAddress>new@outside.example</t:EmailAddress></t:Mailbox></t:Member></t:Members></t:DistributionList></t:AppendToItemField>"
    )
    assert both[0] == first
    assert len(set(both)) == 2
    assert change(
        f'<t:DeleteItemField><t:IndexedFieldURI FieldURI="distributionlist:Members:Member" FieldIndex="{first}"/></t:DeleteItemField>'
    ) == [both[1]]
    change(
        '<t:SetItemField><t:FieldURI FieldURI="distributionlist:Members"/><t:DistributionList><t:Members><t:Member/></t:Members>'
        "</t:DistributionList></t:SetItemField>",
        code="ErrorInvalidMailbox",
    )


@pytest.mark.parametrize(
    ("inner", "code"),
    [
        (
            '<t:Contact><t:PhoneNumbers><t:Entry Key="Pigeon">1</t:Entry></t:PhoneNumbers></t:Contact>',
            "ErrorSchemaValidation",
        ),
        (
            '<t:Contact><t:PhysicalAddresses><t:Entry Key="Home"><t:Planet>Mars</t:Planet></t:Entry></t:PhysicalAddresses></t:Contact>',
            "ErrorSchemaValidation",
        ),
        ("<t:DistributionList/>", "ErrorRequiredPropertyMissing"),
        (
            "<t:DistributionList><t:DisplayName>x</t:DisplayName><t:Members><t:Member><t:Mailbox/></t:Member></t:Members></t:DistributionList>",
            "ErrorInvalidMailbox",
        ),
    ],
)
def test_people_that_make_no_sense_are_refused(store: SandboxStore, ask: Ask, inner: str, code: str) -> None:
    reply = ask(f"<m:CreateItem><m:Items>{inner}</m:Items></m:CreateItem>", valid=False)
    assert reply.codes == [code]
    with pytest.raises(SandboxError):
        store.add_list(ANNA, "", [])


def test_the_list_of_categories_is_kept_with_the_calendar(store: SandboxStore, account: Open, tmp_path: Path) -> None:
    anna = account(ANNA)
    configuration = {"name": "CategoryList", "properties": "XmlData"}
    xml = b'<?xml version="1.0"?><categories default="CRM"><category name="CRM" color="0" guid="{1}"/></categories>'
    anna.calendar.create_user_configuration("CategoryList", xml_data=xml)
    assert anna.calendar.get_user_configuration(**configuration).xml_data == xml
    anna.calendar.update_user_configuration("CategoryList", xml_data=xml.replace(b"CRM", b"Kunden"))
    statefile.save(store, tmp_path / "state")
    folder = statefile.load(tmp_path / "state").folder(ANNA, "calendar")
    assert folder.configurations == store.folder(ANNA, "calendar").configurations != {}
    assert b"Kunden" in anna.calendar.get_user_configuration(**configuration).xml_data
    anna.calendar.delete_user_configuration("CategoryList")
    with pytest.raises(Exception, match="not found"):
        anna.calendar.get_user_configuration(**configuration)


@pytest.mark.parametrize(
    ("operation", "code"),
    [
        (
            "<m:GetUserConfiguration>{name}<m:UserConfigurationProperties>Soul</m:UserConfigurationProperties></m:GetUserConfiguration>",
            "ErrorSchemaValidation",
        ),
        ("<m:DeleteUserConfiguration>{name}</m:DeleteUserConfiguration>", "ErrorItemNotFound"),
        (
            '<m:DeleteUserConfiguration><m:UserConfigurationName Name="x"/></m:DeleteUserConfiguration>',
            "ErrorSchemaValidation",
        ),
        ("<m:UpdateUserConfiguration><m:UserConfiguration/></m:UpdateUserConfiguration>", "ErrorSchemaValidation"),
        (
            '<m:CreateUserConfiguration><m:UserConfiguration><t:UserConfigurationName Name="x"><t:DistinguishedFolderId Id="inbox"/>'
            "</t:UserConfigurationName><t:XmlData>%%</t:XmlData></m:UserConfiguration></m:CreateUserConfiguration>",
            "ErrorSchemaValidation",
        ),
    ],
)
def test_configurations_that_make_no_sense_are_refused(ask: Ask, operation: str, code: str) -> None:
    name = '<m:UserConfigurationName Name="x"><t:DistinguishedFolderId Id="inbox"/></m:UserConfigurationName>'
    assert ask(operation.format(name=name), valid=False).codes == [code]
