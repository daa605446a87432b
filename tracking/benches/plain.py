"""The other side of each ratio: exchangelib as its makers ship it, with its defaults. Run as a script, never imported.

    python plain.py fetch URL AUTH USERNAME ADDRESS        iterate `inbox.all()`, store nothing
    python plain.py idle URL AUTH USERNAME ADDRESS RUNS    ask the Inbox for changes when there are none

The password comes on standard input. It must not import anything of crmsync: the adapter's repairs would help it.
"""

import json
import resource
import sys
import time
from typing import Any

from exchangelib import BASIC, DELEGATE, NTLM, Account, Configuration, Credentials, EWSTimeZone


def main() -> None:
    """Do what the arguments say and print one JSON document."""
    what, url, auth, username, address, *rest = sys.argv[1:]
    configuration = Configuration(
        service_endpoint=url,
        credentials=Credentials(username, sys.stdin.read().rstrip("\n")),
        # Given, so that plain exchangelib need not find it out.
        auth_type={"basic": BASIC, "ntlm": NTLM}[auth],
        max_connections=1,
    )
    account = Account(
        address,
        config=configuration,
        autodiscover=False,
        access_type=DELEGATE,
        default_timezone=EWSTimeZone("UTC"),
    )
    inbox = account.inbox  # found before the clock starts
    found = fetch(inbox) if what == "fetch" else idle(inbox, int(rest[0]))
    sys.stdout.write(json.dumps(found) + "\n")


def fetch(inbox: Any) -> dict[str, Any]:
    """Return how many messages were fetched, and the seconds and CPU seconds that took."""
    count = 0
    began, cpu = time.perf_counter(), cpu_seconds()
    for _item in inbox.all():
        count += 1
    return {"messages": count, "seconds": time.perf_counter() - began, "cpu_s": cpu_seconds() - cpu}


def idle(inbox: Any, runs: int) -> dict[str, Any]:
    """Return the seconds and CPU seconds of asking `runs` times for changes when there are none."""
    list(inbox.sync_items())
    began, cpu = time.perf_counter(), cpu_seconds()
    changes = sum(len(list(inbox.sync_items())) for _run in range(runs))
    return {
        "runs": runs,
        "changes": changes,
        "seconds": time.perf_counter() - began,
        "cpu_s": cpu_seconds() - cpu,
    }


def cpu_seconds() -> float:
    """Return the user and system time of this process."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


if __name__ == "__main__":
    main()
