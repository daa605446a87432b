"""Any message the world can produce ends as tracked, refused with a reason, or quarantined; ordinary mail never does.

Messages are loaded into the sandbox as files, answered over real HTTP, read by the real adapter and stored by the real
pipeline in PostgreSQL. Mutants share their pages with ordinary mail, so that one could hurt the other.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from itertools import count
from pathlib import Path

import pytest

from mailboxes.models import Mailbox
from mailboxes.report import RunReport
from mailboxes.sandbox.demo import messages
from mailboxes.sandbox.loaders import load_folder
from mailboxes.sandbox.server import SandboxServer
from mailboxes.sandbox.store import SandboxStore
from mailboxes.states import Track
from tests.proofs import defects, mutations
from tests.proofs.exchange import Exchange, assert_complete, item_ids
from tracking.engine import blobs
from tracking.mail import html as mail_html
from tracking.models import Activity, Attachment, EmailBody, ItemDecision, ItemFailure

pytestmark = pytest.mark.django_db

NOW = datetime(2026, 3, 4, 15, 30, tzinfo=UTC)
SAMPLE = 400
FULL = 10_000
# Mutants to a mailbox: several pages each, with ordinary mail between them.
BATCH = 500
_addresses = count(1)


@pytest.fixture(autouse=True)
def _blobs(tmp_path, settings):
    settings.BLOB_ROOT = tmp_path / "blobs"


@pytest.fixture(scope="module")
def corpus() -> list[tuple[str, bytes]]:
    """Every message of the demo but the one of several megabytes."""
    return [(each.key, each.raw) for each in messages(NOW, huge=False)]


@pytest.fixture(scope="module")
def ordinary() -> list[bytes]:
    """The messages of the demo that nothing is wrong with."""
    return [each.raw for each in messages(NOW, huge=False) if not each.oddity]


@pytest.fixture
def exchange() -> Iterator[Exchange]:
    """An Exchange without mail."""
    store = SandboxStore()
    with SandboxServer(store) as server:
        yield Exchange(store, server.url)


class Loaded:
    """Messages in a mailbox of their own, one file each, and what a sync made of them."""

    def __init__(self, exchange: Exchange, folder: Path, raws: Sequence[bytes], track: str = Track.ALL) -> None:
        address = f"mail{next(_addresses)}@proof.example"
        folder.mkdir()
        for number, raw in enumerate(raws):
            (folder / f"{number:06}.eml").write_bytes(raw)
        exchange.store.add_mailbox(address, "proof")
        load_folder(exchange.store, folder, address)
        self.ids = item_ids(exchange.store, address)
        assert len(self.ids) == len(raws)
        self.mailbox: Mailbox = exchange.mailbox(address, track)
        self.report: RunReport = exchange.sync_patiently(self.mailbox)
        assert_complete(self.mailbox, set(self.ids), self.report)
        again = exchange.sync(self.mailbox)
        assert (again.error, again.examined, again.arrived) == (None, 0, 0)

    def outcomes(self, positions: Sequence[int]) -> Counter[str]:
        """Return how many of the messages at these positions came to what."""
        found = dict(ItemDecision.objects.filter(mailbox=self.mailbox).values_list("item_id", "outcome"))
        return Counter(found[self.ids[at]] for at in positions)


def assert_readable(mailbox: Mailbox) -> None:
    """Assert that everything stored of this mailbox's mail can be read and shown."""
    mine = Activity.objects.filter(holders__mailbox=mailbox)
    assert mine.filter(body=None).count() == 0
    for body in EmailBody.objects.filter(activity__in=mine).iterator():
        mail_html.from_html(body.html, lambda _content_id: None)
        mail_html.from_text(body.text)
    for row in Attachment.objects.filter(activity__in=mine).iterator():
        assert row.missing or len(blobs.get(row.sha256)) == row.size


