"""What was in force when, where workers go on while people change it: the law that a proof holds them to.

The one idea: a worker that began before a change may act on what it read then. So what was replaced counts on until
every mailbox has had a run that began after the change; whatever is written later can only follow the new rule.
"""

from dataclasses import dataclass, field
from typing import Generic, TypeVar

T = TypeVar("T")


@dataclass
class _Span(Generic[T]):
    value: T
    since: int
    # The last step of which it can have been the rule; None: it still is, or may be.
    until: int | None = None


@dataclass
class InForce(Generic[T]):
    """The values that a setting had. Time is counted in steps of a schedule."""

    spans: list[_Span[T]] = field(default_factory=list)

    @classmethod
    def of(cls, value: T) -> "InForce[T]":
        """Return a setting that has been so from the beginning."""
        return cls([_Span(value, 0)])

    @property
    def now(self) -> T:
        """Return what is set."""
        return self.spans[-1].value

    def change(self, value: T, step: int) -> None:
        """Set it; what it was lingers."""
        if value != self.now:
            self.spans.append(_Span(value, step))

    def settle(self, before: int, step: int) -> None:
        """Every run that began before the end of step `before` has ended by step `step`: what was replaced by then is over."""
        for span, after in zip(self.spans, self.spans[1:], strict=False):
            if span.until is None and after.since <= before:
                span.until = step

    def since(self, step: int) -> set[T]:
        """Return every value that a worker can have followed from this step on."""
        return {span.value for span in self.spans if span.until is None or span.until >= step}
