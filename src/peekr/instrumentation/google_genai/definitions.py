"""Definitions of the tools that a model may call, in every shape that the SDK takes."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from enum import Enum
from typing import Any, Optional, cast

from peekr.instrumentation.contract import fields
from peekr.instrumentation.google_genai.client import get, items_of
from peekr.instrumentation.sound import dumped

__all__ = ["tool_definitions"]

_JSON_TYPES = {
    "str": "string",
    "int": "integer",
    "float": "number",
    "bool": "boolean",
    "list": "array",
    "tuple": "array",
    "dict": "object",
}


def tool_definitions(tools: Any) -> Optional[list[dict[str, Any]]]:
    """Tool definitions in the conventions' form; no function is called."""
    made: list[dict[str, Any]] = []
    entries = items_of(tools) if isinstance(tools, (list, tuple)) else [tools] if tools else []
    for entry in entries:
        if isinstance(entry, dict) or hasattr(entry, "function_declarations"):
            made += _of_tool(entry)
        elif callable(entry):
            made.append(_of_function(cast("Callable[..., Any]", entry)))
        elif hasattr(entry, "list_tools"):
            made.append({"type": "mcp", "name": type(entry).__name__})
        else:
            made.append(_of_declaration(entry))
    return made or None


def _of_tool(tool: Any) -> list[dict[str, Any]]:
    made: list[dict[str, Any]] = []
    for key, value in fields(tool).items():
        if value is None:
            continue
        if key in ("function_declarations", "functionDeclarations"):
            made += [_of_declaration(entry) for entry in items_of(value)]
        else:
            kind = key if key.islower() else _snake(key)
            definition: dict[str, Any] = {"type": kind, "name": kind}
            settings = _plain(value)
            if settings:
                definition[kind] = settings
            made.append(definition)
    return made


def _of_declaration(declaration: Any) -> dict[str, Any]:
    made: dict[str, Any] = {"type": "function", "name": get(declaration, "name") or ""}
    description = get(declaration, "description")
    if description:
        made["description"] = description
    parameters = get(declaration, "parameters_json_schema")
    if parameters is None:
        parameters = get(declaration, "parameters")
    if parameters is not None:
        made["parameters"] = _plain(parameters)
    return made


def _of_function(function: Callable[..., Any]) -> dict[str, Any]:
    """What a Python function says of itself: its name, its docstring, its parameters' types."""
    name = getattr(function, "__name__", type(function).__name__)
    made: dict[str, Any] = {"type": "function", "name": name}
    description = inspect.getdoc(function)
    if description:
        made["description"] = description
    try:
        parameters = inspect.signature(function).parameters
    except (TypeError, ValueError):
        return made
    properties: dict[str, Any] = {}
    required: list[str] = []
    for name, parameter in parameters.items():
        properties[name] = _of_annotation(parameter.annotation)
        if parameter.default is inspect.Parameter.empty:
            required.append(name)
    schema: dict[str, Any] = {"type": "object", "properties": properties}
    if required:
        schema["required"] = required
    made["parameters"] = schema
    return made


def _of_annotation(annotation: Any) -> dict[str, Any]:
    if annotation is inspect.Parameter.empty:
        return {}
    origin = getattr(annotation, "__origin__", annotation)
    name = origin if isinstance(origin, str) else getattr(origin, "__name__", "")
    kind = _JSON_TYPES.get(name.partition("[")[0].lower())
    return {} if kind is None else {"type": kind}


def _snake(name: str) -> str:
    return "".join("_" + char.lower() if char.isupper() else char for char in name)


def _plain(value: Any) -> Any:
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, dict):
        entries = cast("dict[Any, Any]", value)
        return {str(key): _plain(entry) for key, entry in entries.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(entry) for entry in cast("list[Any]", value)]
    dump = getattr(value, "model_dump", None)
    return dumped(value) if callable(dump) else value
