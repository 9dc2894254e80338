"""A pydantic model's schema in the strict form in which OpenAI's SDK sends it.

Source: `openai.lib._pydantic.to_strict_json_schema`, the same in openai 1.66 to 3.54: every object
takes no other properties and requires all of its own, defaults of null are left out, and a
reference that has something beside it is replaced by what it refers to.
"""

from __future__ import annotations

from typing import Any, cast

__all__ = ["strict_format"]


def strict_format(recorded: Any) -> dict[str, Any]:
    """The `response_format` of a class, from what is recorded of it."""
    held = cast("dict[str, Any]", recorded["json_schema"])
    schema = cast("dict[str, Any]", held["schema"])
    strict = _strict(schema, schema)
    return {
        "type": "json_schema",
        "json_schema": {"schema": strict, "name": held["name"], "strict": True},
    }


def _strict(schema: dict[str, Any], root: dict[str, Any]) -> dict[str, Any]:
    for name in ("$defs", "definitions"):
        for inner in cast("dict[str, Any]", schema.get(name) or {}).values():
            _strict(inner, root)
    if schema.get("type") == "object":
        schema.setdefault("additionalProperties", False)
    properties = schema.get("properties")
    if isinstance(properties, dict):
        entries = cast("dict[str, Any]", properties)
        schema["required"] = list(entries)
        schema["properties"] = {key: _strict(entries[key], root) for key in entries}
    if isinstance(schema.get("items"), dict):
        schema["items"] = _strict(schema["items"], root)
    for name in ("anyOf", "allOf"):
        given = schema.get(name)
        if not isinstance(given, list):
            continue
        variants = [_strict(entry, root) for entry in cast("list[Any]", given)]
        if name == "allOf" and len(variants) == 1:
            del schema[name]
            schema.update(variants[0])
        else:
            schema[name] = variants
    if "default" in schema and schema["default"] is None:
        del schema["default"]
    reference = schema.get("$ref")
    if isinstance(reference, str) and len(schema) > 1:
        found: Any = root
        for step in reference[2:].split("/"):
            found = found[step]
        schema.update({**found, **schema})
        del schema["$ref"]
        return _strict(schema, root)
    return schema
