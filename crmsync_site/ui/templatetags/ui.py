"""Tags and filters of every screen: icons, badges, times, numbers, drawings, sort links."""

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from django import template
from django.http import HttpRequest
from django.templatetags.static import static
from django.urls import reverse
from django.utils import formats, timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString, mark_safe
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from crmsync_site.ui.charts import Timeline, stacked
from crmsync_site.ui.listing import Column, Sorting

if TYPE_CHECKING:
    from django_stubs_ext import StrOrPromise

register = template.Library()
_MINUTE, _HOUR, _DAY = 60, 3600, 86400


@register.simple_tag
def icon(name: str, extra: str = "") -> SafeString:
    """Return an icon of the sprite; decoration only, so hidden from screen readers."""
    return format_html(
        '<svg class="icon {}" aria-hidden="true" focusable="false"><use href="{}#{}"></use></svg>',
        extra,
        static("ui/icons.svg"),
        name,
    )


@register.simple_tag
def badge(label: "StrOrPromise", tone: str = "off", title: "StrOrPromise" = "") -> SafeString:
    """Return a word with a tone: ok, busy, wait, warn, bad, off. The word says it all; the colour only repeats it."""
    hover = format_html(' title="{}"', title) if title else ""
    return format_html('<span class="badge {}"{}>{}</span>', tone, hover, label)


@register.filter
def duration(seconds: float | None) -> str:
    """Return a length of time in the largest unit that keeps it readable: `0.4 s`, `12 s`, `4 min`, `2 h 10 min`."""
    if seconds is None:
        return "–"
    if seconds < 10:
        return _("%(n)s s") % {"n": formats.number_format(round(seconds, 1), 1)}
    if seconds < 100:
        return _("%(n)s s") % {"n": round(seconds)}
    if seconds < 100 * _MINUTE:
        return _("%(n)s min") % {"n": round(seconds / _MINUTE)}
    if seconds < 2 * _DAY:
        hours, minutes = divmod(round(seconds / _MINUTE), 60)
        return _("%(h)s h %(m)s min") % {"h": hours, "m": minutes} if minutes else _("%(h)s h") % {"h": hours}
    days = round(seconds / _DAY)
    return ngettext("%(n)s day", "%(n)s days", days) % {"n": days}


@register.filter
def moment(value: datetime | None, now: datetime | None = None) -> SafeString | str:
    """Return when something was or will be, seen from now, with the exact time as title and for machines."""
    if value is None:
        return "–"
    seconds = ((now or timezone.now()) - value).total_seconds()
    if abs(seconds) < 5:
        words = _("now")
    elif seconds > 0:
        words = _("%(time)s ago") % {"time": duration(_coarse(seconds))} if seconds < 7 * _DAY else _date(value)
    else:
        words = _("in %(time)s") % {"time": duration(_coarse(-seconds))} if seconds > -7 * _DAY else _date(value)
    return format_html(
        '<time class="nowrap" datetime="{}" title="{}">{}</time>', value.isoformat(), exact(value), words
    )


@register.filter
def lasting(since: datetime | None, now: datetime | None = None) -> SafeString | str:
    """Return for how long something has been so, with the exact beginning as title and for machines."""
    if since is None:
        return "–"
    seconds = max(0.0, ((now or timezone.now()) - since).total_seconds())
    words = _("for %(time)s") % {"time": duration(_coarse(seconds))}
    return format_html(
        '<time class="nowrap" datetime="{}" title="{}">{}</time>', since.isoformat(), exact(since), words
    )


def _coarse(seconds: float) -> float:
    """Return a length of time without what nobody asks for beside its largest unit."""
    return seconds if seconds < 100 * _MINUTE else round(seconds / _HOUR) * _HOUR


def _date(value: datetime) -> str:
    return formats.date_format(timezone.localtime(value), "j M Y")


@register.filter
def exact(value: datetime | None) -> str:
    """Return date and time to the second, in the zone of the installation, sortable."""
    return "–" if value is None else f"{timezone.localtime(value):%Y-%m-%d %H:%M:%S}"


@register.filter
def number(value: float | None) -> str:
    """Return a number as the language writes it, thousands grouped; a dash for None."""
    return "–" if value is None else formats.number_format(value, use_l10n=True, force_grouping=True)


@register.filter
def percent(share: float | None) -> str:
    """Return a share (0 to 1) in per cent, rounded down: 100 % is said only of all."""
    if share is None:
        return "–"
    hundredths = int(share * 10000 + 1e-6)
    places = 0 if hundredths % 100 == 0 else 2 if hundredths > 9900 else 1
    return f"{formats.number_format(hundredths / 100, places)} %"


@register.filter
def breakable(address: str) -> SafeString:
    """Return a mail address that may be broken before its @ rather than anywhere."""
    local, at, domain = address.rpartition("@")
    return format_html("{}<wbr>{}{}", local, at, domain)


@register.filter
def initials(name: str) -> str:
    """Return up to two first letters for an avatar."""
    words = name.replace(".", " ").split()
    return "".join(word[0] for word in (words[:1] + words[1:][-1:])).upper() or "?"


@register.inclusion_tag("components/meter.html")
def meter(share: float | None, tone: str = "ok") -> dict[str, Any]:
    """Draw a share (0 to 1) as a bar; nothing known draws an empty one."""
    return {"width": round(100 * (share or 0), 2), "tone": tone}


@register.inclusion_tag("components/stacked.html")
def stacked_bar(parts: Sequence[tuple["StrOrPromise", str, int]], label: "StrOrPromise") -> dict[str, Any]:
    """Draw (label, tone, count) parts side by side."""
    return {"segments": stacked(parts), "label": label}


@register.inclusion_tag("components/timeline.html")
def draw_timeline(timeline: Timeline, label: "StrOrPromise") -> dict[str, Any]:
    """Draw a timeline."""
    return {"timeline": timeline, "label": label}


@register.inclusion_tag("components/sort_heading.html", takes_context=True)
def sort_heading(context: template.Context, column: Column, sorting: Sorting) -> dict[str, Any]:
    """Return a column's heading: a link that sorts by it, or the other way when it already does."""
    request: HttpRequest = context["request"]
    here = column.key == sorting.key
    params = request.GET.copy()
    params.pop("page", None)
    params["sort"] = f"-{column.key}" if here and not sorting.descending else column.key
    direction = ("descending" if sorting.descending else "ascending") if here else ""
    return {"column": column, "query": params.urlencode(), "direction": direction}


@register.simple_tag(takes_context=True)
def query_without(context: template.Context, *keys: str) -> str:
    """Return the query string in force but for `keys`, ready to have another parameter joined to it."""
    params = context["request"].GET.copy()
    for key in keys:
        params.pop(key, None)
    text: str = params.urlencode()
    return mark_safe(f"{text}&") if text else ""  # noqa: S308 -- urlencode leaves nothing that HTML reads


@register.inclusion_tag("components/nav_link.html", takes_context=True)
def nav_link(
    context: template.Context, url_name: str, label: "StrOrPromise", icon_name: str, badge: str = ""
) -> dict[str, Any]:
    """Return a link of the main navigation; it is current on its page and on those below it. `badge` names the address of
    a count that is fetched once the page stands, so that no page pays for it.
    """
    url = reverse(url_name)
    request: HttpRequest | None = context.get("request")
    path = request.path if request else ""
    return {"url": url, "label": label, "icon_name": icon_name, "current": path == url, "within": _within(path, url),
            "badge": reverse(badge) if badge else ""}  # fmt: skip


def _within(path: str, url: str) -> bool:
    return url != reverse("overview") and path.startswith(url) and path != url
