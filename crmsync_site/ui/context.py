"""What every template may use: how the page is to look."""

from django.http import HttpRequest

THEME_COOKIE = "crmsync_theme"
THEMES = ("auto", "light", "dark")


def appearance(request: HttpRequest) -> dict[str, str]:
    """Return the theme the person chose: `light`, `dark`, or `auto` (as the system says)."""
    theme = request.COOKIES.get(THEME_COOKIE, "auto")
    return {"theme": theme if theme in THEMES else "auto"}
