"""The person's choice of appearance: theme and language, each a POST that returns to where it came from."""

from django.contrib.auth.decorators import login_not_required
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.http import require_POST
from django.views.i18n import set_language as django_set_language

from crmsync_site.ui.context import THEME_COOKIE, THEMES

_YEAR = 365 * 24 * 3600
set_language = login_not_required(django_set_language)


@login_not_required
@require_POST
def set_theme(request: HttpRequest) -> HttpResponse:
    """Keep the theme in a cookie (no account is needed: the sign-in page follows it too)."""
    response = HttpResponseRedirect(safe_next(request, default="/"))
    theme = request.POST.get("theme", "")
    if theme in THEMES:
        response.set_cookie(
            THEME_COOKIE, theme, max_age=_YEAR, samesite="Lax", secure=request.is_secure(), httponly=True
        )
    return response


def safe_next(request: HttpRequest, *, default: str) -> str:
    """Return the address in `next` (POST, then GET) if it is one of ours, else `default`."""
    target = request.POST.get("next") or request.GET.get("next") or ""
    secure = request.is_secure()
    if url_has_allowed_host_and_scheme(target, allowed_hosts={request.get_host()}, require_https=secure):
        return target
    return default
