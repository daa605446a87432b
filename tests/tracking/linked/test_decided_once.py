"""Every version of an entry is decided on once: what is noted is the version that was looked at, whatever came of it."""

import pytest

from mailboxes.provider.entries import EntryKind, Field
from mailboxes.provider.errors import WriteRefused
from tracking.linked.compare import CATEGORY
from tracking.models import ItemDecision, Task

pytestmark = pytest.mark.django_db


def test_a_version_that_could_not_be_brought_into_step_is_noted_as_itself(at):
    desk = at(EntryKind.TASK)
    item = desk.entry({Field.SUBJECT: "Call", Field.BODY: "text"}, categories=(CATEGORY,))
    desk.sync()
    first = ItemDecision.objects.get().change_key
    Task.objects.update(subject="Call back", modified_at=desk.now)
    desk.server.change_entry(item, {Field.BODY: "longer text"})
    (announced,) = [entry.marks.change_key for entry in desk.there()]
    desk.server.fail("update_entry", WriteRefused("no"))
    desk.sync()
    assert announced != first
    assert ItemDecision.objects.get().change_key == announced
