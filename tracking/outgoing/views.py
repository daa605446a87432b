"""Pages of outgoing mail: the list with what became of each, the form to write one, and the decisions people take."""

from collections.abc import Callable, Mapping
from typing import Any
from uuid import uuid4

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_POST

from crmsync_site.ui.listing import keyset, number_in
from mailboxes.models import Mailbox
from security.access import get_visible_or_404, visible
from security.http import signed_in
from security.models import User
from tracking.models import Activity, OutgoingMail
from tracking.outgoing import decisions
from tracking.outgoing import drafts as outgoing_drafts
from tracking.outgoing import pages as outgoing_pages
from tracking.outgoing.forms import MailForm, written
from tracking.outgoing.pages import Beginning


@require_GET
def outgoing(request: HttpRequest) -> HttpResponse:
    """List outgoing mail: what is not done yet, or what `show` asks for."""
    person = signed_in(request)
    show = request.GET.get("show", "")
    show = show if show in outgoing_pages.SHOWN else ""
    page = keyset(request.GET, outgoing_pages.mails(person, show), field="state_since")
    rows = [outgoing_pages.row(person, mail) for mail in page.rows]
    context = {
        "show": show,
        "page": page,
        "rows": rows,
        "going": any(row.going for row in rows),
        "may_write": outgoing_pages.has_mailbox(person),
    }
    return render(request, "tracking/outgoing.html", context)


@require_GET
def compose(request: HttpRequest) -> HttpResponse:
    """Show the form for a new mail: to a record (`record=contact-5`), or in reply to a message (`answers=7`)."""
    person = signed_in(request)
    beginning = _beginning(person, request.GET)
    form = MailForm(initial={**beginning.fields, "once": uuid4().hex}, person=person)
    return _form(request, person, form, beginning)


@require_GET
def outgoing_mail(request: HttpRequest, pk: int) -> HttpResponse:
    """Show one mail: a draft as a form, any other with what became of it."""
    person = signed_in(request)
    mail = get_visible_or_404(person, OutgoingMail, pk=pk)
    about = (mail.regarding_kind, mail.regarding_id or 0) if mail.regarding_kind else None
    if mail.state == OutgoingMail.State.DRAFT:
        fields: dict[str, Any] = {name: written(getattr(mail, name)) for name in ("to", "cc", "bcc")}
        fields |= {"mailbox": mail.mailbox_id, "subject": mail.subject, "text": mail.text}
        form = MailForm(initial=fields, person=person, mail=mail)
        return _form(request, person, form, Beginning({}, mail.answers, about))
    context = {
        "row": outgoing_pages.row(person, mail),
        "mail": mail,
        "recipients": [
            (label, written(people))
            for label, people in ((_("To"), mail.to), (_("Copy to"), mail.cc), (_("Blind copy to"), mail.bcc))
            if people
        ],
        "files": mail.files.all(),
        "about": outgoing_pages.about_link(person, about),
        "thread": visible(person, Activity).filter(written_here=mail).values_list("thread", flat=True).first(),
    }
    return render(request, "tracking/outgoing_mail.html", context)


@require_POST
def save_mail(request: HttpRequest, pk: int | None = None) -> HttpResponse:
    """Save a draft, a new one or one's own; with `send` in the form, send it."""
    person = signed_in(request)
    mail = None
    if pk is not None:
        mail = get_visible_or_404(person, OutgoingMail, pk=pk, author=person)
        if mail.state != OutgoingMail.State.DRAFT:
            return _not_possible(request, mail)
    sending = "send" in request.POST
    form = MailForm(request.POST, request.FILES, person=person, mail=mail, sending=sending)
    beginning = _beginning(person, request.POST)
    if mail is not None:
        beginning = Beginning(
            {}, mail.answers, (mail.regarding_kind, mail.regarding_id or 0) if mail.regarding_kind else None
        )
    if not form.is_valid():
        return _form(request, person, form, beginning)
    try:
        saved = outgoing_drafts.save(
            form, author=person, answers=beginning.answers, about=beginning.about, now=timezone.now()
        )
        if sending:
            decisions.send(saved, by=person, now=timezone.now())
    except (decisions.NotPossible, decisions.NotYours):
        return _not_possible(request, mail)
    except OSError:
        form.add_error("added", _("The files could not be kept: there is no room on the disk. Nothing was sent."))
        return _form(request, person, form, beginning)
    if not sending:
        messages.success(request, _("The draft was saved."))
        return HttpResponseRedirect(reverse("outgoing_mail", args=[saved.pk]))
    _say_sent(request, saved)
    return HttpResponseRedirect(reverse("outgoing"))


