"""What a log says of an error, and what it keeps to itself."""

import logging
import sys

import pytest
from django.db import DataError, IntegrityError, OperationalError, ProgrammingError, transaction

from security import logs
from security.models import AllowedHost

SECRET = "very-private.example.com"

pytestmark = pytest.mark.django_db


def refusal() -> IntegrityError:
    """Return what PostgreSQL says of a row it refuses, row and all."""
    with pytest.raises(IntegrityError) as caught, transaction.atomic():
        AllowedHost.objects.create(host=SECRET, port=-1)
    assert SECRET in str(caught.value), "it names the row"
    return caught.value


def test_of_a_refused_row_class_sqlstate_and_constraint_are_told() -> None:
    error = refusal()
    assert logs.told(error) == (
        "IntegrityError: SQLSTATE 23514, table security_allowedhost, constraint security_allowedhost_port_check"
    )
    assert logs.told(error.__cause__ or error).startswith("CheckViolation: SQLSTATE 23514")


@pytest.mark.parametrize("error", [DataError(SECRET), ProgrammingError(SECRET)])
def test_of_a_database_error_that_says_nothing_more_the_class_is_told(error: Exception) -> None:
    assert logs.told(error) == type(error).__name__


def test_other_errors_are_told_as_they_are() -> None:
    assert logs.told(KeyError("subject")) == "KeyError: 'subject'"
    assert logs.told(KeyError()) == "KeyError"
    assert logs.told(OperationalError("no connection")) == "OperationalError: no connection"


def after(error: Exception) -> Exception:
    """Return an error that was raised while `error` was handled."""
    try:
        try:
            raise error
        except IntegrityError:
            raise KeyError("subject")  # noqa: B904 -- what happens in a handler that fails itself
    except KeyError as found:
        return found


def test_a_traceback_shows_the_whole_chain_without_the_row() -> None:
    text = logs.traceback_of(after(refusal()))
    assert SECRET not in text
    assert text.index("CheckViolation: SQLSTATE") < text.index("IntegrityError: SQLSTATE") < text.index("'subject'")
    assert "direct cause" in text
    assert "During handling" in text
    assert "test_logs.py" in text


def test_what_was_hidden_stays_hidden_and_a_circle_ends() -> None:
    first, second = KeyError("one"), KeyError("two")
    first.__context__, second.__context__ = second, first
    assert logs.traceback_of(first).count("KeyError") == 2
    second.__suppress_context__ = first.__suppress_context__ = True
    assert logs.traceback_of(first).count("KeyError") == 1


def test_whatever_is_logged_with_an_exception_tells_no_row() -> None:
    formatters = {type(handler.formatter) for handler in logging.getLogger().handlers if handler.name == "stderr"}
    assert formatters == {logs.Formatter}
    made = logs.Formatter("%(message)s")
    try:
        raise refusal()
    except IntegrityError:
        record = logging.LogRecord("django.request", logging.ERROR, __file__, 1, "failed", None, sys.exc_info())
    text = made.format(record)
    assert "IntegrityError: SQLSTATE 23514" in text
    assert SECRET not in text
    assert made.formatException((None, None, None)) == "None"
