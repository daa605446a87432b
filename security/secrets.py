"""Secrets at rest: one encrypted text field. The newest key encrypts, every listed key decrypts (MultiFernet)."""

import base64
import hashlib
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from django.conf import settings
from django.db import models

if TYPE_CHECKING:
    # Django's fields take type parameters for the type checker only.
    _BinaryField = models.BinaryField[str | None, str | None]
else:
    _BinaryField = models.BinaryField


class SecretUnreadable(Exception):
    """A stored secret was encrypted with a key that this installation no longer has."""

    def __init__(self) -> None:
        super().__init__(
            "A stored secret cannot be decrypted: the key it was written with is not among CRMSYNC_ENCRYPTION_KEYS. "
            "An administrator restores that key, or enters the secret again."
        )


@lru_cache(maxsize=8)
def _cipher(keys: tuple[str, ...]) -> MultiFernet:
    # Fernet wants 32 bytes; installations may give any string, so each key is stretched to that length once.
    return MultiFernet([Fernet(base64.urlsafe_b64encode(hashlib.sha256(key.encode()).digest())) for key in keys])


def encrypt(text: str) -> bytes:
    """Return `text` encrypted with the newest key."""
    return _cipher(tuple(settings.ENCRYPTION_KEYS)).encrypt(text.encode())


def decrypt(token: bytes) -> str:
    """Return the text behind `token`; raises `SecretUnreadable` when no listed key fits."""
    try:
        return _cipher(tuple(settings.ENCRYPTION_KEYS)).decrypt(token).decode()
    except InvalidToken as error:
        raise SecretUnreadable from error


class EncryptedTextField(_BinaryField):
    """Text that is stored encrypted and appears in no form unless a form asks for it by name."""

    def get_db_prep_value(self, value: Any, connection: Any, prepared: bool = False) -> Any:
        """Encrypt on the way into the database; None stays None."""
        return super().get_db_prep_value(None if value is None else encrypt(value), connection, prepared)

    def from_db_value(self, value: Any, *_args: Any) -> str | None:
        """Decrypt on the way out of the database."""
        return None if value is None else decrypt(bytes(value))

    def value_to_string(self, obj: models.Model) -> str:  # noqa: ARG002 -- Django's signature
        """Refuse to write the secret into a dump."""
        return ""
