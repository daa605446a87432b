"""Pages of addresses: whose one is that several records have, what was remembered, and who writes and is not known."""

from typing import Any

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase, HttpResponseRedirect
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_GET, require_POST

from crmsync_site.ui.downloads import csv_response
from crmsync_site.ui.listing import number_in, numbered, sorting
from crmsync_site.ui.listing import words as words_in
from crmsync_site.ui.templatetags.ui import exact
from security import privileges
from security.access import get_visible_or_404, visible
from security.http import signed_in
from security.models import User
from tracking.arrange import ambiguities, unknown_senders
from tracking.arrange import pages_addresses as address_pages
from tracking.models import AddressChoice, IgnoredDomain, UnknownSender
from tracking.models.activity import RecordKind
from tracking.models.record import Reachable
from tracking.records.links import MODELS, record_in

# Rows of one CSV: what a spreadsheet opens.
_CSV_ROWS = 50_000
# Settled together at most by one press.
_MOST = 500
State = UnknownSender.State
# Kinds that an address can be added to.
_WITH_ADDRESS = (RecordKind.CONTACT, RecordKind.LEAD, RecordKind.ACCOUNT)


def _tabs(person: User) -> dict[str, Any]:
    return {"waiting": address_pages.waiting(person)}


@require_GET
def ambiguous(request: HttpRequest) -> HttpResponse:
    """List the addresses that several records have, with the records side by side."""
    person = signed_in(request)
    page = numbered(request.GET, address_pages.ambiguities_of(person), size=address_pages.GROUPS_SHOWN)
    context = {
        **_tabs(person),
        "page": page,
        "rows": address_pages.as_ambiguities(person, list(page)),
        "owners": address_pages.by_owner(person),
    }
    return render(request, "tracking/ambiguities.html", context)


@require_GET
def addresses_waiting(request: HttpRequest) -> HttpResponse:
    """Return how much waits for this person, as the badge of the main menu."""
    return render(request, "tracking/_addresses_waiting.html", _tabs(signed_in(request)))


@require_POST
def settle_address(request: HttpRequest) -> HttpResponse:
    """Say whose `address` is in the mail of `owner`: `record`, or none; for a message, its thread, or from now on."""
    person = signed_in(request)
    given = request.POST.get("owner", "")
    owner = User.objects.filter(pk=number_in(given) or 0).first() if given else person
    if owner is None:
        raise Http404
    address = request.POST.get("address", "").replace("\x00", "")
    answer, scope = request.POST.get("record", ""), request.POST.get("scope", "")
    record = record_in(answer)
    message = ambiguities.open_for(person).filter(activity=number_in(request.POST.get("message", ""))).first()
    if (record is None and answer != "none") or scope not in ambiguities.Scope.values:
        messages.error(request, _("Nothing was changed: choose one of the records, or “none of them”."))
    elif record is not None and not visible(person, MODELS[record.kind]).filter(pk=record.id).exists():
        messages.error(request, _("Nothing was changed: that record is none of those that have the address."))
    else:
        try:
            count = ambiguities.resolve(
                person, owner, address, record, scope=scope, now=timezone.now(),
                message=message.activity_id if message else None,
                thread=message.activity.thread_id if message else None,
            )  # fmt: skip
        except ambiguities.AlreadyResolved:
            messages.info(request, _("Nothing was changed: somebody has settled it in the meantime."))
        except ambiguities.NoCandidate:
            messages.error(request, _("Nothing was changed: that record is none of those that have the address."))
        else:
            text = ngettext("Settled in %(n)s place.", "Settled in %(n)s places.", count) % {"n": count}
            if scope == ambiguities.Scope.ADDRESS:
                text += " " + _("It is remembered; you can take it back under Remembered.")
            messages.success(request, text)
    return HttpResponseRedirect(reverse("ambiguities"))


@require_GET
def address_choices(request: HttpRequest) -> HttpResponse:
    """List what was remembered, to be taken back."""
    person = signed_in(request)
    words = words_in(request.GET, "q")
    found = address_pages.choices(person)
    for word in words.split():
        found = found.filter(address__icontains=word)
    page = numbered(request.GET, found)
    context = {
        **_tabs(person),
        "words": words,
        "page": page,
        "rows": address_pages.choice_rows(person, list(page)),
    }
    return render(request, "tracking/address_choices.html", context)


