"""Locks on message keys: two workers that store copies of one message, or parts of one thread, do so one after the other."""

from collections.abc import Iterable

from django.db import connection

# Keys share this many locks, so that a page needs few of PostgreSQL's lock table whatever its size.
_BUCKETS = 256
# First half of PostgreSQL's two-part advisory lock key; the second is the bucket.
_NAMESPACE = 0x6D736773


def lock_keys(keys: Iterable[str]) -> None:
    """Wait for the locks of these keys (digests in hex) and hold them until the transaction ends."""
    buckets = sorted({int(key[:8], 16) % _BUCKETS for key in keys if key})
    if buckets:
        with connection.cursor() as cursor:
            # In ascending order for everybody: no circle of waiters can form.
            cursor.execute(
                "SELECT pg_advisory_xact_lock(%s, bucket) FROM unnest(%s::int[]) AS bucket", [_NAMESPACE, buckets]
            )
