"""Rows of the lower half: servers, mailboxes, folders, runs, and what is measured and reported about them."""

from mailboxes.models.mailbox import Folder, Mailbox
from mailboxes.models.reports import Alert, LateGap, PromiseBucket
from mailboxes.models.run import Run
from mailboxes.models.server import ServerProfile
from mailboxes.models.sync_profile import SyncProfile

__all__ = ["Alert", "Folder", "LateGap", "Mailbox", "PromiseBucket", "Run", "ServerProfile", "SyncProfile"]
