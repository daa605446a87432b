"""The page of failed items: those set aside, those given up, those that healed; and what people can do about each."""

from typing import Any

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect, JsonResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_GET, require_POST
from redis import RedisError

from crmsync_site.ui.listing import keyset
from mailboxes import queries_list, queries_page
from mailboxes.access_rules import may_sync
from mailboxes.models import Mailbox
from security.access import Person, get_visible_or_404, visible
from security.http import signed_in
from tracking import actions
from tracking.decisions import pages as mailbox_pages
from tracking.models import ItemFailure
from tracking.repair import quarantine

# Tried together at most by one press: the rest has its own time.
_MOST = 500


@require_GET
def failed_items(request: HttpRequest, pk: int) -> HttpResponse:
    """List the items of a mailbox that failed: unresolved, or `show=discarded`, or `show=healed`."""
    person = signed_in(request)
    mailbox = queries_list.mailbox_or_404(person, pk)
    show = request.GET.get("show", "")
    show = show if show in (mailbox_pages.DISCARDED, mailbox_pages.HEALED) else mailbox_pages.UNRESOLVED
    page = keyset(request.GET, mailbox_pages.failed(person, mailbox, show), field="last_at")
    context: dict[str, Any] = {
        "mailbox": mailbox,
        "row": queries_page.header(mailbox, timezone.now()),
        "may_sync": may_sync(person, mailbox),
        "show": show,
        "page": page,
        "rows": mailbox_pages.failed_rows(person, page.rows),
        "why_characters": quarantine.WHY_CHARACTERS,
    }
    return render(request, "tracking/failed_items.html", context)


def _repairable(request: HttpRequest, pk: int) -> tuple[Person, Mailbox]:
    """Return the mailbox if this person may repair it: who may start a run of it."""
    person = signed_in(request)
    mailbox = queries_list.mailbox_or_404(person, pk)
    if not may_sync(person, mailbox):
        raise PermissionDenied
    return person, mailbox


@require_POST
def retry_failed(request: HttpRequest, pk: int) -> HttpResponse:
    """Try items again now: the one named by `item`, or all that are unresolved."""
    person, mailbox = _repairable(request, pk)
    found = visible(person, ItemFailure).filter(mailbox=mailbox)
    item = request.POST.get("item", "")
    if item:
        if not (item.isascii() and item.isdigit() and len(item) < 19):
            raise Http404
        found = found.filter(pk=int(item))
    else:
        found = found.filter(resolved_at__isnull=True)
    try:
        tried = actions.retry_items(mailbox, found.order_by("pk")[:_MOST], by=person.get_username())
    except actions.NotOn:
        messages.error(request, _("This mailbox is not switched on, so nothing is tried."))
    except RedisError:
        messages.error(request, _("The queue does not answer. The items are tried with the next full pass."))
    else:
        _say(request, tried)
    return HttpResponseRedirect(reverse("failed_items", args=[pk]))


def _say(request: HttpRequest, tried: int) -> None:
    if tried:
        text = ngettext(
            "%(n)s item is tried again as soon as a worker is free.",
            "%(n)s items are tried again as soon as a worker is free.",
            tried,
        )
        messages.success(request, text % {"n": tried})
    else:
        messages.info(request, _("There is nothing to try again: it was read in the meantime, or its folder is gone."))


@require_POST
def discard_failed(request: HttpRequest, pk: int, item: int) -> HttpResponse:
    """Give an item up for the reason in `why`."""
    person, mailbox = _repairable(request, pk)
    failure = get_visible_or_404(person, ItemFailure, pk=item, mailbox=mailbox)
    try:
        quarantine.discard(failure, why=request.POST.get("why", ""), by=person.get_username(), now=timezone.now())
    except ValueError:
        messages.error(request, _("Nothing was discarded: say in a few words why."))
    except quarantine.NotSetAside:
        messages.info(request, _("Nothing was discarded: the item is not set aside any more."))
    else:
        messages.success(request, _("The item was discarded. You can take that back under Discarded."))
    return HttpResponseRedirect(reverse("failed_items", args=[pk]))


@require_GET
def export_failed(request: HttpRequest, pk: int, item: int) -> HttpResponse:
    """Download what is known of a failed item, for whoever is to look into it. Nothing of its content."""
    person = signed_in(request)
    mailbox = queries_list.mailbox_or_404(person, pk)
    failure = get_visible_or_404(person, ItemFailure, pk=item, mailbox=mailbox)
    response = JsonResponse(quarantine.export(failure), json_dumps_params={"indent": 2, "ensure_ascii": False})
    response["Content-Disposition"] = f'attachment; filename="failed-item-{failure.pk}.json"'
    return response
