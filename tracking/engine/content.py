"""Reading what is to be kept, after the decision: bodies, then attachments straight into the blob store."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import TypeVar

from mailboxes.provider.errors import ItemGone, ItemUnreadable, Scope, Unavailable
from mailboxes.provider.port import AttachmentBytes, AttachmentInfo, AttachmentKind, Content, Envelope, MailProvider
from tracking.engine import blobs
from tracking.engine.fetched import Fetched, StoredAttachment
from tracking.sync.facts import Reason
from tracking.sync.plan import Action, Fail, Link, Plan, Refuse, Track

Asked = TypeVar("Asked")
Answer = TypeVar("Answer")

# Attempts at an item or attachment that the server calls unreadable before it is set aside (design §6).
_ATTEMPTS = 3
# Read in one request at most. A page is several: a slow server must not outlast the lease between two signs of life.
_ENVELOPES_AT_ONCE = 100
_CONTENTS_AT_ONCE = 25
# Attachments are asked for in groups of about this size: one request for many small ones, one each for large ones.
_GROUP_BYTES = 2_000_000
_GROUP_COUNT = 20


def read_envelopes(
    provider: MailProvider, item_ids: Sequence[str], *, beat: Callable[[], None]
) -> list[tuple[str, Envelope | ItemUnreadable]]:
    """Return each item's envelope. `beat` is called before every request."""
    return _answers(provider.envelopes, item_ids, _ENVELOPES_AT_ONCE, beat)


def _answers(
    ask: Callable[[Sequence[str]], list[Answer | ItemUnreadable]],
    item_ids: Sequence[str],
    at_once: int,
    beat: Callable[[], None],
) -> list[tuple[str, Answer | ItemUnreadable]]:
    """Ask for items part by part; those that the server fails on are asked for alone, twice more."""

    def read(part: Sequence[str]) -> list[Answer | ItemUnreadable]:
        beat()
        return ask(part)

    found: list[tuple[str, Answer | ItemUnreadable]] = []
    for start in range(0, len(item_ids), at_once):
        part = item_ids[start : start + at_once]
        found += zip(part, read(part), strict=True)
    return [(item_id, _again(answer, read, item_id)) for item_id, answer in found]


def _again(
    answer: Answer | ItemUnreadable, read: Callable[[Sequence[Asked]], list[Answer | ItemUnreadable]], asked: Asked
) -> Answer | ItemUnreadable:
    for _attempt in range(1, _ATTEMPTS):
        if not isinstance(answer, ItemUnreadable) or isinstance(answer, ItemGone):
            break
        answer = read([asked])[0]
    return answer


def fetch(provider: MailProvider, plan: Plan, *, beat: Callable[[], None]) -> tuple[list[Action], dict[str, Fetched]]:
    """Return the plan's actions, those whose content cannot be read replaced by failures, and the contents by item id.

    Raises `Unavailable` with code `disk_full` when the blob store takes no more: nothing of the page is stored then.
    """
    wanted = [action for action in plan.actions if isinstance(action, Track | Link) and _needs_content(action)]
    ids = [action.envelope.item_id for action in wanted]
    answers = dict(_answers(provider.contents, ids, _CONTENTS_AT_ONCE, beat))
    fetched = {item_id: Fetched(answer) for item_id, answer in answers.items() if isinstance(answer, Content)}
    # Read to be compared only: should it be another message, its mailbox keeps nothing of it.
    compared = {a.envelope.item_id for a in wanted if isinstance(a, Link) and isinstance(a.otherwise, Refuse)}
    _fetch_attachments(provider, fetched, compared=compared, beat=beat)
    _settle(fetched)
    answers |= _gone_meanwhile(provider, fetched, beat=beat)
    failed: dict[str, Fail] = {}
    for action in wanted:
        item_id = action.envelope.item_id
        answer = answers[item_id]
        if isinstance(answer, ItemUnreadable):
            envelope = action.envelope
            failed[item_id] = Fail(
                item_id, envelope.change_key, Reason.UNREADABLE, answer.code, answer.detail, envelope.message_id
            )
    actions = [failed.get(a.envelope.item_id, a) if isinstance(a, Track | Link) else a for a in plan.actions]
    return actions, fetched


def _needs_content(action: Track | Link) -> bool:
    return isinstance(action, Track) or action.otherwise is not None


def _fetch_attachments(
    provider: MailProvider, fetched: dict[str, Fetched], *, compared: AbstractSet[str], beat: Callable[[], None]
) -> None:
    wanted = [info for item in fetched.values() for info in item.content.attachments]
    keep = {info.id: item_id not in compared for item_id, item in fetched.items() for info in item.content.attachments}
    stored: dict[str, StoredAttachment] = {
        info.id: StoredAttachment(info, missing="attachment_is_link")
        for info in wanted
        if info.kind is AttachmentKind.REFERENCE
    }

    def read(group: Sequence[AttachmentInfo]) -> list[AttachmentBytes | ItemUnreadable]:
        beat()
        return provider.attachments(group)

    for group in _groups([info for info in wanted if info.kind is not AttachmentKind.REFERENCE]):
        for info, first in zip(group, read(group), strict=True):
            answer = _again(first, read, info)
            if isinstance(answer, ItemUnreadable):
                stored[info.id] = StoredAttachment(info, missing=answer.code)
            else:
                digest = _put(answer.data) if keep[info.id] else blobs.digest(answer.data)
                stored[info.id] = StoredAttachment(info, sha256=digest, size=len(answer.data))
    for item_id, item in fetched.items():
        if item.content.attachments:
            fetched[item_id] = Fetched(item.content, tuple(stored[info.id] for info in item.content.attachments))


def _gone_meanwhile(
    provider: MailProvider, fetched: dict[str, Fetched], *, beat: Callable[[], None]
) -> dict[str, ItemGone]:
    """Return the items that left while their attachments were read. Kept without them they would stay so for ever,
    wherever they turn up again; so they are left to be found there, as if they had moved a moment earlier.
    """
    suspect = [
        item_id for item_id, item in fetched.items() if any(each.missing == ItemGone.code for each in item.attachments)
    ]
    answers = _answers(provider.contents, suspect, _CONTENTS_AT_ONCE, beat)
    return {item_id: answer for item_id, answer in answers if isinstance(answer, ItemGone)}


def _put(data: bytes) -> str:
    try:
        return blobs.put(data)
    except OSError as error:
        raise disk_full(error) from error


def _settle(fetched: Mapping[str, Fetched]) -> None:
    try:
        blobs.settle(each.sha256 for item in fetched.values() for each in item.attachments if each.sha256)
    except OSError as error:
        raise disk_full(error) from error


def disk_full(error: OSError) -> Unavailable:
    """Return what a failed write to the blob store is to a run: our own disk's fault, not the mail server's.

    What was to be kept is read again once there is room.
    """
    return Unavailable(str(error), code="disk_full", scope=Scope.MAILBOX)


def _groups(infos: Sequence[AttachmentInfo]) -> Iterator[list[AttachmentInfo]]:
    group: list[AttachmentInfo] = []
    size = 0
    for info in infos:
        if group and (size + info.size > _GROUP_BYTES or len(group) >= _GROUP_COUNT):
            yield group
            group, size = [], 0
        group.append(info)
        size += info.size
    if group:
        yield group
