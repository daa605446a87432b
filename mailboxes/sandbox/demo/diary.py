"""Appointments, contacts and tasks of the demo, and the calendar parts of its invitations.

Times are counted from `now` like those of the mail, so that the calendars hold last
week's meetings and next week's.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Literal
from zoneinfo import ZoneInfo

from icalendar import Calendar, Event, vCalAddress, vRecur, vText

from mailboxes.sandbox.demo.cast import Person, companies, mailbox_addresses, people, people_by_key
from mailboxes.sandbox.demo.script import moment
from mailboxes.sandbox.tasks import Task


@dataclass(frozen=True, slots=True)
class Meeting:
    """A meeting as authored: `method | uid | when | minutes | title | place`.

    `minutes` 0 means all day; `rule` is an RFC 5545 RRULE without its name, in which `{day}`,
    `{nth}` and `{monthday}` stand for those of the first meeting.
    """

    method: str
    uid: str
    when: str
    minutes: int
    title: str
    place: str
    rule: str = ""
    private: bool = False

    @classmethod
    def parse(cls, text: str) -> Meeting:
        """The meeting of a letter's `invite` line; ValueError when parts are missing."""
        method, uid, when, minutes, title, place = (part.strip() for part in text.split("|"))
        return cls(method, uid, when, int(minutes), title, place)


@dataclass(frozen=True, slots=True)
class DemoItem:
    """An appointment (`raw` is iCalendar) or contact (`raw` is a vCard) of one mailbox."""

    kind: Literal["appointment", "contact"]
    holder: str
    raw: bytes


@dataclass(frozen=True, slots=True)
class DemoTask:
    """A task of one mailbox."""

    holder: str
    task: Task


def calendar(meeting: Meeting, organiser: Person, guests: tuple[Person, ...], now: datetime) -> bytes:
    """iCalendar bytes (RFC 5545) of a meeting, with its METHOD when it has one."""
    event = Event()
    event.add("uid", f"{meeting.uid}@{organiser.domain}")
    event.add("summary", meeting.title)
    if meeting.place:
        event.add("location", meeting.place)
    start = moment(meeting.when, organiser.zone, now).astimezone(ZoneInfo(organiser.zone))
    if meeting.minutes:
        event.add("dtstart", start)
        event.add("dtend", start + timedelta(minutes=meeting.minutes))
    else:
        event.add("dtstart", start.date())
        event.add("dtend", start.date() + timedelta(days=1))
    event.add("dtstamp", min(moment("30 08:00", organiser.zone, now), now))
    if meeting.rule:
        event.add("rrule", vRecur.from_ical(_rule(meeting.rule, start.date())))
    if meeting.private:
        event.add("class", "PRIVATE")
    if guests:
        _add_people(event, meeting, organiser, guests)
    if meeting.method == "CANCEL":
        event.add("status", "CANCELLED")
    whole = Calendar()
    whole.add("prodid", "-//Turia Instruments//Demo//EN")
    whole.add("version", "2.0")
    if meeting.method:
        whole.add("method", meeting.method)
    whole.add_component(event)
    # The zone is described for the years that matter; by default it would be all since 1970.
    whole.add_missing_timezones(date(start.year - 1, 1, 1), date(start.year + 2, 1, 1))
    return bytes(whole.to_ical())


def _rule(rule: str, start: date) -> str:
    """The rule fitted to its first day, which it must contain (RFC 5545 §3.8.5.3)."""
    nth = (start.day - 1) // 7 + 1
    return rule.format(
        day=("MO", "TU", "WE", "TH", "FR", "SA", "SU")[start.weekday()],
        nth=nth if nth < 5 else -1,
        monthday=start.day,
    )


def _add_people(event: Event, meeting: Meeting, organiser: Person, guests: tuple[Person, ...]) -> None:
    event.add("organizer", _calendar_address(organiser))
    for guest in guests:
        attendee = _calendar_address(guest)
        answered = meeting.method == "REPLY"
        attendee.params["partstat"] = vText("ACCEPTED" if answered else "NEEDS-ACTION")
        event.add("attendee", attendee)


def _calendar_address(person: Person) -> vCalAddress:
    address = vCalAddress(f"mailto:{person.address}")
    address.params["cn"] = vText(person.display)
    return address


