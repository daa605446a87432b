"""The page on which a mailbox is compared and put right: last night's counts, and reading again with a preview."""

from typing import Any

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect, QueryDict
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_POST
from redis import RedisError

from crmsync_site.ui.listing import number_in
from mailboxes import queries_list, queries_page
from mailboxes.access_rules import may_sync
from mailboxes.models import Folder, Mailbox
from security.access import visible
from security.http import signed_in
from security.models import User
from tracking import actions
from tracking.repair import pages as repair_pages
from tracking.repair import reinitialise
from tracking.repair.reinitialise import NotFollowed, What


@require_GET
def repair(request: HttpRequest, pk: int) -> HttpResponse:
    """Show what the last comparison of each followed folder came to, and what can be read again."""
    person = signed_in(request)
    mailbox = queries_list.mailbox_or_404(person, pk)
    context = _context(person, mailbox) | {"rows": repair_pages.compared(person, mailbox)}
    return render(request, "tracking/repair.html", context)


def _context(person: User, mailbox: Mailbox) -> dict[str, Any]:
    return {
        "mailbox": mailbox,
        "row": queries_page.header(mailbox, timezone.now()),
        "may_sync": may_sync(person, mailbox),
    }


def _wanted(request: HttpRequest, pk: int, asked: QueryDict) -> tuple[User, Mailbox, What, list[Folder]]:
    """Return what is to be read again: `what`, and the `folder` it is about; nonsense is not found."""
    person = signed_in(request)
    mailbox = queries_list.mailbox_or_404(person, pk)
    if not may_sync(person, mailbox):
        raise PermissionDenied
    number = number_in(asked.get("folder", ""))
    folder = visible(person, Folder).filter(mailbox=mailbox, pk=number).first() if number is not None else None
    try:
        what = What(asked.get("what", ""))
        return person, mailbox, what, reinitialise.folders_of(mailbox, what, folder)
    except (ValueError, NotFollowed) as error:
        raise Http404 from error


@require_GET
def read_again_preview(request: HttpRequest, pk: int) -> HttpResponse:
    """Show what reading again would come to, with the button to do it."""
    person, mailbox, what, folders = _wanted(request, pk, request.GET)
    previews = reinitialise.preview(folders, what)
    context = _context(person, mailbox) | {
        "what": what,
        "folder": folders[0] if what is not What.MAILBOX else None,
        "previews": previews,
        "envelopes": sum(one.reread + one.unknown for one in previews),
        "kept": sum(one.kept for one in previews),
    }
    return render(request, "tracking/read_again.html", context)


@require_POST
def read_again(request: HttpRequest, pk: int) -> HttpResponse:
    """Have it read again by a run that starts at once."""
    person, mailbox, what, folders = _wanted(request, pk, request.POST)
    try:
        actions.read_again(mailbox, folders, what, by=person.get_username())
    except actions.Busy:
        messages.warning(request, _("A run is under way. Nothing was changed; try again when it has ended."))
    except actions.NotOn:
        messages.error(request, _("This mailbox is not switched on, so nothing is read."))
    except RedisError:
        messages.warning(request, _("The queue does not answer. The next run reads it again."))
    else:
        messages.success(request, _("It is read again as soon as a worker is free."))
    return HttpResponseRedirect(reverse("repair", args=[pk]))
