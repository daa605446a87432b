"""What a person says of the range that is to be looked at again."""

from collections.abc import Sequence
from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _


class RangeForm(forms.Form):
    """Days, both included, and perhaps one folder (by primary key; empty: every folder that is read)."""

    first = forms.DateField(label=_("From"), widget=forms.DateInput(attrs={"type": "date"}))
    last = forms.DateField(label=_("To"), widget=forms.DateInput(attrs={"type": "date"}))
    folder = forms.TypedChoiceField(label=_("Folder"), required=False, coerce=int, empty_value=None)

    def __init__(self, *args: Any, folders: Sequence[tuple[int, str]], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["folder"].choices = [("", _("Every folder that is read")), *folders]  # type: ignore[attr-defined]  # of a choice field
        for name, field in self.fields.items():
            if self.is_bound and self.errors.get(name):
                field.widget.attrs |= {"aria-invalid": "true", "aria-describedby": f"id_{name}_error"}
