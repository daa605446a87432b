"""A small invented organisation whose mail, calendars and address books fill the sandbox.

Turia Instruments of València sells probes that measure water. Its mail is authored in
`stories/` (see `script`), built into MIME by `compose`, and joined by what machines write
(`machines`) and by messages that are wrong on purpose (`broken`). `cast` holds the people,
companies, mailboxes and sales as data, from which the demo's CRM records are made too.

Everything counts from `now` and is otherwise fixed: the same `now` gives the same bytes.
"""

from mailboxes.sandbox.demo.cast import (
    Case,
    Company,
    DemoMailbox,
    Opportunity,
    Person,
    cases,
    companies,
    mailboxes,
    opportunities,
    people,
)
from mailboxes.sandbox.demo.corpus import DemoMessage, messages
from mailboxes.sandbox.demo.diary import DemoItem, DemoTask, appointments, contacts, tasks
from mailboxes.sandbox.demo.load import SERVICE_ADDRESS, load

__all__ = [
    "SERVICE_ADDRESS",
    "Case",
    "Company",
    "DemoItem",
    "DemoMailbox",
    "DemoMessage",
    "DemoTask",
    "Opportunity",
    "Person",
    "appointments",
    "cases",
    "companies",
    "contacts",
    "load",
    "mailboxes",
    "messages",
    "opportunities",
    "people",
    "tasks",
]
