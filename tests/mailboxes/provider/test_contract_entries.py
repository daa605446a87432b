"""What every adapter must do with appointments, contacts and tasks (mailboxes/provider/writing.py): one suite for all."""

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from mailboxes.provider.entries import (
    FIELDS,
    Attendee,
    Entry,
    EntryKind,
    Every,
    Field,
    FullName,
    Marks,
    PostalAddress,
    Recurrence,
    Span,
    Value,
    canonical,
)
from mailboxes.provider.errors import (
    ChangedMeanwhile,
    FolderGone,
    ItemGone,
    ItemUnreadable,
    OtherKind,
    Unavailable,
    WriteRefused,
)
from mailboxes.provider.port import ChangeKind, FolderRole
from tests.mailboxes.provider.worlds import ANA, BEN, Letter, Provider, World, folder_of

NINE = datetime(2026, 3, 4, 8, 0, tzinfo=UTC)
HOUR = timedelta(hours=1)
ROLES = {
    EntryKind.APPOINTMENT: FolderRole.CALENDAR,
    EntryKind.CONTACT: FolderRole.CONTACTS,
    EntryKind.TASK: FolderRole.TASKS,
}
MEETING: dict[Field, Value] = {
    Field.SUBJECT: "Offer & <plan>",
    Field.BODY: "First line\n\n  Second line",
    Field.LOCATION: "Sala Gran",
    Field.SPAN: Span(NINE, NINE + HOUR, "Europe/Madrid"),
    Field.IMPORTANCE: "High",
    Field.SHOW_AS: "Tentative",
    Field.REQUIRED: (Attendee("ben@example.com", "Ben"), Attendee("Carla@Partner.example")),
    Field.OPTIONAL: (Attendee("dan@third.example"),),
    Field.REGARDING: "Pla d'Urgell SL",
}
PERSON: dict[Field, Value] = {
    Field.NAME: FullName("Núria", "M.", "Ferrer & Co"),
    Field.COMPANY: "Ferrer SL",
    Field.JOB_TITLE: "Head of <everything>",
    Field.DEPARTMENT: "Sales",
    Field.MANAGER: "Marta",
    Field.ASSISTANT: "Pau",
    Field.NICKNAME: "Nú",
    Field.SPOUSE: "Joan",
    Field.CHILDREN: "Aina, Biel",
    Field.WEBSITE: "https://ferrer.example/?a=1&b=2",
    Field.EMAIL1: "nuria@ferrer.example",
    Field.EMAIL2: "n@home.example",
    Field.EMAIL3: "office@ferrer.example",
    **{
        name: f"+34 {number}"
        for number, name in enumerate(
            (
                Field.BUSINESS_PHONE, Field.BUSINESS_PHONE2, Field.HOME_PHONE, Field.HOME_PHONE2, Field.MOBILE,
                Field.PAGER, Field.CALLBACK, Field.COMPANY_PHONE, Field.ASSISTANT_PHONE, Field.OTHER_PHONE, Field.FAX,
            )
        )
    },
    Field.BUSINESS_ADDRESS: PostalAddress("Carrer Major 1\n2n 1a", "Lleida", "Lleida", "25001", "Spain"),
    Field.HOME_ADDRESS: PostalAddress(city="Reus"),
    Field.OTHER_ADDRESS: PostalAddress("Box 7", country="Spain"),
    Field.BIRTHDAY: date(1980, 2, 29),
    Field.ANNIVERSARY: date(2010, 12, 31),
    Field.NOTES: "Likes short mails.",
}  # fmt: skip
TODO: dict[Field, Value] = {
    Field.SUBJECT: "Call back",
    Field.BODY: "About the offer",
    Field.START: date(2026, 3, 1),
    Field.DUE: date(2026, 3, 31),
    Field.PERCENT: 50,
    Field.IMPORTANCE: "Low",
    Field.STATUS: "InProgress",
    Field.REGARDING: "Ferrer SL",
}
FULL = {EntryKind.APPOINTMENT: MEETING, EntryKind.CONTACT: PERSON, EntryKind.TASK: TODO}
# The field in which tests write a word.
WORD = {EntryKind.APPOINTMENT: Field.SUBJECT, EntryKind.CONTACT: Field.JOB_TITLE, EntryKind.TASK: Field.SUBJECT}
KINDS = pytest.mark.parametrize("kind", list(EntryKind))
WEEKLY = Recurrence(Every.WEEK, date(2026, 3, 4), weekdays=("WE",), count=5)


