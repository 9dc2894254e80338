"""The package before `google-genai`: `google-generativeai`, whose `GenerativeModel` is the client.

Its messages are proto-plus objects, which are read as the dictionaries that they stand for. A
streamed answer is no iterator but has one, through which its chunks come; that one is watched.

Source: google-generativeai 0.8, the last one.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Optional, cast

from peekr.instrumentation.aside import aside
from peekr.instrumentation.call import Call
from peekr.instrumentation.contract import Accumulator, Fault, Request, Response
from peekr.instrumentation.google_genai import client
from peekr.instrumentation.google_genai.client import get, items_of
from peekr.instrumentation.google_genai.contents import input_messages, system_parts
from peekr.instrumentation.google_genai.definitions import tool_definitions
from peekr.instrumentation.google_genai.generate import GenerateExtractor
from peekr.instrumentation.stream import AsyncStreamProxy, StreamProxy

__all__ = ["LEGACY", "deliver"]


class _LegacyExtractor:
    """Reads `GenerativeModel.generate_content` and `generate_content_async`."""

    def __init__(self) -> None:
        self._current = GenerateExtractor(stream=False)

    def request(self, instance: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Request:
        """Read a request from the arguments and from what the model was made with."""
        contents = kwargs.get("contents", args[0] if args else None)
        attributes, parameters, of_content = client.settings(_settings(instance, kwargs))
        tools = kwargs.get("tools")
        if tools is None:
            tools = getattr(instance, "_tools", None)
        return Request(
            model=client.model_name(getattr(instance, "_model_name", None)),
            server=_server(instance),
            stream=bool(kwargs.get("stream")),
            attributes=attributes,
            parameters=parameters,
            content_parameters=of_content,
            input=input_messages(_contents(contents)),
            system=system_parts(_plain(getattr(instance, "_system_instruction", None))),
            tools=tool_definitions(_tools(tools)),
        )

    def response(self, result: Any) -> Response:
        """Read a `GenerateContentResponse`."""
        return self._current.response(_plain(getattr(result, "_result", None)))

    def accumulator(self) -> Accumulator:
        """Begin a stream of messages."""
        return _LegacyStream(self._current.accumulator())

    def fault(self, error: BaseException) -> Optional[Fault]:
        """Read an exception of google-api-core: its words, the HTTP status, the gRPC status."""
        code = getattr(error, "code", None)
        if not isinstance(code, int):
            return None
        name = type(error).__qualname__
        status = getattr(getattr(error, "grpc_status_code", None), "name", None)
        status = status if isinstance(status, str) else None
        return Fault(name, str(error) or name, int(code), status)


class _LegacyStream:
    """Reads each message as the dictionary that it stands for."""

    def __init__(self, inner: Accumulator) -> None:
        self._inner = inner

    def add(self, chunk: Any) -> None:
        """Take a message."""
        self._inner.add(_plain(chunk))

    def response(self) -> Response:
        """What has arrived so far."""
        return self._inner.response()


def deliver(call: Call, result: Any) -> Any:
    """Watch the iterator behind a streamed answer; its first message has come already."""
    chunks = getattr(result, "_iterator", None)
    if not call.request.stream or chunks is None:
        call.succeed(result)
        return result
    is_async = hasattr(chunks, "__anext__")
    if call.holds:
        # The first message is the caller's already: none is, before all have come.
        return _resolved_async(call, result) if is_async else _resolved(call, result)
    watched = (AsyncStreamProxy if is_async else StreamProxy)(chunks, call)
    watched._self_take(result._result)  # pyright: ignore[reportPrivateUsage]
    result._iterator = watched
    return result


def _resolved(call: Call, result: Any) -> Any:
    try:
        result.resolve()
    except Exception as error:
        call.fail(error)
        raise
    call.succeed(result)
    return result


async def _resolved_async(call: Call, result: Any) -> Any:
    try:
        await result.resolve()
    except Exception as error:
        call.fail(error)
        raise
    if call.waits:
        await aside(call.succeed, result)
    else:
        call.succeed(result)
    return result


def _settings(instance: Any, kwargs: Mapping[str, Any]) -> dict[str, Any]:
    made: dict[str, Any] = {}
    for source in (getattr(instance, "_generation_config", None), kwargs.get("generation_config")):
        source = _plain(source)
        entries = cast("Mapping[str, Any]", getattr(source, "__dict__", source) or {})
        made.update({key: value for key, value in entries.items() if value is not None})
    for name in ("safety_settings", "tool_config"):
        value = kwargs.get(name) or getattr(instance, f"_{name}", None)
        if value:
            made[name] = _readable(value)
    cached = getattr(instance, "_cached_content", None)
    if cached:
        made["cached_content"] = cached
    return made


def _server(instance: Any) -> Optional[client.Server]:
    """The host, once the model has made its client, which it does at its first call."""
    made = getattr(instance, "_client", None) or getattr(instance, "_async_client", None)
    host = getattr(getattr(made, "transport", None), "host", None)
    if not isinstance(host, str) or not host:
        return None
    name, _, port = host.rpartition(":")
    return (name, int(port)) if name and port.isdigit() else (host, None)


def _contents(contents: Any) -> Any:
    if isinstance(contents, (list, tuple)):
        return [_contents(entry) for entry in items_of(contents)]
    if isinstance(contents, dict):
        entries = cast("dict[str, Any]", contents)
        return {key: _contents(value) for key, value in entries.items()}
    return _plain(contents)


def _tools(tools: Any) -> Any:
    to_proto = getattr(tools, "to_proto", None)
    if callable(to_proto):
        tools = to_proto()
    if tools is None:
        return None
    entries = items_of(tools) if isinstance(tools, (list, tuple)) else [tools]
    return [_renamed(_plain(entry)) for entry in entries]


def _renamed(value: Any) -> Any:
    """Schemas by the API's names: proto-plus has `type_` where the API has `type`."""
    if isinstance(value, dict):
        entries = cast("dict[str, Any]", value)
        return {key.rstrip("_"): _renamed(entry) for key, entry in entries.items()}
    return [_renamed(entry) for entry in items_of(value)] if isinstance(value, list) else value


def _readable(value: Any) -> Any:
    """Settings whose keys and values are enumerations of protobuf: their names."""
    value = _plain(value)
    if isinstance(value, dict):
        entries = cast("dict[Any, Any]", value)
        return {_name(key): _name(entry) for key, entry in entries.items()}
    return value


def _name(value: Any) -> Any:
    name = getattr(value, "name", None)
    return name if isinstance(name, str) else value


def _plain(value: Any) -> Any:
    """A proto-plus message, or one of the SDK's objects around one, as a dictionary."""
    if get(value, "_pb") is None:
        inner = getattr(value, "_proto", None)
        if inner is None:
            return value
        value = inner
    to_dict = cast("Any", type(value)).to_dict
    try:
        return to_dict(
            value, use_integers_for_enums=False, always_print_fields_with_no_presence=False
        )
    except TypeError:
        # Before proto-plus 1.24.
        return to_dict(value, use_integers_for_enums=False, including_default_value_fields=False)


LEGACY = _LegacyExtractor()
