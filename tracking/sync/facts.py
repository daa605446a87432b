"""What planning is told: rules of the mailbox, and what the database knows of the items on the page."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from tracking.sync.smart import Candidate, Limits


class Outcome(StrEnum):
    """What becomes of an item. The values are those of `ItemDecision.Outcome`."""

    TRACKED = "tracked"
    UPDATED = "updated"
    REFUSED = "refused"
    QUARANTINED = "quarantined"
    DISCARDED = "discarded"


class Option(StrEnum):
    """Which mail is tracked without anybody asking for it. The values are those of `mailboxes.states.Track`."""

    ALL = "all"
    REPLIES = "replies"
    RECORDS = "records"
    ENABLED = "enabled"
    NONE = "none"


class Unknown(StrEnum):
    """What becomes of senders whom no record knows. The values are those of `mailboxes.states.Unknown`."""

    NOTHING = "nothing"
    STAGE = "stage"
    CONTACT = "contact"
    LEAD = "lead"


class Reason(StrEnum):
    """Why. Each has a sentence in `tracking.decisions.reasons`; a refusal's reason says nothing of the mail itself."""

    ALL_MAIL = "all_mail"
    REPLY_TO_TRACKED = "reply_to_tracked"
    CARRIES_TOKEN = "carries_token"  # noqa: S105 -- a reason's name
    SAME_CONVERSATION = "same_conversation"
    LIKE_TRACKED = "like_tracked"
    FROM_RECORD = "from_record"
    TO_RECORD = "to_record"
    TRACKED_FOLDER = "tracked_folder"
    ALREADY_TRACKED = "already_tracked"
    DUPLICATE_IN_MAILBOX = "duplicate_in_mailbox"

    NOT_MAIL = "not_mail"
    DRAFT = "draft"
    PRIVATE = "private"
    BLOCKED = "blocked"
    AUTOMATED = "automated"
    INTERNAL = "internal"
    BEFORE_FOLDER = "before_folder"
    THREAD_STOPPED = "thread_stopped"
    TRACKING_OFF = "tracking_off"
    NOT_A_REPLY = "not_a_reply"
    NO_RECORD = "no_record"

    WRITTEN_HERE = "written_here"
    MARKED = "marked"
    IN_STEP = "in_step"
    NOT_MARKED = "not_marked"
    DISTRIBUTION_LIST = "distribution_list"
    OTHER_KIND = "other_kind"
    ASSIGNED_TASK = "assigned_task"
    RECURRING_TASK = "recurring_task"
    COPY_OF_LINKED = "copy_of_linked"
    LINK_ENDED = "link_ended"

    UNREADABLE = "unreadable"
    KILLS_WORKER = "kills_worker"
    CANNOT_STORE = "cannot_store"
    DISCARDED = "discarded"


@dataclass(frozen=True, slots=True)
class RecordRef:
    """A record that has an address. `kind` is a value of `RecordKind`."""

    kind: str
    id: int


@dataclass(frozen=True, slots=True)
class Rules:
    """What decides, for one mailbox at one time. Addresses and domains in lower case.

    `internal_domains` and `Known.internal` together say who is a colleague.
    """

    mailbox_id: int
    mailbox_address: str
    option: Option
    exclude_internal: bool = True
    exclude_automated: bool = True
    blocked: frozenset[str] = frozenset()
    internal_domains: frozenset[str] = frozenset()
    # The category by which its owner has mail tracked, in lower case; "" while that is off.
    category: str = ""
    unknown: Unknown = Unknown.NOTHING
    # How strict matching by subject and people is; None while it is off.
    smart: Limits | None = None


@dataclass(frozen=True, slots=True)
class FolderRule:
    """The rule in force in the folder of a page: what lies there is tracked by hand (S27).

    Mail received before `valid_from` is left alone. `regarding` is what it becomes about, if anything. `only`: nothing but
    the rule has the folder read; else (Inbox, Sent Items) the tracking option holds for what the rule leaves alone.
    """

    id: int
    valid_from: datetime | None = None
    regarding: RecordRef | None = None
    only: bool = True


@dataclass(frozen=True, slots=True)
class KnownItem:
    """The stored decision for an item id. `here`: in the folder of this page; false once it left, or in another."""

    change_key: str
    outcome: Outcome
    here: bool = True


@dataclass(frozen=True, slots=True)
class KnownActivity:
    """A tracked message. `id` is None while it is only planned, on this page; `message_key` then names it.

    `concerned`: the mailbox that is synced holds it already or is named in it (`tracking.engine.copies`).
    """

    message_key: str
    id: int | None = None
    regarding: RecordRef | None = None
    mailboxes: frozenset[int] = frozenset()
    concerned: bool = False
    # A key that leads to its thread, where that is another one than `message_key`.
    thread_key: str = ""


@dataclass(frozen=True, slots=True)
class Vouched:
    """What a tracking token names, and the (lower-case) addresses from and to which it counts."""

    activity: KnownActivity
    people: frozenset[str]


@dataclass(frozen=True, slots=True)
class Similar:
    """A tracked message that another one may answer by its subject and people alone."""

    candidate: Candidate
    activity: KnownActivity


@dataclass(frozen=True, slots=True)
class Known:
    """What the database knows of the messages on a page. Keys are those of `identity`, addresses lower case."""

    activities: Mapping[str, KnownActivity] = field(default_factory=dict)
    conversations: Mapping[str, KnownActivity] = field(default_factory=dict)
    # By token, and by the words of the subject (`tracking.sync.smart`); empty where the sync profile has them off.
    tokens: Mapping[str, Vouched] = field(default_factory=dict)
    similar: Mapping[tuple[str, ...], tuple[Similar, ...]] = field(default_factory=dict)
    records: Mapping[str, tuple[RecordRef, ...]] = field(default_factory=dict)
    internal: frozenset[str] = frozenset()
    # Whose an address is that several records have, as its mailbox's owner chose; None: of none of them.
    choices: Mapping[str, RecordRef | None] = field(default_factory=dict)
    # Keys that have a thread: the stop in force for it (its id), or None. Empty while nothing on the page is stopped.
    stopped: Mapping[str, int | None] = field(default_factory=dict)
    # What a person discarded, by Message-ID as the envelope has it: the facts of that decision.
    discarded: Mapping[str, tuple[tuple[str, str | int], ...]] = field(default_factory=dict)
    # Stamps (lower case) of mail that was written in the CRM and goes out from this mailbox.
    written: frozenset[str] = frozenset()
