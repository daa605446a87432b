"""What the terminal shows: every line with the name of the process that wrote it, in colour when a person looks."""

import os
from typing import IO

_COLOURS = (36, 32, 33, 35, 34, 31)
_WIDTH = 10


class Console:
    """Writes whole lines. A terminal that went away is no reason to stop."""

    def __init__(self, stream: IO[str]) -> None:
        self._stream = stream
        self._coloured = stream.isatty() and "NO_COLOR" not in os.environ
        self._colours: dict[str, int] = {}

    def line(self, name: str, text: str) -> None:
        """Show a line that the process `name` wrote."""
        prefix = f"{name:<{_WIDTH}} | "
        if self._coloured:
            colour = self._colours.setdefault(name, _COLOURS[len(self._colours) % len(_COLOURS)])
            prefix = f"\x1b[{colour}m{prefix}\x1b[0m"
        self.say(prefix + text)

    def say(self, text: str) -> None:
        """Show a line of the launcher itself."""
        try:
            self._stream.write(text + "\n")
            self._stream.flush()
        except OSError:
            pass
        except ValueError:  # closed
            pass