@pytest.fixture
def provider(world: World) -> Provider:
    return world.provider()


def place(provider: Provider, kind: EntryKind) -> str:
    return folder_of(provider, ROLES[kind])


def made(provider: Provider, kind: EntryKind, values: dict[Field, Value] | None = None, stamp: str = "link-1") -> Marks:
    return provider.create_entry(place(provider, kind), kind, FULL[kind] if values is None else values, stamp=stamp)


def read(provider: Provider, item_id: str) -> Entry:
    (found,) = provider.entries([item_id])
    assert isinstance(found, Entry), found
    return found


def marks_of(provider: Provider, item_id: str) -> Marks:
    (found,) = provider.marks([item_id])
    assert isinstance(found, Marks), found
    return found


def differences(kind: EntryKind, wanted: dict[Field, Value], found: Entry) -> dict[Field, tuple[Value, Value]]:
    compared = {
        name: (canonical(kind, name, value), canonical(kind, name, found.values[name]))
        for name, value in wanted.items()
    }
    return {name: pair for name, pair in compared.items() if pair[0] != pair[1]}


# -- making and reading -----------------------------------------------------------------------------------------------


@KINDS
def test_what_was_written_comes_back(provider: Provider, kind: EntryKind) -> None:
    found = read(provider, made(provider, kind).item_id)
    assert found.marks.kind is kind
    assert set(found.values) == set(FIELDS[kind])
    assert differences(kind, FULL[kind], found) == {}
    told = {name for name, value in found.values.items() if canonical(kind, name, value) != canonical(kind, name, None)}
    assert told - set(FULL[kind]) <= {Field.ORGANIZER}, "nothing else came into being"


@KINDS
def test_marks_say_nothing_of_what_an_entry_says(provider: Provider, kind: EntryKind) -> None:
    written = made(provider, kind)
    found = marks_of(provider, written.item_id)
    assert (found.kind, found.item_id, found.change_key) == (kind, written.item_id, written.change_key)
    assert (found.stamp, found.categories, found.sensitivity) == ("link-1", (), "Normal")
    assert bool(found.uid) is (kind is EntryKind.APPOINTMENT)
    assert found.modified_at is not None
    assert found.modified_at.utcoffset() == timedelta(0)
    assert found == read(provider, written.item_id).marks


@KINDS
def test_an_entry_with_the_least_that_it_needs(provider: Provider, kind: EntryKind) -> None:
    values: dict[Field, Value] = {Field.SPAN: MEETING[Field.SPAN]} if kind is EntryKind.APPOINTMENT else {}
    found = read(provider, made(provider, kind, values).item_id)
    wanted: dict[Field, Value] = {name: values.get(name) for name in FIELDS[kind] if name is not Field.ORGANIZER}
    assert differences(kind, wanted, found) == {}


def test_an_appointment_needs_a_span(provider: Provider) -> None:
    with pytest.raises(WriteRefused):
        made(provider, EntryKind.APPOINTMENT, {Field.SUBJECT: "When?"})
    written = made(provider, EntryKind.APPOINTMENT)
    with pytest.raises(WriteRefused):
        provider.update_entry(written.item_id, written.change_key, EntryKind.APPOINTMENT, {Field.SPAN: None})


def test_an_end_before_the_start_is_refused(provider: Provider) -> None:
    with pytest.raises(WriteRefused):
        made(provider, EntryKind.APPOINTMENT, {Field.SPAN: Span(NINE, NINE - HOUR, "Europe/Madrid")})


