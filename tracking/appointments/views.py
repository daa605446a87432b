"""Pages of appointments: the list, one with its exceptions, and one occurrence to change or to call off."""

from collections.abc import Callable
from datetime import datetime
from typing import TYPE_CHECKING

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_GET, require_POST

from crmsync_site.ui.listing import numbered, sorting
from crmsync_site.ui.listing import words as words_in
from mailboxes.provider.entries import Field, Span
from security.access import get_visible_or_404
from security.http import signed_in
from security.models import User
from tracking.appointments import files, pages
from tracking.appointments.forms import OccurrenceForm
from tracking.linked import occurrences, words
from tracking.linked.occurrences import Occurrence, Refused
from tracking.linked.records import rights_of
from tracking.models import Appointment
from tracking.records.pages import KINDS

if TYPE_CHECKING:
    from django_stubs_ext import StrOrPromise

_WRITTEN = frozenset({Field.SUBJECT, Field.LOCATION, Field.SPAN})
REFUSALS: "dict[Refused, StrOrPromise]" = {
    Refused.NOT_YOURS: gettext_lazy("You may not change this appointment."),
    Refused.NONE_SUCH: gettext_lazy("The series has no such day any more."),
    Refused.OVER: gettext_lazy("What is over is not rewritten."),
    Refused.TAKEN_OUT: gettext_lazy(
        "The day was taken out of the series in a mailbox, and no mail system can put back a single day."
        " Make an appointment of its own for it."
    ),
    Refused.DOES_NOT_FIT: gettext_lazy("This does not fit into an appointment."),
}


@require_GET
def appointments(request: HttpRequest) -> HttpResponse:
    """List the appointments that the person may see."""
    person, typed = signed_in(request), words_in(request.GET, "q")
    order = sorting(request.GET, pages.COLUMNS, default="-when")
    page = numbered(request.GET, order.apply(pages.appointments(person, typed)))
    context = {
        "kinds": KINDS.values(),
        "words": typed,
        "sorting": order,
        "page": page,
        "rows": pages.rows(list(page)),
    }
    return render(request, "tracking/appointments.html", context)


@require_GET
def appointment(request: HttpRequest, pk: int) -> HttpResponse:
    """Show an appointment, on which days its series is not as usual, and its next days."""
    person = signed_in(request)
    record = get_visible_or_404(person, Appointment, pk=pk)
    context = {
        "record": record,
        "when": pages.when(record),
        "series": pages.series_in_words(record),
        "may_write": _may_write(record, person),
        "exceptions": pages.exceptions(person, record),
        "next_days": pages.next_days(person, record, timezone.now()),
        "files": files.shown(person, record),
    }
    return render(request, "tracking/appointment.html", context)


def _may_write(record: Appointment, person: User) -> bool:
    return rights_of(record, person).unwritable.isdisjoint(_WRITTEN)


def _found(request: HttpRequest, pk: int, at: str) -> tuple[User, Appointment, Occurrence]:
    """Return who asks, the series and its occurrence; raises Http404, PermissionDenied for who only sees it."""
    person, original = signed_in(request), pages.original_in(at)
    record = get_visible_or_404(person, Appointment, pk=pk)
    if not _may_write(record, person):
        raise PermissionDenied
    found = None if original is None else occurrences.occurrence(record, original, person, timezone.now())
    if found is None:
        raise Http404
    return person, record, found


def _form(found: Occurrence, request: HttpRequest | None = None) -> OccurrenceForm:
    span = found.values[Field.SPAN]
    if not isinstance(span, Span):
        raise Http404
    initial = {"subject": found.values[Field.SUBJECT] or "", "location": found.values[Field.LOCATION] or ""}
    return OccurrenceForm(None if request is None else request.POST, span=span, initial=initial)


def _shown(
    request: HttpRequest,
    record: Appointment,
    found: Occurrence,
    form: OccurrenceForm,
    *,
    why: str = "",
    status: int = 200,
) -> HttpResponse:
    context = {
        "record": record,
        "occurrence": found,
        "at": pages.key(found.original),
        "day": words.day_of(record, found.original),
        "differences": pages.differences(found.own, dict(found.plain)),
        "form": form,
        "zone": record.zone or "UTC",
        "why": why,
    }
    return render(request, "tracking/occurrence.html", context, status=status)


@require_GET
def occurrence(request: HttpRequest, pk: int, at: str) -> HttpResponse:
    """Show one occurrence to change, to call off, or to take back."""
    _person, record, found = _found(request, pk, at)
    return _shown(request, record, found, _form(found))


@require_POST
def change_occurrence(request: HttpRequest, pk: int, at: str) -> HttpResponse:
    """Change one occurrence: its time, subject or place."""
    person, record, found = _found(request, pk, at)
    form = _form(found, request)
    if not form.is_valid():
        return _shown(request, record, found, form, status=400)
    try:
        occurrences.change(pk, found.original, form.values(), by=person, now=timezone.now())
    except occurrences.NotPossible as error:
        return _shown(request, record, found, form, why=str(REFUSALS[error.why]), status=400)
    messages.success(request, _("Changed. The next run brings it to the mailbox; nobody is told by it."))
    return HttpResponseRedirect(reverse("appointment", args=[pk]))


@require_POST
def call_off_occurrence(request: HttpRequest, pk: int, at: str) -> HttpResponse:
    """Call one occurrence off."""
    person, record, found = _found(request, pk, at)
    done = _("Called off. The next run takes the day out of the series in the mailbox; nobody is told by it.")
    return _done(request, record, found, lambda now: occurrences.call_off(pk, found.original, by=person, now=now), done)


@require_POST
def take_back_occurrence(request: HttpRequest, pk: int, at: str) -> HttpResponse:
    """Have one occurrence be as its series has it."""
    person, record, found = _found(request, pk, at)
    done = _("The day is as the series has it again. The next run brings that to the mailbox.")
    return _done(
        request, record, found, lambda now: occurrences.take_back(pk, found.original, by=person, now=now), done
    )


def _done(
    request: HttpRequest, record: Appointment, found: Occurrence, act: Callable[[datetime], None], said: str
) -> HttpResponse:
    try:
        act(timezone.now())
    except occurrences.NotPossible as error:
        return _shown(request, record, found, _form(found), why=str(REFUSALS[error.why]), status=400)
    messages.success(request, said)
    return HttpResponseRedirect(reverse("appointment", args=[record.pk]))
