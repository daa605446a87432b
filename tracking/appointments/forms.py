"""What people may type about one occurrence of a series, on the clock of the zone that the series was made in."""

from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from django import forms
from django.utils.translation import gettext_lazy as _

from mailboxes.provider.entries import Field, Span, Value

_LONGEST = 400
_FIRST_YEAR, _LAST_YEAR = 1970, 9000


class OccurrenceForm(forms.Form):
    """Time, subject and place of one occurrence; of whole days the last day, not the one after it."""

    subject = forms.CharField(label=_("Subject"), max_length=_LONGEST, required=False)
    location = forms.CharField(label=_("Place"), max_length=_LONGEST, required=False)

    def __init__(self, data: Any = None, *, span: Span, initial: dict[str, Any] | None = None) -> None:
        super().__init__(data, initial={**(initial or {}), **_typed(span)})
        self.span = span
        kind = forms.DateField if span.all_day else forms.DateTimeField
        widget: Any = (
            forms.DateInput(attrs={"type": "date"}, format="%Y-%m-%d")
            if span.all_day
            else forms.DateTimeInput(attrs={"type": "datetime-local"}, format="%Y-%m-%dT%H:%M")
        )
        formats = ["%Y-%m-%d"] if span.all_day else ["%Y-%m-%dT%H:%M", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%d %H:%M"]
        for name, label in (
            ("begins", _("First day") if span.all_day else _("Start")),
            ("ends", _("Last day") if span.all_day else _("End")),
        ):
            self.fields[name] = kind(
                label=label,
                widget=widget,
                input_formats=formats,
                error_messages={"required": _("When?"), "invalid": _("This is no date that the calendar knows.")},
            )

    def clean(self) -> dict[str, Any]:
        """Check that it ends after it begins, in years that calendars have."""
        cleaned = super().clean() or {}
        begins, ends = cleaned.get("begins"), cleaned.get("ends")
        for name, value in (("begins", begins), ("ends", ends)):
            if value is not None and not _FIRST_YEAR <= value.year <= _LAST_YEAR:
                self.add_error(name, _("This is no date that the calendar knows."))
        if begins is not None and ends is not None and ends < begins:
            self.add_error("ends", _("It cannot end before it begins."))
        return cleaned

    def values(self) -> dict[Field, Value]:
        """Return what was typed; call it on a valid form."""
        said = self.cleaned_data
        return {
            Field.SUBJECT: said["subject"] or None,
            Field.LOCATION: said["location"] or None,
            Field.SPAN: self._span(said["begins"], said["ends"]),
        }

    def _span(self, begins: date | datetime, ends: date | datetime) -> Span:
        if isinstance(begins, datetime) and isinstance(ends, datetime):
            zone = ZoneInfo(self.span.zone or "UTC")
            start, end = (each.replace(tzinfo=zone).astimezone(UTC) for each in (begins, ends))
            return Span(start, end, self.span.zone)
        return Span(begins, ends + timedelta(days=1))


def _typed(span: Span) -> dict[str, Any]:
    """Return the times of a span as they are typed: on the wall clock, of whole days the last."""
    if isinstance(span.start, datetime) and isinstance(span.end, datetime):
        zone = ZoneInfo(span.zone or "UTC")
        begins, ends = (each.astimezone(zone).replace(tzinfo=None) for each in (span.start, span.end))
        return {"begins": begins, "ends": ends}
    return {"begins": span.start, "ends": span.end - timedelta(days=1)}
