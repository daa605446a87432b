"""A fingerprint of everything there is: what a dry run must leave as it was."""

from contextlib import contextmanager

from django.db import connection

WRITES = {
    "create_entry", "update_entry", "delete_entry", "set_categories", "create_draft", "touch_draft", "delete_draft",
    "send_message", "create_message", "add_category", "move", "attach", "detach",
}  # fmt: skip


def tables(*, but=()):
    """Return each table's content as one digest."""
    found = {}
    with connection.cursor() as cursor:
        for name in sorted(set(connection.introspection.table_names(cursor)) - set(but)):
            cursor.execute(f"SELECT md5(coalesce(string_agg(t::text, '|' ORDER BY t::text), '')) FROM \"{name}\" t")  # noqa: S608 -- a table's name, from the database itself
            found[name] = cursor.fetchone()[0]
    return found


def writes(server):
    """Return how often anything that writes was called on a mail system in memory."""
    return {key: number for key, number in server.calls.items() if key[1] in WRITES}


@contextmanager
def nothing_written(server, *, but=()):
    """Hold that neither a row nor anything in a mailbox changes inside."""
    before, wrote = tables(but=but), writes(server)
    assert len(before) > 30
    yield
    assert tables(but=but) == before
    assert writes(server) == wrote
