"""The hook of manage.py: what has to be true before a management command starts, is made true here.

A command that needs the database finds the servers running, the tables in the shape this code expects, and on a new
installation the user `admin`. Everything it says goes to stderr: with `--json`, stdout holds one document.
"""

import contextlib
import os
import sys
from collections.abc import Iterator, Sequence

from crmsync_site.embedded import preparation, services
from crmsync_site.embedded.addresses import var_folder
from crmsync_site.embedded.errors import ServiceError

# Commands that touch neither the database nor the queue. `run`, the launcher, sees to the servers itself.
NEED_NOTHING = frozenset(
    {"help", "version", "check", "collectstatic", "compilemessages", "makemessages", "findstatic", "diffsettings"}
    | {"makemigrations", "optimizemigration", "squashmigrations", "startapp", "startproject", "sandbox", "run"}
)


def needs_services(arguments: Sequence[str]) -> bool:
    """Whether `manage.py` called with these arguments (its own name first) touches database or queue."""
    words = arguments[1:]
    if not words or words[0].startswith("-") or {"--help", "-h", "--version"} & set(words):
        return False
    return words[0] not in NEED_NOTHING or (words[0] == "check" and "--database" in words)


@contextlib.contextmanager
def services_for(arguments: Sequence[str]) -> Iterator[None]:
    """Have everything ready that the command needs, for the length of the block; ends the process with 1 if it cannot."""
    if not needs_services(arguments):
        yield
        return
    with contextlib.ExitStack() as stack:
        try:
            stack.enter_context(services.using(var_folder(), services.needed()))
            if os.environ.get("CRMSYNC_AUTO_MIGRATE", "1") != "0":
                preparation.prepare(var_folder())
        except ServiceError as error:
            sys.exit(f"crmsync: {error}")
        yield
