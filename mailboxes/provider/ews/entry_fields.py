"""Which property of the protocol each field of an entry is: the table that reading and writing share.

Properties with a form of their own (spans, series, bodies, names) are not in it: they are `entry_parts`' and
`entry_reading`'s.
"""

from collections.abc import Mapping
from typing import Final

from mailboxes.provider.entries import EntryKind, Field
from mailboxes.provider.ews.operations import STAMP_SET

ELEMENTS: Final = {EntryKind.APPOINTMENT: "CalendarItem", EntryKind.CONTACT: "Contact", EntryKind.TASK: "Task"}

# Beside the stamp, crmsync writes on its items what the protocol has no place for.
ZONE_NOTE: Final = "crmsync-zone"
REGARDING_NOTE: Final = "crmsync-regarding"

PHONES: Final[Mapping[Field, str]] = {
    Field.BUSINESS_PHONE: "BusinessPhone",
    Field.BUSINESS_PHONE2: "BusinessPhone2",
    Field.HOME_PHONE: "HomePhone",
    Field.HOME_PHONE2: "HomePhone2",
    Field.MOBILE: "MobilePhone",
    Field.PAGER: "Pager",
    Field.CALLBACK: "Callback",
    Field.COMPANY_PHONE: "CompanyMainPhone",
    Field.ASSISTANT_PHONE: "AssistantPhone",
    Field.OTHER_PHONE: "OtherTelephone",
    Field.FAX: "BusinessFax",
}
EMAILS: Final[Mapping[Field, str]] = {
    Field.EMAIL1: "EmailAddress1",
    Field.EMAIL2: "EmailAddress2",
    Field.EMAIL3: "EmailAddress3",
}
ADDRESSES: Final[Mapping[Field, str]] = {
    Field.BUSINESS_ADDRESS: "Business",
    Field.HOME_ADDRESS: "Home",
    Field.OTHER_ADDRESS: "Other",
}
# The lines of a postal address in the order of the schema, and what they are here.
ADDRESS_LINES: Final = {
    "Street": "street",
    "City": "city",
    "State": "region",
    "CountryOrRegion": "country",
    "PostalCode": "postal_code",
}
# Properties that are one element with a text.
LEAVES: Final[Mapping[tuple[EntryKind, Field], tuple[str, str]]] = {
    (EntryKind.APPOINTMENT, Field.SUBJECT): ("item:Subject", "Subject"),
    (EntryKind.APPOINTMENT, Field.IMPORTANCE): ("item:Importance", "Importance"),
    (EntryKind.APPOINTMENT, Field.LOCATION): ("calendar:Location", "Location"),
    (EntryKind.APPOINTMENT, Field.SHOW_AS): ("calendar:LegacyFreeBusyStatus", "LegacyFreeBusyStatus"),
    (EntryKind.CONTACT, Field.COMPANY): ("contacts:CompanyName", "CompanyName"),
    (EntryKind.CONTACT, Field.JOB_TITLE): ("contacts:JobTitle", "JobTitle"),
    (EntryKind.CONTACT, Field.DEPARTMENT): ("contacts:Department", "Department"),
    (EntryKind.CONTACT, Field.MANAGER): ("contacts:Manager", "Manager"),
    (EntryKind.CONTACT, Field.ASSISTANT): ("contacts:AssistantName", "AssistantName"),
    (EntryKind.CONTACT, Field.NICKNAME): ("contacts:Nickname", "Nickname"),
    (EntryKind.CONTACT, Field.SPOUSE): ("contacts:SpouseName", "SpouseName"),
    (EntryKind.CONTACT, Field.WEBSITE): ("contacts:BusinessHomePage", "BusinessHomePage"),
    (EntryKind.TASK, Field.SUBJECT): ("item:Subject", "Subject"),
    (EntryKind.TASK, Field.IMPORTANCE): ("item:Importance", "Importance"),
    (EntryKind.TASK, Field.PERCENT): ("task:PercentComplete", "PercentComplete"),
    (EntryKind.TASK, Field.STATUS): ("task:Status", "Status"),
}
# Days, and the time of day that they are written with: Exchange keeps birthdays at a minute before noon in UTC, so that
# they are on the same day nearly everywhere.
DAYS: Final[Mapping[Field, tuple[str, str, str]]] = {
    Field.BIRTHDAY: ("contacts:Birthday", "Birthday", "11:59:00Z"),
    Field.ANNIVERSARY: ("contacts:WeddingAnniversary", "WeddingAnniversary", "11:59:00Z"),
    Field.START: ("task:StartDate", "StartDate", "00:00:00Z"),
    Field.DUE: ("task:DueDate", "DueDate", "00:00:00Z"),
    Field.COMPLETED: ("task:CompleteDate", "CompleteDate", "00:00:00Z"),
}
BODIES: Final = frozenset({Field.BODY, Field.NOTES})
PEOPLE: Final[Mapping[Field, str]] = {Field.REQUIRED: "RequiredAttendees", Field.OPTIONAL: "OptionalAttendees"}
RESPONSES: Final = {"accepted": "Accept", "tentative": "Tentative", "declined": "Decline", "organizer": "Organizer"}


def field_path(uri: str) -> str:
    """Return the path of a property."""
    return f'<t:FieldURI FieldURI="{uri}"/>'


def note_path(name: str) -> str:
    """Return the path of a property of our own."""
    return f'<t:ExtendedFieldURI PropertySetId="{STAMP_SET}" PropertyName="{name}" PropertyType="String"/>'
