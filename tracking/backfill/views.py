"""Looking at mail again: a range of dates of a mailbox, or the refused mail that a record's addresses could turn.

Every step is a plain form: have it counted, see what it comes to, read it or leave it. While something goes on, the part
of the page that shows it asks for itself again.
"""

from typing import Any

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_POST
from redis import RedisError

from mailboxes import queries_list, queries_page
from mailboxes.access_rules import may_sync
from mailboxes.models import Folder, Mailbox
from security.access import get_visible_or_404, visible
from security.http import signed_in
from security.models import User
from tracking.backfill import pages, requests
from tracking.backfill.forms import RangeForm
from tracking.backfill.requests import NotPossible
from tracking.models import Backfill
from tracking.models.record import Owned
from tracking.records import pages as record_pages
from tracking.workers.transport import have_backfilled


def _begin(request: HttpRequest) -> None:
    """Have it begun at once; a queue that does not answer costs half a minute at most."""
    try:
        have_backfilled()
    except RedisError:
        messages.warning(request, _("The queue does not answer. It begins as soon as it does."))


# -- a range of a mailbox


@require_GET
def backfill(request: HttpRequest, pk: int) -> HttpResponse:
    """Show the form, the latest request with what was counted, and those before."""
    person = signed_in(request)
    mailbox = queries_list.mailbox_or_404(person, pk)
    form = RangeForm(folders=pages.folder_choices(person, mailbox))
    return render(request, "tracking/backfill.html", _context(person, mailbox, form))


def _context(person: User, mailbox: Mailbox, form: RangeForm) -> dict[str, Any]:
    latest, before = pages.of_mailbox(person, mailbox)
    return {
        "mailbox": mailbox,
        "row": queries_page.header(mailbox, timezone.now()),
        "may_sync": may_sync(person, mailbox),
        "form": form,
        "latest": latest,
        "before": before,
    }


def _allowed(request: HttpRequest, pk: int) -> tuple[User, Mailbox]:
    person = signed_in(request)
    mailbox = queries_list.mailbox_or_404(person, pk)
    if not may_sync(person, mailbox):
        raise PermissionDenied
    return person, mailbox


@require_POST
def count_range(request: HttpRequest, pk: int) -> HttpResponse:
    """Have a range counted; what cannot be meant is said beside what was typed."""
    person, mailbox = _allowed(request, pk)
    form = RangeForm(request.POST, folders=pages.folder_choices(person, mailbox))
    if form.is_valid():
        data = form.cleaned_data
        folder = visible(person, Folder).filter(mailbox=mailbox, pk=data["folder"]).first() if data["folder"] else None
        try:
            requests.of_range(
                mailbox, data["first"], data["last"], folder, by=person.get_username(), now=timezone.now()
            )
        except NotPossible as error:
            field = {"order": "last", "too_early": "first", "future": "first", "folder": "folder"}.get(error.code)
            form.add_error(field, str(pages.SENTENCES[error.code]))
        else:
            _begin(request)
            return HttpResponseRedirect(reverse("backfill", args=[pk]))
    return render(request, "tracking/backfill.html", _context(person, mailbox, form), status=422)


@require_POST
def read_backfill(request: HttpRequest, pk: int, backfill: int) -> HttpResponse:
    """Have read what was counted."""
    person, row = _own(request, pk, backfill)
    try:
        requests.confirm(row, by=person.get_username(), now=timezone.now())
    except NotPossible as error:
        messages.error(request, str(pages.SENTENCES[error.code]))
    else:
        _begin(request)
        messages.success(request, _("It is read as soon as a worker is free."))
    return _back(row)


@require_POST
def cancel_backfill(request: HttpRequest, pk: int, backfill: int) -> HttpResponse:
    """Have nothing more counted or read."""
    _person, row = _own(request, pk, backfill)
    if requests.cancel(row, timezone.now()):
        messages.success(request, _("Cancelled. What was tracked by then stays."))
    else:
        messages.warning(request, _("It has ended already."))
    return _back(row)


@require_POST
def resume_backfill(request: HttpRequest, pk: int, backfill: int) -> HttpResponse:
    """Have one that failed go on where it stopped."""
    _person, row = _own(request, pk, backfill)
    try:
        requests.resume(row, timezone.now())
    except NotPossible as error:
        messages.error(request, str(pages.SENTENCES[error.code]))
    else:
        _begin(request)
        messages.success(request, _("It goes on where it stopped, as soon as a worker is free."))
    return _back(row)


def _own(request: HttpRequest, pk: int, backfill: int) -> tuple[User, Backfill]:
    person, mailbox = _allowed(request, pk)
    return person, get_visible_or_404(person, Backfill, pk=backfill, mailbox=mailbox)


def _back(row: Backfill) -> HttpResponse:
    """Return to the page that the request was made on."""
    if row.kind == Backfill.Kind.RECORD:
        return HttpResponseRedirect(reverse("record_mail", args=[row.record_kind, row.record_id]))
    return HttpResponseRedirect(reverse("backfill", args=[row.mailbox_id]))


# -- refused mail of a record


@require_GET
def record_mail(request: HttpRequest, kind: str, pk: int) -> HttpResponse:
    """Show how much tracked mail names a record's addresses, and where refused mail could."""
    person, record = _record(request, kind, pk)
    context = {
        "kind": record_pages.kind_or_404(kind),
        "record": record,
        "mail": pages.of_record(person, kind, record),
    }
    return render(request, "tracking/record_mail.html", context)


@require_POST
def count_record_mail(request: HttpRequest, kind: str, pk: int) -> HttpResponse:
    """Have the refused mail of one mailbox (`mailbox`) counted that names one of the record's addresses."""
    person, record = _record(request, kind, pk)
    number = request.POST.get("mailbox", "")
    boxes = pages.of_record(person, kind, record).boxes
    mailbox = next((box.mailbox for box in boxes if str(box.mailbox.pk) == number), None)
    if mailbox is None:
        raise Http404
    try:
        requests.of_record(mailbox, kind, pk, by=person.get_username(), now=timezone.now())
    except NotPossible as error:
        messages.error(request, str(pages.SENTENCES[error.code]))
    else:
        _begin(request)
    return HttpResponseRedirect(reverse("record_mail", args=[kind, pk]))


def _record(request: HttpRequest, kind: str, pk: int) -> tuple[User, Owned]:
    person = signed_in(request)
    of = record_pages.kind_or_404(kind)
    if not of.reachable:
        raise Http404
    return person, get_visible_or_404(person, of.model, pk=pk)
