"""The kinds of item and, for each, its properties in the order the published schema demands.

One table serves reading and writing: a property's name is the part of its field URI after the colon,
whatever the prefix, and a kind has it if it stands in the kind's list. Asking a contact for
message:From is no error in the protocol; the answer just has none.
"""

from dataclasses import dataclass
from typing import Final


def words(text: str) -> tuple[str, ...]:
    """Return the words of a text: long lists of names read better without quotes and commas."""
    return tuple(text.split())


_ITEM: Final = words(
    """
    MimeContent ItemId ParentFolderId ItemClass Subject Sensitivity Body Attachments DateTimeReceived
    Size Categories Importance InReplyTo IsSubmitted IsDraft IsFromMe IsResend IsUnmodified
    InternetMessageHeaders DateTimeSent DateTimeCreated ResponseObjects ReminderDueBy ReminderIsSet
    ReminderNextTime ReminderMinutesBeforeStart DisplayCc DisplayTo DisplayBcc HasAttachments
    ExtendedProperty Culture EffectiveRights LastModifiedName LastModifiedTime IsAssociated
    WebClientReadFormQueryString WebClientEditFormQueryString ConversationId UniqueBody Flag
    StoreEntryId InstanceKey NormalizedBody EntityExtractionResult PolicyTag ArchiveTag RetentionDate
    Preview RightsManagementLicenseData PredictedActionReasons IsClutter BlockStatus HasBlockedImages
    TextBody IconIndex SearchKey SortKey Hashtags Mentions MentionedMe MentionsPreview MentionsEx
    AppliedHashtags AppliedHashtagsPreview Likes LikesPreview PendingSocialActivityTagIds AtAllMention
    CanDelete InferenceClassification
    """
)

_MESSAGE: Final = words(
    """
    Sender ToRecipients CcRecipients BccRecipients IsReadReceiptRequested IsDeliveryReceiptRequested
    ConversationIndex ConversationTopic From InternetMessageId IsRead IsResponseRequested References
    ReplyTo ReceivedBy ReceivedRepresenting ApprovalRequestData VotingInformation ReminderMessageData
    MessageSafety SenderSMTPAddress MailboxGuids PublishedCalendarItemIcs PublishedCalendarItemName
    """
)

_MEETING: Final = words(
    """
    AssociatedCalendarItemId IsDelegated IsOutOfDate HasBeenProcessed ResponseType UID RecurrenceId
    DateTimeStamp IsOrganizer
    """
)

_REQUEST: Final = words(
    """
    MeetingRequestType IntendedFreeBusyStatus Start End OriginalStart IsAllDayEvent LegacyFreeBusyStatus
    Location When IsMeeting IsCancelled IsRecurring MeetingRequestWasSent CalendarItemType
    MyResponseType Organizer RequiredAttendees OptionalAttendees Resources ConflictingMeetingCount
    AdjacentMeetingCount ConflictingMeetings AdjacentMeetings Duration TimeZone AppointmentReplyTime
    AppointmentSequenceNumber AppointmentState Recurrence FirstOccurrence LastOccurrence
    ModifiedOccurrences DeletedOccurrences MeetingTimeZone StartTimeZone EndTimeZone ConferenceType
    AllowNewTimeProposal IsOnlineMeeting MeetingWorkspaceUrl NetShowUrl EnhancedLocation
    ChangeHighlights StartWallClock EndWallClock StartTimeZoneId EndTimeZoneId DoNotForwardMeeting
    """
)

_RESPONSE: Final = words(
    """
    Start End Location Recurrence CalendarItemType ProposedStart ProposedEnd EnhancedLocation
    """
)

_CANCELLATION: Final = words(
    """
    Start End Location Recurrence CalendarItemType EnhancedLocation DoNotForwardMeeting
    """
)

