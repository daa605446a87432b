"""The page of what flows: the three channels; of appointments, contacts and tasks the brake and conflicts."""

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_POST

from mailboxes import queries_list, queries_page
from mailboxes.access_rules import may_sync
from security import privileges
from security.access import get_visible_or_404
from security.http import signed_in
from tracking import channels
from tracking.channels import Channel
from tracking.linked import pages as linked_pages
from tracking.linked import pages_files, settle, skipped
from tracking.models import FieldConflict, LinkState


@require_GET
def in_step(request: HttpRequest, pk: int) -> HttpResponse:
    """Show what is kept in step, what the brake holds, what both sides changed, what stayed where it was."""
    person = signed_in(request)
    mailbox = queries_list.mailbox_or_404(person, pk)
    held, refused = pages_files.on_one_side(person, mailbox)
    context = {
        "mailbox": mailbox,
        "row": queries_page.header(mailbox, timezone.now()),
        "may_sync": may_sync(person, mailbox),
        "may_switch": person.has_perm(privileges.APPROVE_MAILBOXES),
        "channels": channels.rows(mailbox),
        "kinds": linked_pages.kinds(person, mailbox),
        "skipped": skipped.skipped(person, mailbox),
        "conflicts": linked_pages.conflicts(person, mailbox),
        "not_written": [*linked_pages.not_written(person, mailbox), *refused],
        "held_back": [*linked_pages.held_back(person, mailbox), *held],
    }
    return render(request, "tracking/in_step.html", context)


@require_POST
def switch_channel(request: HttpRequest, pk: int, channel: str) -> HttpResponse:
    """Switch a channel `on` or off: for who approves mailboxes (S15)."""
    person = signed_in(request)
    mailbox = queries_list.mailbox_or_404(person, pk)
    if not person.has_perm(privileges.APPROVE_MAILBOXES):
        raise PermissionDenied
    if channel not in list(Channel):
        raise Http404
    one, on = Channel(channel), request.POST.get("on") == "1"
    channels.switch(mailbox, one, on=on, by=person.get_username(), now=timezone.now())
    text = _("%(channel)s: switched on. The next run sees to it.") if on else _("%(channel)s: switched off.")
    messages.success(request, text % {"channel": channels.WORDS[one].name})
    return HttpResponseRedirect(reverse("in_step", args=[pk]))


@require_POST
def release_brake(request: HttpRequest, pk: int, state: int) -> HttpResponse:
    """Let the next run delete what the brake holds."""
    person = signed_in(request)
    mailbox = queries_list.mailbox_or_404(person, pk)
    if not may_sync(person, mailbox):
        raise PermissionDenied
    held = get_visible_or_404(person, LinkState, pk=state, mailbox=mailbox)
    try:
        settle.release_brake(held, seen=request.POST.get("seen", ""), by=person.get_username(), now=timezone.now())
    except settle.ListChanged:
        messages.warning(
            request, _("Nothing is deleted: the list has changed since you looked at it. Look at it again below.")
        )
    except settle.NotPossible:
        messages.info(request, _("The brake does not hold any more."))
    else:
        messages.success(request, _("The next run deletes what is listed, if it still would."))
    return HttpResponseRedirect(reverse("in_step", args=[pk]))


@require_POST
def take_other(request: HttpRequest, pk: int, conflict: int) -> HttpResponse:
    """Have the value back that gave way."""
    person = signed_in(request)
    mailbox = queries_list.mailbox_or_404(person, pk)
    found = get_visible_or_404(person, FieldConflict, pk=conflict, link__mailbox=mailbox)
    try:
        settle.take_other(found, by=person, now=timezone.now())
    except settle.NotPossible:
        messages.error(
            request, _("Nothing was changed: the record is gone, or you may not change it, or it was settled.")
        )
    else:
        messages.success(request, _("The other value stands again. The next run brings it to the mailbox."))
    return HttpResponseRedirect(reverse("in_step", args=[pk]))
