"""The filter editor, and the page of an owner's own filters beside those of the sync profile that apply above them (S16)."""

from dataclasses import dataclass
from typing import Any
from uuid import uuid4

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from crmsync_site.ui.listing import words as words_in
from mailboxes import queries_list, queries_page
from mailboxes.access_rules import may_sync
from mailboxes.models import Mailbox
from mailboxes.provider.entries import EntryKind
from security.access import visible
from security.http import signed_in
from security.models import User
from tracking.engine.filter_queries import MODELS
from tracking.models import PolicyDraft, SyncFilter
from tracking.models.link import LinkedKind
from tracking.policy import drafts, typed
from tracking.policy import pages as policy_pages
from tracking.policy.document import OF_PROFILE, in_force
from tracking.policy.drafts import subject_of
from tracking.policy.examples import same_conditions, unseen
from tracking.policy.forms import HeadForm, new_filter
from tracking.policy.typed import Rows, TooMuch
from tracking.policy.views_policy import draft_or_404, home_of, revision_of, tell_outdated

# A filter that was not saved yet has this key.
NEW = "new"
_MOST_EXAMPLES = 50


# -- an owner's own


@require_GET
def own_filters(request: HttpRequest, pk: int) -> HttpResponse:
    """Show the filters of a mailbox's owner, and the system filters that apply above them."""
    person = signed_in(request)
    mailbox = queries_list.mailbox_or_404(person, pk)
    document, above = in_force(mailbox), in_force(mailbox.sync_profile)
    context = {
        "mailbox": mailbox,
        "row": queries_page.header(mailbox, timezone.now()),
        "may_sync": may_sync(person, mailbox),
        "may_edit": mailbox.owner_id == person.pk,
        "own": policy_pages.filters(document, SyncFilter.Scope.OWNER),
        "system": policy_pages.filters(above, SyncFilter.Scope.SYSTEM),
        "grid": policy_pages.grid(above),
        "drafts": policy_pages.drafts(person, mailbox),
        "changes": policy_pages.changes(person, mailbox),
    }
    return render(request, "tracking/policy/own_filters.html", context)


@require_POST
def begin_own_draft(request: HttpRequest, pk: int) -> HttpResponse:
    """Begin a change of one's own filters."""
    person = signed_in(request)
    mailbox = queries_list.mailbox_or_404(person, pk)
    if mailbox.owner_id != person.pk:
        raise PermissionDenied
    draft = drafts.begin(mailbox, by=person.get_username(), now=timezone.now())
    return HttpResponseRedirect(reverse("draft", args=[draft.pk]))


# -- the editor


@dataclass(slots=True)
class _Editing:
    """A filter on the table: as stored in the draft, or as it is being typed."""

    draft: PolicyDraft
    key: str
    stored: dict[str, Any]
    rows: Rows
    head: HeadForm
    examples: list[dict[str, Any]]
    sought: str = ""

    @property
    def kind(self) -> EntryKind:
        return EntryKind(self.stored["kind"])


@require_http_methods(["GET", "POST"])
def draft_filter(request: HttpRequest, pk: int, key: str) -> HttpResponse:
    """Show a filter of a draft, change what is being typed, or save it. Buttons send `do`; only save asks for sense."""
    person = signed_in(request)
    draft = draft_or_404(person, pk)
    stored = _stored(request, draft, key)
    if request.method == "GET":
        head = HeadForm(initial={**stored, "excludes": "1" if stored["excludes"] else "0"})
        rows = typed.of_json(EntryKind(stored["kind"]), stored["conditions"])
        return _editor(request, _Editing(draft, key, stored, rows, head, stored["examples"]))
    do, _colon, what = request.POST.get("do", "save").partition(":")
    if do == "delete":
        return _deleted(request, draft, key)
    try:
        rows = typed.of_post(EntryKind(stored["kind"]), request.POST)
    except TooMuch:
        messages.error(request, _("This is more than a filter can hold, so nothing was changed. Put the list into a field of the record, and ask for that."))  # fmt: skip
        return HttpResponseRedirect(request.get_full_path())
    editing = _Editing(
        draft, key, stored, rows, HeadForm(request.POST), _examples(person, stored, request), words_in(request.POST, "find")
    )  # fmt: skip
    if do == "save":
        return _saved(request, editing)
    _turn(person, editing, do, what)
    return _editor(request, editing)


def _stored(request: HttpRequest, draft: PolicyDraft, key: str) -> dict[str, Any]:
    """Return the filter as the draft has it, or an empty one of the kind and scope that the address names."""
    found: dict[str, Any] | None = draft.proposed["filters"].get(key)
    if found is not None:
        return found
    scope, kind = request.GET.get("scope", ""), request.GET.get("kind", "")
    allowed = [SyncFilter.Scope.OWNER] if draft.sync_profile_id is None else list(OF_PROFILE)
    if key != NEW or scope not in [each.value for each in allowed] or kind not in LinkedKind.values:
        raise Http404
    return new_filter(scope, EntryKind(kind))


