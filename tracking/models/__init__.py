"""Rows of the upper half: records, activities with their threads, and the decisions that made them."""

from tracking.models.activity import Activity, Attachment, EmailBody, Holder, Participant, Thread, ThreadKey
from tracking.models.decision import ItemDecision, ItemFailure
from tracking.models.record import Account, Case, Contact, Lead, Opportunity

__all__ = [
    "Account",
    "Activity",
    "Attachment",
    "Case",
    "Contact",
    "EmailBody",
    "Holder",
    "ItemDecision",
    "ItemFailure",
    "Lead",
    "Opportunity",
    "Participant",
    "Thread",
    "ThreadKey",
]