_CALENDAR: Final = words(
    """
    UID RecurrenceId DateTimeStamp Start End OriginalStart IsAllDayEvent LegacyFreeBusyStatus Location
    When IsMeeting IsCancelled IsRecurring MeetingRequestWasSent IsResponseRequested CalendarItemType
    MyResponseType Organizer RequiredAttendees OptionalAttendees Resources InboxReminders
    ConflictingMeetingCount AdjacentMeetingCount ConflictingMeetings AdjacentMeetings Duration TimeZone
    AppointmentReplyTime AppointmentSequenceNumber AppointmentState Recurrence FirstOccurrence
    LastOccurrence ModifiedOccurrences DeletedOccurrences MeetingTimeZone StartTimeZone EndTimeZone
    ConferenceType AllowNewTimeProposal IsOnlineMeeting MeetingWorkspaceUrl NetShowUrl EnhancedLocation
    StartWallClock EndWallClock StartTimeZoneId EndTimeZoneId IntendedFreeBusyStatus
    JoinOnlineMeetingUrl OnlineMeetingSettings IsOrganizer CalendarActivityData DoNotForwardMeeting
    """
)

_CONTACT: Final = words(
    """
    FileAs FileAsMapping DisplayName GivenName Initials MiddleName Nickname CompleteName CompanyName
    EmailAddresses AbchEmailAddresses PhysicalAddresses PhoneNumbers AssistantName Birthday
    BusinessHomePage Children Companies ContactSource Department Generation ImAddresses JobTitle Manager
    Mileage OfficeLocation PostalAddressIndex Profession SpouseName Surname WeddingAnniversary
    HasPicture PhoneticFullName PhoneticFirstName PhoneticLastName Alias Notes Photo
    UserSMIMECertificate MSExchangeCertificate DirectoryId ManagerMailbox DirectReports AccountName
    IsAutoUpdateDisabled IsMessengerEnabled Comment ContactShortId ContactType Gender IsHidden ObjectId
    PassportId IsPrivate SourceId TrustLevel CreatedBy Urls Cid SkypeAuthCertificate SkypeContext
    SkypeId SkypeRelationship YomiNickname XboxLiveTag InviteFree HidePresenceAndProfile
    IsPendingOutbound SupportGroupFeeds UserTileHash UnifiedInbox Mris Wlid AbchContactId
    NotInBirthdayCalendar ShellContactType ImMri PresenceTrustLevel OtherMri ProfileLastChanged
    MobileIMEnabled PartnerNetworkProfilePhotoUrl PartnerNetworkThumbnailPhotoUrl PersonId
    ConversationGuid
    """
)

_TASK: Final = words(
    """
    ActualWork AssignedTime BillingInformation ChangeCount Companies CompleteDate Contacts
    DelegationState Delegator DueDate IsAssignmentEditable IsComplete IsRecurring IsTeamTask Mileage
    Owner PercentComplete Recurrence StartDate Status StatusDescription TotalWork
    """
)

_LIST: Final = words(
    """
    DisplayName FileAs ContactSource Members
    """
)