def _examples(person: User, stored: dict[str, Any], request: HttpRequest) -> list[dict[str, Any]]:
    """Return the examples that the form sent: of records that the person may see, or that were examples before."""
    sent: dict[int, bool] = {}
    for text in request.POST.getlist("example")[:_MOST_EXAMPLES]:
        number, _colon, must = text.partition(":")
        if number.isascii() and number.isdigit() and len(number) < 19:
            sent[int(number)] = must == "1"
    known = {each["record"] for each in stored["examples"]}
    model = MODELS[EntryKind(stored["kind"])]
    seen = set(visible(person, model).filter(pk__in=set(sent) - known).values_list("pk", flat=True))
    return [{"record": pk, "must": must} for pk, must in sent.items() if pk in known | seen]


def _turn(person: User, editing: _Editing, do: str, what: str) -> None:
    """Do what a button says to what is being typed."""
    match do:
        case "add":
            editing.rows.add(what)
        case "group":
            editing.rows.nest(what)
        case "remove":
            editing.rows.remove(what)
        case "must" | "mustnot" | "forget" if what.isascii() and what.isdigit() and len(what) < 19:
            editing.examples = [each for each in editing.examples if each["record"] != int(what)]
            model = MODELS[editing.kind]
            if do != "forget" and visible(person, model).filter(pk=int(what)).exists():
                editing.examples.append({"record": int(what), "must": do == "must"})


def _saved(request: HttpRequest, editing: _Editing) -> HttpResponse:
    draft = editing.draft
    conditions = editing.rows.checked()
    if not editing.head.is_valid() or editing.rows.errors:
        messages.error(request, _("The filter is not saved yet: what is wrong stands beside each row."))
        return _editor(request, editing)
    if hidden := _probed(signed_in(request), editing, conditions):
        messages.error(
            request,
            ngettext(
                "Not saved: the conditions are changed, and %(n)s example is a record that you may not see. Remove that example, or have somebody who may see the record change the conditions.",
                "Not saved: the conditions are changed, and %(n)s examples are records that you may not see. Remove those examples, or have somebody who may see the records change the conditions.",
                hidden,
            ) % {"n": hidden},
        )  # fmt: skip
        return _editor(request, editing)
    changed = {**editing.stored, **editing.head.cleaned_data, "conditions": conditions, "examples": editing.examples}
    key = f"new-{uuid4().hex[:12]}" if editing.key == NEW else editing.key
    proposed = {**draft.proposed, "filters": {**draft.proposed["filters"], key: changed}}
    try:
        drafts.save(
            draft, proposed, revision=revision_of(request), by=signed_in(request).get_username(), now=timezone.now()
        )
    except drafts.Outdated:
        tell_outdated(request, draft)
        return _editor(request, editing)
    messages.success(request, _("The filter is saved in the draft. It does not count until the draft is published."))
    return HttpResponseRedirect(reverse("draft", args=[draft.pk]))


def _probed(person: User, editing: _Editing, conditions: Any) -> int:
    """Return how many examples would answer changed conditions to somebody who may not see them."""
    if same_conditions(editing.kind, conditions, editing.stored["conditions"]):
        return 0
    return len(unseen(person, editing.kind, editing.examples))


def _deleted(request: HttpRequest, draft: PolicyDraft, key: str) -> HttpResponse:
    rest = {name: each for name, each in draft.proposed["filters"].items() if name != key}
    try:
        drafts.save(
            draft, {**draft.proposed, "filters": rest}, revision=revision_of(request),
            by=signed_in(request).get_username(), now=timezone.now(),
        )  # fmt: skip
    except drafts.Outdated:
        tell_outdated(request, draft)
        return HttpResponseRedirect(request.get_full_path())
    messages.success(request, _("The filter is taken out of the draft."))
    return HttpResponseRedirect(reverse("draft", args=[draft.pk]))


def _editor(request: HttpRequest, editing: _Editing) -> HttpResponse:
    person, subject, now = signed_in(request), subject_of(editing.draft), timezone.now()
    wrong = [(row, row.error) for row in editing.rows.walk()]
    conditions = editing.rows.checked()
    complete = not editing.rows.errors
    if request.POST.get("do", "save") != "save" or request.method == "GET":
        # While rows are still being added only what was wrong when it was stored is said.
        for row, error in wrong:
            row.error = row.error if request.method == "GET" and editing.key != NEW else error
    context = {
        "draft": editing.draft,
        "home": home_of(editing.draft),
        "profile": editing.draft.sync_profile,
        "mailbox": editing.draft.mailbox,
        "key": editing.key,
        "is_new": editing.key == NEW,
        "kind": LinkedKind(editing.stored["kind"]),
        "scope": SyncFilter.Scope(editing.stored["scope"]),
        "head": editing.head,
        "group": editing.rows,
        "matches": policy_pages.matches(person, subject, editing.kind, conditions, now) if complete else None,
        "for_owner": isinstance(subject, Mailbox),
        "examples": policy_pages.examples(
            person,
            subject,
            editing.kind,
            conditions if complete else None,
            editing.stored["conditions"],
            editing.examples,
            now,
        ),
        "sought": editing.sought,
        "candidates": policy_pages.candidates(person, editing.kind, editing.sought) if editing.sought.strip() else [],
    }
    return render(request, "tracking/policy/filter.html", context)