_APPOINTMENTS: tuple[tuple[str, str, Meeting], ...] = (
    ("marta", "koehler anke helena",
     Meeting("", "tender-opening", "21 10:00", 90, "Opening of the bids", "Lübeck, room 2.14")),
    ("helena", "anke samir",
     Meeting("", "site-visit", "14 09:00", 240, "Site visit, basin 3", "Lübeck")),
    ("marta", "koehler helena joan",
     Meeting("", "contract-call", "+3 10:00", 45, "Framework contract, last points", "Online")),
    ("joan", "anke timo",
     Meeting("", "renewal-review", "+5 11:00", 60, "Service contract, third year", "Online")),
    ("tomas", "samir pau support",
     Meeting("", "support-standup", "28 09:15", 15, "Support stand-up", "Workshop",
             "FREQ=WEEKLY;BYDAY=MO,TU,WE,TH,FR")),
    ("marta", "joan helena aiko",
     Meeting("", "pipeline", "27 16:00", 45, "Pipeline of the month", "Room Albufera",
             "FREQ=MONTHLY;BYDAY={nth}{day};COUNT=12")),
    ("samir", "", Meeting("", "calibration-lab", "25 08:00", 120, "Calibration bench", "Lab 1",
                          "FREQ=WEEKLY;INTERVAL=2;BYDAY={day};COUNT=10")),
    ("marta", "", Meeting("", "water-days", "7 00:00", 0, "Water Days conference", "Zaragoza")),
    ("joan", "", Meeting("", "holiday", "+8 00:00", 0, "Festa local", "")),
    ("nuria", "", Meeting("", "closing", "+6 00:00", 0, "Tancament del mes", "",
                          "FREQ=MONTHLY;BYMONTHDAY={monthday}")),
    ("nuria", "", Meeting("", "dentist", "+2 17:30", 45, "Dentista", "", private=True)),
    ("helena", "", Meeting("", "school", "+1 15:00", 60, "Parents' evening", "", private=True)),
    ("aiko", "sakura arata",
     Meeting("", "kyoto-call", "9 09:00", 60, "Kyoto line two: kick-off", "オンライン")),
    ("aiko", "sakura", Meeting("", "kyoto-weekly", "8 09:00", 30, "Kyoto weekly", "Online",
                               "FREQ=WEEKLY;BYDAY={day};COUNT=8")),
    ("joan", "eleni", Meeting("", "mill-visit", "+10 10:00", 180, "Visit to the mill", "Χαλιά")),
    ("joan", "pere", Meeting("", "wells-field", "4 08:30", 300, "Camp: pous de la Serra", "Serra")),
)  # fmt: skip

_TASKS: tuple[tuple[str, str, str, int, str, str], ...] = (
    ("marta", "Send the framework contract to legal", "Clause 9 first.", 1, "InProgress", "High"),
    ("marta", "Approve Joan's travel to Greece", "", 6, "NotStarted", "Normal"),
    ("helena", "Certificates for all 24 probes", "EN and DE version.", 4, "InProgress", "High"),
    ("joan", "Preparar el pressupost dels quaranta pous", "Amb i sense solar.", 2, "NotStarted",
     "High"),
    ("joan", "Book flights to Athens", "", 5, "Completed", "Low"),
    ("tomas", "Write up the cracked flow cell", "Photographs are in the case.", -4, "Completed",
     "Normal"),
    ("samir", "Gateway clock: test with a flat battery", "", 3, "InProgress", "Normal"),
    ("samir", "Return the loan probe to the shelf", "Serial TI40-0931.", -2, "NotStarted", "Low"),
    ("aiko", "水野様に見積書を送る", "二本目のライン。", 2, "WaitingOnOthers", "High"),
    ("nuria", "Revisar la factura de Sever Optics", "", 3, "WaitingOnOthers", "Normal"),
    ("pau", "Read the field manual, chapters 1 to 4", "", -6, "Completed", "Normal"),
)  # fmt: skip


def appointments(now: datetime) -> Iterator[DemoItem]:
    """Single, recurring, all-day and private appointments.

    Each lies in the calendar of its organiser and of every guest who has a mailbox here,
    under one iCalendar UID.
    """
    for owner, guests, meeting in _APPOINTMENTS:
        invited = tuple(people_by_key[key] for key in guests.split())
        raw = calendar(meeting, people_by_key[owner], invited, now)
        for person in (people_by_key[owner], *invited):
            if person.address in mailbox_addresses:
                yield DemoItem("appointment", person.address, raw)


def contacts() -> Iterator[DemoItem]:
    """vCards (RFC 2426) of the outside world, in the address books of those who need them."""
    books = {"nordwerk": ("marta", "helena", "joan"), "aozora": ("aiko",)}
    for person in people:
        if person.role == "external":
            for holder in books.get(person.company, ("joan",)):
                yield DemoItem("contact", people_by_key[holder].address, vcard(person))


def vcard(person: Person) -> bytes:
    """A vCard 3.0 of the person, UTF-8, CRLF; it carries no revision time."""
    given, _, family = person.name.partition(" ")
    names = {company.key: company.name for company in companies}
    lines = [
        "BEGIN:VCARD",
        "VERSION:3.0",
        f"FN:{person.name}",
        f"N:{family};{given};;;",
        f"ORG:{names.get(person.company, person.company)}",
        f"TITLE:{person.title}",
        f"EMAIL;TYPE=INTERNET:{person.address}",
    ]
    if person.phone:
        lines.append(f"TEL;TYPE=WORK,VOICE:{person.phone}")
    if person.written:
        lines.append(f"NOTE:{person.written}".replace(",", "\\,"))
    return ("\r\n".join([*lines, "END:VCARD"]) + "\r\n").encode()


def tasks(now: datetime) -> Iterator[DemoTask]:
    """The tasks, due some days before or after `now`."""
    for holder, subject, body, days, status, importance in _TASKS:
        due = now.date() + timedelta(days=days)
        task = Task(subject, body, due=due, status=status, importance=importance)
        yield DemoTask(people_by_key[holder].address, task)
