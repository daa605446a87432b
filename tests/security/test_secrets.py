"""Secrets at rest: encrypted in the database, readable with any listed key, never in a dump."""

import pytest
from django.core import serializers
from django.db import connection

from mailboxes.models import ServerProfile
from security.secrets import SecretUnreadable, decrypt, encrypt

pytestmark = pytest.mark.django_db


def profile(secret):
    return ServerProfile.objects.create(name="main", url="https://mail.example/", auth="basic", secret=secret)


def test_a_secret_is_stored_encrypted_and_read_in_clear():
    profile("correct horse")
    with connection.cursor() as cursor:
        cursor.execute("SELECT secret FROM mailboxes_serverprofile")
        (stored,) = cursor.fetchone()
    assert b"correct horse" not in bytes(stored)
    assert ServerProfile.objects.get().secret == "correct horse"


def test_no_secret_stays_none():
    profile(None)
    assert ServerProfile.objects.get().secret is None


def test_a_new_key_encrypts_and_the_old_one_still_decrypts(settings):
    settings.ENCRYPTION_KEYS = ["old"]
    token = encrypt("x")
    settings.ENCRYPTION_KEYS = ["new", "old"]
    assert decrypt(token) == "x"
    token = encrypt("y")
    settings.ENCRYPTION_KEYS = ["old"]
    with pytest.raises(SecretUnreadable, match="CRMSYNC_ENCRYPTION_KEYS"):
        decrypt(token)


def test_a_dump_does_not_hold_the_secret():
    row = profile("correct horse")
    assert "correct horse" not in serializers.serialize("json", [row])
