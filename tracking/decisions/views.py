"""Tracking's pages of a mailbox: decisions with reasons, failed items, *Sync now*."""

from collections.abc import Iterator
from typing import Any

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseBase, HttpResponseRedirect
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_http_methods
from redis import RedisError

from crmsync_site.ui.downloads import csv_response
from crmsync_site.ui.listing import PAGE_SIZE, keyset
from crmsync_site.ui.templatetags.ui import exact
from mailboxes import queries_list, queries_page
from mailboxes.access_rules import may_sync
from mailboxes.models import Mailbox
from security.http import signed_in
from tracking import actions
from tracking.decisions import pages as mailbox_pages
from tracking.decisions import reasons
from tracking.models import ItemDecision


def _context(request: HttpRequest, pk: int) -> tuple[Mailbox, dict[str, Any]]:
    person = signed_in(request)
    mailbox = queries_list.mailbox_or_404(person, pk)
    row = queries_page.header(mailbox, timezone.now())
    return mailbox, {"mailbox": mailbox, "row": row, "may_sync": may_sync(person, mailbox)}


@require_GET
def decisions(request: HttpRequest, pk: int) -> HttpResponse:
    """List what was decided for each item of a mailbox, and why; `outcome`, `reason` and `folder` narrow it.

    `size` asks for fewer (the summary's excerpt).
    """
    mailbox, context = _context(request, pk)
    person = signed_in(request)
    size, only = request.GET.get("size", ""), mailbox_pages.narrowed(person, mailbox, request.GET)
    page = keyset(
        request.GET,
        mailbox_pages.decisions(person, mailbox, only),
        field="decided_at",
        size=min(PAGE_SIZE, int(size)) if size in {"8", "20"} else PAGE_SIZE,
    )
    context |= {
        "outcomes": ItemDecision.Outcome.choices,
        "only": only,
        "page": page,
        "rows": mailbox_pages.decision_rows(person, page.rows),
    }
    return render(request, "tracking/decisions.html", context)


@require_GET
def decisions_csv(request: HttpRequest, pk: int) -> HttpResponseBase:
    """Download the decisions of a mailbox, as filtered. No subject and no address: a refusal has none."""
    mailbox, _unused = _context(request, pk)
    person = signed_in(request)
    found = mailbox_pages.decisions(person, mailbox, mailbox_pages.narrowed(person, mailbox, request.GET))
    header = [_("decided"), _("outcome"), _("reason"), _("sentence"), _("folder"), _("item id")]

    def lines() -> Iterator[list[Any]]:
        for decision in found.order_by("-decided_at", "-pk").iterator(2000):
            folder = decision.folder.name if decision.folder else ""
            sentence = reasons.sentence(decision.reason, decision.facts)
            yield [exact(decision.decided_at), decision.outcome, decision.reason, sentence, folder, decision.item_id]

    return csv_response(request, f"decisions-{mailbox.address}", header, lines())


@require_http_methods(["GET", "POST"])
def sync_now(request: HttpRequest, pk: int) -> HttpResponse:
    """POST: ask for a run now. GET (a fragment): how it gets on, the run named by `run` or any that is under way."""
    person = signed_in(request)
    mailbox = queries_list.mailbox_or_404(person, pk)
    if not may_sync(person, mailbox):
        raise PermissionDenied
    fragment = request.headers.get("HX-Request") == "true"
    if request.method == "POST":
        asked = _ask(mailbox, by=person.get_username())
        if not fragment and asked.refusal:
            messages.error(request, asked.refusal)
        elif not fragment:
            messages.success(request, _("A run was asked for. It begins as soon as a worker is free."))
    else:
        asked = mailbox_pages.asked(person, mailbox, request.GET.get("run", ""))
    if not fragment:
        return HttpResponseRedirect(reverse("mailbox", args=[pk]))
    response = render(request, "tracking/_sync_now.html", {"mailbox": mailbox, "asked": asked})
    if asked.run and not asked.going:
        response["HX-Trigger-After-Settle"] = "mailbox-changed"
    return response


def _ask(mailbox: Mailbox, *, by: str) -> mailbox_pages.Asked:
    try:
        return mailbox_pages.Asked(actions.sync_now(mailbox, by=by))
    except actions.NotOn:
        return mailbox_pages.Asked(None, _("This mailbox is not switched on, so nothing is synced."))
    except RedisError:
        return mailbox_pages.Asked(
            None, _("The queue does not answer, so no run was begun. It is tried again by itself.")
        )
