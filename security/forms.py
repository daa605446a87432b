"""The sign-in form: Django's, with labels and errors tied to their fields for screen readers."""

from typing import Any

from django import forms
from django.contrib.auth.forms import AuthenticationForm
from django.utils.translation import gettext_lazy as _


class SignInForm(AuthenticationForm):
    """User name and password; the error says neither which of the two was wrong nor whether the user exists."""

    error_messages = {
        "invalid_login": _("This user name and password do not go together. Mind capital letters in both."),
        "inactive": _("This account is switched off. An administrator can switch it on again."),
    }

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["username"].label = _("User name")
        self.fields["password"].label = _("Password")
        for name, field in self.fields.items():
            if self.is_bound and (self.errors.get(name) or self.non_field_errors()):
                field.widget.attrs["aria-invalid"] = "true"
                own = f"id_{name}_error"
                field.widget.attrs["aria-describedby"] = own if self.errors.get(name) else "sign-in-error"

    def get_invalid_login_error(self) -> forms.ValidationError:
        """Return the one error for a wrong user name and for a wrong password."""
        return forms.ValidationError(self.error_messages["invalid_login"], code="invalid_login")