def test_a_choice_that_there_is_not_is_refused(provider: Provider) -> None:
    with pytest.raises(WriteRefused):
        made(provider, EntryKind.TASK, {Field.STATUS: "Postponed"})


@KINDS
def test_a_folder_that_is_gone_takes_nothing(world: World, provider: Provider, kind: EntryKind) -> None:
    gone = world.add_folder("Gone")
    world.remove_folder(gone)
    with pytest.raises(FolderGone):
        provider.create_entry(gone, kind, FULL[kind], stamp="link-1")
    with pytest.raises(FolderGone):
        provider.find_stamp(gone, "link-1")


def test_a_calendar_takes_no_contact(provider: Provider) -> None:
    with pytest.raises(WriteRefused):
        provider.create_entry(place(provider, EntryKind.APPOINTMENT), EntryKind.CONTACT, PERSON, stamp="link-1")


def test_entries_come_in_the_order_asked_for_with_errors_in_place(world: World, provider: Provider) -> None:
    task, person = made(provider, EntryKind.TASK), made(provider, EntryKind.CONTACT)
    letter = world.deliver(Letter())
    gone = made(provider, EntryKind.TASK)
    world.remove(gone.item_id)
    ids = [person.item_id, letter, gone.item_id, task.item_id]
    for found in (provider.entries(ids), provider.marks(ids)):
        kinds = [type(each) for each in found]
        assert kinds[1:3] == [OtherKind, ItemGone]
        assert kinds[0] is kinds[3]
        assert not isinstance(found[0], ItemUnreadable)
    assert provider.entries([]) == provider.marks([]) == []


def test_many_are_read_in_few_requests(provider: Provider) -> None:
    ids = [made(provider, EntryKind.TASK, {Field.SUBJECT: str(n)}).item_id for n in range(30)]
    before = provider.requests
    assert [read_.values[Field.SUBJECT] for read_ in provider.entries(ids) if isinstance(read_, Entry)] == [
        str(n) for n in range(30)
    ]
    assert provider.requests - before <= 3


def test_text_that_cannot_be_stored_is_left_out(provider: Provider) -> None:
    values: dict[Field, Value] = {Field.JOB_TITLE: "a\x01b\ud800", Field.NOTES: "x\x0by\r\nz", Field.NICKNAME: " \x0b "}
    found = read(provider, made(provider, EntryKind.CONTACT, values).item_id)
    assert (found.values[Field.JOB_TITLE], found.values[Field.NICKNAME]) == ("ab", None)
    assert differences(EntryKind.CONTACT, values, found) == {}


# -- changing ---------------------------------------------------------------------------------------------------------


@KINDS
def test_only_the_fields_named_are_changed(provider: Provider, kind: EntryKind) -> None:
    first = made(provider, kind)
    second = provider.update_entry(first.item_id, first.change_key, kind, {WORD[kind]: "Another"})
    found = read(provider, second.item_id)
    assert second.change_key == found.marks.change_key != first.change_key
    assert differences(kind, {**FULL[kind], WORD[kind]: "Another"}, found) == {}
    assert found.marks.stamp == "link-1"


@KINDS
def test_each_field_can_be_cleared_alone(provider: Provider, kind: EntryKind) -> None:
    written = made(provider, kind)
    left = dict(FULL[kind])
    for name in FULL[kind]:
        if name in (Field.SPAN, Field.PERCENT):
            continue
        # How far a task has come is said twice.
        names = [name, Field.PERCENT] if name is Field.STATUS else [name]
        written = provider.update_entry(written.item_id, written.change_key, kind, dict.fromkeys(names))
        left |= dict.fromkeys(names)
        assert differences(kind, left, read(provider, written.item_id)) == {}, name


