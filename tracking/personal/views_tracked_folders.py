"""Tracked folders: choose one, see what it would take, change it, pause it, take it away (S27).

Everything is a plain form whose buttons name the step, so that it works without JavaScript: find a record, look first, do it.
"""

from collections.abc import Mapping, Sequence
from functools import partial
from types import MappingProxyType
from typing import Any

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_GET, require_POST
from redis import RedisError

from crmsync_site.ui.listing import number_in
from mailboxes.connection import open_provider
from mailboxes.models import Folder, Mailbox
from security.access import get_visible_or_404
from security.models import User
from tracking import actions
from tracking.models import TrackedFolder
from tracking.personal import pages as options_pages
from tracking.personal import tracked_folders
from tracking.personal.forms import FolderForm, choices_of
from tracking.personal.views_options import changeable, frame
from tracking.sync.facts import RecordRef

_SEARCH, _PREVIEW, _SAVE = "search", "preview", "save"


@require_GET
def new_tracked_folder(request: HttpRequest, pk: int) -> HttpResponse:
    """Choose a folder."""
    person, mailbox = changeable(request, pk)
    choices = _choices(mailbox, options_pages.folders_of(person, mailbox))
    return _form(request, person, mailbox, FolderForm(folders=choices), step="")


def _choices(mailbox: Mailbox, folders: Sequence[Folder]) -> list[tuple[int, str]]:
    rules = TrackedFolder.objects.filter(mailbox=mailbox, removed_at=None)
    return choices_of(options_pages.tree(folders, frozenset(rules.values_list("folder_id", flat=True))))


@require_POST
def add_tracked_folder(request: HttpRequest, pk: int) -> HttpResponse:
    """Find a record (`step=search`), look at what the folder would take (`preview`), have it tracked (`save`)."""
    person, mailbox = changeable(request, pk)
    folders = options_pages.folders_of(person, mailbox)
    form = FolderForm(request.POST, folders=_choices(mailbox, folders))
    step = request.POST.get("step", _PREVIEW)
    if step not in (_PREVIEW, _SAVE) or not _sound(form, person, mailbox):
        return _form(request, person, mailbox, form, step=step)
    folder = next(each for each in folders if each.pk == form.cleaned_data["folder"])
    try:
        if step == _SAVE:
            tracked_folders.add(mailbox, folder, form.choice(), by=person, now=timezone.now())
            return _done(request, mailbox, person, _("Tracked from the next run on."))
        tracked_folders.refuse_if_impossible(mailbox, folder)
    except tracked_folders.NotPossible as error:
        form.add_error("folder", str(error))
        return _form(request, person, mailbox, form, step=step)
    looked = options_pages.preview(mailbox, folder, form.choice(), folders, partial(open_provider, mailbox))
    return _form(request, person, mailbox, form, step=step, more={"folder": folder, "preview": looked})


@require_GET
def tracked_folder(request: HttpRequest, pk: int, rule: int) -> HttpResponse:
    """Show a tracked folder, to be changed."""
    person, mailbox = changeable(request, pk)
    row = _rule(person, mailbox, rule)
    since = timezone.localtime(row.valid_from).date() if row.valid_from else None
    regarding = f"{row.regarding_kind}:{row.regarding_id}" if row.regarding_id else ""
    initial = {"folder": row.folder_id, "subfolders": row.subfolders, "since": since, "regarding": regarding}
    form = FolderForm(folders=[(row.folder_id, row.folder.name)], initial=initial)
    return _form(request, person, mailbox, form, step="", rule=row)


@require_POST
def change_tracked_folder(request: HttpRequest, pk: int, rule: int) -> HttpResponse:
    """Change a tracked folder; another record asks whether mail that the folder spoke for follows (`relink`)."""
    person, mailbox = changeable(request, pk)
    row = _rule(person, mailbox, rule)
    form = FolderForm(request.POST, folders=[(row.folder_id, row.folder.name)])
    step = request.POST.get("step", _SAVE)
    if step != _SAVE or not _sound(form, person, mailbox, row):
        return _form(request, person, mailbox, form, step=step, rule=row)
    choice, said = form.choice(), tracked_folders.said(row)
    other = (choice.regarding_kind, choice.regarding_id) != (row.regarding_kind, row.regarding_id)
    if other and said and "relink" not in request.POST:
        return _form(request, person, mailbox, form, step=step, rule=row, more={"said": said})
    relink = request.POST.get("relink") == "1"
    changed = tracked_folders.change(row, choice, relink=relink, by=person, now=timezone.now())
    text = _("Changed from the next run on.")
    if changed:
        text += " " + ngettext("%(n)d message follows.", "%(n)d messages follow.", changed) % {"n": changed}
    return _done(request, mailbox, person, text)


