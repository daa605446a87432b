"""The words for what is wanted of a mailbox (intent) and what is so (fact): value, label and tone in one place.

Badges, filters, commands and tests read these tables. There is no state "failed, unknown": each names its cause.
"""

from django.db.models import TextChoices
from django.utils.translation import gettext_lazy as _


class Intent(TextChoices):
    """What people want of a mailbox."""

    PENDING = "pending", _("pending approval")
    ON = "on", _("on")
    OFF = "off", _("off")
    PAUSED = "paused", _("paused")
    ARCHIVED = "archived", _("archived")


class State(TextChoices):
    """What a mailbox is doing, or what keeps it from it (design §3)."""

    NEVER_TESTED = "never_tested", _("never tested")
    TESTING = "testing", _("testing")
    FIRST_SYNC = "first_sync", _("first sync")
    IDLE = "idle", _("idle")
    RUNNING = "running", _("running")
    THROTTLED = "throttled", _("throttled")
    WAITING_FOR_SERVER = "waiting_for_server", _("waiting for server")
    DEGRADED = "degraded", _("degraded")
    SIGN_IN_FAILED = "sign_in_failed", _("sign-in failed")
    UNREACHABLE = "unreachable", _("unreachable")
    BRAKED = "braked", _("braked")


# How a badge looks: one of ok, busy, wait, warn, bad, off.
INTENT_TONES: dict[str, str] = {
    Intent.PENDING: "wait",
    Intent.ON: "ok",
    Intent.OFF: "off",
    Intent.PAUSED: "wait",
    Intent.ARCHIVED: "off",
}
STATE_TONES: dict[str, str] = {
    State.NEVER_TESTED: "off",
    State.TESTING: "busy",
    State.FIRST_SYNC: "busy",
    State.IDLE: "ok",
    State.RUNNING: "busy",
    State.THROTTLED: "wait",
    State.WAITING_FOR_SERVER: "wait",
    State.DEGRADED: "warn",
    State.SIGN_IN_FAILED: "bad",
    State.UNREACHABLE: "bad",
    State.BRAKED: "bad",
}

# States in which nothing happens until a person acts: the promise is not counted over them (design §5).
WAITS_FOR_PERSON: frozenset[str] = frozenset({State.SIGN_IN_FAILED, State.BRAKED})


class Track(TextChoices):
    """Which mail is tracked without anybody asking for it (design §4)."""

    ALL = "all", _("all mail")
    REPLIES = "replies", _("replies to tracked mail")
    RECORDS = "records", _("mail from contacts, leads and accounts")
    ENABLED = "enabled", _("mail from any record with an address")
    NONE = "none", _("none")


class Unknown(TextChoices):
    """What becomes of people who write tracked mail and whom no record knows."""

    NOTHING = "nothing", _("nothing: existing records only")
    STAGE = "stage", _("listed, for their mailbox's owner to decide")
    CONTACT = "contact", _("a contact at once")
    LEAD = "lead", _("a lead at once")


class Addresses(TextChoices):
    """Which of a contact's three postal addresses are kept in step; each flows to the one of the same name."""

    BUSINESS = "business", _("the business address alone")
    HOME = "home", _("the home address alone")
    OTHER = "other", _("the other address alone")
    ALL = "all", _("all three")


class Attachments(TextChoices):
    """Whether attachments of appointments are kept in step, and which way; the values are those of a direction."""

    NONE = "none", _("stay where they are")
    BOTH = "both", _("flow both ways")
    TO_CRM = "to_crm", _("flow from Exchange to the CRM")
    TO_EXCHANGE = "to_exchange", _("flow from the CRM to Exchange")


class Auth(TextChoices):
    """How crmsync signs in to a mail server."""

    BASIC = "basic", _("user name and password (Basic)")
    NTLM = "ntlm", _("user name and password (NTLM)")
    OAUTH = "oauth", _("application credentials (OAuth)")


class Trigger(TextChoices):
    """What started a run."""

    SCHEDULE = "schedule", _("schedule")
    PERSON = "person", _("Sync now")
    COMMAND = "command", _("command line")


class Outcome(TextChoices):
    """How a run ended. `PAUSED` is out of time, not a failure: the next run goes on at the cursor."""

    RUNNING = "running", _("running")
    DONE = "done", _("done")
    PAUSED = "paused", _("paused, more to come")
    FAILED = "failed", _("failed")
    ABANDONED = "abandoned", _("abandoned, its worker died")
