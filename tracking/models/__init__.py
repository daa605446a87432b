"""Rows of the upper half: records, activities with their threads, and the decisions that made them."""

from tracking.models.activity import Activity, Attachment, EmailBody, Holder, Participant, Thread, ThreadKey
from tracking.models.contact import Contact
from tracking.models.decision import ItemDecision, ItemFailure
from tracking.models.link import FieldConflict, FieldDirection, ItemLink, LinkState, SyncFilter
from tracking.models.planned import Appointment, Attendance, OccurrenceChange, Task
from tracking.models.policy import DryRun, PolicyChange, PolicyDraft
from tracking.models.reconciliation import Reconciliation
from tracking.models.record import Account, Case, Lead, Opportunity

__all__ = [
    "Account",
    "Activity",
    "Appointment",
    "Attachment",
    "Attendance",
    "Case",
    "Contact",
    "DryRun",
    "EmailBody",
    "FieldConflict",
    "FieldDirection",
    "Holder",
    "ItemDecision",
    "ItemFailure",
    "ItemLink",
    "Lead",
    "LinkState",
    "OccurrenceChange",
    "Opportunity",
    "Participant",
    "PolicyChange",
    "PolicyDraft",
    "Reconciliation",
    "SyncFilter",
    "Task",
    "Thread",
    "ThreadKey",
]
