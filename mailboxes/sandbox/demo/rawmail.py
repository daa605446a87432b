"""Mail authored as raw text: for what machines write and for what nobody should write.

The composer cannot make a wrong message, and should not. A `RawMail` is therefore the
message itself, with the few words replaced that depend on time and identity.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from datetime import datetime
from email.utils import format_datetime
from zoneinfo import ZoneInfo

from mailboxes.sandbox.demo.script import moment

ZONE = "Europe/Madrid"


@dataclass(frozen=True, slots=True)
class RawMail:
    """A raw message with `{date}` and `{id}` still in it.

    `text` with `\\n` line ends (they become CRLF) or bytes taken as they are; `holders`
    are `Person.key`s whose Inbox holds it, or `key=folder` for another folder; `oddity` says what is wrong with it, or is
    empty for a well-formed one.
    """

    key: str
    holders: tuple[str, ...]
    when: str
    text: str | bytes
    oddity: str = ""
    domain: str = "lists.example"

    @property
    def message_id(self) -> str:
        """What `{id}` stands for; depends on key and domain alone."""
        return f"<{self.key}.{zlib.crc32(self.key.encode()):08x}@{self.domain}>"

    def received(self, now: datetime) -> datetime:
        """When it arrived, in UTC."""
        return moment(self.when, ZONE, now)

    def render(self, now: datetime) -> bytes:
        """The message as it travels."""
        raw = self.text if isinstance(self.text, bytes) else self.text.replace("\n", "\r\n").encode()
        date = format_datetime(self.received(now).astimezone(ZoneInfo(ZONE)))
        return raw.replace(b"{date}", date.encode()).replace(b"{id}", self.message_id.encode())
