"""The demo goes on living: letters of its stories arrive again, as new mail of today."""

import time
from datetime import UTC, datetime
from email import message_from_bytes
from itertools import islice

from mailboxes.sandbox import demo
from mailboxes.sandbox.demo import pulse
from mailboxes.sandbox.demo.corpus import messages
from mailboxes.sandbox.store import SandboxStore

NOW = datetime(2026, 5, 6, 12, 0, tzinfo=UTC)


def test_two_rounds_have_ids_of_their_own_and_replies_stay_within_a_round():
    letters = list(islice(pulse.again(NOW), 300))
    ids = [message_from_bytes(letter.raw)["Message-ID"] for letter in letters]
    assert len(set(ids)) == len(ids)
    assert not set(ids) & {message_from_bytes(each.raw)["Message-ID"] for each in messages(NOW, huge=False)}
    replies = [message_from_bytes(letter.raw)["In-Reply-To"] for letter in letters]
    assert sum(reply in set(ids) for reply in replies if reply) > 50


def test_a_letter_arrives_today_with_everybody_who_holds_it():
    store = SandboxStore()
    demo.load(store, now=NOW)
    letter = next(each for each in pulse.again(NOW) if len(each.holders) > 1)
    before = {row["address"]: row["messages"] for row in store.overview()}
    pulse.deliver(store, letter, NOW)
    after = {row["address"]: row["messages"] for row in store.overview()}
    assert {address for address in after if int(after[address]) == int(before[address]) + 1} == {
        a for a, _f in letter.holders
    }


def test_a_pulse_beats_until_it_is_stopped():
    store = SandboxStore()
    demo.load(store, now=NOW)

    def total():
        return sum(int(row["messages"]) for row in store.overview())

    before = total()
    with pulse.Pulse(store, 0.01):
        deadline = time.monotonic() + 20
        while total() < before + 3 and time.monotonic() < deadline:
            time.sleep(0.01)
    stopped = total()
    assert stopped >= before + 3
    time.sleep(0.1)
    assert total() == stopped
