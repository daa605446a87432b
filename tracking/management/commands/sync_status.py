"""`manage.py sync_status`: mailboxes, states, the promise and the queues in numbers."""

from typing import Any

from django.utils import timezone

from security.commands import JsonCommand
from tracking.status import status


class Command(JsonCommand):
    """Shows how the installation is doing."""

    help = "Shows mailboxes by state, what is due, running and late, the 12-minute promise, and the queues."

    def run(self, **_options: Any) -> None:
        """Read the numbers and show them."""
        document = status(timezone.now())
        self.result(document, lambda: _words(document))


def _words(document: dict[str, Any]) -> str:
    queues = document["queues"]
    lines = [
        f"mailboxes  {document['mailboxes']} ({_list(document['by_state'])})",
        f"tracked    {_number(document['tracked'], 'activity', 'activities')}",
        f"now        {document['due']} due, {document['running']} running, {document['late']} late",
        *(f"promise    {window}: {_share(share)}" for window, share in document["promise"].items()),
        f"queues     {_list(queues) if queues is not None else 'Redis does not answer'}",
        *(f"problem    {each['sentence']} What to do: {each['remedy']}" for each in document.get("problems", [])),
    ]
    return "\n".join(lines)


def _list(counts: dict[str, int]) -> str:
    return ", ".join(f"{count} {name}" for name, count in counts.items()) or "none"


def _number(count: int, one: str, many: str) -> str:
    return f"{count} {one if count == 1 else many}"


def _share(share: dict[str, Any]) -> str:
    if share["ratio"] is None:
        return "nothing measured yet"
    return f"{share['ratio']:.2%} kept ({share['kept']} of {_number(share['gaps'], 'gap', 'gaps')}, {share['open_late']} open ones late)"
