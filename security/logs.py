"""What a log may say of an error: what the database calls "Failing row" is somebody's mail, and stays out.

Logs are read by more people than mail is, and are kept longer. So of an error of the database its class, SQLSTATE and
constraint are told, wherever in a chain of errors it stands; all other errors, and every traceback, are told as they are,
among them those of a database that is gone.
"""

import logging
import traceback
from collections.abc import Iterator
from types import TracebackType
from typing import TypeAlias

import psycopg
from django import db

ExcInfo: TypeAlias = (
    tuple[type[BaseException], BaseException, TracebackType | None] | tuple[None, None, None] | tuple[None, None]
)

_OF_THE_DATABASE = (db.Error, psycopg.Error)
# About the connection, a lock, the disk.
_WITHOUT_A_ROW = (db.OperationalError, db.InterfaceError, psycopg.OperationalError, psycopg.InterfaceError)


def told(error: BaseException) -> str:
    """Return the error's class and text; of one of the database class, SQLSTATE, table and constraint."""
    name = type(error).__qualname__
    if not isinstance(error, _OF_THE_DATABASE) or isinstance(error, _WITHOUT_A_ROW):
        text = str(error)
        return f"{name}: {text}" if text else name
    cause = error if isinstance(error, psycopg.Error) else error.__cause__
    if not isinstance(cause, psycopg.Error):
        return name
    said = (
        ("SQLSTATE", cause.sqlstate), ("table", cause.diag.table_name),
        ("column", cause.diag.column_name), ("constraint", cause.diag.constraint_name),
    )  # fmt: skip
    facts = ", ".join(f"{what} {value}" for what, value in said if value)
    return f"{name}: {facts}" if facts else name


def traceback_of(error: BaseException) -> str:
    """Return the traceback of `error` and of what led to it, as Python prints it but for what `told` leaves out."""
    parts = []
    for each, follows in _chain(error):
        frames = "".join(traceback.format_tb(each.__traceback__))
        parts.append(f"Traceback (most recent call last):\n{frames}{told(each)}{follows}")
    return "\n\n".join(parts)


def _chain(error: BaseException) -> Iterator[tuple[BaseException, str]]:
    """Yield what led to the error, first things first, each with what is to be said after it."""
    found: list[tuple[BaseException, str]] = [(error, "")]
    seen = {id(error)}
    while True:
        last = found[-1][0]
        if last.__cause__ is not None:
            before, follows = last.__cause__, "\n\nThe above exception was the direct cause of the following exception:"
        elif last.__context__ is not None and not last.__suppress_context__:
            before = last.__context__
            follows = "\n\nDuring handling of the above exception, another exception occurred:"
        else:
            break
        if id(before) in seen:
            break
        seen.add(id(before))
        found.append((before, follows))
    return reversed(found)


class Formatter(logging.Formatter):
    """Formats whatever is logged with an exception so that no row is told: ours, Django's and everybody else's."""

    def formatException(self, ei: ExcInfo) -> str:  # noqa: N802 -- logging's name
        """Return the traceback."""
        return traceback_of(ei[1]) if ei[1] is not None else "None"