@KINDS
def test_each_field_can_be_changed_alone(provider: Provider, kind: EntryKind) -> None:
    blank: dict[Field, Value] = {Field.SPAN: Span(NINE, NINE)} if kind is EntryKind.APPOINTMENT else {}
    written = made(provider, kind, blank)
    for name, value in FULL[kind].items():
        written = provider.update_entry(written.item_id, written.change_key, kind, {name: value})
        assert differences(kind, {name: value}, read(provider, written.item_id)) == {}, name
    assert differences(kind, FULL[kind], read(provider, written.item_id)) == {}


@KINDS
def test_a_stale_change_key_writes_nothing(provider: Provider, kind: EntryKind) -> None:
    first = made(provider, kind)
    second = provider.update_entry(first.item_id, first.change_key, kind, {WORD[kind]: "Theirs"})
    other = Field.NOTES if kind is EntryKind.CONTACT else Field.BODY
    with pytest.raises(ChangedMeanwhile) as caught:
        provider.update_entry(first.item_id, first.change_key, kind, {other: "Ours"})
    assert caught.value.code == "item_conflict"
    with pytest.raises(ChangedMeanwhile):
        provider.set_categories(first.item_id, first.change_key, kind, ["Red"])
    with pytest.raises(ChangedMeanwhile):
        provider.update_entry(first.item_id, "no change key", kind, {other: "Ours"})
    found = read(provider, first.item_id)
    assert found.marks.change_key == second.change_key
    assert differences(kind, {**FULL[kind], WORD[kind]: "Theirs"}, found) == {}


@KINDS
def test_what_is_gone_cannot_be_changed(world: World, provider: Provider, kind: EntryKind) -> None:
    written = made(provider, kind)
    world.remove(written.item_id)
    with pytest.raises(ItemGone):
        provider.update_entry(written.item_id, written.change_key, kind, {WORD[kind]: "Late"})
    with pytest.raises(ItemGone):
        provider.set_categories(written.item_id, written.change_key, kind, ["Red"])


@KINDS
def test_a_move_ends_the_id_and_keeps_what_it_says(world: World, provider: Provider, kind: EntryKind) -> None:
    written = made(provider, kind)
    moved = world.move(written.item_id, "deleted")
    assert moved != written.item_id
    found = read(provider, moved)
    assert differences(kind, FULL[kind], found) == {}
    assert found.marks.stamp == "link-1"
    assert provider.find_stamp(place(provider, kind), "link-1") is None


@KINDS
def test_changes_are_told_with_the_change_key_that_the_write_returned(provider: Provider, kind: EntryKind) -> None:
    folder = place(provider, kind)
    cursor = provider.changes(folder, None, 100).cursor
    written = made(provider, kind)
    page = provider.changes(folder, cursor, 100)
    assert [(each.kind, each.item_id, each.change_key) for each in page.changes] == [
        (ChangeKind.CREATED, written.item_id, written.change_key)
    ]
    changed = provider.update_entry(written.item_id, written.change_key, kind, {WORD[kind]: "Another"})
    page = provider.changes(folder, page.cursor, 100)
    assert [(each.kind, each.change_key) for each in page.changes] == [(ChangeKind.UPDATED, changed.change_key)]


def test_the_organizer_is_told_and_never_written(provider: Provider) -> None:
    written = made(provider, EntryKind.APPOINTMENT, {**MEETING, Field.ORGANIZER: (Attendee("boss@example.com"),)})
    provider.update_entry(
        written.item_id, written.change_key, EntryKind.APPOINTMENT, {Field.ORGANIZER: None, Field.LOCATION: "B"}
    )
    found = read(provider, written.item_id)
    people = found.values[Field.ORGANIZER]
    assert isinstance(people, tuple)
    assert [(each.email, each.response) for each in people] == [(ANA, "organizer")]
    assert found.organized_here


# -- a task's three words for one thing -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "values",
    [
        {Field.STATUS: "Completed", Field.PERCENT: 100, Field.COMPLETED: date(2026, 3, 3)},
        {Field.COMPLETED: date(2026, 3, 3)},
    ],
    ids=["all three", "the day alone"],
)
def test_a_completed_task_has_all_three(provider: Provider, values: dict[Field, Value]) -> None:
    found = read(provider, made(provider, EntryKind.TASK, {Field.SUBJECT: "Done", **values}).item_id)
    assert [found.values[name] for name in (Field.STATUS, Field.PERCENT, Field.COMPLETED)] == [
        "Completed",
        100,
        date(2026, 3, 3),
    ]


