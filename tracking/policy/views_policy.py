"""The pages of sync profiles and of drafts: what is in force, what is proposed, what published when by whom."""

from django.contrib import messages
from django.core.exceptions import PermissionDenied, ValidationError
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from crmsync_site.ui.listing import number_in
from mailboxes.models import Mailbox, SyncProfile
from security import privileges
from security.access import get_visible_or_404, visible
from security.http import signed_in
from security.models import User
from tracking.models import PolicyChange, PolicyDraft, SyncFilter
from tracking.models.link import LinkedKind
from tracking.policy import drafts, templates, words
from tracking.policy import pages as policy_pages
from tracking.policy.document import completed, in_force, unsaved_profile
from tracking.policy.drafts import subject_of
from tracking.policy.forms import SettingsForm, directions_of


def must_manage(person: User) -> None:
    """Refuse who may not change sync profiles."""
    if not person.has_perm(privileges.MANAGE_POLICY):
        raise PermissionDenied


def draft_or_404(person: User, pk: int) -> PolicyDraft:
    """Return a draft that the person may work on."""
    rows = visible(person, PolicyDraft).select_related(
        "sync_profile", "mailbox__owner", "mailbox__server", "mailbox__sync_profile"
    )
    draft = rows.filter(pk=pk).first()
    if draft is None:
        raise Http404
    return draft


def revision_of(request: HttpRequest) -> int:
    """Return as of which revision the form was; 0 for nonsense, which is never the present one."""
    text = request.POST.get("revision", "")
    return int(text) if text.isascii() and text.isdigit() and len(text) < 9 else 0


def tell_outdated(request: HttpRequest, draft: PolicyDraft) -> None:
    """Say that somebody else has saved the draft meanwhile, and that nothing of what was typed is lost."""
    draft.refresh_from_db()
    messages.warning(
        request,
        _("%(who)s saved this draft meanwhile, so yours was not stored. What you typed is still here; saving again replaces theirs.")
        % {"who": draft.changed_by},
    )  # fmt: skip


def home_of(draft: PolicyDraft | PolicyChange) -> str:
    """Return the page of what a draft or change is about."""
    if draft.mailbox_id is not None:
        return reverse("own_filters", args=[draft.mailbox_id])
    return reverse("sync_profile", args=[draft.sync_profile_id])


# -- sync profiles


@require_GET
def sync_profiles(request: HttpRequest) -> HttpResponse:
    """List the sync profiles."""
    person = signed_in(request)
    context = {
        "profiles": policy_pages.profiles(person).order_by("name"),
        "may_manage": person.has_perm(privileges.MANAGE_POLICY),
        "events": policy_pages.events(person)[: policy_pages.CHANGES_SHOWN],
    }
    return render(request, "tracking/policy/sync_profiles.html", context)


@require_GET
def sync_profile(request: HttpRequest, pk: int) -> HttpResponse:
    """Show what is in force: settings, filters, directions, the mailboxes concerned, drafts, history."""
    person = signed_in(request)
    profile = get_visible_or_404(person, SyncProfile, pk=pk)
    document = in_force(profile)
    form = SettingsForm(instance=profile)
    boxes = visible(person, Mailbox).filter(sync_profile=profile)
    context = {
        "profile": profile,
        "settings": [(field.label, words.setting(field.name, document["settings"][field.name])) for field in form],
        "system": policy_pages.filters(document, SyncFilter.Scope.SYSTEM),
        "templates": policy_pages.filters(document, SyncFilter.Scope.TEMPLATE),
        "grid": policy_pages.grid(document),
        "boxes": boxes.select_related("owner")[: policy_pages.MAILBOXES_SHOWN],
        "box_count": boxes.count(),
        "drafts": policy_pages.drafts(person, profile),
        "changes": policy_pages.changes(person, profile),
        "events": policy_pages.events(person).filter(sync_profile=profile)[: policy_pages.CHANGES_SHOWN],
        "may_manage": person.has_perm(privileges.MANAGE_POLICY),
    }
    return render(request, "tracking/policy/sync_profile.html", context)


