"""The protocol's published schema, to hold requests and answers against.

The schema is not part of this repository. It is taken from the folder that the environment variable
EWS_SCHEMA names (it holds Messages.xsd, types.xsd and xml.xsd), or from ../shared/ews-schema beside
the project where that exists. Without it the tests that need it skip, loudly: use `require()`.
"""

import os
from functools import lru_cache
from pathlib import Path

import pytest
from lxml import etree

_SOAP = "http://schemas.xmlsoap.org/soap/envelope/"
_PROJECT = Path(__file__).resolve().parent.parent


def folder() -> Path | None:
    """Return the folder with the schema, None if there is none."""
    named = os.environ.get("EWS_SCHEMA")
    places = [Path(named)] if named else [_PROJECT.parent / "shared" / "ews-schema"]
    return next((place for place in places if (place / "Messages.xsd").is_file()), None)


@lru_cache(maxsize=1)
def schema() -> etree.XMLSchema | None:
    """Return the compiled schema, None if it is not on this machine."""
    place = folder()
    if place is None:
        return None
    return etree.XMLSchema(etree.parse(str(place / "Messages.xsd")))


def require() -> None:
    """Skip the calling test, with a reason, where the schema is missing."""
    if schema() is None:
        pytest.skip("NO EWS SCHEMA: set EWS_SCHEMA to the folder of Messages.xsd; nothing was validated")


def validate(xml: bytes) -> list[str]:
    """Return what is wrong with the operation in a SOAP envelope (a request or an answer), [] if it is valid.

    A SOAP fault is not in the schema: it has no error here. Raises ValueError if `xml` is no envelope, and
    LookupError if the schema is missing (call `require` first).
    """
    compiled = schema()
    if compiled is None:
        raise LookupError("the schema is missing")
    body = etree.fromstring(xml).find(f"{{{_SOAP}}}Body")
    if body is None or len(body) != 1:
        raise ValueError("no SOAP envelope with one operation")
    operation = body[0]
    if operation.tag == f"{{{_SOAP}}}Fault":
        return []
    # A tree of its own: the validator takes the whole document otherwise.
    alone = etree.fromstring(etree.tostring(operation))
    if compiled.validate(alone):
        return []
    return str(compiled.error_log).splitlines()
