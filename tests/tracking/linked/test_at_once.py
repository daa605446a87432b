"""Two who act at the same moment: a person and a run, or two people. Neither's last word is lost, and none is misheard."""

from datetime import timedelta

import pytest

from mailboxes.provider.entries import EntryKind, Field
from tracking.models import FieldConflict

pytestmark = pytest.mark.django_db
TASK = EntryKind.TASK


def test_what_is_written_anew_while_it_is_being_sent_stands(at):
    desk = at(TASK)
    task = desk.record(subject="Call")
    desk.sync()
    task.refresh_from_db()
    task.subject = "Call Kim"
    task.save()

    def colleague():
        # Before our own write of the first correction is noted there.
        type(task).objects.filter(pk=task.pk).update(subject="Call Kim at nine", modified_at=desk.now)
        desk.now += timedelta(seconds=1)

    desk.server.before("update_entry", colleague)
    desk.sync()
    desk.sync()
    task.refresh_from_db()
    (entry,) = desk.there()
    assert (task.subject, entry.values[Field.SUBJECT]) == ("Call Kim at nine", "Call Kim at nine")
    assert not FieldConflict.objects.exists()