@require_POST
def begin_draft(request: HttpRequest, pk: int) -> HttpResponse:
    """Begin a change of a sync profile."""
    person = signed_in(request)
    profile = get_visible_or_404(person, SyncProfile, pk=pk)
    must_manage(person)
    draft = drafts.begin(profile, by=person.get_username(), now=timezone.now())
    return HttpResponseRedirect(reverse("draft", args=[draft.pk]))


# -- drafts


def _draft_page(request: HttpRequest, draft: PolicyDraft, form: SettingsForm | None = None) -> HttpResponse:
    person, subject = signed_in(request), subject_of(draft)
    document = completed(draft.proposed, in_force(subject))
    profile = draft.sync_profile
    if profile is not None and form is None:
        form = SettingsForm(instance=unsaved_profile(profile, document))
    scopes = (
        [(SyncFilter.Scope.OWNER, _("Your filters"))]
        if profile is None
        else [
            (SyncFilter.Scope.SYSTEM, _("System filters: they narrow what every owner’s filters let through")),
            (SyncFilter.Scope.TEMPLATE, _("Templates: what a new mailbox starts with")),
        ]
    )
    context = {
        "draft": draft,
        "home": home_of(draft),
        "profile": profile,
        "mailbox": draft.mailbox,
        "form": form,
        "filters": [
            policy_pages.Filters(scope, title, policy_pages.filters(document, scope)) for scope, title in scopes
        ],
        "kinds": LinkedKind.choices,
        "state": policy_pages.state(person, draft, timezone.now()),
        "dry_runs": policy_pages.dry_runs(person, draft),
    }
    return render(request, "tracking/policy/draft.html", context)


@require_http_methods(["GET", "POST"])
def draft(request: HttpRequest, pk: int) -> HttpResponse:
    """Show a draft, or save its settings."""
    person = signed_in(request)
    row = draft_or_404(person, pk)
    if request.method == "GET" or row.sync_profile is None:
        return _draft_page(request, row)
    form = SettingsForm(request.POST, instance=unsaved_profile(row.sync_profile, row.proposed))
    if not form.is_valid():
        return _draft_page(request, row, form)
    try:
        proposed = {**row.proposed, "settings": form.values()}
        drafts.save(row, proposed, revision=revision_of(request), by=person.get_username(), now=timezone.now())
    except drafts.Outdated:
        tell_outdated(request, row)
        return _draft_page(request, row, form)
    messages.success(request, _("The draft is saved. Nothing of it counts until it is published."))
    return HttpResponseRedirect(reverse("draft", args=[pk]))


@require_http_methods(["GET", "POST"])
def draft_directions(request: HttpRequest, pk: int) -> HttpResponse:
    """Show the grid of directions of a draft, or save it."""
    person = signed_in(request)
    row = draft_or_404(person, pk)
    if row.sync_profile is None:
        raise Http404
    document = completed(row.proposed, in_force(row.sync_profile))
    if request.method == "POST":
        try:
            document = {**document, "directions": directions_of(request.POST, document)}
            drafts.save(row, document, revision=revision_of(request), by=person.get_username(), now=timezone.now())
        except ValidationError as error:
            messages.error(request, " ".join(error.messages))
        except drafts.Outdated:
            tell_outdated(request, row)
        else:
            messages.success(request, _("The draft is saved. Nothing of it counts until it is published."))
            return HttpResponseRedirect(reverse("draft", args=[pk]))
    context = {
        "draft": row,
        "profile": row.sync_profile,
        "grid": policy_pages.grid(document),
        "choices": policy_pages.direction_choices(),
    }
    return render(request, "tracking/policy/directions.html", context)