def prove(exchange: Exchange, folder: Path, seeds: range, corpus, ordinary) -> Counter[str]:
    """Load the mutants of these seeds among ordinary mail, sync, and return what became of the mutants."""
    mutants = [mutations.mutant(seed, corpus) for seed in seeds]
    raws: list[bytes] = []
    plain: list[int] = []
    odd: list[int] = []
    for number, each in enumerate(mutants):
        odd.append(len(raws))
        raws.append(each.raw)
        if number % 10 == 0:
            plain.append(len(raws))
            raws.append(ordinary[number // 10 % len(ordinary)])
    loaded = Loaded(exchange, folder, raws)
    assert loaded.outcomes(plain)["quarantined"] == 0
    assert_readable(loaded.mailbox)
    stories = dict(zip([loaded.ids[at] for at in odd], mutants, strict=True))
    for failure in ItemFailure.objects.filter(mailbox=loaded.mailbox):
        assert failure.code
        # What our own database cannot hold would be ours to repair, whatever the message.
        assert failure.code != "cannot_store", (stories[failure.item_id].seed, stories[failure.item_id].story)
    return loaded.outcomes(odd)


def test_a_sample_of_mutants_is_tracked_refused_or_quarantined(exchange, tmp_path, corpus, ordinary):
    found = prove(exchange, tmp_path / "mail", range(SAMPLE), corpus, ordinary)
    assert found.total() == SAMPLE
    # Most are mail all the same: were they refused unread, nothing would be proven about content.
    assert found["tracked"] > SAMPLE * 0.6


@pytest.mark.soak
@pytest.mark.slow
def test_ten_thousand_mutants_are_tracked_refused_or_quarantined(exchange, tmp_path, corpus, ordinary, capsys):
    found: Counter[str] = Counter()
    for start in range(0, FULL, BATCH):
        found += prove(exchange, tmp_path / f"mail{start}", range(start, start + BATCH), corpus, ordinary)
        with capsys.disabled():
            print(f"\n{found.total()} mutants: {dict(found)}", end="")  # noqa: T201 -- an hour's soak shows how far it is
    assert found.total() == FULL
    assert found["tracked"] > FULL * 0.6


def test_mutants_are_decided_under_every_tracking_option(exchange, tmp_path, corpus):
    raws = [mutations.mutant(seed, corpus).raw for seed in range(1_000_000, 1_000_060)]
    for track in (Track.REPLIES, Track.RECORDS, Track.ENABLED, Track.NONE):
        loaded = Loaded(exchange, tmp_path / track, raws, track)
        assert loaded.outcomes(range(len(raws)))["quarantined"] == 0


def test_the_demo_is_decided_and_none_of_it_quarantined(exchange, tmp_path, corpus):
    loaded = Loaded(exchange, tmp_path / "demo", [raw for _key, raw in corpus])
    assert loaded.report.quarantined == 0
    assert_readable(loaded.mailbox)


@pytest.mark.parametrize("defect", sorted(each.__name__ for each in defects.classes()))
def test_every_defect_of_the_parser_is_provoked_by_its_sample(defect):
    assert defect in defects.provoked(defects.SAMPLES[defect])


def test_messages_with_every_defect_of_the_parser_are_tracked(exchange, tmp_path):
    names = sorted(each.__name__ for each in defects.classes())
    raws = [
        b"Message-ID: <%s@defects.example>\r\n%s" % (name.encode(), defects.SAMPLES[name])
        # A field before it would be what the line continues.
        if name != "FirstHeaderLineIsContinuationDefect"
        else defects.SAMPLES[name]
        for name in names
    ]
    for name, raw in zip(names, raws, strict=True):
        assert name in defects.provoked(raw)
    loaded = Loaded(exchange, tmp_path / "defects", raws)
    assert loaded.report.tracked == len(names) == Activity.objects.count()


def test_an_mbox_of_mutants_is_decided_message_by_message(exchange, tmp_path, corpus):
    folder = tmp_path / "mbox"
    folder.mkdir()
    lines = [b"From kim Thu Jan  1 00:00:00 1970\n" + mutations.mutant(seed, corpus).raw for seed in range(60)]
    (folder / "mail.mbox").write_bytes(b"\n\n".join(lines))
    exchange.store.add_mailbox("mbox@proof.example", "proof")
    loaded = load_folder(exchange.store, folder, "mbox@proof.example")
    assert loaded.messages >= 60
    mailbox = exchange.mailbox("mbox@proof.example")
    report = exchange.sync(mailbox)
    assert_complete(mailbox, set(item_ids(exchange.store, mailbox.address)), report)


def test_an_item_that_the_server_cannot_read_is_quarantined_and_holds_nothing_up(tmp_path, ordinary):
    """The third ending. The sandbox reads every byte, so its refusal of one item is scripted."""
    store = SandboxStore()
    with SandboxServer(store) as server:
        exchange = Exchange(store, server.url)
        store.add_mailbox("bad@proof.example", "proof")
        for raw in ordinary[:20]:
            store.deliver_mime("bad@proof.example", raw)
        bad = item_ids(store, "bad@proof.example")[7]
        server.faults.add("error", code="ErrorItemCorrupt", scope="item", item_id=bad, count=None)
        mailbox = exchange.mailbox("bad@proof.example")
        report = exchange.sync(mailbox)
        assert_complete(mailbox, set(item_ids(store, "bad@proof.example")), report)
        assert report.quarantined == 1
        failure = ItemFailure.objects.get()
        assert (failure.item_id, failure.code) == (bad, "item_unreadable")
        assert exchange.sync(mailbox).examined == 0


def _nested(depth: int, inner: bytes) -> bytes:
    for level in range(depth):
        mark = b"n%d" % level
        inner = b"Content-Type: multipart/mixed; boundary=%s\r\n\r\n--%s\r\n%s\r\n--%s--\r\n" % (
            mark,
            mark,
            inner,
            mark,
        )
    return inner


GIANTS = {
    "a subject of encoded words": b"Subject: " + b"=?utf-8?Q?=C3=A9?= " * 150_000 + b"\r\n\r\nx",
    "a type of parameters": b"Content-Type: " + b":;" * 1_500_000 + b"\r\n\r\nx",
    "a recipient of signs": b"To: " + b"@" * 3_000_000 + b"\r\n\r\nx",
    "twenty thousand recipients": b"To: "
    + b",\r\n ".join(b"P <p%d@x.example>" % n for n in range(20_000))
    + b"\r\n\r\nx",
    "fifty thousand fields": b"".join(b"X-Field: %d\r\n" % n for n in range(50_000)) + b"\r\nx",
    "a line of ten million": b"\r\n" + b"x" * 10_000_000,
    "levels of messages": b"Content-Type: message/rfc822\r\n\r\n" * 5_000,
    "levels of parts": _nested(900, b"\r\n" + b"line\r\n" * 500),
    "a thousand attachments": b"Content-Type: multipart/mixed; boundary=m\r\n\r\n"
    + b"--m\r\nContent-Type: image/png\r\n\r\nx\r\n" * 1_000,
}


def test_giants_are_tracked_in_bounded_time(exchange, tmp_path):
    """Whoever reads fields in quadratic time takes minutes for some of these, and the client gives up after half one."""
    raws = [b"Message-ID: <giant%d@x.example>\r\n%s" % (number, raw) for number, raw in enumerate(GIANTS.values())]
    loaded = Loaded(exchange, tmp_path / "giants", raws)
    assert loaded.report.tracked == len(GIANTS)
    assert_readable(loaded.mailbox)
