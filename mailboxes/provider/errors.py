"""Everything a mail system can answer instead of an answer, in our own words: each with a scope, a code and a retry rule.

Adapters translate foreign errors into these at their edge; the engine, the schedule and the screens know no others.
The sentences, causes and remedies for people stand in `mailboxes.catalogue`, keyed by `code`.
"""

from datetime import datetime
from enum import StrEnum
from typing import ClassVar


class Scope(StrEnum):
    """How far an error reaches: back-off and alerts use the narrowest that is true."""

    SERVER = "server"
    CREDENTIAL = "credential"
    MAILBOX = "mailbox"
    FOLDER = "folder"
    ITEM = "item"


class Kind(StrEnum):
    """What to do about an error (design §6)."""

    TRANSIENT = "transient"
    THROTTLED = "throttled"
    AUTHORISATION = "authorisation"
    CONFIGURATION = "configuration"
    MAILBOX = "mailbox"
    ITEM = "item"
    BUG = "bug"


class ProviderError(Exception):
    """Base of all: `code` names the row of the catalogue, `detail` says what the server said (no secret, no content)."""

    kind: ClassVar[Kind] = Kind.BUG
    scope: Scope = Scope.SERVER
    code: str = "internal_error"

    def __init__(self, detail: str = "", *, code: str | None = None, scope: Scope | None = None) -> None:
        super().__init__(detail or code or self.code)
        self.detail = detail
        if code is not None:
            self.code = code
        if scope is not None:
            self.scope = scope


class Throttled(ProviderError):
    """The server asked to be left alone until `retry_at` (aware UTC), or, when that is None, for a while."""

    kind = Kind.THROTTLED
    scope = Scope.MAILBOX
    code = "server_busy"

    def __init__(
        self, detail: str = "", *, retry_at: datetime | None = None, code: str | None = None, scope: Scope | None = None
    ) -> None:
        super().__init__(detail, code=code, scope=scope)
        self.retry_at = retry_at


class Unavailable(ProviderError):
    """The server cannot answer now: unreachable, overloaded, restarting, cut off in mid-answer."""

    kind = Kind.TRANSIENT
    scope = Scope.SERVER
    code = "unreachable"


class AuthRejected(ProviderError):
    """The server refused the credentials. Never retried without a person: retries lock accounts."""

    kind = Kind.AUTHORISATION
    scope = Scope.CREDENTIAL
    code = "sign_in_refused"


class AccessRefused(ProviderError):
    """Signed in, but not allowed: EWS switched off, impersonation missing, no right on a folder."""

    kind = Kind.AUTHORISATION
    scope = Scope.MAILBOX
    code = "access_refused"


class Misconfigured(ProviderError):
    """The server profile cannot work as it stands: wrong address, certificate, version, application id."""

    kind = Kind.CONFIGURATION
    scope = Scope.SERVER
    code = "misconfigured"


class MailboxGone(ProviderError):
    """There is no such mailbox, or it is unusable: deleted, unlicensed, an alias, full."""

    kind = Kind.MAILBOX
    scope = Scope.MAILBOX
    code = "mailbox_unknown"


class FolderGone(ProviderError):
    """The folder was deleted or is out of reach; other folders go on."""

    kind = Kind.CONFIGURATION
    scope = Scope.FOLDER
    code = "folder_gone"


class CursorExpired(ProviderError):
    """The server no longer knows the cursor. The folder is listed again and matched by stable keys."""

    kind = Kind.TRANSIENT
    scope = Scope.FOLDER
    code = "cursor_expired"


class ItemUnreadable(ProviderError):
    """One item cannot be read; the others of the same request can. Returned in an item's place, never raised."""

    kind = Kind.ITEM
    scope = Scope.ITEM
    code = "item_unreadable"


class ItemGone(ItemUnreadable):
    """One item is not there any more: moved or deleted between being announced and being read."""

    code = "item_gone"


class OtherKind(ItemUnreadable):
    """One item is no appointment, contact or task, so there is nothing of it to read. `is_list`: a distribution list."""

    def __init__(self, detail: str = "", *, is_list: bool = False) -> None:
        super().__init__(detail)
        self.is_list = is_list


class ChangedMeanwhile(ProviderError):
    """What was to be written had been changed since it was read; nothing was written. Read it again, then decide."""

    kind = Kind.ITEM
    scope = Scope.ITEM
    code = "item_conflict"


class WriteRefused(ProviderError):
    """The server will not have one item as it was to be written, or not from us; other items can be written."""

    kind = Kind.ITEM
    scope = Scope.ITEM
    code = "write_refused"


class AnswerUnreadable(ProviderError):
    """The server answered with something that is not its protocol, or with a request it calls invalid."""

    kind = Kind.BUG
    scope = Scope.SERVER
    code = "answer_unreadable"
