"""Tasks through their whole life: progress, dates, recurring ones that come again, assigned ones."""

from collections.abc import Callable
from datetime import UTC, date, datetime
from decimal import Decimal

import pytest
from exchangelib import Account, ExtendedProperty, Task
from exchangelib.fields import MONDAY
from exchangelib.recurrence import DailyRegeneration, TaskRecurrence, WeeklyPattern

from mailboxes.sandbox import tasks
from mailboxes.sandbox.store import SandboxStore
from tests.mailboxes.sandbox.test_sandbox_cards_and_calendars import calendar
from tests.mailboxes.sandbox.wire import ANNA, Ask

Open = Callable[..., Account]
FIRST = date(2026, 11, 2)


class CrmId(ExtendedProperty):  # type: ignore[misc]  # exchangelib has no types
    property_set_id = "c11ff724-aa03-4555-9952-8fa248a11c3e"
    property_name = "crm_id"
    property_type = "String"


def made(account: Account, **more: object) -> Task:
    return account.tasks.get(id=Task(folder=account.tasks, subject="Call", **more).save().id)


@pytest.mark.parametrize(
    ("before", "change", "after"),
    [
        ({}, {"status": "Completed"}, ("Completed", 100, True)),
        ({}, {"percent_complete": Decimal(100)}, ("Completed", 100, True)),
        ({}, {"percent_complete": Decimal(40)}, ("InProgress", 40, False)),
        ({"status": "Completed"}, {"status": "InProgress"}, ("InProgress", 0, False)),
        ({"status": "Completed"}, {"percent_complete": Decimal(60)}, ("InProgress", 60, False)),
        ({"status": "Completed"}, {"percent_complete": Decimal(0)}, ("NotStarted", 0, False)),
        ({"status": "InProgress", "percent_complete": Decimal(50)}, {"status": "NotStarted"}, ("NotStarted", 0, False)),
        ({"status": "WaitingOnOthers"}, {"percent_complete": Decimal(30)}, ("WaitingOnOthers", 30, False)),
        ({"percent_complete": Decimal(30)}, {"subject": "Other"}, ("NotStarted", 0, False)),
    ],
)
def test_status_and_progress_keep_to_each_other(
    account: Open, before: dict[str, object], change: dict[str, object], after: tuple[object, ...]
) -> None:
    anna = account(ANNA)
    task = made(anna, **before)
    for name, value in change.items():
        setattr(task, name, value)
    task.save(update_fields=list(change))
    again = anna.tasks.all().get()
    assert (again.status, again.percent_complete, again.is_complete) == after
    assert (again.complete_date is not None) is after[2]


def test_a_task_keeps_its_fields_moves_syncs_and_goes(store: SandboxStore, account: Open) -> None:
    anna = account(ANNA)
    Task.register("crm_id", CrmId)
    try:
        task = made(
            anna,
            body="About the offer",
            start_date=FIRST,
            due_date=date(2026, 11, 30),
            importance="High",
            categories=["CRM"],
            actual_work=30,
            total_work=60,
            companies=["Quill"],
            mileage="5",
            billing_information="42",
            crm_id="7",
            sensitivity="Private",
        )
        assert (task.start_date, task.due_date, task.importance, task.text_body) == (
            FIRST,
            date(2026, 11, 30),
            "High",
            "About the offer",
        )
        assert (task.actual_work, task.total_work, task.companies, task.mileage, task.crm_id, task.sensitivity) == (
            30,
            60,
            ["Quill"],
            "5",
            "7",
            "Private",
        )
        assert [change for change, _ in anna.tasks.sync_items(only_fields=[])] == ["create"]
        task.due_date = None
        task.save(update_fields=["due_date"])
        assert anna.tasks.all().get().due_date is None
        task.move(anna.trash)
        assert [change for change, _ in anna.tasks.sync_items(anna.tasks.item_sync_state, only_fields=[])] == ["delete"]
        assert anna.trash.all().get().crm_id == "7"
        anna.trash.all().get().delete()
        assert anna.trash.all().count() == 0
    finally:
        Task.deregister("crm_id")


def test_a_recurring_task_that_is_done_leaves_a_finished_one_and_comes_again(account: Open) -> None:
    anna = account(ANNA)
    pattern = TaskRecurrence(pattern=WeeklyPattern(interval=1, weekdays=[MONDAY]), start=FIRST, number=2)
    task = made(anna, start_date=FIRST, due_date=FIRST, recurrence=pattern)
    assert task.is_recurring
    master = task.id
    task.status = "Completed"
    task.save(update_fields=["status"])
    assert task.id != master, "the answer names the finished one"
    done, coming = anna.tasks.get(id=task.id), anna.tasks.get(id=master)
    assert (done.is_complete, done.is_recurring, done.due_date) == (True, False, FIRST)
    assert (coming.is_complete, coming.is_recurring, coming.due_date, coming.start_date, coming.percent_complete) == (
        False,
        True,
        date(2026, 11, 9),
        date(2026, 11, 9),
        0,
    )
    coming.status = "Completed"
    coming.save(update_fields=["status"])
    assert coming.id == master, "the last turn is finished itself"
    assert [one.is_complete for one in anna.tasks.all()] == [True, True]


def test_a_regenerating_task_counts_from_when_it_was_done(account: Open) -> None:
    anna = account(ANNA)
    pattern = TaskRecurrence(pattern=DailyRegeneration(interval=3), start=FIRST, number=3)
    task = made(anna, start_date=FIRST, due_date=FIRST, recurrence=pattern)
    master = task.id
    task.complete_date = datetime(2026, 11, 10, tzinfo=UTC)
    task.status = "Completed"
    task.save(update_fields=["status"])
    coming = anna.tasks.get(id=master)
    assert (coming.due_date - datetime.now(UTC).date()).days == 3
    assert coming.recurrence.boundary.number == 2


