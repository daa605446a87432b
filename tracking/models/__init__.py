"""Rows of the upper half: records, activities with their threads, and the decisions that made them."""

from tracking.models.activity import Activity, Attachment, EmailBody, Holder, Participant, Thread, ThreadKey
from tracking.models.address import AddressChoice, IgnoredDomain, UnknownSender
from tracking.models.arrangement import ThreadCut, ThreadStop
from tracking.models.audit import TrackingEvent
from tracking.models.backfill import AddressMatch, Backfill
from tracking.models.canary import Canary, CanaryRound
from tracking.models.category import TrackingCategory
from tracking.models.contact import Contact
from tracking.models.decision import ItemDecision, ItemFailure
from tracking.models.folder import CoveredFolder, TrackedFolder
from tracking.models.hanging import AppointmentFile, FilesInStep
from tracking.models.link import FieldConflict, FieldDirection, ItemLink, LinkState, SyncFilter
from tracking.models.outgoing import OutgoingFile, OutgoingMail
from tracking.models.planned import Appointment, Attendance, OccurrenceChange, Task
from tracking.models.policy import DryRun, PolicyChange, PolicyDraft
from tracking.models.profile_event import ProfileEvent
from tracking.models.reconciliation import Reconciliation
from tracking.models.record import Account, Case, Lead, Opportunity

__all__ = [
    "Account",
    "Activity",
    "AddressChoice",
    "AddressMatch",
    "Appointment",
    "AppointmentFile",
    "Attachment",
    "Attendance",
    "Backfill",
    "Canary",
    "CanaryRound",
    "Case",
    "Contact",
    "CoveredFolder",
    "DryRun",
    "EmailBody",
    "FieldConflict",
    "FieldDirection",
    "FilesInStep",
    "Holder",
    "IgnoredDomain",
    "ItemDecision",
    "ItemFailure",
    "ItemLink",
    "Lead",
    "LinkState",
    "OccurrenceChange",
    "Opportunity",
    "OutgoingFile",
    "OutgoingMail",
    "Participant",
    "PolicyChange",
    "PolicyDraft",
    "ProfileEvent",
    "Reconciliation",
    "SyncFilter",
    "Task",
    "Thread",
    "ThreadCut",
    "ThreadKey",
    "ThreadStop",
    "TrackedFolder",
    "TrackingCategory",
    "TrackingEvent",
    "UnknownSender",
]
