"""OTLP's JSON form as protobuf: the same messages by the numbers of their fields.

Written out by hand, because readers of stored files load no OpenTelemetry; the tests compare it
with the protocol's own classes. Source: opentelemetry-proto 1.x.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from typing import Any, Callable, cast

__all__ = ["encoded"]

_VARINT, _FIXED64, _LENGTH, _FIXED32 = 0, 1, 2, 5


def encoded(request: Mapping[str, Any]) -> bytes:
    """An `ExportTraceServiceRequest` in protobuf.

    Args:
        request: In the JSON form, as `peekr.store.otlp.encode` makes it.
    """
    return _message(request, _REQUEST)


_Field = tuple[int, int, Callable[[Any], bytes]]


def _message(value: Mapping[str, Any], fields: Mapping[str, Any]) -> bytes:
    parts: list[bytes] = []
    for key, item in value.items():
        number, wire, encode = fields[key]
        tag = _varint(number << 3 | wire)
        entries = cast("list[Any]", item) if isinstance(item, list) else [item]
        for entry in entries:
            data = encode(entry)
            parts.append(tag + _varint(len(data)) + data if wire == _LENGTH else tag + data)
    return b"".join(parts)


def _varint(number: int) -> bytes:
    if number < 0x80:
        return bytes((number,))
    made = bytearray()
    while number >= 0x80:
        made.append(number & 0x7F | 0x80)
        number >>= 7
    made.append(number)
    return bytes(made)


def _int64(value: Any) -> bytes:
    return _varint(int(value) & 0xFFFF_FFFF_FFFF_FFFF)


def _double(value: float) -> bytes:
    return struct.pack("<d", value)


def _fixed64(value: Any) -> bytes:
    return struct.pack("<Q", int(value))


def _fixed32(value: int) -> bytes:
    return struct.pack("<I", value)


def _text(value: str) -> bytes:
    return value.encode("utf-8", "replace")


def _of(fields: Mapping[str, _Field]) -> Callable[[Any], bytes]:
    return lambda value: _message(value, fields)


_ANY_VALUE: dict[str, _Field] = {
    "stringValue": (1, _LENGTH, _text),
    "boolValue": (2, _VARINT, _int64),
    "intValue": (3, _VARINT, _int64),
    "doubleValue": (4, _FIXED64, _double),
}
_ANY_VALUE["arrayValue"] = (5, _LENGTH, _of({"values": (1, _LENGTH, _of(_ANY_VALUE))}))
_PAIR: dict[str, _Field] = {
    "key": (1, _LENGTH, _text),
    "value": (2, _LENGTH, _of(_ANY_VALUE)),
}
_ANY_VALUE["kvlistValue"] = (6, _LENGTH, _of({"values": (1, _LENGTH, _of(_PAIR))}))
_EVENT: dict[str, _Field] = {
    "timeUnixNano": (1, _FIXED64, _fixed64),
    "name": (2, _LENGTH, _text),
    "attributes": (3, _LENGTH, _of(_PAIR)),
}
_STATUS: dict[str, _Field] = {
    "message": (2, _LENGTH, _text),
    "code": (3, _VARINT, _int64),
}
_SPAN: dict[str, _Field] = {
    "traceId": (1, _LENGTH, bytes.fromhex),
    "spanId": (2, _LENGTH, bytes.fromhex),
    "parentSpanId": (4, _LENGTH, bytes.fromhex),
    "name": (5, _LENGTH, _text),
    "kind": (6, _VARINT, _int64),
    "startTimeUnixNano": (7, _FIXED64, _fixed64),
    "endTimeUnixNano": (8, _FIXED64, _fixed64),
    "attributes": (9, _LENGTH, _of(_PAIR)),
    "events": (11, _LENGTH, _of(_EVENT)),
    "status": (15, _LENGTH, _of(_STATUS)),
    "flags": (16, _FIXED32, _fixed32),
}
_SCOPE: dict[str, _Field] = {
    "name": (1, _LENGTH, _text),
    "version": (2, _LENGTH, _text),
}
_SCOPE_SPANS: dict[str, _Field] = {
    "scope": (1, _LENGTH, _of(_SCOPE)),
    "spans": (2, _LENGTH, _of(_SPAN)),
}
_RESOURCE: dict[str, _Field] = {"attributes": (1, _LENGTH, _of(_PAIR))}
_RESOURCE_SPANS: dict[str, _Field] = {
    "resource": (1, _LENGTH, _of(_RESOURCE)),
    "scopeSpans": (2, _LENGTH, _of(_SCOPE_SPANS)),
}
_REQUEST: dict[str, _Field] = {"resourceSpans": (1, _LENGTH, _of(_RESOURCE_SPANS))}