def test_one_turn_of_a_recurring_task_can_be_skipped(account: Open, ask: Ask) -> None:
    anna = account(ANNA)
    pattern = TaskRecurrence(pattern=WeeklyPattern(interval=1, weekdays=[MONDAY]), start=FIRST)
    task = made(anna, due_date=FIRST, recurrence=pattern)
    delete = (
        '<m:DeleteItem DeleteType="HardDelete" AffectedTaskOccurrences="{}"><m:ItemIds>'
        f'<t:ItemId Id="{task.id}"/></m:ItemIds></m:DeleteItem>'
    )
    assert ask(delete.format("SpecifiedOccurrenceOnly")).codes == ["NoError"]
    assert anna.tasks.get(id=task.id).due_date == date(2026, 11, 9)
    assert ask(delete.format("Some"), valid=False).codes == ["ErrorSchemaValidation"]
    assert ask(delete.format("AllOccurrences")).codes == ["NoError"]
    assert anna.tasks.all().count() == 0


def test_an_assigned_task_says_by_whom_and_cannot_be_reassigned(store: SandboxStore, account: Open, ask: Ask) -> None:
    anna = account(ANNA)
    store.add_task(
        ANNA,
        tasks.Task(
            "Assigned",
            due=FIRST,
            owner="Ben Roca",
            delegation="Owned",
            delegator="Anna Puig",
            assigned=datetime(2026, 11, 1, 9, tzinfo=UTC),
        ),
    )
    task = anna.tasks.all().get()
    assert (task.delegation_state, task.delegator, task.owner) == ("Owned", "Anna Puig", "Ben Roca")
    assert task.assigned_time == datetime(2026, 11, 1, 9, tzinfo=UTC)
    refused = ask(
        "<m:CreateItem><m:Items><t:Task><t:Subject>x</t:Subject><t:Delegator>Ben</t:Delegator></t:Task></m:Items></m:CreateItem>"
    )
    assert refused.codes == ["ErrorInvalidPropertySet"]


def test_a_file_brings_a_recurring_task(store: SandboxStore, account: Open) -> None:
    store.add_ics(
        ANNA,
        calendar("UID:t", "SUMMARY:Water", "DUE;VALUE=DATE:20261102", "RRULE:FREQ=WEEKLY;BYDAY=MO", component="VTODO"),
    )
    task = account(ANNA).tasks.all().get()
    assert (task.is_recurring, task.recurrence.pattern.interval) == (True, 1)


def test_days_of_tasks_are_days_of_the_client(ask: Ask, account: Open) -> None:
    task = (
        "<m:CreateItem><m:Items><t:Task><t:Subject>x</t:Subject><t:StartDate>2026-11-02T00:00:00+01:00</t:StartDate>"
        "<t:DueDate>2026-11-03</t:DueDate></t:Task></m:Items></m:CreateItem>"
    )
    assert ask(task, valid=False).codes == ["NoError"]
    found = account(ANNA).tasks.all().get()
    assert (found.start_date, found.due_date) == (FIRST, date(2026, 11, 3))


@pytest.mark.parametrize(
    "recurrence",
    [
        "<t:DailyRegeneration><t:Interval>0</t:Interval></t:DailyRegeneration><t:NoEndRecurrence><t:StartDate>2026-11-02</t:StartDate></t:NoEndRecurrence>",
        "<t:DailyRegeneration><t:Interval>1</t:Interval></t:DailyRegeneration><t:NoEndRecurrence><t:StartDate>soon</t:StartDate></t:NoEndRecurrence>",
        "<t:HourlyRecurrence/><t:NoEndRecurrence><t:StartDate>2026-11-02</t:StartDate></t:NoEndRecurrence>",
        "<t:AbsoluteYearlyRecurrence><t:DayOfMonth>1</t:DayOfMonth><t:Month>Brumaire</t:Month></t:AbsoluteYearlyRecurrence>"
        "<t:NoEndRecurrence><t:StartDate>2026-11-02</t:StartDate></t:NoEndRecurrence>",
        "<t:RelativeMonthlyRecurrence><t:Interval>1</t:Interval><t:DaysOfWeek>Monday</t:DaysOfWeek><t:DayOfWeekIndex>Sixth</t:DayOfWeekIndex>"
        "</t:RelativeMonthlyRecurrence><t:NoEndRecurrence><t:StartDate>2026-11-02</t:StartDate></t:NoEndRecurrence>",
        "<t:WeeklyRecurrence><t:DaysOfWeek>Someday</t:DaysOfWeek></t:WeeklyRecurrence><t:NoEndRecurrence><t:StartDate>2026-11-02</t:StartDate></t:NoEndRecurrence>",
        "<t:DailyRecurrence/><t:NumberedRecurrence><t:StartDate>2026-11-02</t:StartDate><t:NumberOfOccurrences>1000</t:NumberOfOccurrences></t:NumberedRecurrence>",
    ],
)
def test_recurrences_that_make_no_sense_are_refused(ask: Ask, recurrence: str) -> None:
    reply = ask(
        f"<m:CreateItem><m:Items><t:Task><t:Recurrence>{recurrence}</t:Recurrence></t:Task></m:Items></m:CreateItem>",
        valid=False,
    )
    assert reply.codes == ["ErrorCalendarInvalidRecurrence"]


@pytest.mark.parametrize("wrong", [{"delegation": "Lost"}, {"rule": "FREQ=DAILY"}])
def test_tasks_in_plain_words_that_make_no_sense_are_refused(wrong: dict[str, str]) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        tasks.Task("x", **wrong)  # type: ignore[arg-type]  # one wrong value at a time
