"""Named privileges: what a role may do, one sentence each. Django permissions on `User`, so that groups can hold them."""

from typing import TYPE_CHECKING, Final

from django.utils.translation import gettext_lazy as _

if TYPE_CHECKING:
    from django_stubs_ext import StrPromise

APPROVE_MAILBOXES: Final = "security.approve_mailboxes"
MANAGE_SERVERS: Final = "security.manage_servers"
MANAGE_POLICY: Final = "security.manage_policy"
READ_DIAGNOSTICS: Final = "security.read_diagnostics"
READ_ALL_THREADS: Final = "security.read_all_threads"
READ_ALL_RECORDS: Final = "security.read_all_records"
MANAGE_THREADS: Final = "security.manage_threads"

# (codename, sentence): the sentence is what an administrator reads beside the tick box.
PRIVILEGES: "Final[list[tuple[str, StrPromise | str]]]" = [
    ("approve_mailboxes", _("May approve mailboxes and switch their synchronisation on and off.")),
    ("manage_servers", _("May connect mail servers and change how they are reached.")),
    ("manage_policy", _("May change sync profiles.")),
    ("read_diagnostics", _("May see every mailbox, its runs, decisions and errors, without the mail itself.")),
    ("read_all_threads", _("May read every tracked thread.")),
    ("read_all_records", _("May read every account, contact, lead, opportunity and case.")),
    ("manage_threads", _("May stop, split and join threads and settle addresses, in all mail that they may read.")),
]
