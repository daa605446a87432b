"""Pages of tracked mail: threads, their messages, a message's body and attachments. Each through the one door."""

from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import render
from django.template.loader import render_to_string
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.clickjacking import xframe_options_sameorigin
from django.views.decorators.http import require_GET

from crmsync_site.ui.downloads import csv_response, file_response
from crmsync_site.ui.listing import keyset
from crmsync_site.ui.listing import words as words_in
from crmsync_site.ui.templatetags.ui import exact
from security.access import get_visible_or_404, visible
from security.http import signed_in
from tracking import delays
from tracking.arrange import pages_threads as arrange_pages
from tracking.canary import pages as canary_pages
from tracking.engine import blobs
from tracking.mail import html as mail_html
from tracking.mail import pages as thread_pages
from tracking.models import Attachment, Canary, EmailBody, Thread
from tracking.outgoing.pages import has_mailbox

# Rows of one CSV: what a spreadsheet opens.
_CSV_ROWS = 50_000
# The frame of a message: nothing is fetched but our own style sheet, nothing runs, nothing is sent; links open outside.
_FRAME_POLICY = (
    "default-src 'none'; style-src 'self' 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'self'; sandbox allow-popups allow-popups-to-escape-sandbox"
)


@require_GET
def threads(request: HttpRequest) -> HttpResponse:
    """List the threads, latest first."""
    person = signed_in(request)
    words, mailbox = words_in(request.GET, "q"), words_in(request.GET, "mailbox")
    page = keyset(request.GET, thread_pages.threads(person, words=words, mailbox=mailbox.strip()), field="last_at")
    context = {
        "words": words,
        "mailbox_words": mailbox,
        "narrowed": bool(words or mailbox),
        "page": page,
        "rows": thread_pages.thread_rows(person, page.rows),
    }
    return render(request, "tracking/threads.html", context)


@require_GET
def threads_csv(request: HttpRequest) -> HttpResponseBase:
    """Download the list of threads, as filtered."""
    person = signed_in(request)
    words, mailbox = words_in(request.GET, "q"), words_in(request.GET, "mailbox")
    found = list(
        thread_pages.threads(person, words=words, mailbox=mailbox.strip()).order_by("-last_at", "-pk")[:_CSV_ROWS]
    )
    header = [_("subject"), _("messages"), _("people"), _("regarding"), _("last message")]
    rows = (
        [row.latest.subject, row.messages, ", ".join(row.people), row.regarding.name if row.regarding else "",
         exact(row.latest.received_at)]
        for row in thread_pages.thread_rows(person, found)
    )  # fmt: skip
    return csv_response(request, "threads", header, rows)


@require_GET
def thread(request: HttpRequest, pk: int) -> HttpResponse:
    """Show a thread: the messages the person may read, oldest first, the last one open."""
    person = signed_in(request)
    found = get_visible_or_404(person, Thread, pk=pk)
    page = keyset(request.GET, thread_pages.messages_of(person, found), field="received_at")
    messages = thread_pages.as_messages(person, page.rows)
    if not messages:
        raise Http404
    context = {
        "thread": found,
        "messages_shown": messages,
        "page": page,
        "title": messages[0].activity.subject,
        "arranged": arrange_pages.arrangement(person, found),
    }
    context["may_write"] = has_mailbox(person)
    return render(request, "tracking/thread.html", context)


@require_GET
@xframe_options_sameorigin
def message_body(request: HttpRequest, pk: int) -> HttpResponse:
    """Show a message's body, made safe, as a document of its own for the sandboxed frame."""
    person = signed_in(request)
    body = get_visible_or_404(person, EmailBody, activity=pk)
    shown = (
        mail_html.from_html(body.html, lambda content_id: _inline_image(request, pk, content_id))
        if body.html.strip()
        else mail_html.from_text(body.text)
    )
    response = HttpResponse(render_to_string("tracking/message_body.html", {"shown": shown}, request))
    response["Content-Security-Policy"] = _FRAME_POLICY
    response["Cache-Control"] = "private, no-store"
    response["Referrer-Policy"] = "no-referrer"
    return response


def _inline_image(request: HttpRequest, activity: int, content_id: str) -> tuple[str, bytes] | None:
    images = visible(signed_in(request), Attachment).filter(activity=activity, content_id__in=_spellings(content_id))
    image = images.exclude(sha256="").first()
    if image is None or image.size > mail_html.MOST_IMAGE_BYTES:
        return None
    try:
        return image.content_type.partition(";")[0].strip().lower(), blobs.get(image.sha256)
    except FileNotFoundError:
        return None


def _spellings(content_id: str) -> tuple[str, str]:
    bare = content_id.strip("<>")
    return bare, f"<{bare}>"


@require_GET
def attachment(request: HttpRequest, pk: int) -> HttpResponseBase:
    """Download an attachment."""
    found = get_visible_or_404(signed_in(request), Attachment, pk=pk)
    if not found.sha256:
        raise Http404
    path = blobs.path_of(found.sha256)
    try:
        file = path.open("rb")
    except FileNotFoundError as error:
        raise Http404 from error
    return file_response(request, file, found.name or _("attachment"), size=path.stat().st_size)


@require_GET
def delay_page(request: HttpRequest) -> HttpResponse:
    """Show how long mail takes from its arrival to being tracked."""
    person, now = signed_in(request), timezone.now()
    measured = delays.delays(person, now)
    context = {
        "birds": canary_pages.birds(visible(person, Canary), now),
        "delays": measured,
        "bars": _bars(measured),
        "measured": any(delay.messages for delay in measured),
    }
    return render(request, "tracking/delays.html", context)


def _bars(measured: list[delays.Delay]) -> list[tuple[int | None, int, float]]:
    """Return (upper end, messages, share of the fullest bar) of the day's delays."""
    day = next(delay for delay in measured if delay.window == "24h")
    most = max(count for _end, count in day.steps)
    return [(end, count, count / most if most else 0.0) for end, count in day.steps]
