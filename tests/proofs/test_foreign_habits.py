"""Nothing depends on the sandbox's habits: mail is tracked the same from a server that does everything else differently.

The whole path runs against the sandbox behind a `Stranger`, with one habit at a time and all at once. What is stored
must equal what is stored from the sandbox itself, but for what the habit withholds.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache
from typing import Any

import pytest
from django.db import transaction

from mailboxes.models import Folder, Mailbox
from mailboxes.provider.ews.client import POOL
from mailboxes.sandbox.demo import DemoMessage, messages
from mailboxes.sandbox.server import SandboxServer
from mailboxes.sandbox.store import SandboxStore
from mailboxes.sandbox.xmltext import MESSAGES_NS, SOAP_NS, TYPES_NS
from tests import ews_schema
from tests.proofs import stranger as habits
from tests.proofs.exchange import Exchange, assert_complete, item_ids
from tests.proofs.stranger import Manner, Stranger
from tracking.models import Activity, Holder, ItemDecision, ItemFailure

pytestmark = pytest.mark.django_db

NOW = datetime(2026, 3, 4, 15, 30, tzinfo=UTC)
ADDRESS = "anna@turia.example"
SHIFT = ("received_at", "sent_at")


@pytest.fixture(autouse=True)
def _blobs(tmp_path, settings):
    settings.BLOB_ROOT = tmp_path / "blobs"


@pytest.fixture(autouse=True)
def _own_connections() -> Iterator[None]:
    """What a client learnt of one server's habits must not help with the next one's."""
    POOL.close()
    yield
    POOL.close()


def filled(**options: Any) -> SandboxStore:
    """Return a store with some of the demo's mail in one mailbox, most of it in the Inbox."""
    language = options.pop("language", "en")
    store = SandboxStore(**options)
    store.add_mailbox(ADDRESS, "proof", language=language)
    for number, each in enumerate(_some_mail()):
        folder = "sentitems" if number % 5 == 0 else "inbox"
        store.deliver_mime(ADDRESS, each.raw, folder=folder, received=each.received)
    store.create_folder(ADDRESS, "inbox", "Inbox")
    return store


@cache
def _some_mail() -> list[DemoMessage]:
    """Every eighth message of the demo, and what machines sent: little enough for forty servers."""
    every = list(messages(NOW, huge=False))
    return [each for number, each in enumerate(every) if number % 8 == 0 or b"Auto-Submitted: auto" in each.raw]


def picture(mailbox: Mailbox, *, without: tuple[str, ...] = ()) -> list[dict[str, Any]]:
    """Return all that is stored of the mailbox's mail, in a stable order, but for the fields named."""
    found = []
    for activity in Activity.objects.filter(holders__mailbox=mailbox).distinct().select_related("body"):
        row = {
            "message_id": activity.message_id,
            "subject": activity.subject,
            "from": (activity.sender_email, activity.sender_name),
            "direction": activity.direction,
            "received_at": activity.received_at,
            "sent_at": activity.sent_at,
            "importance": activity.importance,
            "size": activity.size,
            "thread": activity.thread.messages,
            "text": activity.body.text,
            "html": activity.body.html,
            "copies": activity.holders.count(),
            "people": sorted(activity.participants.values_list("role", "email", "name")),
            "attachments": list(activity.attachments.values_list("name", "sha256", "missing")),
            "attachment_facts": list(activity.attachments.values_list("content_type", "inline", "content_id")),
        }
        found.append({name: value for name, value in row.items() if name not in without})
    return sorted(found, key=repr)


_plain: list[dict[str, Any]] = []


@pytest.fixture
def plain(_blobs) -> Callable[..., list[dict[str, Any]]]:
    """What is stored from the sandbox itself."""
    if not _plain:
        with transaction.atomic():
            store = filled()
            with SandboxServer(store) as server:
                mailbox, _report = synced(store, server.url)
                _plain.extend(picture(mailbox))
            transaction.set_rollback(True)
        assert len(_plain) > 20
        assert sum(len(row["attachments"]) for row in _plain) > 5
        POOL.close()
    return lambda *without: sorted(
        ({name: value for name, value in row.items() if name not in without} for row in _plain), key=repr
    )


