"""Forms of sync profiles as a whole: a name, what a new one begins with, a name typed to delete one."""

from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.db.models import QuerySet
from django.utils.translation import gettext_lazy as _

from mailboxes.models import SyncProfile


class NameForm(forms.Form):
    """The name of a sync profile."""

    name = forms.CharField(label=_("Name"), max_length=100, error_messages={"required": _("Give it a name.")})

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._prepare()
        for name, field in self.fields.items():
            if self.is_bound and self.errors.get(name):
                field.widget.attrs |= {"aria-invalid": "true", "aria-describedby": f"id_{name}_error"}

    def _prepare(self) -> None:
        """Set what depends on who asks: before anything is looked at for errors."""

    def refuse(self, sentence: str) -> None:
        """Say beside the name why it cannot be."""
        self.add_error("name", sentence)
        self.fields["name"].widget.attrs |= {"aria-invalid": "true", "aria-describedby": "id_name_error"}


class NewProfileForm(NameForm):
    """A new sync profile: its name, and which one it is a copy of, if any."""

    copy_of = forms.ModelChoiceField(
        label=_("Begins as"), queryset=SyncProfile.objects.none(), required=False, empty_label=_("the usual settings"),
        error_messages={"invalid_choice": _("This sync profile is not there any more.")},
    )  # fmt: skip

    def __init__(self, *args: Any, profiles: QuerySet[SyncProfile], **kwargs: Any) -> None:
        self._profiles = profiles
        super().__init__(*args, **kwargs)

    def _prepare(self) -> None:
        field = self.fields["copy_of"]
        assert isinstance(field, forms.ModelChoiceField)  # noqa: S101 -- told to the type checker; declared above
        field.queryset = self._profiles


class DeleteForm(forms.Form):
    """The name of the profile, typed by whoever deletes it."""

    typed = forms.CharField(label=_("Type its name to delete it"), required=False, max_length=200)

    def __init__(self, *args: Any, profile: SyncProfile, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._profile = profile
        self.fields["typed"].widget.attrs["autocomplete"] = "off"
        if self.is_bound and self.errors:
            self.fields["typed"].widget.attrs |= {"aria-invalid": "true", "aria-describedby": "id_typed_error"}

    def clean_typed(self) -> str:
        """Return what was typed, if it is the name."""
        typed: str = self.cleaned_data["typed"].strip()
        if typed != self._profile.name:
            raise ValidationError(_("That is not its name. Type it as it stands above."))
        return typed