def test_a_task_is_completed_and_taken_up_again(provider: Provider) -> None:
    first = made(provider, EntryKind.TASK)
    done = provider.update_entry(first.item_id, first.change_key, EntryKind.TASK, {Field.STATUS: "Completed"})
    found = read(provider, done.item_id)
    assert (found.values[Field.PERCENT], found.values[Field.COMPLETED] is not None) == (100, True)
    again = provider.update_entry(
        done.item_id,
        done.change_key,
        EntryKind.TASK,
        {Field.STATUS: "InProgress", Field.PERCENT: 10, Field.COMPLETED: None},
    )
    found = read(provider, again.item_id)
    assert [found.values[name] for name in (Field.STATUS, Field.PERCENT, Field.COMPLETED)] == ["InProgress", 10, None]


def test_to_clear_nothing_but_the_day_of_completion_changes_nothing(provider: Provider) -> None:
    first = made(provider, EntryKind.TASK)
    same = provider.update_entry(first.item_id, first.change_key, EntryKind.TASK, {Field.COMPLETED: None})
    assert differences(EntryKind.TASK, TODO, read(provider, same.item_id)) == {}
    assert same.change_key == marks_of(provider, same.item_id).change_key


# -- stamps and categories --------------------------------------------------------------------------------------------


@KINDS
def test_after_a_lost_answer_the_stamp_finds_what_was_made(provider: Provider, kind: EntryKind) -> None:
    folder = place(provider, kind)
    assert provider.find_stamp(folder, "link-1") is None
    made(provider, kind, stamp='link-0&"<')
    written = made(provider, kind, stamp="link-1")
    assert provider.find_stamp(folder, "link-1") == written.item_id
    assert provider.find_stamp(folder, 'link-0&"<') not in (None, written.item_id)
    assert provider.find_stamp(folder, "link") is None


@KINDS
@pytest.mark.parametrize("after", [False, True], ids=["before the request", "after the server did it"])
def test_whatever_breaks_one_entry_is_made(world: World, provider: Provider, kind: EntryKind, *, after: bool) -> None:
    folder = place(provider, kind)
    world.break_request(provider, 1, after=after)
    with pytest.raises(Unavailable):
        provider.create_entry(folder, kind, FULL[kind], stamp="link-1")
    found = provider.find_stamp(folder, "link-1")
    assert (found is not None) is after
    if found is None:
        found = provider.create_entry(folder, kind, FULL[kind], stamp="link-1").item_id
    assert [each.item_id for each in provider.changes(folder, None, 10).changes] == [found]
    assert differences(kind, FULL[kind], read(provider, found)) == {}


@KINDS
def test_an_entry_of_somebody_else_is_stamped_when_it_is_linked(provider: Provider, kind: EntryKind) -> None:
    written = made(provider, kind, stamp="")
    assert marks_of(provider, written.item_id).stamp == ""
    linked = provider.update_entry(written.item_id, written.change_key, kind, {}, stamp="link-7")
    found = read(provider, linked.item_id)
    assert (found.marks.stamp, found.marks.change_key) == ("link-7", linked.change_key)
    assert differences(kind, FULL[kind], found) == {}
    assert provider.find_stamp(place(provider, kind), "link-7") == linked.item_id


@KINDS
def test_categories_are_set_and_taken_away(provider: Provider, kind: EntryKind) -> None:
    written = made(provider, kind)
    coloured = provider.set_categories(written.item_id, written.change_key, kind, ["Red & <blue>", "CRM"])
    found = marks_of(provider, written.item_id)
    assert coloured.categories == found.categories == ("Red & <blue>", "CRM")
    assert coloured.change_key == found.change_key
    provider.set_categories(written.item_id, coloured.change_key, kind, [])
    assert marks_of(provider, written.item_id).categories == ()
    assert differences(kind, FULL[kind], read(provider, written.item_id)) == {}


