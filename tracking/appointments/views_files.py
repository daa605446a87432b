"""Files of appointments: downloaded, added, removed. Each through the one door."""

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase, HttpResponseRedirect
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_GET, require_POST

from crmsync_site.ui.downloads import file_response
from security.access import get_visible_or_404
from security.http import signed_in
from tracking.appointments import files
from tracking.engine import blobs
from tracking.linked.files import may_change
from tracking.models import Appointment, AppointmentFile


@require_GET
def appointment_file(request: HttpRequest, pk: int) -> HttpResponseBase:
    """Download a file of an appointment."""
    found = get_visible_or_404(signed_in(request), AppointmentFile, pk=pk)
    path = blobs.path_of(found.sha256)
    try:
        file = path.open("rb")
    except FileNotFoundError as error:
        raise Http404 from error
    return file_response(request, file, found.name, size=path.stat().st_size)


@require_POST
def add_appointment_files(request: HttpRequest, pk: int) -> HttpResponse:
    """Add files to an appointment."""
    person = signed_in(request)
    record = get_visible_or_404(person, Appointment, pk=pk)
    if not may_change(record, person):
        raise PermissionDenied
    try:
        made = files.add(record, request.FILES.getlist("files"), by=person, now=timezone.now())
    except files.Refused as error:
        messages.error(request, error.sentence)
    except OSError:
        messages.error(request, _("The files could not be kept: there is no room on the disk. None was added."))
    else:
        text = ngettext("%(n)s file added.", "%(n)s files added.", made) if made else _("It is attached already.")
        messages.success(request, text % {"n": made} if made else text)
    return _back(record)


@require_POST
def remove_appointment_file(request: HttpRequest, pk: int) -> HttpResponse:
    """Take a file off its appointment."""
    person = signed_in(request)
    found = get_visible_or_404(person, AppointmentFile, pk=pk)
    if not may_change(found.appointment, person):
        raise PermissionDenied
    files.remove(found, by=person)
    messages.success(request, _("%(name)s removed.") % {"name": found.name})
    return _back(found.appointment)


def _back(record: Appointment) -> HttpResponseRedirect:
    return HttpResponseRedirect(reverse("appointment", args=[record.pk]) + "#files-title")
