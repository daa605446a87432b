"""Tracking tokens of this installation: what a mail that is being sent carries, and what the tokens of mail name.

The idea: whoever sends mail asks once (`marks`) and needs to know nothing of switches and keys; whoever reads mail gets
tokens already resolved to tracked messages, with the people whose mail they count for.
"""

import secrets
from collections.abc import Iterable
from dataclasses import dataclass

from django.conf import settings

from mailboxes.models import SyncProfile
from tracking.sync import token
from tracking.sync.token import Kind, Named


@dataclass(frozen=True, slots=True)
class Marks:
    """What an outgoing mail carries. `token` is for `OutgoingMail.token` and empty when tokens are switched off."""

    token: str
    message_id: str
    subject: str


def marks(profile: SyncProfile, named: Named, *, subject: str, domain: str, unique: str = "") -> Marks:
    """Return what the mail that `named` stands for is to carry, as the sync profile has it.

    `named` is the activity that the mail is kept as, or answers (`Kind.ACTIVITY`), or, when there is none yet, the row of
    the mail itself (`Kind.OUTGOING`). `unique` makes the Message-ID the mail's own (32 random letters when left out):
    give the same again to get the same again. The subject comes back without tokens of earlier mail.
    """
    made = token.make(named, settings.TOKEN_KEY) if profile.token else ""
    shown = made if profile.token_in_subject else ""
    return Marks(
        made, token.message_id(made, unique or secrets.token_hex(16), domain), token.with_token(subject, shown)
    )


def names(tokens: Iterable[str]) -> dict[str, Named]:
    """Return what those of the tokens name that this installation made."""
    read = {text: token.read(text, settings.TOKEN_KEY) for text in tokens}
    return {text: named for text, named in read.items() if named is not None}


__all__ = ["Kind", "Marks", "Named", "marks", "names"]
