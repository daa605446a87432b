"""What people did is kept as it was: rows are added, never changed, and each can be read as a sentence."""

import pytest
from django.db import IntegrityError, transaction
from django.utils import timezone

from tracking.arrange import history
from tracking.models import TrackingEvent

pytestmark = pytest.mark.django_db


def event(what=history.What.SPLIT, **facts):
    return history.record(
        what, by="anna", now=timezone.now(), thread=1, activity=2, why="  two\n\x00subjects ", **facts
    )


def test_the_database_refuses_to_change_or_delete_what_was_done():
    row = event(messages=2)
    for act in (
        lambda: TrackingEvent.objects.filter(pk=row.pk).update(by="ben"),
        lambda: TrackingEvent.objects.filter(pk=row.pk).delete(),
        row.save,
    ):
        with pytest.raises(IntegrityError, match="only ever added"), transaction.atomic():
            act()
    row.refresh_from_db()
    assert (row.by, row.why) == ("anna", "two subjects")


@pytest.mark.parametrize("what", history.What.values)
def test_every_act_has_a_sentence(what):
    said = history.sentence(event(what, address="kim@customer.example", messages=1), "Kim (contact)")
    assert said
    assert said != what
    assert "%(" not in said


def test_a_reason_is_one_line_and_no_document():
    assert len(history.clean("x" * 1000)) == history.WHY_CHARACTERS
    assert history.clean(" a \n b\x00 ") == "a b"
