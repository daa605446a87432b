"""An error's code as a screen shows it: the catalogue's texts with names filled in, who can act, and a tone."""

from dataclasses import dataclass
from typing import Final

from mailboxes.catalogue import WHO_LABELS, lookup
from mailboxes.models import Mailbox
from mailboxes.provider.errors import Kind, ProviderError

# What passes by itself is shown more quietly than what waits for a person.
_TONES: Final[dict[str, str]] = {Kind.THROTTLED: "wait", Kind.TRANSIENT: "warn", Kind.ITEM: "warn"}


@dataclass(frozen=True, slots=True)
class Issue:
    """What a screen says of something that is wrong. `detail` is what the server said; empty when nothing adds to it."""

    code: str
    sentence: str
    cause: str
    remedy: str
    who: str
    tone: str
    detail: str = ""


def issue_of(code: str, detail: str = "", *, server: str = "", mailbox: str = "", folder: str = "") -> Issue | None:
    """Return the issue behind `code` in the active language, names filled in where given; None for the empty code."""
    if not code:
        return None
    entry = lookup(code)
    names = {"server": server, "mailbox": mailbox, "folder": folder}
    return Issue(
        code,
        entry.sentence.filled(**names),
        entry.cause.filled(**names),
        entry.remedy.filled(**names),
        str(WHO_LABELS[entry.who]),
        _TONES.get(entry.kind, "bad"),
        "" if detail == code else detail,
    )


def issue_of_mailbox(mailbox: Mailbox) -> Issue | None:
    """Return what keeps a mailbox (with its server loaded) from syncing, if anything does."""
    return issue_of(mailbox.issue_code, mailbox.issue_detail, server=str(mailbox.server), mailbox=mailbox.address)


def told(error: ProviderError) -> str:
    """Return what a command says of an error: what happened, in the server's words too, and what to do."""
    entry = lookup(error.code)
    detail = f" ({error.detail})" if error.detail else ""
    return f"{error.code}: {entry.sentence}{detail} What to do: {entry.remedy}"