@require_POST
def undo_choice(request: HttpRequest, pk: int) -> HttpResponse:
    """Forget a remembered choice."""
    person = signed_in(request)
    choice = get_visible_or_404(person, AddressChoice, pk=pk)
    if choice.owner_id != person.pk and not person.has_perm(privileges.MANAGE_THREADS):
        raise PermissionDenied
    try:
        count = ambiguities.undo(person, choice, now=timezone.now())
    except ambiguities.AlreadyResolved:
        messages.info(request, _("It was taken back already."))
    else:
        text = ngettext(
            "Forgotten. %(n)s place was decided by it and is looked at anew.",
            "Forgotten. %(n)s places were decided by it and are looked at anew.",
            count,
        )
        messages.success(request, text % {"n": count})
    return HttpResponseRedirect(reverse("address_choices"))


# -- unknown senders


def _state(request: HttpRequest) -> str:
    state = request.GET.get("state", "")
    return state if state in State.values else State.OPEN


@require_GET
def senders(request: HttpRequest) -> HttpResponse:
    """List who writes and is known to no record."""
    person, now = signed_in(request), timezone.now()
    words, state = words_in(request.GET, "q"), _state(request)
    order = sorting(request.GET, address_pages.COLUMNS, default="-last")
    page = numbered(request.GET, order.apply(address_pages.senders(person, words=words, state=state)))
    context = {
        **_tabs(person),
        "words": words,
        "state": state,
        "sorting": order,
        "page": page,
        "rows": address_pages.sender_rows(person, list(page)),
        "this_week": address_pages.new_this_week(person, now),
        "domains": address_pages.ignored_domains(person)[:_MOST] if state == State.IGNORED else [],
    }
    return render(request, "tracking/unknown_senders.html", context)


@require_GET
def senders_csv(request: HttpRequest) -> HttpResponseBase:
    """Download the list of unknown senders, as filtered and sorted."""
    person = signed_in(request)
    order = sorting(request.GET, address_pages.COLUMNS, default="-last")
    found = order.apply(address_pages.senders(person, words=words_in(request.GET, "q"), state=_state(request)))
    header = [_("address"), _("name"), _("messages"), _("first seen"), _("last seen"), _("mailbox"), _("state")]
    rows = (
        [one.address, one.name, one.messages, exact(one.first_at), exact(one.last_at), one.mailbox.address,
         one.get_state_display()]
        for one in found[:_CSV_ROWS]
    )  # fmt: skip
    return csv_response(request, "unknown-senders", header, rows)


@require_POST
def settle_senders(request: HttpRequest) -> HttpResponse:
    """Do `what` with the senders named by `sender`: contact, lead, ignore, ignore_domain, again."""
    person, now = signed_in(request), timezone.now()
    ids = [number for text in request.POST.getlist("sender")[:_MOST] if (number := number_in(text)) is not None]
    found = list(
        visible(person, UnknownSender).filter(pk__in=ids).select_related("mailbox__owner", "mailbox__sync_profile")
    )
    chosen = [sender for sender in found if unknown_senders.may_settle(person, sender)]
    if found and not chosen:
        raise PermissionDenied
    what, by = request.POST.get("what", ""), person.get_username()
    if not chosen:
        messages.error(request, _("Nothing was changed: choose at least one sender."))
    elif what in (RecordKind.CONTACT, RecordKind.LEAD):
        _accept(request, chosen, what, by)
    elif what in ("ignore", "ignore_domain"):
        count = unknown_senders.ignore(chosen, domain=what == "ignore_domain", by=by, now=now)
        text = ngettext("%(n)s sender is ignored from now on.", "%(n)s senders are ignored from now on.", count)
        messages.success(request, text % {"n": count})
    elif what == "again":
        _list_again(request, chosen, by)
    else:
        messages.error(request, _("Nothing was changed: choose what is to become of them."))
    back = reverse("unknown_senders")
    return HttpResponseRedirect(f"{back}?state=ignored" if what == "again" else back)


