"""What went into a span and came out of it, as blocks of text that can be read."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple, Optional, cast

from peekr.encoding import dumps, loads
from peekr.plaintext import clean, clean_lines
from peekr.record import SpanRecord
from peekr.summary import format_duration, number, shorten

__all__ = ["Block", "content_blocks"]

_LABEL_CHARS = 100
_USUAL_REASONS = frozenset({"stop", "tool_call", "tool_calls", "tool_use", "end_turn"})


class Block(NamedTuple):
    """A label and a text under it; both are safe to print.

    Attributes:
        indent: 0 or 1.
        label: One line, may be empty.
        text: May have several lines.
    """

    indent: int
    label: str
    text: str


def content_blocks(record: SpanRecord) -> Iterator[Block]:
    """The span's input, output and facts; never raises, whatever types the attributes hold."""
    attributes = record.attributes
    system = attributes.get("system")
    if isinstance(system, str):  # Peekr before 1.0 kept it beside the input
        yield Block(0, "system", clean_lines(system))
    for label in ("input", "output"):
        value = attributes.get(label)
        if value is not None:
            yield from _value(label, value)
    yield from _facts(attributes)
    for label in (
        "eval_scores",
        "eval_explanations",
        "hallucination_details",
        "eval_errors",
        "guardrail_warnings",
        "guardrail_violations",
        "compliance_violations",
    ):
        value = attributes.get(label)
        if value:
            yield Block(0, label, _plain(value))


def _value(label: str, value: object) -> Iterator[Block]:
    messages = _messages(value)
    if messages is not None:
        yield Block(0, label, "")
        for message in messages:
            yield from _message(message)
    elif isinstance(value, dict) and value:
        # The arguments of a traced function, by name.
        yield Block(0, label, "")
        for key, item in cast("dict[Any, Any]", value).items():
            yield Block(1, shorten(str(key), _LABEL_CHARS), _plain(item))
    else:
        yield Block(0, label, _plain(cast("object", value)))


def _messages(value: object) -> Optional[list[Mapping[str, Any]]]:
    if isinstance(value, dict) and "role" in value:
        return [cast("dict[str, Any]", value)]
    if not isinstance(value, list) or not value:
        return None
    entries = cast("list[Any]", value)
    if all(isinstance(entry, dict) and "role" in entry for entry in entries):
        return cast("list[Mapping[str, Any]]", entries)
    return None


def _message(message: Mapping[str, Any]) -> Iterator[Block]:
    label = shorten(_text(message.get("role")) or "(no role)", _LABEL_CHARS)
    for key in ("name", "tool_call_id"):
        extra = message.get(key)
        if isinstance(extra, str) and extra:
            label = f"{label} [{shorten(extra, _LABEL_CHARS)}]"
    lines: list[str] = []
    content = message.get("content")
    if isinstance(content, list):
        lines += [_part(part) for part in cast("list[Any]", content)]
    elif content is not None and content != "":
        lines.append(_plain(content))
    refusal = message.get("refusal")
    if isinstance(refusal, str) and refusal:
        lines.append(f"(refusal) {clean_lines(refusal)}")
    calls = message.get("tool_calls")
    if isinstance(calls, list):
        lines += [_call(call) for call in cast("list[Any]", calls)]
    elif calls:
        lines.append(_plain(calls))
    reason = message.get("finish_reason")
    if isinstance(reason, str) and reason not in (
        "stop",
        "tool_call",
        "tool_calls",
        "end_turn",
        "",
    ):
        lines.append(f"(finish reason: {clean(reason)})")
    yield Block(1, label, "\n".join(lines))


def _part(part: object) -> str:
    """One part of a message: text as it is, media by what is known of it."""
    if not isinstance(part, dict):
        return _plain(part)
    fields = cast("dict[str, Any]", part)
    kind = fields.get("type")
    text = fields.get("text", fields.get("content"))
    if kind in ("text", "input_text", "output_text") and isinstance(text, str):
        return clean_lines(text)
    if kind in ("reasoning", "thinking") and isinstance(text or fields.get("thinking"), str):
        return f"(reasoning) {clean_lines(text or fields['thinking'])}"
    if kind == "tool_call":
        return _call(fields)
    if kind == "tool_call_response":
        result = fields.get("response", fields.get("result"))
        return f"result{_id(fields)} {_plain(result)}"
    if kind in ("blob", "uri", "file"):
        return _media(fields)
    return _plain(fields)


def _media(fields: Mapping[str, Any]) -> str:
    said = [_text(fields.get("modality")) or _text(fields.get("type")) or "file"]
    for key in ("mime_type", "name", "filename", "uri", "file_id"):
        text = _text(fields.get(key))
        if text:
            said.append(text)
    size = number(fields.get("size"))
    if size is not None:
        said.append(f"{size:.0f} bytes")
    digest = _text(fields.get("sha256"))
    if digest:
        said.append(f"sha256:{digest[:12]}")
    return f"[{clean(', '.join(said))}]"


def _call(call: object) -> str:
    """`calls get_weather(city="Paris")  [call_1]`."""
    if not isinstance(call, dict):
        return f"calls {_plain(call)}"
    fields = cast("dict[str, Any]", call)
    function = fields.get("function")
    if isinstance(function, dict):  # OpenAI's own form
        fields = {**cast("dict[str, Any]", function), "id": fields.get("id")}
    name = shorten(_text(fields.get("name")) or "(no name)", _LABEL_CHARS)
    arguments = fields.get("arguments")
    if isinstance(arguments, str):
        try:
            arguments = loads(arguments)
        except (ValueError, RecursionError):
            pass  # cut off, or not JSON: shown as it is
    if isinstance(arguments, dict):
        items = cast("dict[Any, Any]", arguments).items()
        inside = ", ".join([f"{clean(str(key))}={_json(item)}" for key, item in items])
    elif arguments is None or arguments == "":
        inside = ""
    else:
        inside = _plain(arguments)
    return f"calls {name}({inside}){_id(fields)}"


def _id(fields: Mapping[str, Any]) -> str:
    found = fields.get("id")
    return f"  [{shorten(found, _LABEL_CHARS)}]" if isinstance(found, str) and found else ""


def _facts(attributes: Mapping[str, Any]) -> Iterator[Block]:
    tokens: list[str] = []
    for key, said in (
        ("tokens_input", "in"),
        ("tokens_cache_read", "from cache"),
        ("tokens_cache_write", "to cache"),
        ("tokens_output", "out"),
        ("tokens_reasoning", "reasoning"),
    ):
        count = number(attributes.get(key))
        if count is not None and (count or key in ("tokens_input", "tokens_output")):
            tokens.append(f"{count:.0f} {said}")
    if tokens:
        yield Block(0, "tokens", ", ".join(tokens))
    first = number(attributes.get("time_to_first_token_ms"))
    if first is not None:
        yield Block(0, "first token", format_duration(first))
    reasons = attributes.get("finish_reasons")
    given = cast("list[object]", reasons) if isinstance(reasons, list) else [reasons]
    unusual = [reason for reason in given if _text(reason) and reason not in _USUAL_REASONS]
    if unusual:
        yield Block(0, "finish reason", shorten(", ".join(map(_text, unusual)), _LABEL_CHARS))
    variant = attributes.get("experiment_variant")
    if isinstance(variant, str):
        yield Block(0, "variant", shorten(variant, _LABEL_CHARS))


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _plain(value: object) -> str:
    return clean_lines(value) if isinstance(value, str) else _json(value)


def _json(value: object) -> str:
    return clean(dumps(value).decode("utf-8", "replace"))