# -- ending -----------------------------------------------------------------------------------------------------------


@KINDS
def test_a_deleted_entry_lies_in_deleted_items_and_can_be_deleted_again(provider: Provider, kind: EntryKind) -> None:
    written = made(provider, kind)
    provider.delete_entry(written.item_id)
    assert isinstance(provider.entries([written.item_id])[0], ItemGone)
    page = provider.changes(folder_of(provider, FolderRole.DELETED), None, 10)
    assert differences(kind, FULL[kind], read(provider, page.changes[0].item_id)) == {}
    provider.delete_entry(written.item_id)


def test_nobody_is_told_of_anything(world: World, provider: Provider) -> None:
    kind = EntryKind.APPOINTMENT
    written = made(provider, kind)
    later = Span(NINE + HOUR, NINE + 2 * HOUR, "Europe/Madrid")
    people = (Attendee(BEN), Attendee("new@partner.example"))
    for values in ({Field.SPAN: later}, {Field.REQUIRED: people}, {Field.OPTIONAL: None}, {Field.LOCATION: "B"}):
        written = provider.update_entry(written.item_id, written.change_key, kind, values)
    written = provider.set_categories(written.item_id, written.change_key, kind, ["CRM"])
    provider.delete_entry(written.item_id)
    series = made(provider, kind, {**MEETING, Field.RECURRENCE: WEEKLY})
    provider.delete_entry(series.item_id)
    assert (world.notices(), world.arrived()) == (0, [])


# -- series -----------------------------------------------------------------------------------------------------------


def test_a_series_comes_back_with_its_exceptions(world: World, provider: Provider) -> None:
    kind, week = EntryKind.APPOINTMENT, timedelta(days=7)
    series = made(provider, kind, {**MEETING, Field.RECURRENCE: WEEKLY})
    plain = read(provider, series.item_id)
    assert (plain.recurring, plain.exceptions) == (True, ())
    # Summer time begins on 29 March: the fifth Wednesday at nine is an hour earlier in UTC.
    world.cancel_occurrence(series.item_id, NINE + week)
    world.change_occurrence(series.item_id, NINE + 4 * week - HOUR, "Only this once")
    found = read(provider, series.item_id)
    assert [(each.original, each.cancelled) for each in found.exceptions] == [
        (NINE + week, True),
        (NINE + 4 * week - HOUR, False),
    ]
    gone, other = found.exceptions
    assert (gone.item_id, gone.values) == ("", {})
    assert other.item_id
    assert set(other.values) == set(FIELDS[kind]) - {Field.RECURRENCE}
    assert other.values[Field.SUBJECT] == "Only this once"
    assert other.values[Field.LOCATION] == MEETING[Field.LOCATION]
    assert found.values[Field.SUBJECT] == MEETING[Field.SUBJECT]
    assert canonical(kind, Field.RECURRENCE, found.values[Field.RECURRENCE]) == canonical(
        kind, Field.RECURRENCE, WEEKLY
    )
    assert world.notices() == 0


