"""Pages of records: lists by kind, and a record with its threads."""

from django.http import HttpRequest, HttpResponse, HttpResponseBase, HttpResponseRedirect
from django.shortcuts import render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET

from crmsync_site.ui.downloads import csv_response
from crmsync_site.ui.listing import keyset, numbered, sorting
from crmsync_site.ui.listing import words as words_in
from security.access import get_visible_or_404
from security.http import signed_in
from tracking.mail import pages as thread_pages
from tracking.models.activity import RecordKind
from tracking.outgoing.pages import has_mailbox
from tracking.records import pages as record_pages

# Rows of one CSV: what a spreadsheet opens.
_CSV_ROWS = 50_000


@require_GET
def records(_request: HttpRequest) -> HttpResponse:
    """Go to the first kind of record."""
    return HttpResponseRedirect(reverse("records_of", args=[RecordKind.CONTACT]))


@require_GET
def records_of(request: HttpRequest, kind: str) -> HttpResponse:
    """List the records of a kind."""
    of, person = record_pages.kind_or_404(kind), signed_in(request)
    words = words_in(request.GET, "q")
    order = sorting(request.GET, of.columns, default="name")
    page = numbered(request.GET, order.apply(record_pages.records(person, of, words)))
    context = {
        "kind": of,
        "kinds": record_pages.KINDS.values(),
        "words": words,
        "sorting": order,
        "page": page,
        "rows": record_pages.record_rows(person, of, list(page)),
    }
    return render(request, "tracking/records.html", context)


@require_GET
def records_csv(request: HttpRequest, kind: str) -> HttpResponseBase:
    """Download the records of a kind, as filtered and sorted."""
    of, person = record_pages.kind_or_404(kind), signed_in(request)
    order = sorting(request.GET, of.columns, default="name")
    found = list(order.apply(record_pages.records(person, of, words_in(request.GET, "q")))[:_CSV_ROWS])
    header = [_("name"), _("address"), _("organisation"), _("owner"), _("threads")]
    rows = (
        [str(row.record), getattr(row.record, "email1", ""), row.besides, str(row.record.owner or ""), row.threads]
        for row in record_pages.record_rows(person, of, found)
    )
    return csv_response(request, f"{of.key}s", header, rows)


@require_GET
def record(request: HttpRequest, kind: str, pk: int) -> HttpResponse:
    """Show a record with the threads it takes part in or that are regarding it."""
    of, person = record_pages.kind_or_404(kind), signed_in(request)
    found = get_visible_or_404(person, of.model, pk=pk)
    page = keyset(request.GET, record_pages.threads_of(person, of, pk), field="last_at")
    context = {
        "kind": of,
        "record": found,
        "facts": record_pages.facts(person, of, found),
        "may_write": has_mailbox(person),
        "page": page,
        "rows": thread_pages.thread_rows(person, page.rows),
    }
    return render(request, "tracking/record.html", context)