def _sound(form: FolderForm, person: User, mailbox: Mailbox, rule: TrackedFolder | None = None) -> bool:
    """Tell whether the form can be done; a record must be one that the person and the mailbox's owner may see.

    One that a rule has already may stay, whoever can see it.
    """
    if not form.is_valid():
        return False
    record = form.cleaned_data["regarding"]
    kept = rule is not None and record == RecordRef(rule.regarding_kind, rule.regarding_id or 0)
    if record is not None and not kept and not options_pages.named(person, mailbox.owner, [record]):
        form.add_error("words", _("The owner of the mailbox may not see this record, or it is gone. Find another one."))
    return not form.errors


def _form(
    request: HttpRequest,
    person: User,
    mailbox: Mailbox,
    form: FolderForm,
    *,
    step: str,
    rule: TrackedFolder | None = None,
    more: Mapping[str, Any] = MappingProxyType({}),
) -> HttpResponse:
    """Show the form with what was typed; `more`: what the folder would take, or whether mail follows."""
    words = str(form["words"].value() or "")
    found = options_pages.find_records(person, mailbox.owner, words)
    chosen = _chosen(form, person, mailbox)
    if step == _SEARCH:
        # What is typed so far is judged when it is to be done.
        form.errors.clear()
    context: dict[str, Any] = frame(person, mailbox) | {
        "form": form,
        "rule": rule,
        "found": [(f"{ref.kind}:{ref.id}", link) for ref, link in found if (ref, link) not in chosen],
        "searched": step == _SEARCH and bool(words.strip()),
        "kept": _unseen(form, rule) if not chosen else "",
        "chosen": [(f"{ref.kind}:{ref.id}", link) for ref, link in chosen],
        "said": 0,
        **more,
    }
    failed = form.is_bound and bool(form.errors)
    return render(request, "tracking/tracked_folder.html", context, status=400 if failed else 200)


def _chosen(form: FolderForm, person: User, mailbox: Mailbox) -> list[Any]:
    kind, _sep, text = str(form["regarding"].value() or "").partition(":")
    number = number_in(text)
    return [] if number is None else options_pages.named(person, mailbox.owner, [RecordRef(kind, number)])


def _unseen(form: FolderForm, rule: TrackedFolder | None) -> str:
    """Return the rule's record where the person may not see it, and did not choose another: it stays as it is."""
    kept = f"{rule.regarding_kind}:{rule.regarding_id}" if rule is not None and rule.regarding_id else ""
    return kept if kept == str(form["regarding"].value() or "") else ""


@require_POST
def pause_tracked_folder(request: HttpRequest, pk: int, rule: int) -> HttpResponse:
    """Pause a tracked folder (`on=0`), or take it up again."""
    person, mailbox = changeable(request, pk)
    paused = request.POST.get("on") == "0"
    tracked_folders.pause(_rule(person, mailbox, rule), paused=paused, by=person, now=timezone.now())
    text = _("Paused: nothing more is taken from it.") if paused else _("Taken up again from the next run on.")
    return _done(request, mailbox, person, text)


@require_POST
def remove_tracked_folder(request: HttpRequest, pk: int, rule: int) -> HttpResponse:
    """Take a rule away; what is tracked stays."""
    person, mailbox = changeable(request, pk)
    tracked_folders.remove(_rule(person, mailbox, rule), by=person, now=timezone.now())
    return _done(request, mailbox, person, _("Removed. What was tracked stays, nothing new is taken."))


def _rule(person: User, mailbox: Mailbox, pk: int) -> TrackedFolder:
    found = get_visible_or_404(person, TrackedFolder, pk=pk, mailbox=mailbox)
    if found.removed_at is not None:
        raise Http404
    return found


def _done(request: HttpRequest, mailbox: Mailbox, person: User, text: str) -> HttpResponse:
    messages.success(request, text)
    try:
        actions.sync_now(mailbox, by=person.get_username())
    except actions.NotOn:
        messages.info(request, _("This mailbox is not switched on: nothing happens before it is."))
    except RedisError:
        messages.info(request, _("The queue does not answer: the run starts when it does."))
    return HttpResponseRedirect(reverse("personal_options", args=[mailbox.pk]))