def test_an_occurrence_is_found_changed_and_taken_out(world: World, provider: Provider) -> None:
    kind, week, folder = EntryKind.APPOINTMENT, timedelta(days=7), place(provider, EntryKind.APPOINTMENT)
    series = made(provider, kind, {**MEETING, Field.RECURRENCE: WEEKLY})
    uid = marks_of(provider, series.item_id).uid
    third = provider.occurrence(folder, uid, NINE + 2 * week)
    assert third is not None
    assert read(provider, third.item_id).values[Field.SPAN] == Span(
        NINE + 2 * week, NINE + 2 * week + HOUR, "Europe/Madrid"
    )
    moved = Span(NINE + 2 * week + HOUR, NINE + 2 * week + 2 * HOUR, "Europe/Madrid")
    changed = provider.update_entry(third.item_id, third.change_key, kind, {Field.SPAN: moved, Field.LOCATION: "B"})
    again = provider.update_entry(changed.item_id, changed.change_key, kind, {Field.SUBJECT: "Once"})
    with pytest.raises(ChangedMeanwhile):
        provider.update_entry(third.item_id, third.change_key, kind, {Field.SUBJECT: "Late"})
    assert provider.occurrence(folder, uid, NINE + 2 * week) is None, "it differs from its series by now"
    second = provider.occurrence(folder, uid, NINE + week)
    assert second is not None
    provider.delete_entry(second.item_id)
    provider.delete_entry(second.item_id)
    assert provider.occurrence(folder, uid, NINE + week) is None
    assert isinstance(provider.entries([second.item_id])[0], ItemUnreadable)
    found = read(provider, series.item_id)
    assert [(each.original, each.cancelled) for each in found.exceptions] == [
        (NINE + week, True),
        (NINE + 2 * week, False),
    ]
    own = found.exceptions[1]
    assert [own.values[name] for name in (Field.SPAN, Field.LOCATION, Field.SUBJECT)] == [moved, "B", "Once"]
    assert own.values[Field.REGARDING] == MEETING[Field.REGARDING]
    assert read(provider, own.item_id).values[Field.SUBJECT] == "Once"
    assert again.item_id
    assert differences(kind, {**MEETING, Field.RECURRENCE: WEEKLY}, found) == {}, "the series is as it was"
    assert (world.notices(), world.arrived()) == (0, [])


def test_what_takes_place_at_another_time_is_no_occurrence(world: World, provider: Provider) -> None:
    folder = place(provider, EntryKind.APPOINTMENT)
    series = made(provider, EntryKind.APPOINTMENT, {**MEETING, Field.RECURRENCE: WEEKLY})
    made(provider, EntryKind.APPOINTMENT)
    uid = marks_of(provider, series.item_id).uid
    assert provider.occurrence(folder, uid, NINE) is not None
    assert provider.occurrence(folder, "another", NINE) is None
    assert provider.occurrence(folder, uid, NINE + HOUR) is None
    assert provider.occurrence(folder, uid, NINE + timedelta(days=1)) is None
    assert provider.occurrence(folder, uid, NINE + timedelta(days=70)) is None
    gone = world.add_folder("Gone")
    world.remove_folder(gone)
    with pytest.raises(FolderGone):
        provider.occurrence(gone, uid, NINE)


@pytest.mark.parametrize(
    ("series", "there", "not_there"),
    [
        (Recurrence(Every.DAY, date(2026, 3, 4), interval=3), date(2026, 3, 10), date(2026, 3, 11)),
        (Recurrence(Every.DAY, date(2026, 3, 4), until=date(2026, 3, 9)), date(2026, 3, 9), date(2026, 3, 10)),
        (
            Recurrence(Every.WEEK, date(2026, 3, 4), interval=2, weekdays=("MO", "WE")),
            date(2026, 3, 16),
            date(2026, 3, 9),
        ),
        (
            Recurrence(Every.WEEK, date(2026, 3, 4), interval=2, weekdays=("SU", "WE"), week_starts="SU"),
            date(2026, 3, 15),
            date(2026, 3, 8),
        ),
        (Recurrence(Every.MONTH, date(2026, 3, 31), day=31), date(2026, 4, 30), date(2026, 4, 29)),
        (
            Recurrence(Every.MONTH_ON_WEEKDAY, date(2026, 3, 31), weekdays=("MO", "TU", "WE", "TH", "FR"), index=-1),
            date(2026, 5, 29),
            date(2026, 5, 31),
        ),
        (Recurrence(Every.YEAR, date(2026, 3, 4), month=3, day=4, count=2), date(2027, 3, 4), date(2028, 3, 4)),
        (
            Recurrence(Every.YEAR_ON_WEEKDAY, date(2026, 11, 26), weekdays=("TH",), index=4, month=11),
            date(2027, 11, 25),
            date(2027, 11, 18),
        ),
    ],
    ids=lambda each: str(each.every) if isinstance(each, Recurrence) else "",
)
def test_occurrences_of_every_pattern_are_found(
    provider: Provider, series: Recurrence, there: date, not_there: date
) -> None:
    zone = ZoneInfo("Europe/Madrid")

    def at(day: date) -> datetime:
        return datetime(day.year, day.month, day.day, 9, tzinfo=zone).astimezone(UTC)

    span = Span(at(series.starts), at(series.starts) + HOUR, zone.key)
    made_ = made(provider, EntryKind.APPOINTMENT, {Field.SPAN: span, Field.RECURRENCE: series})
    uid, folder = marks_of(provider, made_.item_id).uid, place(provider, EntryKind.APPOINTMENT)
    found = provider.occurrence(folder, uid, at(there))
    assert found is not None
    assert read(provider, found.item_id).values[Field.SPAN] == Span(at(there), at(there) + HOUR, zone.key)
    assert provider.occurrence(folder, uid, at(not_there)) is None