def synced(store: SandboxStore, url: str) -> tuple[Mailbox, Any]:
    exchange = Exchange(store, url)
    mailbox = exchange.mailbox(ADDRESS)
    report = exchange.sync(mailbox)
    return mailbox, report


def present(store: SandboxStore, tail: str = "") -> set[str]:
    return {item_id + tail for folder in ("inbox", "sentitems") for item_id in item_ids(store, ADDRESS, folder)}


@dataclass(frozen=True)
class Habit:
    """One way to be different, and the stored fields that it withholds or changes."""

    before: tuple[Any, ...] = ()
    after: tuple[Any, ...] = ()
    manner: Manner = field(default_factory=Manner)
    lost: tuple[str, ...] = ()
    tail: str = ""
    blind: bool = False


def _paged(pages: habits.SmallPages) -> Habit:
    return Habit(before=(pages.before,), after=(pages.after,))


def _ids() -> Habit:
    ids = habits.LongIds()
    return Habit(before=(ids.before,), after=(ids.after,), tail=ids.tail)


IDENTITY = ("message_id", "copies", "thread")
HABITS: dict[str, Callable[[], Habit]] = {
    "no sizes": lambda: Habit(after=(habits.left_out("Size"),), lost=("size",)),
    "no conversations": lambda: Habit(after=(habits.left_out("ConversationId"),), lost=("thread",)),
    "no change keys": lambda: Habit(after=(habits.left_out("@ChangeKey"),)),
    "no sender beside from": lambda: Habit(after=(habits.left_out("Sender"),)),
    "no times of receipt": lambda: Habit(after=(habits.left_out("DateTimeReceived"),), lost=("received_at",)),
    "no times at all": lambda: Habit(after=(habits.left_out("DateTimeReceived", "DateTimeSent"),), lost=SHIFT),
    "no message ids": lambda: Habit(after=(habits.left_out("InternetMessageId"),), lost=IDENTITY),
    "no control fields": lambda: Habit(
        after=(habits.left_out("Sensitivity", "Categories", "IsDraft", "ItemClass", "Importance", "InReplyTo"),),
        lost=("importance", "thread"),
    ),
    "no facts of attachments": lambda: Habit(
        after=(habits.left_out("ContentType", "IsInline", "ContentId"),), lost=("attachment_facts", "size")
    ),
    "no facts of folders": lambda: Habit(after=(habits.left_out("TotalCount", "DisplayName", "ParentFolderId"),)),
    "no version": lambda: Habit(after=(habits.left_out("ServerVersionInfo"),)),
    "no extended properties": lambda: Habit(after=(habits.left_out("ExtendedProperty"),), lost=("thread",), blind=True),
    "something new everywhere": lambda: Habit(after=(habits.something_new,)),
    "small pages": lambda: _paged(habits.SmallPages(7)),
    "one change to a page": lambda: _paged(habits.SmallPages(1)),
    "a change on two pages": lambda: _paged(habits.SmallPages(7, repeat=True)),
    "an old server": lambda: Habit(before=(habits.old_versions_only("Exchange2010_SP1"),)),
    "extended properties are invalid": lambda: Habit(
        before=(habits.no_extended_properties("ErrorInvalidRequest", each=False),), lost=("thread",), blind=True
    ),
    "extended properties are invalid for each": lambda: Habit(
        before=(habits.no_extended_properties("ErrorInvalidPropertyRequest", each=True),), lost=("thread",), blind=True
    ),
    "long ids": _ids,
    "times with fractions": lambda: Habit(after=(habits.other_times("fraction"),), lost=SHIFT),
    "times with an offset": lambda: Habit(after=(habits.other_times("offset"),)),
    "times without a zone": lambda: Habit(after=(habits.other_times("no zone"),)),
    "times between blanks": lambda: Habit(after=(habits.other_times("space"),)),
    "names of the directory": lambda: Habit(after=(habits.directory_names,), lost=("from", "people", "direction")),
    "other prefixes": lambda: Habit(manner=Manner(prefixes={"S": SOAP_NS, "a": MESSAGES_NS, None: TYPES_NS})),
    "pretty": lambda: Habit(manner=Manner(pretty=True)),
    "zipped": lambda: Habit(manner=Manner(zipped=True)),
    "chunked and zipped": lambda: Habit(manner=Manner(chunked=True, zipped=True)),
    "chunked": lambda: Habit(manner=Manner(chunked=True)),
    "a connection for each request": lambda: Habit(manner=Manner(close=True)),
    "the first version of HTTP": lambda: Habit(manner=Manner(http10=True)),
    "header fields in capitals": lambda: Habit(manner=Manner(shout=True)),
    "another content type": lambda: Habit(manner=Manner(content_type="application/soap+xml")),
    "without a declaration": lambda: Habit(manner=Manner(declaration="")),
    "with a byte order mark": lambda: Habit(manner=Manner(encoding="utf-8-sig")),
    "in sixteen bits": lambda: Habit(
        manner=Manner(declaration='<?xml version="1.0" encoding="utf-16"?>', encoding="utf-16")
    ),
}


