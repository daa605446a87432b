"""Pages for sync profiles as a whole: a new one, its name, which mailboxes follow it, the default, and its end.

Assigning mailboxes takes two steps on one address: those that were ticked are shown with what changes for them, and are
assigned when that was seen. Every step is a plain form.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from django.contrib import messages
from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext
from django.views.decorators.http import require_http_methods, require_POST

from crmsync_site.ui.listing import number_in
from mailboxes.models import Mailbox, SyncProfile
from security.access import get_visible_or_404, visible
from security.http import signed_in
from security.models import User
from tracking.policy import profiles
from tracking.policy.forms_profiles import DeleteForm, NameForm, NewProfileForm
from tracking.policy.profiles import NotPossible
from tracking.policy.views_policy import must_manage

if TYPE_CHECKING:
    from django_stubs_ext import StrOrPromise

SENTENCES: Final[Mapping[str, "StrOrPromise"]] = {
    "gone": gettext_lazy("This sync profile is not there any more."),
    "name_taken": gettext_lazy("Another sync profile has this name."),
    "in_use": gettext_lazy("Mailboxes follow it, perhaps some that you do not see. Assign them to another one first."),
    "default": gettext_lazy("New mailboxes follow it. Make another one the default first."),
}
# Mailboxes shown to be ticked; the others are found by a word of their address or owner.
SHOWN: Final = 200


def _managed(request: HttpRequest, pk: int) -> tuple[User, SyncProfile]:
    """Return who asks, and a profile that they may manage."""
    person = signed_in(request)
    profile = get_visible_or_404(person, SyncProfile, pk=pk)
    must_manage(person)
    return person, profile


def _refused(request: HttpRequest, error: NotPossible, profile: SyncProfile) -> HttpResponse:
    messages.error(request, str(SENTENCES[error.code]))
    if error.code == "gone":
        return HttpResponseRedirect(reverse("sync_profiles"))
    return HttpResponseRedirect(reverse("sync_profile", args=[profile.pk]))


@require_http_methods(["GET", "POST"])
def new_profile(request: HttpRequest) -> HttpResponse:
    """Make a sync profile, as a copy of another one or with the usual settings."""
    person = signed_in(request)
    must_manage(person)
    shown = visible(person, SyncProfile).order_by("name")
    first = number_in(request.GET.get("copy_of", ""))
    form = NewProfileForm(request.POST or None, profiles=shown, initial={"copy_of": first or None})
    if request.method == "POST" and form.is_valid():
        data = form.cleaned_data
        try:
            made = profiles.create(data["name"], copy_of=data["copy_of"], by=person.get_username(), now=timezone.now())
        except NotPossible as error:
            form.refuse(str(SENTENCES[error.code]))
        else:
            messages.success(request, _("The sync profile is made. No mailbox follows it yet."))
            return HttpResponseRedirect(reverse("sync_profile", args=[made.pk]))
    status = 422 if request.method == "POST" else 200
    return render(request, "tracking/policy/name_profile.html", {"form": form, "profile": None}, status=status)


@require_http_methods(["GET", "POST"])
def rename_profile(request: HttpRequest, pk: int) -> HttpResponse:
    """Give a sync profile another name."""
    person, profile = _managed(request, pk)
    form = NameForm(request.POST or None, initial={"name": profile.name})
    if request.method == "POST" and form.is_valid():
        try:
            profiles.rename(profile, form.cleaned_data["name"], by=person.get_username(), now=timezone.now())
        except NotPossible as error:
            if error.code != "name_taken":
                return _refused(request, error, profile)
            form.refuse(str(SENTENCES[error.code]))
        else:
            messages.success(request, _("Renamed."))
            return HttpResponseRedirect(reverse("sync_profile", args=[pk]))
    status = 422 if request.method == "POST" else 200
    return render(request, "tracking/policy/name_profile.html", {"form": form, "profile": profile}, status=status)


@require_POST
def default_profile(request: HttpRequest, pk: int) -> HttpResponse:
    """Have new mailboxes follow a sync profile."""
    person, profile = _managed(request, pk)
    try:
        changed = profiles.make_default(profile, by=person.get_username(), now=timezone.now())
    except NotPossible as error:
        return _refused(request, error, profile)
    text = (
        _("New mailboxes follow this sync profile from now on.") if changed else _("New mailboxes follow it already.")
    )
    messages.success(request, text)
    return HttpResponseRedirect(reverse("sync_profile", args=[pk]))


@require_http_methods(["GET", "POST"])
def delete_profile(request: HttpRequest, pk: int) -> HttpResponse:
    """Delete a sync profile that no mailbox follows, once its name was typed."""
    person, profile = _managed(request, pk)
    form = DeleteForm(request.POST if request.method == "POST" else None, profile=profile)
    if request.method == "POST" and form.is_valid():
        try:
            profiles.delete(profile, by=person.get_username(), now=timezone.now())
        except NotPossible as error:
            return _refused(request, error, profile)
        messages.success(request, _("%(name)s is deleted.") % {"name": profile.name})
        return HttpResponseRedirect(reverse("sync_profiles"))
    why_not = "default" if profile.is_default else ""
    if Mailbox.objects.filter(sync_profile=profile).exists():
        why_not = "in_use"
    context = {"form": form, "profile": profile, "why_not": SENTENCES.get(why_not, "")}
    return render(
        request, "tracking/policy/delete_profile.html", context, status=422 if request.method == "POST" else 200
    )


# -- mailboxes


def _to_tick(person: User, profile: SyncProfile, text: str) -> QuerySet[Mailbox]:
    """Return the mailboxes that the person sees and that follow another profile, narrowed by words."""
    rows = visible(person, Mailbox).exclude(sync_profile=profile)
    for word in text.split()[:5]:
        owner = (
            Q(owner__username__icontains=word)
            | Q(owner__first_name__icontains=word)
            | Q(owner__last_name__icontains=word)
        )
        rows = rows.filter(Q(address__icontains=word) | Q(sync_profile__name__icontains=word) | owner)
    return rows.select_related("owner", "sync_profile").defer("secret").order_by("address")


@require_http_methods(["GET", "POST"])
def assign_mailboxes(request: HttpRequest, pk: int) -> HttpResponse:
    """Tick mailboxes (GET); see what changes for them, then have them follow the profile (POST, `told`: what was seen)."""
    person, profile = _managed(request, pk)
    if request.method == "GET":
        return _ticking(request, person, profile)
    wanted = {number for number in map(number_in, request.POST.getlist("mailbox")) if number}
    chosen = visible(person, Mailbox).filter(pk__in=wanted).exclude(sync_profile=profile)
    if not chosen.exists():
        messages.warning(request, _("Tick at least one mailbox."))
        return _ticking(request, person, profile, status=422)
    if told := request.POST.get("told", ""):
        try:
            number = profiles.assign(chosen, profile, told=told, by=person.get_username(), now=timezone.now())
        except NotPossible as error:
            return _refused(request, error, profile)
        if number is not None:
            text = ngettext(
                "%(n)s mailbox follows this sync profile from its next run on.",
                "%(n)s mailboxes follow this sync profile from their next run on.",
                number,
            )
            messages.success(request, text % {"n": number})
            return HttpResponseRedirect(reverse("sync_profile", args=[pk]))
        messages.warning(request, _("Something was changed meanwhile, so nothing was assigned. Look at it again."))
    context = {"profile": profile, "preview": profiles.preview(chosen, profile)}
    return render(request, "tracking/policy/assign_preview.html", context)


def _ticking(request: HttpRequest, person: User, profile: SyncProfile, *, status: int = 200) -> HttpResponse:
    text = request.GET.get("q", "")
    rows = _to_tick(person, profile, text)
    context = {
        "profile": profile, "q": text, "boxes": list(rows[:SHOWN]), "count": rows.count(), "most": SHOWN,
        "ticked": {number_in(each) for each in request.POST.getlist("mailbox")},
    }  # fmt: skip
    return render(request, "tracking/policy/assign.html", context, status=status)


@require_POST
def try_profile(request: HttpRequest, pk: int, source: int) -> HttpResponse:
    """Begin a draft in which `source` says what the profile does, so that a dry run shows what that would come to."""
    person, profile = _managed(request, pk)
    other = get_visible_or_404(person, SyncProfile, pk=source)
    draft = profiles.trial(other, profile, by=person.get_username(), now=timezone.now())
    messages.info(
        request,
        _("This draft makes %(source)s say what %(name)s does. Try it on the last days, then throw it away: publishing it would change every mailbox of %(source)s.")
        % {"source": other.name, "name": profile.name},
    )  # fmt: skip
    return HttpResponseRedirect(reverse("draft", args=[draft.pk]))