def test_an_occurrence_of_whole_days_is_found_by_its_day(provider: Provider) -> None:
    kind, folder = EntryKind.APPOINTMENT, place(provider, EntryKind.APPOINTMENT)
    daily = Recurrence(Every.DAY, date(2026, 3, 4), until=date(2026, 3, 9))
    days: dict[Field, Value] = {Field.SPAN: Span(date(2026, 3, 4), date(2026, 3, 5)), Field.RECURRENCE: daily}
    series = made(provider, kind, days)
    found = provider.occurrence(folder, marks_of(provider, series.item_id).uid, datetime(2026, 3, 6, tzinfo=UTC))
    assert found is not None
    assert read(provider, found.item_id).values[Field.SPAN] == Span(date(2026, 3, 6), date(2026, 3, 7))
    provider.delete_entry(found.item_id)
    assert [each.original for each in read(provider, series.item_id).exceptions] == [datetime(2026, 3, 6, tzinfo=UTC)]


def test_an_occurrence_has_no_series_of_its_own(provider: Provider) -> None:
    kind = EntryKind.APPOINTMENT
    series = made(provider, kind, {**MEETING, Field.RECURRENCE: WEEKLY})
    found = provider.occurrence(place(provider, kind), marks_of(provider, series.item_id).uid, NINE)
    assert found is not None
    with pytest.raises(WriteRefused):
        provider.update_entry(found.item_id, found.change_key, kind, {Field.RECURRENCE: WEEKLY})


def test_a_series_becomes_a_single_appointment_and_the_other_way_round(provider: Provider) -> None:
    kind = EntryKind.APPOINTMENT
    written = made(provider, kind, {**MEETING, Field.RECURRENCE: WEEKLY})
    written = provider.update_entry(written.item_id, written.change_key, kind, {Field.RECURRENCE: None})
    assert not read(provider, written.item_id).recurring
    written = provider.update_entry(written.item_id, written.change_key, kind, {Field.RECURRENCE: WEEKLY})
    assert differences(kind, {**MEETING, Field.RECURRENCE: WEEKLY}, read(provider, written.item_id)) == {}


@pytest.mark.parametrize(
    "series",
    [
        Recurrence(Every.YEAR, date(2026, 3, 4), interval=2),
        Recurrence(Every.REGENERATED, date(2026, 3, 4)),
        Recurrence(Every.MONTH_ON_WEEKDAY, date(2026, 3, 4), weekdays=("MO", "WE"), index=1),
        Recurrence(Every.YEAR_ON_WEEKDAY, date(2026, 3, 4), weekdays=("WE",), index=5),
    ],
    ids=lambda each: each.every,
)
def test_a_pattern_that_mail_systems_have_not_is_refused_by_name(provider: Provider, series: Recurrence) -> None:
    with pytest.raises(WriteRefused) as caught:
        made(provider, EntryKind.APPOINTMENT, {**MEETING, Field.RECURRENCE: series})
    assert caught.value.code == "series_unsupported"