def behave(name: str) -> Habit:
    return HABITS[name]()


@pytest.mark.parametrize("name", HABITS)
def test_mail_is_tracked_the_same_from_a_server_with_this_habit(name, plain):
    habit = behave(name)
    store = filled()
    with (
        SandboxServer(store) as server,
        Stranger(server.url, before=habit.before, after=habit.after, manner=habit.manner) as stranger,
    ):
        mailbox, report = synced(store, stranger.url)
        assert_complete(mailbox, present(store, habit.tail), report)
        assert report.quarantined == 0
        found = picture(mailbox, without=habit.lost)
        if habit.blind:
            # The mark of what programs send is an extended property: where there is none, such mail is tracked, too.
            assert sum(report.refused.values()) < len(present(store)) - len(plain())
            found = [row for row in found if row in plain(*habit.lost)]
        assert found == plain(*habit.lost)
        assert not stranger.invalid
        again = Exchange(store, stranger.url).sync(mailbox)
        assert (again.error, again.examined) == (None, 0)


def test_mail_is_tracked_from_a_server_that_has_all_of_these_habits(plain):
    some = [
        behave(name)
        for name in HABITS
        # Every protocol version but one is refused by the first; the others would only repeat what it says.
        if not name.startswith(("one change", "small pages", "times", "extended properties are invalid for"))
    ]
    store = filled(change_counters=False, language="ca")
    manner = Manner(
        pretty=True,
        prefixes={"S": SOAP_NS, "a": MESSAGES_NS, None: TYPES_NS},
        zipped=True,
        chunked=True,
        close=True,
        shout=True,
        declaration="",
    )
    before = [each for habit in some for each in habit.before]
    after = [each for habit in some for each in habit.after]
    with SandboxServer(store) as server, Stranger(server.url, before=before, after=after, manner=manner) as stranger:
        mailbox, report = synced(store, stranger.url)
        assert_complete(mailbox, present(store, habits.LongIds.tail), report)
        assert report.quarantined == 0
        shown = ("subject", "text", "html", "attachments")
        lost = tuple(name for name in _plain[0] if name not in shown)
        # Without any identity every copy is a message of its own, and what programs send is not known as that.
        found = {repr(row) for row in picture(mailbox, without=lost)}
        assert {repr(row) for row in plain(*lost)} <= found
        assert Holder.objects.count() == report.tracked + report.updated
        assert report.tracked > len(plain())
        assert not stranger.invalid


