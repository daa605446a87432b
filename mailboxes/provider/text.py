"""Text as the rest of crmsync may hold it: without the characters that PostgreSQL or XML cannot store."""

import re

# NUL is what PostgreSQL refuses, lone surrogates are what UTF-8 refuses, the others are outside of XML 1.0 (section 2.2).
_UNSTORABLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")


def clean(text: str) -> str:
    """Return `text` without characters that cannot be stored; everything else stays as it is."""
    return _UNSTORABLE.sub("", text)


def header_ids(value: str) -> tuple[str, ...]:
    """Return the identifiers of a References or In-Reply-To header (RFC 5322, section 3.6.4), in brackets, each once.

    Software that leaves the brackets out, or folds an identifier over two lines, is understood as well as can be.
    """
    found = re.findall(r"<([^<>]+)>", value) or [word for word in value.split() if "@" in word]
    ids = ("".join(clean(each).split()).strip("<>") for each in found)
    return tuple(dict.fromkeys(f"<{each}>" for each in ids if each))
