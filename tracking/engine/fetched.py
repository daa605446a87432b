"""What was read of a message that is to be kept: its content, and its attachments, which lie in the blob store already."""

from dataclasses import dataclass

from mailboxes.provider.port import AttachmentInfo, Content


@dataclass(frozen=True, slots=True)
class StoredAttachment:
    """An attachment whose bytes are in the blob store (`sha256`), or why they are not (`missing`)."""

    info: AttachmentInfo
    sha256: str = ""
    size: int = 0
    missing: str = ""


@dataclass(frozen=True, slots=True)
class Fetched:
    """The content of a message to be tracked."""

    content: Content
    attachments: tuple[StoredAttachment, ...] = ()
