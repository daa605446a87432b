"""What people may type on the pages of personal options and tracked folders, and the sentence for each thing that is wrong."""

from collections.abc import Sequence
from datetime import date, datetime, time
from typing import TYPE_CHECKING, Any

from django import forms
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from mailboxes.models import Folder
from mailboxes.states import Track
from tracking.models.activity import RecordKind
from tracking.personal.tracked_folders import Choice
from tracking.sync.facts import RecordRef

if TYPE_CHECKING:
    from django_stubs_ext import StrOrPromise

_FIRST_YEAR, _LAST_YEAR = 1970, 9000
# One sentence each: what a choice means for the mail that comes.
TRACK_WORDS: "dict[str, StrOrPromise]" = {
    Track.ALL: _("Every message that comes or goes is kept, except private ones."),
    Track.REPLIES: _("A message is kept when it answers one that is kept already."),
    Track.RECORDS: _("A message is kept when it comes from, or goes to, a contact, lead or account that you may see."),
    Track.ENABLED: _("The same, for any record with an address, cases among them."),
    Track.NONE: _("Nothing is kept by itself: only what you put into a tracked folder or give the category."),
}


class TrackForm(forms.Form):
    """The tracking option; empty: as the sync profile says."""

    track = forms.ChoiceField(label=_("Tracking option"), choices=[("", ""), *Track.choices], required=False)


class CategoryForm(forms.Form):
    """Tracking by category, and what the category is called."""

    mail = forms.BooleanField(label=_("Track mail that carries the category"), required=False)
    name = forms.CharField(
        label=_("Name of the category"),
        max_length=200,
        error_messages={"required": _("A category needs a name.")},
    )

    def __init__(self, data: Any = None, *, untrackable: str = "", initial: Any = None) -> None:
        super().__init__(data, initial=initial)
        self.untrackable = untrackable

    def clean_name(self) -> str:
        """Return the name as Outlook would have it: no comma or semicolon, which part categories there."""
        name = " ".join(str(self.cleaned_data["name"]).split())
        if "," in name or ";" in name:
            raise forms.ValidationError(_("Outlook does not allow a comma or semicolon in the name of a category."))
        if name.lower() == self.untrackable.lower():
            raise forms.ValidationError(_("This is the category for what cannot be tracked. Choose another name."))
        return name


class FolderForm(forms.Form):
    """A tracked folder: which one of `folders`, from when, with what below it, about what."""

    subfolders = forms.BooleanField(label=_("With its subfolders, new ones too"), required=False)
    since = forms.DateField(
        label=_("Only mail received from"),
        required=False,
        widget=forms.DateInput(attrs={"type": "date"}, format="%Y-%m-%d"),
        error_messages={"invalid": _("This is no date. Write it as 2026-03-31, or leave it empty.")},
    )
    words = forms.CharField(label=_("Find a record"), max_length=200, required=False)
    regarding = forms.CharField(label=_("About"), max_length=40, required=False)

    def __init__(self, data: Any = None, *, folders: Sequence[tuple[int, str]], initial: Any = None) -> None:
        super().__init__(data, initial=initial)
        self.fields["folder"] = forms.TypedChoiceField(
            label=_("Folder"),
            choices=[("", _("Choose a folder")), *folders],
            coerce=int,
            error_messages={
                "required": _("Choose a folder."),
                "invalid_choice": _("This folder cannot be tracked. Choose another one."),
            },
        )

    def clean_since(self) -> date | None:
        """Return the day; what is older than electronic mail is a slip of the hand."""
        since: date | None = self.cleaned_data["since"]
        if since is not None and not _FIRST_YEAR <= since.year < _LAST_YEAR:
            raise forms.ValidationError(_("This is no date. Write it as 2026-03-31, or leave it empty."))
        return since

    def clean_regarding(self) -> RecordRef | None:
        """Return the record that was chosen; whether the person may see it is for the page to say."""
        kind, _sep, number = str(self.cleaned_data["regarding"]).partition(":")
        if not kind:
            return None
        if kind not in RecordKind.values or not (number.isascii() and number.isdecimal() and len(number) < 19):
            raise forms.ValidationError(_("This is no record. Find one by its name."))
        return RecordRef(kind, int(number))

    def choice(self) -> Choice:
        """Return what was chosen; the form is valid. A day begins at midnight in the time zone in force."""
        found = self.cleaned_data
        since, record = found["since"], found["regarding"]
        return Choice(
            subfolders=found["subfolders"],
            valid_from=timezone.make_aware(datetime.combine(since, time())) if since else None,
            regarding_kind=record.kind if record else "",
            regarding_id=record.id if record else None,
        )


def choices_of(rows: Sequence[tuple[Folder, int, str]]) -> list[tuple[int, str]]:
    """Return folders as choices, those below others set in by their depth."""
    return [(folder.pk, "\u2003" * depth + name) for folder, depth, name in rows]
