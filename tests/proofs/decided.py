"""Every decision that was ever committed, written down by the database itself while workers of other processes decide.

The tables keep the last decision on an item; that each version of it was decided on once can only be told by whoever saw
all of them, and a trigger misses none and counts none that was rolled back.
"""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from django.db import connection

from tracking.sync.facts import Reason

_BEGIN = """
CREATE TABLE proof_decided (mailbox_id bigint, item_id text, change_key text, outcome text, reason text);
CREATE FUNCTION proof_note_decision() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'INSERT' OR NEW.decided_at IS DISTINCT FROM OLD.decided_at THEN
        INSERT INTO proof_decided VALUES (NEW.mailbox_id, NEW.item_id, NEW.change_key, NEW.outcome, NEW.reason);
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER proof_decided AFTER INSERT OR UPDATE ON tracking_itemdecision
FOR EACH ROW EXECUTE FUNCTION proof_note_decision();
"""
_END = """
DROP TRIGGER proof_decided ON tracking_itemdecision;
DROP FUNCTION proof_note_decision;
DROP TABLE proof_decided;
"""
# What failed is tried again, and what was taken for a copy is looked at again once it may be the entry itself.
_AGAIN = {"quarantined", "discarded"}


@contextmanager
def decisions_noted() -> Iterator[None]:
    """Write down every decision until the end of the block."""
    with connection.cursor() as cursor:
        cursor.execute(_BEGIN)
    try:
        yield
    finally:
        with connection.cursor() as cursor:
            cursor.execute(_END)


def noted() -> Counter[tuple[int, str, str]]:
    """Return how often each version of an item was decided on: mailbox, item id, change key."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT mailbox_id, item_id, change_key, outcome, reason FROM proof_decided")
        return Counter(
            (mailbox, item, key) for mailbox, item, key, outcome, reason in cursor.fetchall()
            if outcome not in _AGAIN and reason != Reason.COPY_OF_LINKED
        )  # fmt: skip
