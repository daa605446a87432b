"""Tracked messages by the words of their subjects, growing with a page: so that it does not matter where a page ends."""

from types import MappingProxyType

from mailboxes.provider.port import Envelope
from tracking.sync import smart
from tracking.sync.facts import Known, KnownActivity, Similar
from tracking.sync.smart import Candidate


class Alike:
    """What matching by subject and people may compare a page's next message with (`tracking.sync.smart`)."""

    def __init__(self, known: Known) -> None:
        self._similar = dict(known.similar)
        self._threads = {
            each.candidate.key: each.candidate.thread for group in known.similar.values() for each in group
        }

    @property
    def known(self) -> MappingProxyType[tuple[str, ...], tuple[Similar, ...]]:
        """Return what is known, as it is at each moment."""
        return MappingProxyType(self._similar)

    def add(self, envelope: Envelope, tracked: KnownActivity, answers: str) -> None:
        """Note a message that will be tracked; `answers` is the key of the one it was found to belong to, or ""."""
        words = smart.words(envelope.subject)
        if envelope.received_at is None or not words:
            return
        # Of the thread of what it answers; named by that message where its thread is not known.
        thread = self._threads.get(answers, answers or tracked.message_key)
        self._threads[tracked.message_key] = thread
        everybody = (*([envelope.sender] if envelope.sender else []), *envelope.to, *envelope.cc, *envelope.bcc)
        people = frozenset(each.email.strip().lower() for each in everybody) - {""}
        candidate = Candidate(tracked.message_key, thread, envelope.subject, people, envelope.received_at)
        self._similar[words] = (*self._similar.get(words, ()), Similar(candidate, tracked))
