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


@pytest.mark.parametrize(
    ("kept_back", "reason"), [({"categories": ()}, "not_marked"), ({"sensitivity": "Private"}, "private")]
)
def test_a_version_that_its_owner_keeps_back_is_refused_once_and_looked_at_again_when_it_changes(at, kept_back, reason):
    desk = at(EntryKind.TASK)
    item = desk.entry({Field.SUBJECT: "Call"}, categories=(CATEGORY,))
    desk.sync()
    desk.server.change_entry(item, {}, **kept_back)
    desk.sync()
    refused = ItemDecision.objects.get()
    assert (refused.outcome, refused.reason) == ("refused", reason)
    desk.server.announce(item)
    desk.sync()
    assert ItemDecision.objects.get().decided_at == refused.decided_at
    desk.server.change_entry(item, {}, categories=(CATEGORY,), sensitivity="Normal")
    desk.sync()
    assert desk.link().unlinked_at is None
