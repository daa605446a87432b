"""What a content says, whether it was written since or stands in its bytes.

Apart from `properties.py`, so that writing a message (`compose.py`) can ask the same questions.
"""

from mailboxes.sandbox import html, mime
from mailboxes.sandbox.model import Attachment, Content
from mailboxes.sandbox.xmltext import parse_fragment


def said(content: Content, name: str) -> str:
    """Return a property as the content has it: what was written since, else what its bytes say."""
    written = content.values.get(name)
    if written is not None:
        return written
    if content.raw is None:
        return ""
    if content.light is None:
        content.light = mime.parse(content.raw).values
    return content.light.get(name, "")


def text_of(content: Content, name: str) -> str:
    """Return the text of a property such as Subject, "" if there is none."""
    fragment_ = said(content, name)
    return "".join(str(part) for part in parse_fragment(fragment_).itertext()) if fragment_ else ""


def attachments_of(content: Content) -> list[Attachment]:
    """Return a content's attachments: of its bytes those not removed, then those added."""
    own = mime.parse(content.raw).attachments if content.raw is not None else []
    return [one for one in own if one.number not in content.removed] + content.attached


def body_of(content: Content, wanted: str) -> tuple[str, str]:
    """Return (HTML or Text, body) for a wanted type of Best, HTML or Text; the other kind is converted."""
    if content.body is not None:
        kind, body = content.body
        plain, rich = (body, None) if kind == "Text" else (None, body)
    elif content.raw is not None:
        parsed = mime.parse(content.raw)
        plain, rich = parsed.text, parsed.html
    else:
        return ("HTML" if wanted == "HTML" else "Text"), ""
    if wanted == "Text" or (wanted == "Best" and rich is None):
        return "Text", plain if plain is not None else html.to_text(rich or "")
    return "HTML", rich if rich is not None else html.from_text(plain or "")


def size_of(content: Content) -> int:
    """Return the size in bytes a client is told."""
    own = len(content.raw) if content.raw is not None else sum(map(len, content.values.values()))
    added = sum(size_of(one.item) if one.item else len(one.data) for one in content.attached)
    return own + added + (len(content.body[1]) if content.body else 0)


def thread_root(content: Content) -> str:
    """Return the Message-ID at the root of a content's thread, "" if it names none."""
    if content.raw is not None and not {"References", "InReplyTo", "InternetMessageId"} & content.values.keys():
        return said(content, "#thread")
    for name in ("References", "InReplyTo", "InternetMessageId"):
        words = text_of(content, name).split()
        if words:
            return words[0]
    return ""
