"""How a request is written where that is not the usual way; see `peekr.request_form`.

The SDK writes the body itself, so the places are those of its method's arguments.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any, Optional, cast

from peekr.instrumentation.contract import fields
from peekr.instrumentation.google_genai.client import get, items_of, word
from peekr.request_form import ABSENT, LIST, Form, literal, noted

__all__ = ["embed_form", "generate_form"]

# The fields of a part that say what the record does not.
_BESIDE = ("thought_signature", "video_metadata", "media_resolution", "part_metadata")
# The fields of a configuration that are no part of the body.
_NOT_SENT = frozenset(
    (
        "automatic_function_calling",
        "automaticFunctionCalling",
        "http_options",
        "httpOptions",
        "should_return_http_response",
        "shouldReturnHttpResponse",
    )
)
_OF_CALL = ("will_continue", "scheduling")
_DECLARED = frozenset(("name", "description", "parameters_json_schema", "parametersJsonSchema"))
_BY_SCHEMA = frozenset(("name", "description", "parameters"))


@noted
def generate_form(kwargs: Mapping[str, Any]) -> Optional[Form]:
    """The notes of a request to generate content."""
    made: Form = {}
    _contents(kwargs.get("contents"), made)
    config = kwargs.get("config")
    if config is not None:
        if all(value is None for key, value in fields(config).items() if key not in _NOT_SENT):
            made["config"] = literal({})
        if get(config, "candidate_count") == 1:
            made["config.candidate_count"] = literal(1)
        tools = get(config, "tools")
        if tools:
            _tools(items_of(tools) or [tools], made)
    return made or None


@noted
def embed_form(kwargs: Mapping[str, Any]) -> Optional[Form]:
    """The notes of a request to embed."""
    made: Form = {}
    contents = kwargs.get("contents")
    if isinstance(contents, list) and len(cast("list[Any]", contents)) == 1:
        made["contents"] = LIST
    wanted = get(kwargs.get("config"), "output_dimensionality")
    if isinstance(wanted, int):
        made["config.output_dimensionality"] = literal(wanted)  # the record has what came
    return made or None


def _contents(contents: Any, made: Form) -> None:
    index = 0
    for entry in items_of(contents):
        if isinstance(entry, str):
            continue
        parts = get(entry, "parts")
        if parts is None and get(entry, "role") is None:
            continue  # a part by itself
        role = get(entry, "role")
        if role is None:
            made[f"contents.{index}.role"] = ABSENT
        elif role not in ("user", "model"):
            made[f"contents.{index}.role"] = literal(role)
        for at, part in enumerate(items_of(parts)):
            if not isinstance(part, str):
                _part(part, f"contents.{index}.parts.{at}", made)
        index += 1


def _part(part: Any, place: str, made: Form) -> None:
    further: dict[str, Any] = {}
    for name in _BESIDE:
        value = get(part, name)
        if value is not None:
            further[name] = _json(value)
    for kind in ("executable_code", "code_execution_result", "tool_call", "tool_response"):
        value = get(part, kind)
        if value is not None:
            made[place] = literal({kind: _json(value), **further})
            return
    response = get(part, "function_response")
    if response is not None:
        held = {name: get(response, name) for name in _OF_CALL}
        held = {name: word(v) if name == "scheduling" else v for name, v in held.items()}
        held = {name: value for name, value in held.items() if value is not None}
        if held:
            made[f"{place}.function_response"] = held
    if further:
        made[place] = further


def _tools(tools: list[Any], made: Form) -> None:
    """Note where functions were declared by the provider's own schema."""
    names: set[str] = set()
    count = 0
    for tool in tools:
        if callable(tool):
            return  # the SDK makes a schema of it, and so does its record
        declared = items_of(get(tool, "function_declarations"))
        count += bool(declared)
        for one in declared:
            names.update(key for key, value in fields(one).items() if value is not None)
    if names <= _DECLARED and count < 2:
        return
    if names <= _BY_SCHEMA and count < 2:
        made["config.tools"] = "schema"
    elif count:
        made["config.tools"] = literal([_json(tool) for tool in tools])


def _json(value: Any) -> Any:
    if isinstance(value, (bytes, bytearray)):
        return base64.b64encode(value).decode("ascii")
    if isinstance(value, dict):
        entries = cast("dict[Any, Any]", value)
        return {str(key): _json(v) for key, v in entries.items() if v is not None}
    if isinstance(value, (list, tuple)):
        return [_json(entry) for entry in cast("list[Any]", value)]
    dump = getattr(value, "model_dump", None)
    if callable(dump):
        return dump(mode="json", exclude_none=True)
    return value if value is None or isinstance(value, (str, int, float)) else word(value)