def _accept(request: HttpRequest, chosen: list[UnknownSender], kind: str, by: str) -> None:
    made, linked, left = 0, 0, 0
    for sender in chosen:
        try:
            _ref, count = unknown_senders.accept(sender, kind, by=by, now=timezone.now())
        except unknown_senders.NotPossible:
            left += 1
        else:
            made, linked = made + 1, linked + count
    if made:
        text = ngettext("%(n)s sender was accepted.", "%(n)s senders were accepted.", made) % {"n": made}
        places = ngettext(
            "%(n)s place in tracked mail was linked.", "%(n)s places in tracked mail were linked.", linked
        )
        messages.success(request, f"{text} {places % {'n': linked}}")
    if left:
        text = ngettext(
            "%(n)s sender was left alone: settled in the meantime, or several records have the address by now.",
            "%(n)s senders were left alone: settled in the meantime, or several records have the address by now.",
            left,
        )
        messages.info(request, text % {"n": left})


def _list_again(request: HttpRequest, chosen: list[UnknownSender], by: str) -> None:
    count = 0
    for sender in chosen:
        try:
            unknown_senders.list_again(sender, by=by, now=timezone.now())
        except unknown_senders.NotPossible:
            continue
        count += 1
    text = ngettext("%(n)s sender is listed again.", "%(n)s senders are listed again.", count)
    messages.success(request, text % {"n": count})


@require_POST
def listen_again(request: HttpRequest, pk: int) -> HttpResponse:
    """Ignore a domain no more."""
    person = signed_in(request)
    domain = get_visible_or_404(person, IgnoredDomain, pk=pk)
    if domain.mailbox.owner_id != person.pk and not person.has_perm(privileges.MANAGE_THREADS):
        raise PermissionDenied
    unknown_senders.listen_again(domain)
    messages.success(request, _("Whoever writes from there is listed from now on."))
    return HttpResponseRedirect(reverse("unknown_senders") + "?state=ignored")


def _sender(request: HttpRequest, pk: int) -> tuple[User, UnknownSender]:
    person = signed_in(request)
    sender = get_visible_or_404(person, UnknownSender, pk=pk)
    if not unknown_senders.may_settle(person, sender):
        raise PermissionDenied
    return person, sender


@require_GET
def link_sender(request: HttpRequest, pk: int) -> HttpResponse:
    """Find the record whose address a sender's is."""
    person, sender = _sender(request, pk)
    given = words_in(request.GET, "q")
    words = given if "q" in request.GET else sender.name
    context = {
        "sender": sender,
        "words": words,
        "found": address_pages.find_records(
            person, words, kinds=_WITH_ADDRESS, among=lambda kind: unknown_senders.takers(person, sender, kind)
        ),
    }
    return render(request, "tracking/link_sender.html", context)


@require_POST
def link_sender_to(request: HttpRequest, pk: int) -> HttpResponse:
    """Add the sender's address to `record`, and link what is tracked of theirs."""
    person, sender = _sender(request, pk)
    ref = record_in(request.POST.get("record", ""))
    within = ref is not None and ref.kind in _WITH_ADDRESS
    record = unknown_senders.takers(person, sender, ref.kind).filter(pk=ref.id).first() if ref and within else None
    if ref is None or not isinstance(record, Reachable):
        messages.error(request, _("Nothing was changed: choose one of the records."))
        return HttpResponseRedirect(reverse("link_sender", args=[pk]))
    try:
        count = unknown_senders.link(sender, ref.kind, record, by=person.get_username(), now=timezone.now())
    except unknown_senders.NotPossible as error:
        if error.code == "full":
            messages.error(
                request, _("Nothing was changed: that record has three addresses already. Free one, or choose another.")
            )
            return HttpResponseRedirect(reverse("link_sender", args=[pk]))
        messages.info(request, _("Nothing was changed: somebody has settled it in the meantime."))
    else:
        text = ngettext(
            "The address was added. %(n)s place in tracked mail was linked.",
            "The address was added. %(n)s places in tracked mail were linked.",
            count,
        )
        messages.success(request, text % {"n": count})
    return HttpResponseRedirect(reverse("unknown_senders"))
