"""Adding mailboxes: on which server, whose, tracking what; approved or waiting (S15)."""

import json
from io import StringIO

import pytest
from django.core.management import call_command

from mailboxes.models import Mailbox, ServerProfile
from mailboxes.states import Intent
from security.commands import Failed, WrongUse
from security.models import User

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def people():
    User.objects.create_user("olga")
    ServerProfile.objects.create(name="main", url="https://mail.example/EWS/Exchange.asmx", auth="basic")


def add(*arguments):
    out = StringIO()
    call_command("add_mailbox", *arguments, "--json", stdout=out, stderr=StringIO())
    return json.loads(out.getvalue())


def test_a_mailbox_waits_for_approval_and_tracks_replies_by_default():
    document = add("olga@own.example", "--server", "main", "--owner", "olga")
    assert document == {
        "address": "olga@own.example",
        "server": "main",
        "owner": "olga",
        "track": "replies",
        "intent": "pending",
    }
    assert Mailbox.objects.get().due_at is None


def test_s15_enable_approves_it_and_it_is_due_at_once():
    assert (
        add("olga@own.example", "--server", "main", "--owner", "olga", "--track", "all", "--enable")["track"] == "all"
    )
    mailbox = Mailbox.objects.get()
    assert (mailbox.intent, mailbox.changed_by, mailbox.due_at is not None) == (Intent.ON, "command line", True)


@pytest.mark.parametrize(
    ("arguments", "code", "part"),
    [
        (["olga@own.example", "--server", "other", "--owner", "olga"], "server_unknown", "connected: main"),
        (["olga@own.example", "--server", "main", "--owner", "nobody"], "owner_unknown", "no user 'nobody'"),
        (["not an address", "--server", "main", "--owner", "olga"], "cannot_add", "not an e-mail address"),
    ],
)
def test_wrong_names_are_answered_with_what_to_do(arguments, code, part):
    with pytest.raises(Failed, match=part) as error:
        add(*arguments)
    assert (error.value.code, error.value.returncode) == (code, 1)
    assert not Mailbox.objects.exists()


def test_an_address_is_added_once_whatever_its_case():
    add("olga@own.example", "--server", "main", "--owner", "olga")
    with pytest.raises(Failed, match="added already \\(server main, owner olga\\)"):
        add("Olga@OWN.example", "--server", "main", "--owner", "olga", "--enable")
    assert Mailbox.objects.get().intent == Intent.PENDING


def test_a_missing_argument_is_wrong_use():
    with pytest.raises(WrongUse):
        call_command("add_mailbox", "olga@own.example")
