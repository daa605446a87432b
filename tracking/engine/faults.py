"""What can go wrong on our side of a run, in the form the schedule and the screens know: rows of the catalogue."""

from mailboxes.provider.errors import Kind, ProviderError, Scope


class OurFault(ProviderError):
    """A bug, as far as anybody can tell: the traceback is in the log of the worker."""

    kind = Kind.BUG
    scope = Scope.MAILBOX
    code = "internal_error"


class OutOfTime(ProviderError):
    """The job reached its time limit in the middle of this run."""

    kind = Kind.TRANSIENT
    scope = Scope.MAILBOX
    code = "out_of_time"


class DatabaseGone(ProviderError):
    """The database could not be reached in the middle of this run."""

    kind = Kind.TRANSIENT
    scope = Scope.MAILBOX
    code = "database_gone"


class SecretLost(ProviderError):
    """The stored password cannot be decrypted with the keys this installation has."""

    kind = Kind.CONFIGURATION
    scope = Scope.MAILBOX
    code = "secret_unreadable"


class LeaseGone(ProviderError):
    """The run was ended by others in the meantime: what it did since was not stored."""

    kind = Kind.TRANSIENT
    scope = Scope.MAILBOX
    code = "lease_lost"


class FilterBroken(ProviderError):
    """A filter of the sync profile cannot be asked: set aside by the run, until an administrator mends it."""

    kind = Kind.CONFIGURATION
    scope = Scope.FOLDER
    code = "filter_broken"


class OwnFilterBroken(FilterBroken):
    """A filter of the mailbox's owner cannot be asked: set aside by the run, until they mend it."""

    code = "own_filter_broken"
