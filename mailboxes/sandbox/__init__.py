"""An Exchange to try things on: a teaching and testing server, never a mail system.

Everything here is plain Python without Django, so that the same server runs inside a test, as a
process of the launcher, or beside a bench. The one idea: a mailbox is an append-only change log
over items, and every answer of the protocol is a view of that log.

    store.py       what is kept: mailboxes, folders, items, change logs (the API of loaders and demo)
    mime.py        reads a message's bytes into properties; compose.py writes them
    properties.py  what each kind of item has, in the order of the published schema
    operations/    one module per family of protocol operations
    series.py      a recurring appointment and its occurrences; recurrence.py its days, zones.py its zone
    invitations.py who is told of a meeting; itip.py writes it, attendant.py works it in where it arrives
    people.py, todo.py  what a server works out of contacts, lists and tasks
    events.py      what happened, for those who subscribed
    server.py      HTTP, sign-in, counting; soap.py reads requests and writes envelopes
    faults.py, chaos.py, throttling.py  trouble by script and by chance, budgets; moving.py to another server
    statefile.py   the state on disk; loaders.py reads folders of .eml, .mbox, .ics, .vcf

It keeps passwords in clear text, speaks plain HTTP and binds loopback only, unless told otherwise.
"""