@require_POST
def publish_draft(request: HttpRequest, pk: int) -> HttpResponse:
    """Bring a draft into force."""
    person = signed_in(request)
    row = draft_or_404(person, pk)
    try:
        drafts.publish(row, revision=revision_of(request), by=person.get_username(), now=timezone.now())
    except drafts.NotPublishable as refused:
        count = len(refused.problems) + len(refused.examples)
        messages.error(
            request,
            _("Nothing was published: %(n)s things are to be mended first. They are listed below.") % {"n": count},
        )
    except drafts.Overtaken:
        messages.error(
            request, _("Nothing was published: something else came into force meanwhile. It is listed below.")
        )
    except drafts.Outdated:
        messages.error(
            request, _("Nothing was published: somebody saved the draft after you opened this page. Look at it again.")
        )
    except drafts.NothingChanged:
        messages.info(request, _("The draft says what is in force already. Throw it away, or change something."))
    else:
        messages.success(request, _("Published. It counts from the next run of each mailbox on."))
        return HttpResponseRedirect(home_of(row))
    return HttpResponseRedirect(reverse("draft", args=[pk]))  # fmt: skip


@require_POST
def take_over_draft(request: HttpRequest, pk: int) -> HttpResponse:
    """Note that what came into force meanwhile was seen, and that the draft is a change of that."""
    person = signed_in(request)
    row = draft_or_404(person, pk)
    try:
        drafts.take_over(row, revision=revision_of(request), by=person.get_username(), now=timezone.now())
    except drafts.Outdated:
        messages.warning(request, _("Somebody saved the draft after you opened this page. Look at it again."))
    return HttpResponseRedirect(reverse("draft", args=[pk]))


@require_POST
def discard_draft(request: HttpRequest, pk: int) -> HttpResponse:
    """Throw a draft away."""
    row = draft_or_404(signed_in(request), pk)
    drafts.discard(row)
    messages.success(request, _("The draft is gone. What is in force stays as it is."))
    return HttpResponseRedirect(home_of(row))


# -- history


@require_GET
def policy_change(request: HttpRequest, pk: int) -> HttpResponse:
    """Show what one publication changed."""
    person = signed_in(request)
    change = _change_or_404(person, pk)
    context = {
        "change": change,
        "home": home_of(change),
        "differences": words.differences(change.before, change.after),
        "may_revert": _may_revert(person, change),
    }
    return render(request, "tracking/policy/change.html", context)


def _change_or_404(person: User, pk: int) -> PolicyChange:
    change = visible(person, PolicyChange).select_related("sync_profile", "mailbox__owner").filter(pk=pk).first()
    if change is None:
        raise Http404
    return change


def _may_revert(person: User, change: PolicyChange) -> bool:
    if change.mailbox is not None:
        return change.mailbox.owner_id == person.pk
    return person.has_perm(privileges.MANAGE_POLICY)


@require_POST
def revert_change(request: HttpRequest, pk: int) -> HttpResponse:
    """Make a draft that brings back what was in force before."""
    person = signed_in(request)
    change = _change_or_404(person, pk)
    if not _may_revert(person, change):
        raise PermissionDenied
    made = drafts.revert(change, by=person.get_username(), now=timezone.now())
    messages.success(request, _("This draft brings back what was in force before. Look at it, try it, and publish it."))
    return HttpResponseRedirect(reverse("draft", args=[made.pk]))


# -- templates


@require_http_methods(["GET", "POST"])
def apply_templates(request: HttpRequest, pk: int) -> HttpResponse:
    """Show what applying the templates again would change in each mailbox, or do it for those that were ticked."""
    person = signed_in(request)
    profile = get_visible_or_404(person, SyncProfile, pk=pk)
    must_manage(person)
    plans = templates.plans(profile, visible(person, Mailbox))
    if request.method == "POST":
        wanted = {number_in(text) for text in request.POST.getlist("mailbox")}
        chosen = [plan for plan in plans if plan.mailbox.pk in wanted]
        done, left = templates.apply(chosen, by=person, now=timezone.now())
        messages.success(request, _("Applied to %(n)s mailboxes.") % {"n": done})
        if left:
            messages.warning(
                request,
                _(
                    "Left as they are, since an example of the owner’s would fail, or is a record that you may not see: %(who)s. Their owners can change these filters themselves."
                )
                % {"who": ", ".join(left)},
            )
        return HttpResponseRedirect(reverse("sync_profile", args=[pk]))  # fmt: skip
    return render(request, "tracking/policy/apply_templates.html", {"profile": profile, "plans": plans})
