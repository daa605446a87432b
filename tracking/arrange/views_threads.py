"""What people do to a thread: say what it is regarding, split it and join it again, stop it and take it up again.

Each act is shown before it is done, asks why, and stands in the thread's history afterwards.
"""

from collections.abc import Iterable
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

from crmsync_site.ui.listing import number_in
from crmsync_site.ui.listing import words as words_in
from mailboxes.access_rules import may_sync
from mailboxes.claims import AlreadyRunning
from mailboxes.issues import issue_of
from mailboxes.models import Mailbox
from mailboxes.states import Intent
from security import privileges
from security.access import get_visible_or_404, visible
from security.http import signed_in
from security.models import User
from tracking.access_rules import may_arrange
from tracking.arrange import history, regarding, splits, stops
from tracking.arrange import pages_addresses as address_pages
from tracking.arrange import pages_threads as arrange_pages
from tracking.dryrun.closed import Closed
from tracking.engine import foreground
from tracking.models import Activity, ItemDecision, Thread, ThreadStop
from tracking.records.links import MODELS, RecordLink, links, record_in

# Messages that are read again by one press, and how long it waits for a run that is under way.
_MOST_READ = 200
_WAIT_S = 5.0


def _thread(request: HttpRequest, pk: int) -> tuple[User, Thread]:
    person = signed_in(request)
    return person, get_visible_or_404(person, Thread, pk=pk)


def _may_begin(person: User, thread: Thread) -> None:
    """Refuse whoever may arrange nothing of this thread."""
    if not (person.has_perm(privileges.MANAGE_THREADS) or arrange_pages.own_mailboxes(person, thread).exists()):
        raise PermissionDenied


def _subject(person: User, thread: Thread) -> str:
    return arrange_pages.subjects(person, [thread]).get(thread.pk, "")


def _back(pk: int) -> HttpResponseRedirect:
    return HttpResponseRedirect(reverse("thread", args=[pk]))


# -- regarding


def _message(person: User, thread: Thread, text: str) -> Activity | None:
    number = number_in(text)
    return visible(person, Activity).filter(thread=thread, pk=number).first() if number is not None else None


def _about(person: User, message: Activity | None) -> Iterable[RecordLink]:
    return links(person, [(message.regarding_kind, message.regarding_id)]).values() if message else ()


@require_GET
def thread_regarding(request: HttpRequest, pk: int) -> HttpResponse:
    """Find the record that a thread, or its message `message`, is about."""
    person, thread = _thread(request, pk)
    _may_begin(person, thread)
    message = _message(person, thread, request.GET.get("message", ""))
    current = message or visible(person, Activity).filter(thread=thread).order_by("-received_at", "-pk").first()
    words = words_in(request.GET, "q")
    found = address_pages.find_records(person, words, kinds=MODELS)
    context: dict[str, Any] = {
        "thread": thread,
        "subject": _subject(person, thread),
        "message": message,
        "current": current,
        "is_about": next(iter(_about(person, current)), None),
        "words": words,
        "found": found,
        "why": request.GET.get("why", ""),
        "why_characters": history.WHY_CHARACTERS,
    }
    return render(request, "tracking/thread_regarding.html", context)


@require_POST
def set_regarding(request: HttpRequest, pk: int) -> HttpResponse:
    """Have a thread, or its message `message`, be about `record`, or about nothing."""
    person, thread = _thread(request, pk)
    _may_begin(person, thread)
    message = _message(person, thread, request.POST.get("message", ""))
    whole = request.POST.get("scope", "") != "message" or message is None
    mine = visible(person, Activity).filter(thread=thread)
    if not whole and message is not None:
        mine = mine.filter(pk=message.pk)
    if not person.has_perm(privileges.MANAGE_THREADS):
        mine = mine.filter(holders__mailbox__owner=person).distinct()
    ids = list(mine.values_list("pk", flat=True))
    if not ids:
        raise PermissionDenied
    answer = request.POST.get("record", "")
    record = record_in(answer)
    seen = record is not None and visible(person, MODELS[record.kind]).filter(pk=record.id).exists()
    if not seen and answer != "none":
        messages.error(request, _("Nothing was changed: search for a record and choose it, or choose “nothing”."))
        at = reverse("thread_regarding", args=[pk])
        return HttpResponseRedirect(f"{at}?message={message.pk}" if message and not whole else at)
    try:
        count = regarding.set_by_hand(
            thread, ids, record, by=person.get_username(), why=request.POST.get("why", ""), now=timezone.now()
        )
    except regarding.NotThere:
        messages.error(request, _("Nothing was changed: the messages are in another thread by now."))
    else:
        text = ngettext("Set for %(n)s message.", "Set for %(n)s messages.", count) % {"n": count}
        messages.success(request, f"{text} {_('No folder and no later mail changes it.')}")
    return _back(pk)


