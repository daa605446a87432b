"""Personal options: what the owner of a mailbox chooses, where each setting comes from, and which channels are on (S27)."""

from typing import Any

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_GET, require_POST

from mailboxes import queries_list, queries_page
from mailboxes.access_rules import may_sync
from mailboxes.models import Mailbox
from mailboxes.states import Track
from security import privileges
from security.http import signed_in
from security.models import User
from tracking import channels
from tracking.engine import category
from tracking.personal import options
from tracking.personal import pages as options_pages
from tracking.personal.forms import TRACK_WORDS, CategoryForm, TrackForm


def frame(person: User, mailbox: Mailbox) -> dict[str, Any]:
    """Return what every page of one mailbox needs."""
    return {
        "mailbox": mailbox,
        "row": queries_page.header(mailbox, timezone.now()),
        "may_sync": may_sync(person, mailbox),
        "own": mailbox.owner_id == person.pk,
    }


def changeable(request: HttpRequest, pk: int) -> tuple[User, Mailbox]:
    """Return the mailbox if this person may choose for it: its owner, and who may switch it on and off."""
    person = signed_in(request)
    mailbox = queries_list.mailbox_or_404(person, pk)
    if not may_sync(person, mailbox):
        raise PermissionDenied
    return person, mailbox


@require_GET
def personal_options(request: HttpRequest, pk: int) -> HttpResponse:
    """Show what is chosen for a mailbox."""
    person = signed_in(request)
    return _page(request, person, queries_list.mailbox_or_404(person, pk))


def _page(request: HttpRequest, person: User, mailbox: Mailbox, form: CategoryForm | None = None) -> HttpResponse:
    row = category.row_of(mailbox)
    folders = options_pages.folders_of(person, mailbox)
    setting = options.track_of(mailbox)
    context = frame(person, mailbox) | {
        "setting": setting,
        "tracks": [(value, label, TRACK_WORDS[value]) for value, label in Track.choices],
        "category": row,
        "form": form or CategoryForm(initial={"mail": row.mail, "name": row.name}),
        "rules": options_pages.rules(person, mailbox, folders),
        "channels": channels.rows(mailbox),
        "may_lock": person.has_perm(privileges.MANAGE_POLICY),
    }
    return render(request, "tracking/options.html", context, status=400 if form is not None else 200)


@require_POST
def save_track(request: HttpRequest, pk: int) -> HttpResponse:
    """Choose the tracking option; empty: as the sync profile says."""
    person, mailbox = changeable(request, pk)
    form = TrackForm(request.POST)
    if not form.is_valid():
        messages.error(request, _("There is no such tracking option. Nothing was changed."))
        return HttpResponseRedirect(reverse("personal_options", args=[pk]))
    track = form.cleaned_data["track"]
    try:
        options.choose_track(mailbox, Track(track) if track else None, by=person.get_username())
    except options.Locked:
        messages.error(request, _("The sync profile locks the tracking option. Nothing was changed."))
    else:
        messages.success(request, _("This holds for mail that comes from now on; what was decided stays."))
    return HttpResponseRedirect(reverse("personal_options", args=[pk]))


@require_POST
def save_category(request: HttpRequest, pk: int) -> HttpResponse:
    """Switch tracking of mail by category, and name the category."""
    person, mailbox = changeable(request, pk)
    form = CategoryForm(request.POST, untrackable=category.row_of(mailbox).untrackable)
    if not form.is_valid():
        return _page(request, person, mailbox, form)
    on = form.cleaned_data["mail"]
    category.switch(mailbox, mail=on, name=form.cleaned_data["name"], now=timezone.now())
    messages.success(
        request,
        _("Mail that gets the category from now on is tracked. It stands in Outlook after the next run.")
        if on
        else _("The category asks for no mail any more. What is tracked stays."),
    )
    return HttpResponseRedirect(reverse("personal_options", args=[pk]))


@require_POST
def lock_track(request: HttpRequest, pk: int) -> HttpResponse:
    """Keep every mailbox with this one's sync profile from choosing a tracking option (`on`), or let them again."""
    person = signed_in(request)
    mailbox = queries_list.mailbox_or_404(person, pk)
    if not person.has_perm(privileges.MANAGE_POLICY):
        raise PermissionDenied
    locked = request.POST.get("on") == "1"
    overruled = options.lock_track(mailbox.sync_profile, locked=locked, by=person.get_username())
    if locked:
        text = ngettext(
            "Locked. %(n)d mailbox had a choice of its own, which does not count while this holds.",
            "Locked. %(n)d mailboxes had a choice of their own, which does not count while this holds.",
            overruled,
        ) % {"n": overruled}
    else:
        text = _("Unlocked. What mailboxes had chosen counts again.")
    messages.success(request, text)
    return HttpResponseRedirect(reverse("personal_options", args=[pk]))
