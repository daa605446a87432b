"""What people type when they write a mail, and what may be wrong with it, in words.

A draft may be saved unfinished; what is sent has to have a recipient, and something to say. Files are limited as most
mail systems limit them: what no server would take is refused here, before anybody waits for it.
"""

from collections.abc import Sequence
from email.utils import getaddresses
from typing import Any, Final

from django import forms
from django.core.exceptions import ValidationError
from django.core.files.uploadedfile import UploadedFile
from django.core.validators import validate_email
from django.template.defaultfilters import filesizeformat
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from mailboxes.models import Mailbox
from mailboxes.provider.text import clean
from security.models import User
from tracking.models import OutgoingFile, OutgoingMail

MOST_PEOPLE: Final = 100
# More than that many people take, and little enough to be taken apart while somebody waits.
_MOST_TYPED: Final = MOST_PEOPLE * 600
MOST_FILES: Final = 20
# Together, in bytes: Exchange takes messages of 35 MB in the form in which they travel, a third larger than the files.
MOST_BYTES: Final = 20_000_000
MOST_CHARACTERS: Final = 500_000
NAME_CHARACTERS: Final = 255
# RFC 5321 §4.5.3.1.3: a path has 256 octets, its angle brackets among them.
ADDRESS_CHARACTERS: Final = 254

Person = dict[str, str]


def written(people: Sequence[Person]) -> str:
    """Return addresses as they stand in the field: `"Name" <address>`, parted by commas."""
    return ", ".join(
        f"{_quoted(each['name'])} <{each['email']}>" if each.get("name") else each["email"] for each in people
    )


def _quoted(name: str) -> str:
    # RFC 5322 §3.2.4: a quoted string escapes backslash and quotation mark.
    escaped = name.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _is_address(text: str) -> bool:
    try:
        validate_email(text)
    except ValidationError:
        return False
    return len(text) <= ADDRESS_CHARACTERS


class PeopleField(forms.CharField):
    """Addresses with or without names, parted by commas, semicolons or lines."""

    def to_python(self, value: Any) -> list[Person]:  # type: ignore[override]  # Django types it as the text that is typed
        """Return the people named; raises ValidationError with the ones that are no addresses."""
        text = " ".join(clean(str(value or "")).replace(";", ",").replace("\n", ",").split())
        if len(text) > _MOST_TYPED:
            raise ValidationError(_("At most %(n)s people can be written to at once.") % {"n": MOST_PEOPLE})
        people: dict[str, Person] = {}
        wrong = []
        for name, address in _taken_apart(text):
            if not _is_address(address):
                wrong += [address or name] if name or address else []
                continue
            people.setdefault(address.lower(), {"email": address, "name": name[:NAME_CHARACTERS]})
        if text and not people and not wrong:
            # What cannot be taken apart at all comes back as nothing.
            wrong = [text]
        if wrong:
            raise ValidationError(_("This is not an e-mail address: %(text)s") % {"text": ", ".join(wrong)[:200]})
        return list(people.values())

    def has_changed(self, initial: Any, data: Any) -> bool:
        """Compare what is typed."""
        return str(initial or "") != str(data or "")


def _taken_apart(text: str) -> list[tuple[str, str]]:
    try:
        return getaddresses([text])
    except RecursionError:
        # Parentheses in parentheses, without end: no address.
        return [("", text)]


class _ManyFiles(forms.ClearableFileInput):
    allow_multiple_selected = True


class FilesField(forms.FileField):
    """Any number of files."""

    widget = _ManyFiles

    def clean(self, data: Any, initial: Any = None) -> "list[UploadedFile[bytes]]":
        """Return the files; raises ValidationError naming the first that cannot be taken."""
        return [super(FilesField, self).clean(each, initial) for each in (data or []) if each]


