"""Filters of the lists of mailboxes and runs: what the query string may ask for."""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import django_filters as filters
from django import forms
from django.db.models import Q, QuerySet
from django.utils.translation import gettext_lazy as _

from mailboxes.issues import issue_of
from mailboxes.models import Mailbox, Run, ServerProfile
from mailboxes.states import Intent, Outcome, State

if TYPE_CHECKING:
    from django_stubs_ext import StrOrPromise

# Anything but an idle run: runs that found nothing to do are nearly all there are.
_BUSY = ("busy", _("with something to do"))


def _choices(values: Iterable[tuple[str, "StrOrPromise"]]) -> list[tuple[str, "StrOrPromise"]]:
    return [(value, str(label)[:1].upper() + str(label)[1:]) for value, label in values]


class MailboxFilter(filters.FilterSet):  # type: ignore[misc]  # django-filter ships no types
    """Which mailboxes a list shows. An unknown value narrows to nothing, and the form says which."""

    q = filters.CharFilter(
        label=_("Address or owner"),
        method="search",
        widget=forms.TextInput(attrs={"type": "search", "autocomplete": "off"}),
    )
    intent = filters.ChoiceFilter(label=_("Intent"), choices=lambda: _choices(Intent.choices), empty_label=_("Any"))
    state = filters.ChoiceFilter(label=_("State"), choices=lambda: _choices(State.choices), empty_label=_("Any"))
    server = filters.ModelChoiceFilter(label=_("Server"), queryset=ServerProfile.objects.none(), empty_label=_("Any"))
    issue = filters.ChoiceFilter(label=_("Issue"), field_name="issue_code", empty_label=_("Any"))

    class Meta:
        """Every filter is declared above."""

        model = Mailbox
        fields: tuple[str, ...] = ()

    def __init__(self, *args: Any, servers: QuerySet[ServerProfile], issues: Iterable[str], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.filters["server"].queryset = servers
        self.filters["issue"].extra["choices"] = [(code, _issue_label(code)) for code in issues]

    def search(self, queryset: QuerySet[Mailbox], _name: str, value: str) -> QuerySet[Mailbox]:
        """Narrow to mailboxes whose address or owner's name holds every word."""
        for word in value.split():
            queryset = queryset.filter(
                Q(address__icontains=word)
                | Q(owner__first_name__icontains=word)
                | Q(owner__last_name__icontains=word)
                | Q(owner__username__icontains=word)
            )
        return queryset


class RunFilter(filters.FilterSet):  # type: ignore[misc]  # django-filter ships no types
    """Which runs of a mailbox a list shows."""

    outcome = filters.ChoiceFilter(
        label=_("Outcome"),
        method="by_outcome",
        choices=lambda: _choices([_BUSY, *Outcome.choices]),
        empty_label=_("Any"),
    )

    class Meta:
        """Every filter is declared above."""

        model = Run
        fields: tuple[str, ...] = ()

    def by_outcome(self, queryset: QuerySet[Run], _name: str, value: str) -> QuerySet[Run]:
        """Narrow to one outcome, or to runs that were not idle."""
        return queryset.exclude(outcome=Outcome.DONE, examined=0) if value == "busy" else queryset.filter(outcome=value)


def _issue_label(code: str) -> str:
    issue = issue_of(code)
    return issue.sentence if issue else code
