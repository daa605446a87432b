"""Between HTML and plain text, as a server does when a client asks for the other kind of body."""

import html
import re

_DROPPED = re.compile(r"<(script|style|head|title)\b.*?(?:</\1\s*>|$)|<!--.*?(?:-->|$)", re.IGNORECASE | re.DOTALL)
_BREAK = re.compile(r"<(?:br|/p|/div|/tr|/h[1-6]|/li|/blockquote|hr)\b[^>]*>", re.IGNORECASE)
_TAG = re.compile(r"<[^<>]*>")
_SPACES = re.compile(r"[ \t\r\n]+")
_EDGES = re.compile(r" ?\n ?")
_GAPS = re.compile(r"\n{3,}")


def to_text(source: str) -> str:
    """Return the words of an HTML body, a line per block."""
    plain = _BREAK.sub("\x00", _SPACES.sub(" ", _DROPPED.sub(" ", source)))
    plain = html.unescape(_TAG.sub("", plain).replace("\x00", "\n"))
    return _GAPS.sub("\n\n", _EDGES.sub("\n", plain)).strip()


def from_text(source: str) -> str:
    """Return plain text as an HTML document that shows it line by line."""
    lines = html.escape(source, quote=False).replace("\r\n", "\n").replace("\n", "<br>\r\n")
    return f'<html><head><meta charset="utf-8"></head><body><div>{lines}</div></body></html>'
