"""Pages of connection, runs and schedule: overview, the list of mailboxes, one mailbox and its runs."""

from collections.abc import Iterator
from typing import Any

from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET

from crmsync_site.ui.downloads import csv_response
from crmsync_site.ui.listing import keyset, numbered, sorting
from crmsync_site.ui.templatetags.ui import exact
from mailboxes import queries_list, queries_overview, queries_page
from mailboxes.access_rules import may_sync, sees_all
from mailboxes.forms import MailboxFilter, RunFilter
from mailboxes.models import Mailbox
from security.http import signed_in

# Rows that one live question may ask about: more than any screen holds.
_LIVE_ROWS = 200


@require_GET
def overview(request: HttpRequest) -> HttpResponse:
    """How things stand."""
    now, person = timezone.now(), signed_in(request)
    states = queries_overview.states(person)
    context: dict[str, Any] = {
        "states": states,
        "total": sum(state.count for state in states),
        "parts": [(state.label, state.tone, state.count) for state in states],
        "causes": queries_overview.causes(person),
        "volume": queries_overview.volume(person, now),
        "recent": queries_page.run_rows(queries_overview.recent(person, now)),
        "upcoming": queries_overview.upcoming(person),
        "over_all": sees_all(person),
    }
    # The promise is counted over all mailboxes: a figure for those who may see them all.
    if context["over_all"]:
        context |= {"kept": queries_overview.kept(now), "worst": queries_overview.worst(now)}
    return render(request, "mailboxes/overview.html", context)


def _filtered(request: HttpRequest) -> MailboxFilter:
    person = signed_in(request)
    return MailboxFilter(
        request.GET,
        queryset=queries_list.mailboxes(person),
        servers=queries_list.servers(person),
        issues=queries_list.issue_codes(person),
    )


@require_GET
def mailboxes(request: HttpRequest) -> HttpResponse:
    """List the mailboxes."""
    found = _filtered(request)
    order = sorting(request.GET, queries_list.COLUMNS, default="address")
    page = numbered(request.GET, order.apply(found.qs))
    context = {
        "filter": found,
        "sorting": order,
        "page": page,
        "rows": queries_list.rows(list(page), timezone.now()),
        "narrowed": any(request.GET.get(name) for name in found.filters),
    }
    return render(request, "mailboxes/mailboxes.html", context)


@require_GET
def mailboxes_csv(request: HttpRequest) -> HttpResponseBase:
    """Download the list, as filtered and sorted, all pages."""
    order = sorting(request.GET, queries_list.COLUMNS, default="address")
    found = list(order.apply(_filtered(request).qs))
    header = [
        _("address"), _("owner"), _("server"), _("track"), _("intent"), _("state"), _("last success"), _("next run"),
        _("interval, s"), _("reason for the interval"), _("tracked, 24 h"), _("refused, 24 h"), _("quarantined"),
        _("issue"),
    ]  # fmt: skip

    def lines() -> Iterator[list[Any]]:
        for row in queries_list.rows(found, timezone.now()):
            box = row.mailbox
            yield [
                box.address, str(box.owner), str(box.server), box.effective_track, box.intent, box.state,
                exact(box.synced_at), exact(box.due_at), box.interval_s, row.interval_words, row.tracked, row.refused,
                row.quarantined, box.issue_code,
            ]  # fmt: skip

    return csv_response(request, "mailboxes", header, lines())


@require_GET
def mailboxes_live(request: HttpRequest) -> HttpResponse:
    """Answer with the rows that have changed since the page drew them, nothing (204) when none has."""
    keys = request.GET.getlist("row")[:_LIVE_ROWS]
    rows = queries_list.changed(signed_in(request), keys, timezone.now())
    if not rows:
        return HttpResponse(status=204)
    return render(request, "mailboxes/_live_rows.html", {"rows": rows})


def _mailbox_context(request: HttpRequest, pk: int) -> tuple[Mailbox, dict[str, Any]]:
    person = signed_in(request)
    mailbox = queries_list.mailbox_or_404(person, pk)
    row = queries_page.header(mailbox, timezone.now())
    return mailbox, {"mailbox": mailbox, "row": row, "may_sync": may_sync(person, mailbox)}


@require_GET
def mailbox(request: HttpRequest, pk: int) -> HttpResponse:
    """Show one mailbox."""
    box, context = _mailbox_context(request, pk)
    now, person = timezone.now(), signed_in(request)
    window = request.GET.get("window", "")
    window = window if window in queries_page.WINDOWS else "24h"
    runs = queries_page.runs(person, box)
    context |= {
        "windows": list(queries_page.WINDOWS),
        "window": window,
        "timeline": queries_page.drawn(runs, window=queries_page.WINDOWS[window], now=now),
        "latest": queries_page.run_rows(list(runs.order_by("-claimed_at")[:8])),
        "folders": queries_page.folders(person, box),
        "failures": queries_page.failures(runs),
    }
    return render(request, "mailboxes/mailbox.html", context)


@require_GET
def mailbox_live(request: HttpRequest, pk: int) -> HttpResponse:
    """Answer with the head of the mailbox's page if it has changed since (`row=pk-tag`), else with nothing (204)."""
    _box, context = _mailbox_context(request, pk)
    if request.GET.get("row") == context["row"].live_key:
        return HttpResponse(status=204)
    response = render(request, "mailboxes/_mailbox_state.html", context)
    # The rest of the page asks for itself when it hears this.
    response["HX-Trigger"] = "mailbox-changed"
    return response


def _filtered_runs(request: HttpRequest, box: Mailbox) -> RunFilter:
    return RunFilter(request.GET, queryset=queries_page.runs(signed_in(request), box))


@require_GET
def runs(request: HttpRequest, pk: int) -> HttpResponse:
    """List the runs of a mailbox."""
    box, context = _mailbox_context(request, pk)
    found = _filtered_runs(request, box)
    page = keyset(request.GET, found.qs, field="claimed_at")
    context |= {"filter": found, "page": page, "rows": queries_page.run_rows(page.rows)}
    return render(request, "mailboxes/runs.html", context)


@require_GET
def runs_csv(request: HttpRequest, pk: int) -> HttpResponseBase:
    """Download the runs of a mailbox, as filtered."""
    box, _context = _mailbox_context(request, pk)
    header = [
        _("claimed"), _("started"), _("finished"), _("started by"), _("full pass"), _("outcome"), _("error"),
        _("requests"), _("examined"), _("tracked"), _("updated"), _("refused"), _("quarantined"), _("next interval, s"),
        _("reason"),
    ]  # fmt: skip
    found = _filtered_runs(request, box).qs.order_by("-claimed_at")

    def lines() -> Iterator[list[Any]]:
        for run in found.iterator(2000):
            row = queries_page.RunRow(run, None)
            yield [
                exact(run.claimed_at), exact(run.started_at), exact(run.finished_at), run.trigger, run.full_pass,
                run.outcome, run.error_code, run.requests, run.examined, run.tracked, run.updated, row.refused,
                run.quarantined, run.interval_s, row.interval_words,
            ]  # fmt: skip

    return csv_response(request, f"runs-{box.address}", header, lines())
