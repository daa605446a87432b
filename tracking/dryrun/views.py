"""Trying a draft: what would have to be read is said first; then it is done at once, or by a worker while a page waits."""

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_POST
from redis import RedisError

from security.access import visible
from security.http import signed_in
from tracking.dryrun import pages as dryrun_pages
from tracking.dryrun import rows
from tracking.dryrun.trial import MOST_DAYS, MOST_READ
from tracking.models import DryRun
from tracking.policy import words
from tracking.policy.document import completed, in_force
from tracking.policy.drafts import subject_of
from tracking.policy.views_policy import draft_or_404, home_of

DAYS = (1, 7, 30, 90, 365)


@require_POST
def try_draft(request: HttpRequest, pk: int) -> HttpResponse:
    """Try a draft on the last `days`; when something would have to be read from Exchange, `read` must have been answered."""
    person = signed_in(request)
    draft = draft_or_404(person, pk)
    text = request.POST.get("days", "30")
    days = int(text) if text.isascii() and text.isdigit() and len(text) < 5 else 0
    if not 1 <= days <= MOST_DAYS:
        messages.error(request, _("Give a number of days from 1 to %(n)s.") % {"n": MOST_DAYS})
        return HttpResponseRedirect(reverse("draft", args=[pk]))
    now = timezone.now()
    cost = rows.trial_of(draft, days=days, now=now).cost()
    answer = request.POST.get("read", "")
    if cost.reads and answer not in ("0", "1"):
        context = {
            "draft": draft, "profile": draft.sync_profile, "mailbox": draft.mailbox, "days": days, "cost": cost,
            "most": MOST_READ, "too_many": cost.reads > MOST_READ, "home": home_of(draft),
        }  # fmt: skip
        return render(request, "tracking/policy/try_draft.html", context)
    try:
        run = rows.begin(draft, days=days, read=answer == "1", by=person, now=now, cost=cost)
    except RedisError:
        messages.error(request, _("The queue does not answer, so the dry run was not begun. Try again in a moment."))
        return HttpResponseRedirect(reverse("draft", args=[pk]))
    return HttpResponseRedirect(reverse("dry_run", args=[run.pk]))


@require_GET
def dry_run(request: HttpRequest, pk: int) -> HttpResponse:
    """Show what trying a draft came to, or how far it is."""
    person = signed_in(request)
    found = visible(person, DryRun).filter(pk=pk, expires_at__gt=timezone.now())
    run = found.select_related("draft__sync_profile", "draft__mailbox__owner", "asked_by").first()
    if run is None:
        raise Http404
    present = in_force(subject_of(run.draft))
    context = {
        "run": run,
        "draft": run.draft,
        "profile": run.draft.sync_profile,
        "mailbox": run.draft.mailbox,
        "home": home_of(run.draft),
        "changes": words.differences(present, completed(run.proposed, present)),
        "older": run.revision != run.draft.revision,
        "under_way": run.state in (DryRun.State.WAITING, DryRun.State.RUNNING),
        "shown": dryrun_pages.shown(person, run) if run.state == DryRun.State.DONE else None,
        "share": run.done / run.total if run.total else 0,
    }
    return render(request, "tracking/policy/dry_run.html", context)
