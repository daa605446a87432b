"""Smart matching: is this an answer to a tracked message, though nothing but subject and people says so? Off by default.

The one idea: better no match than a wrong one, since a wrong one puts a message before people it was not meant for. So
everything must speak for it at once: the subject says that it is an answer; its words are the same, and enough of them
are words that few subjects have; the mailbox took part; everybody outside the organisation took part before, and the
sender did; the days between are few; and only one thread fits. What was compared, and why it was not a match, is part of
the answer.
"""

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from mailboxes.provider.port import Envelope
from tracking.sync.token import without_tokens

# "Re:", "AW:", "RE[2]:" in the languages of the usual mail programs; forwards go to other people and are none.
_ANSWER: Final = r"(?:re|aw|sv|vs|vb|antw|tr|rv|rif|r|odp|ynt|res|回复|答复)"
_FORWARD: Final = r"(?:fwd?|wg|i|ilt|enc|转发)"
_PREFIX: Final = re.compile(rf"\s*(?:(?P<answer>{_ANSWER})|{_FORWARD})(?:\[\d+\])?\s*[::]", re.IGNORECASE)
_WORD: Final = re.compile(r"[^\W_]+")
# Shorter ones are in every subject.
_LETTERS: Final = 3
_COMPARED: Final = 400
# What half of all subjects consist of, in the languages that people here write: none of them tells one from another.
_COMMON: Final = frozenset(
    """
    account action agenda answer appointment april attached august call change chat confirm confirmation contact contract
    copy customer daily date day december delivery details document documents draft email februar february file files
    final for friday from hello help important info information inquiry invitation invoice january july june march meeting
    message minutes monday monthly new news newsletter next note november october offer order our payment phone please
    price problem project proposal question questions quote receipt regarding reminder reply report request review
    saturday schedule september service status sunday support thank thanks the this thursday today tomorrow tuesday
    update urgent visit wednesday week weekly with you your
    acta albarán aviso consulta contrato correo cotización duda entrega factura fecha gracias hola información informe
    mensaje oferta para pago pedido pregunta presupuesto proyecto recordatorio reunión semana solicitud urgente una con del
    los las por sobre
    acord avís comanda consulta contracte correu dades dubte enviament gràcies informació lliurament missatge pagament
    pressupost projecte recordatori reunió setmana sol·licitud urgent visita amb dels les pels
    anfrage angebot antwort auftrag bestellung besprechung bitte danke die der das frage für lieferung mit rechnung termin
    und von woche wichtig
    bonjour commande devis facture livraison merci pour question rendez réunion semaine vous des les une avec
    """.split()  # noqa: SIM905 -- a list of 200 quoted words is not read by anybody
)


class Why(StrEnum):
    """What the comparison came to: the first thing that speaks against a match, or nothing does."""

    MATCHED = "matched"
    NO_ANSWER = "no_answer"
    COMMON_SUBJECT = "common_subject"
    NOBODY_OUTSIDE = "nobody_outside"
    NONE_LIKE_IT = "none_like_it"
    OTHER_PEOPLE = "other_people"
    TOO_LONG_AGO = "too_long_ago"
    SEVERAL_THREADS = "several_threads"


@dataclass(frozen=True, slots=True)
class Limits:
    """How strict it is: days between both messages at most, and words of the subject that few others have at least."""

    days: int
    words: int


@dataclass(frozen=True, slots=True)
class Candidate:
    """A tracked message to compare with. `people`: all its addresses, lower case. `key` names it, `thread` its thread."""

    key: str
    thread: str
    subject: str
    people: frozenset[str]
    at: datetime


@dataclass(frozen=True, slots=True)
class Answer:
    """The message it belongs to, if any; and why, or why not. The numbers say what spoke for it."""

    why: Why
    candidate: Candidate | None = None
    days: int = 0
    people: int = 0
    words: int = 0


def is_answer(subject: str) -> bool:
    """Tell whether the first thing a subject says is that it answers another."""
    found = _PREFIX.match(subject[:_COMPARED])
    return found is not None and found["answer"] is not None


def words(subject: str) -> tuple[str, ...]:
    """Return the words that are compared: without reply and forward prefixes and tokens, without case, in order."""
    rest = without_tokens(subject[:_COMPARED])
    while found := _PREFIX.match(rest):
        rest = rest[found.end() :]
    return tuple(word.casefold() for word in _WORD.findall(rest))


def telling(subject_words: Iterable[str]) -> int:
    """Return how many different words tell this subject from others: none that is short or that many subjects have."""
    return len({word for word in subject_words if len(word) >= _LETTERS and word not in _COMMON})


def may_match(subject: str, limits: Limits) -> bool:
    """Tell whether candidates are worth looking for."""
    return is_answer(subject) and telling(words(subject)) >= limits.words


def match(
    envelope: Envelope,
    candidates: Sequence[Candidate],
    *,
    mailbox: str,
    colleague: Callable[[str], bool],
    limits: Limits,
) -> Answer:
    """Return the candidate that the message belongs to, and why, or why none does.

    `mailbox` is the address whose copy it is; `colleague` tells of a lower-case address whether it is the organisation's.
    """
    said = words(envelope.subject)
    enough = telling(said)
    sender, outside = _people(envelope, colleague)
    if not is_answer(envelope.subject):
        return Answer(Why.NO_ANSWER)
    if enough < limits.words:
        return Answer(Why.COMMON_SUBJECT, words=enough)
    if not outside or not sender or envelope.received_at is None:
        return Answer(Why.NOBODY_OUTSIDE, words=enough)
    needed = {sender, mailbox, *outside}
    why, best = _best(
        [each for each in candidates if words(each.subject) == said], needed, envelope.received_at, limits
    )
    if best is None:
        return Answer(why, words=enough)
    return Answer(why, best, (envelope.received_at - best.at).days, len(needed), enough)


def _best(alike: Sequence[Candidate], needed: set[str], at: datetime, limits: Limits) -> tuple[Why, Candidate | None]:
    """Return the latest of the candidates with the same words that the message can belong to, or why there is none."""
    if not alike:
        return Why.NONE_LIKE_IT, None
    known = [each for each in alike if needed <= each.people]
    if not known:
        return Why.OTHER_PEOPLE, None
    near = [each for each in known if timedelta(0) <= at - each.at <= timedelta(days=limits.days)]
    if not near:
        return Why.TOO_LONG_AGO, None
    if len({each.thread for each in near}) > 1:
        return Why.SEVERAL_THREADS, None
    return Why.MATCHED, max(near, key=lambda each: (each.at, each.key))


def _people(envelope: Envelope, colleague: Callable[[str], bool]) -> tuple[str, frozenset[str]]:
    """Return the sender, and everybody who is not of the organisation; an address that is not told counts as nobody."""
    sender = envelope.sender.email.strip().lower() if envelope.sender else ""
    everybody = {sender, *(each.email.strip().lower() for each in (*envelope.to, *envelope.cc, *envelope.bcc))}
    return sender, frozenset(each for each in everybody if each and not colleague(each))