class MailForm(forms.Form):
    """One mail. `sending`: it is to be sent and must be complete.

    `once` names a new mail: the same form sent twice, by two clicks or by going back, writes one mail.
    """

    once = forms.RegexField(r"^[0-9a-f]{32}$", required=False, widget=forms.HiddenInput)
    mailbox = forms.ModelChoiceField(
        Mailbox.objects.none(), label=gettext_lazy("From"), empty_label=None,
        error_messages={"invalid_choice": gettext_lazy("You can write from a mailbox of your own only.")},
    )  # fmt: skip
    to = PeopleField(label=gettext_lazy("To"), required=False)
    cc = PeopleField(label=gettext_lazy("Copy to"), required=False)
    bcc = PeopleField(label=gettext_lazy("Blind copy to"), required=False)
    subject = forms.CharField(label=gettext_lazy("Subject"), required=False, max_length=255)
    text = forms.CharField(
        label=gettext_lazy("Message"), required=False, max_length=MOST_CHARACTERS, strip=False,
        widget=forms.Textarea(attrs={"rows": 12}),
    )  # fmt: skip
    added = FilesField(label=gettext_lazy("Add files"), required=False)
    remove = forms.ModelMultipleChoiceField(
        OutgoingFile.objects.none(), required=False, widget=forms.CheckboxSelectMultiple
    )

    def __init__(
        self, *args: Any, person: User, mail: OutgoingMail | None = None, sending: bool = False, **kwargs: Any
    ) -> None:
        super().__init__(*args, **kwargs)
        self.mail, self.sending = mail, sending
        own = Mailbox.objects.filter(owner=person).order_by("address")
        choice, remove = self.fields["mailbox"], self.fields["remove"]
        if isinstance(choice, forms.ModelChoiceField):
            choice.queryset = own
        if mail is not None and isinstance(remove, forms.ModelMultipleChoiceField):
            remove.queryset = mail.files.all()
        for name in ("to", "cc", "bcc", "subject"):
            self.fields[name].widget.attrs["autocomplete"] = "off"

    def clean_subject(self) -> str:
        """Return the subject as one line."""
        return " ".join(clean(str(self.cleaned_data["subject"])).split())

    def clean_text(self) -> str:
        """Return the text without what neither database nor mail can hold."""
        return clean(str(self.cleaned_data["text"]))

    def clean(self) -> dict[str, Any]:
        """Check what concerns several fields: recipients, size, and whether there is anything to send."""
        found = super().clean() or self.cleaned_data
        people = [each for name in ("to", "cc", "bcc") for each in found.get(name) or []]
        named = {"to", "cc", "bcc"}.isdisjoint(self.errors)
        if len(people) > MOST_PEOPLE:
            self.add_error("to", _("At most %(n)s people can be written to at once.") % {"n": MOST_PEOPLE})
        if self.sending and named and not people:
            self.add_error("to", _("Say to whom it goes."))
        removed = list(found.get("remove") or [])
        kept = [each for each in self.mail.files.all() if each not in removed] if self.mail else []
        self._check_files(kept, found.get("added") or [])
        if self.sending and not (found.get("subject") or found.get("text", "").strip() or kept or found.get("added")):
            self.add_error("text", _("Write something: it has neither a subject nor a text."))
        return found

    def _check_files(self, kept: Sequence[OutgoingFile], added: "Sequence[UploadedFile[bytes]]") -> None:
        if len(kept) + len(added) > MOST_FILES:
            text = ngettext("At most %(n)s file can go along.", "At most %(n)s files can go along.", MOST_FILES)
            self.add_error("added", text % {"n": MOST_FILES})
        size = sum(each.size for each in kept) + sum(each.size or 0 for each in added)
        if size > MOST_BYTES:
            self.add_error(
                "added",
                _("The files are too large together: %(size)s, at most %(most)s.")
                % {"size": filesizeformat(size), "most": filesizeformat(MOST_BYTES)},
            )

    @property
    def files_are_lost(self) -> bool:
        """Tell whether files were chosen that a browser will not send again by itself."""
        return self.is_bound and bool(self.errors) and bool(self.files)