_DECISIONS: Mapping[str, Callable[..., object]] = {
    "send_again": decisions.send_again,
    "was_sent": decisions.was_sent,
    "correct": decisions.correct,
    "discard": decisions.discard,
}


@require_POST
def decide_mail(request: HttpRequest, pk: int) -> HttpResponse:
    """Decide on a mail: `what` is one of send_again, was_sent, correct, discard."""
    person = signed_in(request)
    mail = get_visible_or_404(person, OutgoingMail, pk=pk)
    what = request.POST.get("what", "")
    if not decisions.may_decide(person, mail):
        raise PermissionDenied
    if what not in _DECISIONS:
        raise Http404
    try:
        made = _DECISIONS[what](mail, by=person, now=timezone.now())
    except decisions.NotPossible:
        return _not_possible(request, mail)
    if isinstance(made, OutgoingMail):
        messages.info(request, _("This is a new draft of the same words. The failed one was given up."))
        return HttpResponseRedirect(reverse("outgoing_mail", args=[made.pk]))
    texts = {
        "send_again": _("The message is sent again."),
        "was_sent": _("The message counts as sent."),
        "discard": _("The message was given up."),
    }
    messages.success(request, texts[what])
    return HttpResponseRedirect(reverse("outgoing"))


def _beginning(person: User, said: Mapping[str, str]) -> Beginning:
    """Return what a new mail begins with; what the person may not see is not there."""
    answers = number_in(said.get("answers", ""))
    if answers is not None:
        return outgoing_pages.reply(person, get_visible_or_404(person, Activity, pk=answers))
    kind, _dash, text = said.get("record", "").partition("-")
    number = number_in(text)
    if number is not None:
        found = outgoing_pages.to_record(person, kind, number)
        if found is None:
            raise Http404
        return found
    return Beginning({})


def _form(request: HttpRequest, person: User, form: MailForm, beginning: Beginning) -> HttpResponse:
    about = beginning.about
    context = {
        "form": form,
        "mail": form.mail,
        "may_write": outgoing_pages.has_mailbox(person),
        "answers": beginning.answers,
        "about": outgoing_pages.about_link(person, about),
        "record": f"{about[0]}-{about[1]}" if about and beginning.answers is None else "",
        "files": form.mail.files.all() if form.mail else [],
        "off": [
            box
            for box in Mailbox.objects.filter(owner=person).only("address", "outgoing", "intent")
            if not box.outgoing
        ],
    }
    return render(request, "tracking/compose.html", context)


def _say_sent(request: HttpRequest, mail: OutgoingMail) -> None:
    mail.refresh_from_db()
    row = outgoing_pages.row(mail.author, mail)
    if row.reason and not (mail.mailbox.outgoing and mail.mailbox.intent == "on"):
        messages.warning(request, row.reason)
    else:
        messages.success(request, _("The message is being sent. This list says when it has left."))


def _not_possible(request: HttpRequest, mail: OutgoingMail | None) -> HttpResponse:
    messages.info(request, _("Nothing was changed: the message is not as it was when you looked at it."))
    return HttpResponseRedirect(reverse("outgoing_mail", args=[mail.pk]) if mail else reverse("outgoing"))