_POST: Final = words(
    """
    ConversationIndex ConversationTopic From InternetMessageId IsRead PostedTime References Sender
    """
)


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of item: its element, its class in the store, its properties in order, those of the Default shape."""

    element: str
    item_class: str
    order: tuple[str, ...]
    default: frozenset[str]


_ALWAYS: Final = ("ItemId", "Subject", "Sensitivity", "HasAttachments")
_MESSAGE_DEFAULT: Final = (
    *_ALWAYS,
    *("Body", "Attachments", "Size", "DateTimeSent", "DateTimeCreated", "From", "ToRecipients", "CcRecipients"),
    *("BccRecipients", "IsReadReceiptRequested", "IsDeliveryReceiptRequested", "InternetMessageId", "IsRead"),
)

KINDS: Final = {
    kind.element: kind
    for kind in (
        Kind("Message", "IPM.Note", _ITEM + _MESSAGE, frozenset(_MESSAGE_DEFAULT)),
        Kind("Item", "IPM.Note", _ITEM, frozenset(_ALWAYS)),
        Kind("PostItem", "IPM.Post", _ITEM + _POST, frozenset(_ALWAYS)),
        Kind("MeetingMessage", "IPM.Schedule.Meeting", _ITEM + _MESSAGE + _MEETING, frozenset(_MESSAGE_DEFAULT)),
        Kind(
            "MeetingRequest",
            "IPM.Schedule.Meeting.Request",
            _ITEM + _MESSAGE + _MEETING + _REQUEST,
            frozenset((*_MESSAGE_DEFAULT, "UID", "Start", "End", "Location")),
        ),
        Kind(
            "MeetingResponse",
            "IPM.Schedule.Meeting.Resp.Pos",
            _ITEM + _MESSAGE + _MEETING + _RESPONSE,
            frozenset((*_MESSAGE_DEFAULT, "UID", "ResponseType")),
        ),
        Kind(
            "MeetingCancellation",
            "IPM.Schedule.Meeting.Canceled",
            _ITEM + _MESSAGE + _MEETING + _CANCELLATION,
            frozenset((*_MESSAGE_DEFAULT, "UID", "Start", "End")),
        ),
        Kind(
            "CalendarItem",
            "IPM.Appointment",
            _ITEM + _CALENDAR,
            frozenset((*_ALWAYS, "Start", "End", "LegacyFreeBusyStatus", "Location", "CalendarItemType", "Organizer")),
        ),
        Kind(
            "Contact",
            "IPM.Contact",
            _ITEM + _CONTACT,
            frozenset(
                (*_ALWAYS, "FileAs", "DisplayName", "GivenName", "CompanyName", "EmailAddresses", "PhoneNumbers")
            ),
        ),
        Kind("DistributionList", "IPM.DistList", _ITEM + _LIST, frozenset((*_ALWAYS, "DisplayName", "FileAs"))),
        Kind(
            "Task",
            "IPM.Task",
            _ITEM + _TASK,
            frozenset((*_ALWAYS, "DueDate", "PercentComplete", "StartDate", "Status")),
        ),
    )
}

# Addressable but no element of its own, or spelled otherwise than the element.
_OTHERS: Final = frozenset(("MimeContentUTF8", "FirstBody", "ExtendedProperty"))
NAMES: Final = frozenset(name for kind in KINDS.values() for name in kind.order) | _OTHERS

PREFIXES: Final = frozenset(
    (
        "item",
        "message",
        "meeting",
        "meetingRequest",
        "calendar",
        "contacts",
        "task",
        "distributionlist",
        "postitem",
        "conversation",
    )
)

# What the server works out itself; a client that sets one of these is told so.
READ_ONLY: Final = frozenset(
    words(
        """
    ItemId ParentFolderId DateTimeReceived Size IsSubmitted IsFromMe IsResend IsUnmodified
    InternetMessageHeaders DateTimeSent DateTimeCreated ResponseObjects DisplayCc DisplayTo DisplayBcc
    HasAttachments EffectiveRights LastModifiedName LastModifiedTime WebClientReadFormQueryString
    WebClientEditFormQueryString ConversationId UniqueBody StoreEntryId InstanceKey NormalizedBody
    Preview TextBody CompleteName IsRecurring IsCancelled IsMeeting CalendarItemType HasPicture Notes
    Organizer MyResponseType MeetingRequestWasSent AppointmentReplyTime AppointmentSequenceNumber
    AppointmentState RecurrenceId OriginalStart FirstOccurrence LastOccurrence ModifiedOccurrences
    DeletedOccurrences Duration IsOrganizer StartTimeZoneId EndTimeZoneId AssociatedCalendarItemId
    HasBeenProcessed IsOutOfDate ConflictingMeetingCount AdjacentMeetingCount ConflictingMeetings
    AdjacentMeetings ChangeCount DelegationState Delegator AssignedTime IsAssignmentEditable IsTeamTask
    StatusDescription IsComplete ContactSource
    """
    )
)


def name_of(uri: str) -> str | None:
    """Return the property a field URI such as "message:From" names, None if there is no such field."""
    prefix, colon, name = uri.partition(":")
    return name if colon and prefix in PREFIXES and name in NAMES else None
