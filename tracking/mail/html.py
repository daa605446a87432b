"""A stranger's HTML made safe to show: no script, no form, nothing fetched; what was left out is counted and said.

The cleaned text is shown in a sandboxed frame with a policy of its own (views_threads), so that a hole here is still
behind two walls.
"""

import base64
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from html import escape

import nh3
from django.utils.safestring import SafeString, mark_safe

# What a reader can take in, and the sanitiser in a moment; the rest is cut off and the page says so.
MOST_CHARACTERS = 2_000_000
MOST_IMAGE_BYTES = 8_000_000
_IMAGES = ("image/png", "image/jpeg", "image/gif", "image/webp")

# Said as what a link must be: browsers pass over tabs, line ends and controls in an address, so that no list of what it
# must not be is complete; and what names no host would lead to pages of ours.
_LEADS_OUT = re.compile(r"\s*(?:(?:https?:)?//|mailto:|tel:)", re.IGNORECASE)

_TAGS = {
    "a", "abbr", "address", "article", "aside", "b", "bdi", "bdo", "big", "blockquote", "br", "caption", "center",
    "cite", "code", "col", "colgroup", "dd", "del", "details", "div", "dl", "dt", "em", "figcaption", "figure",
    "font", "footer", "h1", "h2", "h3", "h4", "h5", "h6", "header", "hr", "i", "img", "ins", "kbd", "li", "main",
    "mark", "nav", "ol", "p", "pre", "q", "s", "samp", "section", "small", "span", "strike", "strong", "sub",
    "summary", "sup", "table", "tbody", "td", "tfoot", "th", "thead", "time", "tr", "tt", "u", "ul", "var", "wbr",
}  # fmt: skip
_ATTRIBUTES = {
    "*": {"style", "dir", "lang", "align", "valign", "bgcolor", "width", "height", "title"},
    "a": {"href"},
    "img": {"src", "alt", "width", "height"},
    "font": {"color", "face", "size"},
    "table": {"border", "cellpadding", "cellspacing", "width"},
    "td": {"colspan", "rowspan", "nowrap"},
    "th": {"colspan", "rowspan", "nowrap"},
    "ol": {"start", "type"},
    "li": {"value"},
}
# Nothing that can hold an address (backgrounds, list images, content) or leave the flow of the text (position).
_STYLES = {
    "background-color", "border", "border-bottom", "border-bottom-color", "border-collapse", "border-color",
    "border-left", "border-radius", "border-right", "border-spacing", "border-style", "border-top", "border-width",
    "color", "display", "font", "font-family", "font-size", "font-style", "font-variant", "font-weight", "height",
    "letter-spacing", "line-height", "list-style-type", "margin", "margin-bottom", "margin-left", "margin-right",
    "margin-top", "max-width", "min-width", "padding", "padding-bottom", "padding-left", "padding-right",
    "padding-top", "table-layout", "text-align", "text-decoration", "text-indent", "text-transform", "vertical-align",
    "white-space", "width", "word-break", "word-spacing", "overflow-wrap",
}  # fmt: skip


@dataclass(slots=True)
class Shown:
    """HTML that may be shown, and what it lost: remote images, inline images that are not there, the end."""

    html: str = ""
    remote_images: int = 0
    missing_images: int = 0
    cut: bool = False

    @property
    def safe_html(self) -> SafeString:
        """Return `html` for a template: only this module fills it."""
        return mark_safe(self.html)  # noqa: S308 -- sanitised or escaped below


@dataclass(slots=True)
class _Images:
    """Answers for each image of a message: its bytes in the page itself, or nothing."""

    inline: Callable[[str], tuple[str, bytes] | None]
    shown: Shown
    spent: int = field(default=0)

    def source(self, value: str) -> str | None:
        scheme, _, rest = value.strip().partition(":")
        if scheme.lower() == "cid":
            return self._inlined(rest)
        if scheme.lower() == "data" and rest.lower().startswith(_IMAGES):
            return value
        self.shown.remote_images += 1
        return None

    def _inlined(self, content_id: str) -> str | None:
        found = self.inline(content_id)
        if found is None or found[0] not in _IMAGES or self.spent + len(found[1]) > MOST_IMAGE_BYTES:
            self.shown.missing_images += 1
            return None
        self.spent += len(found[1])
        return f"data:{found[0]};base64,{base64.b64encode(found[1]).decode()}"


def from_html(html: str, inline: Callable[[str], tuple[str, bytes] | None]) -> Shown:
    """Return `html` made safe. `inline` gives content type and bytes of the image with a Content-ID, None if there is
    none; it is not asked for anything else.
    """
    shown = Shown(cut=len(html) > MOST_CHARACTERS)
    images = _Images(inline, shown)

    def attribute(_tag: str, name: str, value: str) -> str | None:
        if name == "src":
            return images.source(value)
        # Pictures may hold their bytes or name a part of the message; a link may only lead out.
        return None if name == "href" and not _LEADS_OUT.match(value) else value

    shown.html = nh3.clean(
        html[:MOST_CHARACTERS],
        tags=_TAGS,
        clean_content_tags={"script", "style", "title", "template", "noscript"},
        attributes=_ATTRIBUTES,
        attribute_filter=attribute,
        url_schemes={"http", "https", "mailto", "tel", "cid", "data"},
        link_rel="noopener noreferrer nofollow",
        filter_style_properties=_STYLES,
    )
    return shown


def from_text(text: str) -> Shown:
    """Return plain text as HTML that keeps its lines."""
    return Shown(f"<pre>{escape(text[:MOST_CHARACTERS])}</pre>", cut=len(text) > MOST_CHARACTERS)
