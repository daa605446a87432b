"""A maker of desks, for whoever tests linked records."""

import pytest

from mailboxes.provider.entries import EntryKind
from tests.tracking.linked.desk import Desk


@pytest.fixture
def at(monkeypatch):
    """Return a maker of desks whose time is everybody's."""

    def make(kind: EntryKind, **more) -> Desk:
        desk = Desk(kind, **more)
        monkeypatch.setattr("django.utils.timezone.now", lambda: desk.now)
        return desk

    return make
