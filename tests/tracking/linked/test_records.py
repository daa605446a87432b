"""A record as values by field, and values taken over into a record."""

from datetime import UTC, date, datetime

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mailboxes.provider.entries import (
    FIELDS,
    Attendee,
    EntryKind,
    Every,
    Field,
    FullName,
    PostalAddress,
    Recurrence,
    Span,
    Type,
    canonical,
)
from security.models import User
from tracking.engine.filter_queries import MODELS
from tracking.linked.records import rights_of, take, takeable, values_of
from tracking.models import Account, Appointment, Contact, Lead, Task
from tracking.sync.merge import Withheld

pytestmark = pytest.mark.django_db

NINE = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
TEN = datetime(2026, 3, 2, 10, 0, tzinfo=UTC)
lines = st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=30)
moments = st.datetimes(datetime(1990, 1, 1), datetime(2050, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001 -- bounds must be naive
spans = st.tuples(moments, moments).map(lambda pair: Span(min(pair), max(pair), "Europe/Madrid")) | st.just(
    Span(date(2026, 3, 2), date(2026, 3, 4))
)
OF_TYPE = {
    Type.LINE: lines,
    Type.TEXT: lines,
    Type.NUMBER: st.integers(0, 100),
    Type.DAY: st.dates(),
    Type.SPAN: spans,
    Type.RECURRENCE: st.just(Recurrence(Every.WEEK, date(2026, 3, 2), weekdays=("MO", "WE"), count=4)),
    Type.PEOPLE: st.lists(
        st.builds(Attendee, st.sampled_from(["kim@c.example", "li@c.example", "Jo@c.example"]), lines), max_size=3
    ).map(tuple),
    Type.NAME: st.builds(FullName, lines, lines, lines),
    Type.ADDRESS: st.builds(PostalAddress, lines, lines, lines, lines, lines),
}
CHOICES = {Field.IMPORTANCE: "High", Field.SHOW_AS: "Free", Field.STATUS: "InProgress"}
NOT_NULL = {Field.SPAN, Field.IMPORTANCE, Field.SHOW_AS, Field.STATUS, Field.PERCENT}


def _values(kind):
    return st.fixed_dictionaries(
        {
            name: (st.just(CHOICES[name]) if name in CHOICES else OF_TYPE[holds])
            if name in NOT_NULL
            else st.none() | OF_TYPE[holds]
            for name, holds in FIELDS[kind].items()
            if name not in (Field.COMPANY, Field.REGARDING)
        }
    )


def _blank(kind, owner):
    more = {"starts_at": NINE, "ends_at": TEN} if kind is EntryKind.APPOINTMENT else {}
    return MODELS[kind].objects.create(owner=owner, **more)


@pytest.mark.parametrize("kind", EntryKind)
@given(data=st.data())
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_what_a_record_takes_over_is_what_it_says(kind, data):
    owner, _made = User.objects.get_or_create(username="anna")
    values = data.draw(_values(kind))
    taken = takeable(kind, values, owner)
    assert not taken.withheld
    record = _blank(kind, owner)
    take(record, taken.values, owner)
    said = values_of(MODELS[kind].objects.get(pk=record.pk), owner)
    assert {name: said[name] for name in values} == {
        name: canonical(kind, name, value) for name, value in values.items()
    }
    # Nothing said is nothing kept.
    take(record, {name: None for name in values if name not in NOT_NULL}, owner)
    emptied = values_of(MODELS[kind].objects.get(pk=record.pk), owner)
    assert not any(emptied[name] for name in values if name not in NOT_NULL)


def test_the_names_of_other_records_are_shown_only_to_who_may_see_them():
    anna, ben = User.objects.create_user("anna"), User.objects.create_user("ben")
    account = Account.objects.create(name="Turia", owner=anna)
    lead = Lead.objects.create(name="Kim", owner=ben)
    contact = Contact.objects.create(last_name="Puig", account=account, owner=anna)
    task = Task.objects.create(subject="Call", regarding_kind="lead", regarding_id=lead.pk)
    assert (values_of(contact, anna)[Field.COMPANY], values_of(contact, ben)[Field.COMPANY]) == ("Turia", None)
    assert (values_of(task, anna)[Field.REGARDING], values_of(task, ben)[Field.REGARDING]) == (None, "Kim")


def test_a_company_is_found_by_its_one_name_and_never_guessed():
    anna = User.objects.create_user("anna")
    turia = Account.objects.create(name="Turia", owner=anna)
    for _twice in range(2):
        Account.objects.create(name="Twins", owner=anna)
    Account.objects.create(name="Hidden")
    contact = Contact.objects.create(last_name="Puig", owner=anna)
    for name, reason in (("Twins", Withheld.NO_SUCH_RECORD), ("Hidden", Withheld.NO_SUCH_RECORD), ("turia", None)):
        assert takeable(EntryKind.CONTACT, {Field.COMPANY: name}, anna).withheld.get(Field.COMPANY) is reason
    take(contact, {Field.COMPANY: "turia"}, anna)
    assert contact.account == turia
    take(contact, {Field.COMPANY: None}, anna)
    assert contact.account is None


@pytest.mark.parametrize(
    ("kind", "name", "value", "reason"),
    [
        (EntryKind.CONTACT, Field.JOB_TITLE, "x" * 201, Withheld.TOO_LONG),
        (EntryKind.CONTACT, Field.NAME, FullName("x" * 101), Withheld.TOO_LONG),
        (EntryKind.APPOINTMENT, Field.REQUIRED, (Attendee("x" * 401),), Withheld.TOO_LONG),
        (EntryKind.APPOINTMENT, Field.SPAN, None, Withheld.NOT_EMPTY),
        (EntryKind.TASK, Field.REGARDING, "Kim", Withheld.NAME_ONLY),
        (EntryKind.TASK, Field.BODY, "x" * 100_000, None),
    ],
)
def test_nothing_is_cut_short_to_fit(kind, name, value, reason):
    assert takeable(kind, {name: value}, User(username="anna")).withheld.get(name) is reason


def test_records_of_others_are_only_read():
    anna, ben = User.objects.create_user("anna"), User.objects.create_user("ben")
    appointment = Appointment.objects.create(owner=anna, starts_at=NINE, ends_at=TEN)
    assert not rights_of(appointment, anna).unwritable
    assert rights_of(appointment, ben).unwritable == frozenset(FIELDS[EntryKind.APPOINTMENT])
    assert not rights_of(Task.objects.create(), ben).unwritable