@pytest.mark.parametrize("language", ["de", "ca"])
def test_folders_are_found_in_every_language(language, plain):
    store = filled(language=language)
    assert store.folder(ADDRESS, "inbox").name != "Inbox"
    with SandboxServer(store) as server:
        mailbox, report = synced(store, server.url)
        assert_complete(mailbox, present(store), report)
        assert picture(mailbox) == plain()
    followed = set(Folder.objects.filter(mailbox=mailbox, followed=True).values_list("role", flat=True))
    assert followed == {"inbox", "sent"}


def test_without_change_counters_new_mail_is_found_all_the_same():
    store = filled(change_counters=False)
    with SandboxServer(store) as server:
        exchange = Exchange(store, server.url)
        mailbox = exchange.mailbox(ADDRESS)
        exchange.sync(mailbox)
        exchange.row.refresh_from_db()
        assert exchange.row.counters is False
        # One request for each of the two followed folders.
        assert exchange.sync(mailbox, full=False).requests == 2
        store.deliver_mime(ADDRESS, b"Message-ID: <new@x.example>\r\nFrom: kim@x.example\r\nSubject: new\r\n\r\nx")
        assert exchange.sync(mailbox, full=False).tracked == 1


def test_a_server_that_has_change_counters_only_now_and_then_hides_no_mail():
    store = filled()
    with SandboxServer(store) as server:
        exchange = Exchange(store, server.url)
        mailbox = exchange.mailbox(ADDRESS)
        exchange.sync(mailbox)
        for number, counters in enumerate((False, True, False, True)):
            store.change_counters = counters
            raw = b"Message-ID: <%d@x.example>\r\nFrom: kim@x.example\r\n\r\nx" % number
            store.deliver_mime(ADDRESS, raw)
            assert exchange.sync(mailbox, full=False).tracked == 1


def test_characters_that_xml_forbids_cost_no_mail(plain):
    store = filled()
    manner = Manner(rewrite=habits.forbidden_characters)
    with SandboxServer(store) as server, Stranger(server.url, manner=manner) as stranger:
        mailbox, report = synced(store, stranger.url)
        assert_complete(mailbox, present(store), report)
        assert report.quarantined == 0
        found = picture(mailbox)
    for row in found:
        assert "\x01" not in row["subject"]
        assert row["subject"].startswith("\U0001f600")
    lost = ("subject", "thread")
    assert sorted(({k: v for k, v in row.items() if k not in lost} for row in found), key=repr) == plain(*lost)


def test_every_request_of_the_adapter_is_valid_against_the_published_schema():
    ews_schema.require()
    store = filled()
    with SandboxServer(store) as server, Stranger(server.url) as stranger:
        exchange = Exchange(store, stranger.url)
        mailbox = exchange.mailbox(ADDRESS)
        exchange.sync(mailbox)
        exchange.sync(mailbox, full=False)
        # The filter does see what is invalid.
        broken = b'<s:Envelope xmlns:s="%s"><s:Body><m:GetItem xmlns:m="%s"/></s:Body></s:Envelope>'
        assert ews_schema.validate(broken % (SOAP_NS.encode(), MESSAGES_NS.encode()))
    assert not stranger.invalid
    assert set(stranger.operations) == {"GetFolder", "FindFolder", "SyncFolderItems", "GetItem", "GetAttachment"}


def test_an_item_that_breaks_every_connection_is_set_aside_and_the_rest_is_tracked():
    store = filled()
    ids = item_ids(store, ADDRESS)
    deaf = habits.Deaf([ids[9]])
    with SandboxServer(store) as server, Stranger(server.url, before=[deaf]) as stranger:
        exchange = Exchange(store, stranger.url)
        mailbox = exchange.mailbox(ADDRESS)
        reports = []
        for _run in range(12):
            reports.append(exchange.sync(mailbox))
            if reports[-1].error is None:
                break
        assert reports[-1].error is None
        assert sum(report.quarantined for report in reports) == 1
        assert ItemDecision.objects.exclude(outcome="quarantined").count() == len(present(store)) - 1
        # Once the server can read it, it is tracked like all the others.
        deaf.item_ids.clear()
        ItemFailure.objects.update(retry_at=NOW)
        assert exchange.sync(mailbox).tracked == 1
