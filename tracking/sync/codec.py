"""Values of entries as JSON, for what both sides last agreed on, and for what a conflict keeps."""

from collections.abc import Callable, Mapping
from dataclasses import asdict
from datetime import date, datetime
from typing import Any

from mailboxes.provider.entries import (
    FIELDS,
    Attendee,
    EntryKind,
    Every,
    Field,
    FullName,
    PostalAddress,
    Recurrence,
    Span,
    Type,
    Value,
)


def encode(value: Value) -> Any:
    """Return the value as JSON."""
    match value:
        case datetime() | date():
            return value.isoformat()
        case Span(start, end, zone):
            return {"start": start.isoformat(), "end": end.isoformat(), "zone": zone}
        case Recurrence():
            return {name: encode(part) for name, part in asdict(value).items()}
        case PostalAddress() | FullName():
            return asdict(value)
        case tuple():
            return [asdict(each) if isinstance(each, Attendee) else each for each in value]
    return value


def decode(kind: EntryKind, name: Field, data: Any) -> Value:
    """Return the value that `encode` wrote for this field."""
    if data is None:
        return None
    read = _READERS.get(FIELDS[kind][name])
    value: Value = data if read is None else read(data)
    return value


def _span(data: Mapping[str, str]) -> Span:
    read = datetime.fromisoformat if "T" in data["start"] else date.fromisoformat
    return Span(read(data["start"]), read(data["end"]), data["zone"])


def recurrence(data: Mapping[str, Any]) -> Recurrence:
    """Return the series that `encode` wrote."""
    return Recurrence(
        **{
            **data,
            "every": Every(data["every"]),
            "starts": date.fromisoformat(data["starts"]),
            "weekdays": tuple(data["weekdays"]),
            "until": date.fromisoformat(data["until"]) if data["until"] else None,
        }
    )


_READERS: Mapping[Type, Callable[[Any], Value]] = {
    Type.DAY: date.fromisoformat,
    Type.MOMENT: datetime.fromisoformat,
    Type.SPAN: _span,
    Type.RECURRENCE: recurrence,
    Type.ADDRESS: lambda data: PostalAddress(**data),
    Type.NAME: lambda data: FullName(**data),
    Type.PEOPLE: lambda data: tuple(Attendee(**each) for each in data),
}


def encode_all(values: Mapping[Field, Value]) -> dict[str, Any]:
    """Return all values as JSON."""
    return {name.value: encode(value) for name, value in values.items()}


def decode_all(kind: EntryKind, data: Mapping[str, Any]) -> dict[Field, Value]:
    """Return all values; fields that the kind no longer has are left out."""
    return {name: decode(kind, name, data[name.value]) for name in FIELDS[kind] if name.value in data}
