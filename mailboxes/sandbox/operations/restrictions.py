"""Searches: a restriction becomes a test over the texts of a property.

Values are compared as numbers or moments if both sides are, else as text without case, which is what
clients rely on. A comparison with a property an item lacks is false.
"""

import operator
from collections.abc import Callable
from datetime import datetime
from typing import Any, Final

from lxml import etree

from mailboxes.sandbox.soap import EwsError
from mailboxes.sandbox.xmltext import T, children, local_name, moment_in

ValuesOf = Callable[[etree._Element], list[str]]
Test = Callable[[ValuesOf], bool]

_COMPARISONS: Final[dict[str, Callable[[Any, Any], bool]]] = {
    "IsEqualTo": operator.eq,
    "IsNotEqualTo": operator.ne,
    "IsGreaterThan": operator.gt,
    "IsGreaterThanOrEqualTo": operator.ge,
    "IsLessThan": operator.lt,
    "IsLessThanOrEqualTo": operator.le,
}


def restriction(element: etree._Element | None) -> Test | None:
    """Return the test of a Restriction, None if there is none. Raises EwsError for what cannot be searched."""
    if element is None:
        return None
    inner = children(element)
    if len(inner) != 1:
        raise EwsError("ErrorInvalidRestriction", "The restriction needs one expression.")
    return _test(inner[0])


def _test(element: etree._Element) -> Test:
    name = local_name(element)
    if name in ("And", "Or"):
        tests = [_test(child) for child in children(element)]
        fold = all if name == "And" else any
        return lambda values_of: fold(test(values_of) for test in tests)
    if name == "Not":
        inner = _test(next(iter(children(element))))
        return lambda values_of: not inner(values_of)
    if name == "Exists":
        uri = _path(element)
        return lambda values_of: bool(values_of(uri))
    if name == "Contains":
        return _contains(element)
    if name in _COMPARISONS:
        return _compares(element, _COMPARISONS[name])
    raise EwsError("ErrorUnsupportedQueryFilter", f"The restriction {name} is not supported.")


def _path(element: etree._Element) -> etree._Element:
    found = next(
        (one for one in children(element) if local_name(one) in ("FieldURI", "IndexedFieldURI", "ExtendedFieldURI")),
        None,
    )
    if found is None:
        raise EwsError("ErrorInvalidRestriction", "The restriction names no field.")
    return found


def _compares(element: etree._Element, compare: Callable[[Any, Any], bool]) -> Test:
    uri = _path(element)
    constant = element.find(f"{T}FieldURIOrConstant/{T}Constant")
    if constant is None:
        raise EwsError("ErrorUnsupportedQueryFilter", "Fields can be compared with constants only.")
    wanted = constant.get("Value", "")

    def test(values_of: ValuesOf) -> bool:
        values = values_of(uri)
        if compare is operator.ne:
            return all(_holds(operator.ne, value, wanted) for value in values)
        return any(_holds(compare, value, wanted) for value in values)

    return test


def _holds(compare: Callable[[Any, Any], bool], left: str, right: str) -> bool:
    for reading in (_number, _moment):
        try:
            return compare(reading(left), reading(right))
        except ValueError:
            continue
    return compare(left.casefold(), right.casefold())


def _number(text: str) -> float:
    # A truth value is written as a word or as a digit.
    return float({"true": "1", "false": "0"}.get(text, text))


def _moment(text: str) -> datetime:
    if len(text) < 10:
        raise ValueError(text)
    return moment_in(text)


def _contains(element: etree._Element) -> Test:
    uri = _path(element)
    constant = element.find(f"{T}Constant")
    wanted = constant.get("Value", "") if constant is not None else ""
    mode = element.get("ContainmentMode", "Substring")
    exact = element.get("ContainmentComparison", "IgnoreCase") == "Exact"

    def fits(text: str) -> bool:
        value, sought = (text, wanted) if exact else (text.casefold(), wanted.casefold())
        if mode == "FullString":
            return value == sought
        if mode == "Prefixed":
            return value.startswith(sought)
        if mode in ("ExactPhrase", "Substring"):
            return sought in value
        return any(word.startswith(sought) for word in value.split())

    return lambda values_of: any(fits(value) for value in values_of(uri))