# -- split, join


def _split_page(request: HttpRequest, person: User, thread: Thread, **more: Any) -> HttpResponse:
    chosen, first = more.pop("chosen", None), more.pop("first", None)
    pieces = arrange_pages.pieces(person, thread, chosen, first)
    context = {
        "thread": thread,
        "subject": next((piece.activity.subject for piece in pieces), ""),
        "pieces": pieces,
        "why_characters": history.WHY_CHARACTERS,
        **more,
    }
    return render(request, "tracking/split_thread.html", context, status=400 if more.get("error") else 200)


@require_GET
def split_thread(request: HttpRequest, pk: int) -> HttpResponse:
    """Choose what goes into a thread of its own; `first`: from this message on."""
    person, thread = _thread(request, pk)
    _may_begin(person, thread)
    return _split_page(request, person, thread, first=number_in(request.GET.get("first", "")))


@require_POST
def split_off(request: HttpRequest, pk: int) -> HttpResponse:
    """Move the messages named by `message` into a thread of their own, for the reason in `why`."""
    person, thread = _thread(request, pk)
    _may_begin(person, thread)
    wanted = {number for text in request.POST.getlist("message") if (number := number_in(text)) is not None}
    ids = set(visible(person, Activity).filter(thread=thread, pk__in=wanted).values_list("pk", flat=True))
    why = request.POST.get("why", "")
    again = {"chosen": wanted, "why": why}
    if not ids:
        return _split_page(request, person, thread, **again, error=_("Choose at least one message."))
    if not may_arrange(person, ids):
        raise PermissionDenied
    if not history.clean(why):
        return _split_page(request, person, thread, **again, error=_("Say in a few words why."))
    try:
        new = splits.split(thread, ids, by=person.get_username(), why=why, now=timezone.now())
    except splits.NotPossible:
        text = _("Nothing was split: at least one message must stay, and none may have moved in the meantime.")
        return _split_page(request, person, thread, **again, error=text)
    messages.success(request, _("Split. This is the new thread; replies to its messages come here."))
    return _back(new.pk)


@require_POST
def join_thread(request: HttpRequest, pk: int) -> HttpResponse:
    """Join this thread and `other`, which were split, for the reason in `why`."""
    person, thread = _thread(request, pk)
    other = get_visible_or_404(person, Thread, pk=number_in(request.POST.get("other", "")) or 0)
    if not arrange_pages.may_join(person, thread, other):
        raise PermissionDenied
    try:
        joined = splits.join(
            thread, other, by=person.get_username(), why=request.POST.get("why", ""), now=timezone.now()
        )
    except splits.NotPossible:
        messages.info(request, _("Nothing was joined: it was done in the meantime."))
        return HttpResponseRedirect(reverse("threads"))
    messages.success(request, _("The two are one thread again."))
    return _back(joined.pk)


# -- stop, take up again


@require_GET
def stop_thread(request: HttpRequest, pk: int) -> HttpResponse:
    """Ask whether no more of a thread is to be tracked, and from which mailbox."""
    person, thread = _thread(request, pk)
    _may_begin(person, thread)
    return _stop_page(request, person, thread)


def _stop_page(request: HttpRequest, person: User, thread: Thread, **more: Any) -> HttpResponse:
    context = {
        "thread": thread,
        "subject": _subject(person, thread),
        "boxes": list(arrange_pages.own_mailboxes(person, thread).order_by("address")),
        "everywhere": person.has_perm(privileges.MANAGE_THREADS),
        "why_characters": history.WHY_CHARACTERS,
        **more,
    }
    return render(request, "tracking/stop_thread.html", context, status=400 if more.get("error") else 200)


@require_POST
def stop_now(request: HttpRequest, pk: int) -> HttpResponse:
    """Stop the thread for the mailbox `scope`, or for `all`, for the reason in `why`."""
    person, thread = _thread(request, pk)
    _may_begin(person, thread)
    why = request.POST.get("why", "")
    boxes = {str(box.pk): box for box in arrange_pages.own_mailboxes(person, thread).order_by("address")}
    # What the form has chosen to begin with.
    scope = request.POST.get("scope", next(iter(boxes), "all"))
    mailbox = boxes.get(scope)
    if scope != "all":
        if mailbox is None:
            return _stop_page(request, person, thread, why=why, error=_("Choose where it is to be stopped."))
    elif not person.has_perm(privileges.MANAGE_THREADS):
        raise PermissionDenied
    try:
        stops.stop(thread, mailbox=mailbox, by=person.get_username(), why=why, now=timezone.now())
    except stops.AlreadySo:
        messages.info(request, _("It was stopped already."))
    else:
        messages.success(request, _("Stopped. What is tracked stays; no more is added. You can take that back here."))
    return _back(pk)


