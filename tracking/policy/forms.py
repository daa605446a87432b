"""Forms of policy: the settings of a sync profile, the grid of directions, the head of a filter."""

import re
from typing import TYPE_CHECKING, Any, Final

from django import forms
from django.core.exceptions import ValidationError
from django.core.validators import validate_email
from django.http import QueryDict
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from mailboxes.models import SyncProfile
from mailboxes.provider.entries import EntryKind
from tracking.models import SyncFilter
from tracking.policy.document import OF_ENTRIES, SCHEDULE, SETTINGS, Document, without_defaults
from tracking.sync.directions import DEFAULTS, Direction

if TYPE_CHECKING:
    from django_stubs_ext import StrOrPromise

    _Base = forms.ModelForm[SyncProfile]
else:
    _Base = forms.ModelForm

# What each setting means, where its name does not say it.
_SENTENCES: "Final[dict[str, StrOrPromise]]" = {
    "track": gettext_lazy("Which mail is tracked without anybody asking for it."),
    "exclude_internal": gettext_lazy("Mail in which only colleagues take part is left alone."),
    "exclude_automated": gettext_lazy("Out-of-office answers, newsletters and delivery reports are left alone."),
    "blocked": gettext_lazy("Mail from these is never tracked of itself. One address or domain a line."),
    "internal_domains": gettext_lazy("Whoever writes from these is a colleague. One domain a line."),
    "contact_addresses": gettext_lazy(
        "Which of them flow, each to the one of the same name. Choosing otherwise takes no address away."
    ),
    "appointment_attachments": gettext_lazy(
        "Files of single appointments that the mailbox's owner organises, up to 20 MB each. Off, none is looked at, and none "
        "is deleted."
    ),
    "min_seconds": gettext_lazy("Seconds between two runs while much mail arrives."),
    "normal_seconds": gettext_lazy("Seconds between two runs to begin with."),
    "max_seconds": gettext_lazy("Seconds between two runs while it is quiet. 720 keeps the promise of 12 minutes."),
}
_DOMAIN: Final = re.compile(
    r"^@?(?=.{1,253}$)([a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?\.)+[a-z0-9-]{2,63}$", re.IGNORECASE
)
_MOST_LINES: Final = 5_000


class SettingsForm(_Base):
    """Everything that a sync profile says of mail and schedule; never saved, only asked for its values."""

    class Meta:
        """All columns but the name."""

        model = SyncProfile
        fields = SETTINGS

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for name, field in self.fields.items():
            field.help_text = _SENTENCES.get(name, field.help_text)
            if isinstance(field.widget, forms.Textarea):
                field.widget.attrs["rows"] = 4
            if self.is_bound and self.errors.get(name):
                field.widget.attrs["aria-invalid"] = "true"
                field.widget.attrs["aria-describedby"] = f"id_{name}_error"

    def clean_blocked(self) -> str:
        """Return the list, one entry a line; says which line is neither an address nor a domain."""
        return _lines(self.cleaned_data["blocked"], addresses=True)

    def clean_internal_domains(self) -> str:
        """Return the list, one domain a line."""
        return _lines(self.cleaned_data["internal_domains"], addresses=False)

    def clean(self) -> dict[str, Any]:
        """Look whether the intervals are in order."""
        found = super().clean() or {}
        least, usual, most = (found.get(name) for name in ("min_seconds", "normal_seconds", "max_seconds"))
        if None not in (least, usual, most) and not least <= usual <= most:  # type: ignore[operator]  # none of them is None here
            self.add_error("normal_seconds", _("The usual interval lies between the shortest and the longest one."))
        return found

    def _post_clean(self) -> None:
        super()._post_clean()  # type: ignore[misc]  # Django's own step, which the stubs leave out
        # The order of the intervals has been said beside its field.
        self.errors.pop("__all__", None)

    @property
    def of_mail(self) -> list[forms.BoundField]:
        """Return the fields that say what is tracked."""
        return [self[name] for name in self.fields if name not in SCHEDULE | OF_ENTRIES]

    @property
    def of_entries(self) -> list[forms.BoundField]:
        """Return the fields that say how appointments, contacts and tasks flow."""
        return [self[name] for name in self.fields if name in OF_ENTRIES]

    @property
    def of_schedule(self) -> list[forms.BoundField]:
        """Return the fields that say how often."""
        return [self[name] for name in self.fields if name in SCHEDULE]

    def values(self) -> dict[str, Any]:
        """Return the settings as a document has them."""
        return {name: self.cleaned_data[name] for name in SETTINGS}


def _lines(text: str, *, addresses: bool) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    if len(lines) > _MOST_LINES:
        raise ValidationError(_("These are too many lines: %(n)s are the most.") % {"n": _MOST_LINES})
    for number, line in enumerate(lines, start=1):
        if not _DOMAIN.match(line) and not (addresses and _is_address(line)):
            sentence = (
                _("Line %(n)s, “%(text)s”, is no address and no domain.")
                if addresses
                else _("Line %(n)s, “%(text)s”, is no domain.")
            )
            raise ValidationError(sentence % {"n": number, "text": line[:80]})
    return "\n".join(dict.fromkeys(lines))


def _is_address(text: str) -> bool:
    try:
        validate_email(text)
    except ValidationError:
        return False
    return True


def directions_of(data: QueryDict, document: Document) -> dict[str, dict[str, str]]:
    """Return the directions that the grid sent, what was not sent as it was; locked ones cannot be changed.

    Raises `ValidationError` for a direction that does not exist.
    """
    chosen: dict[str, dict[str, str]] = {}
    for kind, rules in DEFAULTS.items():
        present = document["directions"].get(kind.value, {})
        for name, rule in rules.items():
            sent = data.get(f"{kind.value}-{name.value}", present.get(name.value, rule.direction.value))
            if sent not in set(Direction):
                raise ValidationError(_("Choose one of the four directions."))
            if not rule.locked:
                chosen.setdefault(kind.value, {})[name.value] = sent
    return without_defaults(chosen)


class HeadForm(forms.Form):
    """The head of a filter: name, what it does, whether it counts."""

    name = forms.CharField(
        label=gettext_lazy("Name"), max_length=100,
        error_messages={"required": gettext_lazy("Give the filter a name.")},
    )  # fmt: skip
    excludes = forms.TypedChoiceField(
        label=gettext_lazy("What fits"), coerce=lambda value: value == "1",
        choices=[("0", gettext_lazy("flows")), ("1", gettext_lazy("is kept out"))],
    )  # fmt: skip
    active = forms.BooleanField(label=gettext_lazy("It counts"), required=False)


def new_filter(scope: str, kind: EntryKind) -> dict[str, Any]:
    """Return a filter that was not typed yet."""
    return {
        "scope": SyncFilter.Scope(scope).value, "kind": kind.value, "name": "", "excludes": False, "active": True,
        "conditions": {"any": False, "parts": [{"column": "", "operator": "", "value": None}]}, "examples": [],
    }  # fmt: skip
