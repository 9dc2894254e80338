"""The attributes of an OpenTelemetry span, under the record's names and its own."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator, Mapping, MutableMapping
from typing import Any, Optional, Union, cast

from opentelemetry import trace as otel_trace
from opentelemetry.version import __version__ as otel_version

from peekr import tracing
from peekr.encoding import loads
from peekr.messages import dump
from peekr.semconv import otel, own
from peekr.values import jsonable

__all__ = ["SpanAttributes", "thawed"]

_OTEL_NAMES = {
    "model": otel.GEN_AI_REQUEST_MODEL,
    "provider": otel.GEN_AI_PROVIDER_NAME,
    "tokens_input": otel.GEN_AI_USAGE_INPUT_TOKENS,
    "tokens_output": otel.GEN_AI_USAGE_OUTPUT_TOKENS,
    "tokens_cache_read": otel.GEN_AI_USAGE_CACHE_READ_INPUT_TOKENS,
    "tokens_cache_write": otel.GEN_AI_USAGE_CACHE_CREATION_INPUT_TOKENS,
    "tokens_reasoning": otel.GEN_AI_USAGE_REASONING_OUTPUT_TOKENS,
    "finish_reasons": otel.GEN_AI_RESPONSE_FINISH_REASONS,
    "session_id": otel.SESSION_ID,
    "user_id": otel.USER_ID,
    "tenant_id": own.PEEKR_TENANT_ID,
    "retention_class": own.PEEKR_RETENTION_CLASS,
    "input": own.PEEKR_INPUT,
    "output": own.PEEKR_OUTPUT,
    "cost_usd": own.PEEKR_COST_USD,
    "experiment_variant": own.PEEKR_EXPERIMENT_VARIANT,
    "feature": own.PEEKR_FEATURE,
    "endpoint": own.PEEKR_ENDPOINT,
}
_RECORD_NAMES = {name: key for key, name in _OTEL_NAMES.items()}
_CONTENT = (own.PEEKR_INPUT, own.PEEKR_OUTPUT)
_MARK = own.PEEKR_JSON_ATTRIBUTES
_SCALARS = (str, bool, int, float)
_NO_ATTRIBUTES: Mapping[str, Any] = {}
_logger = logging.getLogger("peekr")
_RESERVED = 8
_said: list[str] = []
# Around changes of the list of JSON attributes, which is read and written back.
_mark_lock = threading.RLock()


class SpanAttributes(MutableMapping[str, Any]):
    """The attributes of a span, readable and writable by the record's names and OpenTelemetry's.

    `attributes["feature"]` and `attributes["peekr.feature"]` are the same entry; iteration gives
    the record's name. Values may be nested: the span gets them as they are where the OpenTelemetry
    SDK takes nested values, else as JSON text, and reading gives them back. What is read is a copy:
    change it and set it again. Values that are no JSON values are represented as `peekr.values`
    says.

    A deleted entry is overwritten, for OpenTelemetry knows no deletion. Setting an entry of an
    ended span does nothing, and neither does a new entry of a span that is full: OpenTelemetry
    keeps 128 unless `OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT` says otherwise. `input` and `output` are not
    kept under `capture_content=False`.
    """

    __slots__ = ("_local", "_otel")

    def __init__(self, span: otel_trace.Span) -> None:
        self._otel = span
        # A span that nobody records still gives back what the application put there.
        self._local: Optional[dict[str, Any]] = None

    def __getitem__(self, key: str) -> Any:
        held = self._held()
        name = _OTEL_NAMES.get(key, key)
        if name not in held:
            name = key
        value = held[name]
        if name == _MARK:
            raise KeyError(key)
        if name in _CONTENT:
            return _parsed(value)
        if name in held.get(_MARK, ()):
            if value == "":
                raise KeyError(key)
            return _parsed(value)
        return thawed(value)

    def __setitem__(self, key: str, value: Any) -> None:
        span = self._otel
        if not isinstance(key, str):  # pyright: ignore[reportUnnecessaryIsInstance]
            key = str(key)
        name = _OTEL_NAMES.get(key, key)
        if not span.is_recording():
            if not hasattr(span, "attributes"):
                self._keep(name, value)
            return
        if not self._has_room(name):
            return
        if name in _CONTENT:
            settings = tracing.current()
            if settings.capture_content:
                span.set_attribute(name, dump(jsonable(value), settings.max_chars))
            return
        if name == _MARK:
            return
        kind = cast("type[Any]", type(value))
        if kind is not str and kind is not bool and kind is not float:
            value = jsonable(value)
            if not (isinstance(value, _SCALARS) or _is_taken(value)):
                text = dump(value, tracing.current().max_chars)
                self._mark(name, is_json=True)
                span.set_attribute(name, text)
                return
        if name in self._held().get(_MARK, ()):
            self._mark(name, is_json=False)
        span.set_attribute(name, value)
        if name == otel.SESSION_ID:
            span.set_attribute(otel.GEN_AI_CONVERSATION_ID, value)

    def __delitem__(self, key: str) -> None:
        self[key]
        name = _OTEL_NAMES.get(key, key)
        span = self._otel
        if self._local is not None:
            self._local.pop(name if name in self._local else key)
        elif span.is_recording():
            name = name if name in self._held() else key
            self._mark(name, is_json=True)
            span.set_attribute(name, "")

    def __iter__(self) -> Iterator[str]:
        held: Any = self._held()
        if held is not _NO_ATTRIBUTES:
            held = held.copy()  # other threads may add to it
        marked = held.get(_MARK, ())
        items: list[tuple[str, Any]] = list(held.items())
        # An entry that stands there under both of its names is one.
        names: dict[str, None] = {}
        for name, value in items:
            if name != _MARK and not (value == "" and name in marked):
                names[_RECORD_NAMES.get(name, name)] = None
        return iter(names)

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def __repr__(self) -> str:
        return repr(dict(self))

    def _held(self) -> Mapping[str, Any]:
        held: Any = getattr(self._otel, "attributes", None)
        return (self._local or _NO_ATTRIBUTES) if held is None else held

    def _has_room(self, name: str) -> bool:
        """Whether an entry may be set; otherwise the SDK would drop the oldest for it, and log it.

        Some places are kept back: what a span says at its end is worth more than one entry more.
        """
        most = getattr(getattr(self._otel, "_limits", None), "max_span_attributes", None)
        if most is None:
            return True
        held = self._held()
        if len(held) < most - min(_RESERVED, most // 4) or name in held:
            return True
        if not _said:
            _said.append(name)
            _logger.warning(
                "A span has %d attributes, and more are not kept: OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT "
                "is %d. This is said once.",
                len(held),
                most,
            )
        return False

    def _keep(self, name: str, value: Any) -> None:
        if self._local is None:
            self._local = {}
        self._local[name] = dump(jsonable(value)) if name in _CONTENT else jsonable(value)

    def _mark(self, name: str, *, is_json: bool) -> None:
        """Say on the span itself which attributes are JSON text: every reader can see it there."""
        with _mark_lock:
            marked = [held for held in self._held().get(_MARK, ()) if held != name]
            if is_json:
                marked.append(name)
            self._otel.set_attribute(_MARK, marked)


def _parsed(value: Any) -> Any:
    if not isinstance(value, str):
        return thawed(value)
    try:
        return loads(value)
    except ValueError:
        return value  # a plain text of other code, or one that a limit has cut


def thawed(value: Any) -> Any:
    """Lists in the place of the tuples, and dicts in the place of the mappings, of the SDK."""
    if isinstance(value, (tuple, list)):
        return [thawed(item) for item in cast("tuple[Any, ...]", value)]
    if isinstance(value, Mapping):
        return {key: thawed(item) for key, item in cast("Mapping[str, Any]", value).items()}
    return value


def _is_taken(value: Any) -> bool:
    """Whether an attribute of the SDK can hold this list, dict or None as it is."""
    if _sdk_nests():
        return True
    if not isinstance(value, list) or not value:
        return isinstance(value, list)
    items = cast("list[Union[str, bool, int, float]]", value)
    kind = type(items[0])
    return kind in _SCALARS and all(type(item) is kind for item in items)


_nests: Optional[bool] = None


def _sdk_nests() -> bool:
    """Whether OpenTelemetry takes nested values: before 1.45 it logs a warning and drops them."""
    global _nests
    if _nests is None:
        try:
            major, minor = otel_version.split(".")[:2]
            _nests = (int(major), int(minor)) >= (1, 45)
        except ValueError:
            _nests = False
    return _nests