def _stop_of(request: HttpRequest, thread: Thread) -> tuple[User, ThreadStop]:
    person = signed_in(request)
    stop = get_visible_or_404(person, ThreadStop, pk=number_in(request.POST.get("stop", "")) or 0, thread=thread)
    own = stop.mailbox is not None and stop.mailbox.owner_id == person.pk
    if not (own or person.has_perm(privileges.MANAGE_THREADS)):
        raise PermissionDenied
    return person, stop


@require_POST
def resume_thread(request: HttpRequest, pk: int) -> HttpResponse:
    """Take the stop `stop` back."""
    _person, thread = _thread(request, pk)
    person, stop = _stop_of(request, thread)
    try:
        stops.resume(stop, by=person.get_username(), why=request.POST.get("why", ""), now=timezone.now())
    except stops.AlreadySo:
        messages.info(request, _("It was taken up again already."))
    else:
        count = stops.refused([stop]).filter(mailbox__in=visible(person, Mailbox)).count()
        text = _("Taken up again: what comes from now on is tracked as before.")
        if count:
            left = ngettext(
                "%(n)s message was refused meanwhile; you can have it read again below.",
                "%(n)s messages were refused meanwhile; you can have them read again below.",
                count,
            )
            text = f"{text} {left % {'n': count}}"
        messages.success(request, text)
    return _back(pk)


@require_POST
def evaluate_stopped(request: HttpRequest, pk: int) -> HttpResponse:
    """Read what was refused because of the stop `stop` again from the mail server, and decide anew."""
    _person, thread = _thread(request, pk)
    person, stop = _stop_of(request, thread)
    found = list(
        stops.refused([stop])
        .filter(mailbox__in=visible(person, Mailbox))
        .select_related("folder")
        .order_by("pk")[:_MOST_READ]
    )
    boxes = Mailbox.objects.select_related("server", "sync_profile", "owner").in_bulk(
        {each.mailbox_id for each in found}
    )
    tracked, trouble = 0, []
    for box_id, mailbox in boxes.items():
        if not may_sync(person, mailbox):
            continue
        try:
            tracked += _read_again(mailbox, [each for each in found if each.mailbox_id == box_id])
        except _Trouble as error:
            trouble.append(str(error))
    for text in trouble:
        messages.error(request, text)
    if not trouble:
        text = ngettext("%(n)s message is tracked now.", "%(n)s messages are tracked now.", tracked)
        messages.success(request, text % {"n": tracked})
    return _back(pk)


class _Trouble(Exception):
    """The mailbox is not to be read now, or busy, or its server does not answer; in words."""


def _refuse_what_no_run_would_read(mailbox: Mailbox) -> None:
    """Raise `_Trouble` for a mailbox that is switched off, and where signing in waits for a person: trying locks accounts."""
    if mailbox.intent != Intent.ON or not mailbox.incoming:
        text = _(
            "%(mailbox)s is not switched on, so nothing is read of it. An administrator can switch it on, or its mail."
        )
        raise _Trouble(text % {"mailbox": mailbox.address})
    issue = issue_of(Closed(timezone.now()).why(mailbox), server=str(mailbox.server), mailbox=mailbox.address)
    if issue is not None:
        text = _("%(mailbox)s was not read. %(sentence)s %(remedy)s")
        raise _Trouble(text % {"mailbox": mailbox.address, "sentence": issue.sentence, "remedy": issue.remedy})


def _read_again(mailbox: Mailbox, decisions: list[ItemDecision]) -> int:
    _refuse_what_no_run_would_read(mailbox)
    clock = timezone.now
    later = _("%(mailbox)s could not be read just now; nothing was lost. Try again in a minute.")
    try:
        _run, report = foreground.beside(
            mailbox,
            lambda run, provider, beat: stops.evaluate(run, provider, decisions, clock=clock, beat=beat),
            clock=clock,
            wait_s=_WAIT_S,
        )
    except AlreadyRunning as error:
        raise _Trouble(later % {"mailbox": mailbox.address}) from error
    if report.error is not None:
        raise _Trouble(later % {"mailbox": mailbox.address})
    return report.tracked
