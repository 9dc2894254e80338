"""Messages and their parts: the conventions' JSON, its size limit, and the record's form of it.

Two forms of the same messages, which convert into each other without loss:

* the conventions' form, on OpenTelemetry spans: `{"role", "parts": [{"type": "text", …}, …]}`;
* the record's form, which people query: `{"role", "content", "tool_calls"?, "tool_call_id"?}` with
  `content` a text or a list of parts.

A message or part is a plain mapping, so that it is serialised in one C call; the functions below
are the only makers. Source: the JSON schemas of `gen_ai.input.messages` and
`gen_ai.output.messages`.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from typing import Any, Callable, Optional, cast
from urllib.parse import unquote_to_bytes

from peekr.encoding import dumps, loads

__all__ = [
    "Message",
    "Part",
    "before_cut",
    "binary",
    "cut",
    "data_url",
    "dump",
    "file",
    "from_record",
    "head",
    "media",
    "message",
    "reasoning",
    "refusal",
    "text",
    "to_record",
    "tool_call",
    "tool_response",
    "uri",
]

Part = dict[str, Any]
Message = dict[str, Any]


def message(role: str, parts: list[Part], **extra: Any) -> Message:
    """A message; `extra` are keys such as `name` or `finish_reason`, left out when None."""
    if role.__class__ is not str:
        role = _written(role)
    made: Message = {"role": role, "parts": parts}
    for key, value in extra.items():
        if value is not None:
            made[key] = value if value.__class__ is str else _written(value)
    return made


def text(content: str) -> Part:
    """Text as the model or the user wrote it.

    What is no text, though it stands where one belongs, is recorded as its JSON, here and in the
    other makers.
    """
    return {"type": "text", "content": content if content.__class__ is str else _written(content)}


def reasoning(content: str) -> Part:
    """The model's thinking, or its summary."""
    return {
        "type": "reasoning",
        "content": content if content.__class__ is str else _written(content),
    }


def refusal(content: str) -> Part:
    """The model's words for not answering."""
    return {
        "type": "refusal",
        "content": content if content.__class__ is str else _written(content),
    }


def _written(value: Any) -> str:
    """A text for what a damaged or foreign message has in the place of one."""
    if isinstance(value, str):
        return str.__str__(value)  # an enumeration's member is what it stands for
    return "" if value is None else dumps(value).decode("utf-8")


def tool_call(call_id: Optional[str], name: Optional[str], arguments: Any) -> Part:
    """A tool call; arguments that arrive as JSON text are parsed, other text stays text."""
    if isinstance(arguments, str):
        try:
            arguments = loads(arguments) if arguments else {}
        except ValueError:
            pass  # cut off in the middle of a stream, or not JSON: kept as it came
    if name.__class__ is not str:
        name = _written(name)
    part: Part = {"type": "tool_call", "name": name, "arguments": arguments}
    if call_id:
        part["id"] = call_id if call_id.__class__ is str else _written(call_id)
    return part


def tool_response(call_id: Optional[str], response: Any) -> Part:
    """What a tool gave back."""
    part: Part = {"type": "tool_call_response", "response": response}
    if call_id:
        part["id"] = call_id if call_id.__class__ is str else _written(call_id)
    return part


def uri(modality: str, address: str, mime_type: Optional[str] = None, **extra: Any) -> Part:
    """Media by its address. A `data:` address becomes a `binary` part."""
    if address.__class__ is not str:
        address = _written(address)
    if address[:5].lower() == "data:":
        return data_url(modality, address, **extra)
    return _media_part({"type": "uri", "modality": modality, "uri": address}, mime_type, extra)


def file(modality: str, file_id: str, mime_type: Optional[str] = None, **extra: Any) -> Part:
    """Media that the provider holds under an id."""
    if file_id.__class__ is not str:
        file_id = _written(file_id)
    return _media_part({"type": "file", "modality": modality, "file_id": file_id}, mime_type, extra)


def binary(modality: str, data: Any, mime_type: Optional[str] = None, **extra: Any) -> Part:
    """Media that was sent inline, bytes or base64 text: its type, size and digest, never itself.

    `size` is in bytes, `sha256` is of the decoded bytes. Base64 may have line ends, the alphabet of
    URLs and no padding; text that is none is measured as it is. Costs about 2 ms a megabyte on the
    caller's thread.
    """
    if isinstance(data, str):
        raw = _decoded(data)
    elif isinstance(data, (bytes, bytearray, memoryview)):
        raw = bytes(cast("bytes", data))
    else:
        return _media_part({"type": "blob", "modality": modality, "content": ""}, mime_type, extra)
    part: Part = {
        "type": "blob",
        "modality": modality,
        "content": "",
        "size": len(raw),
        "sha256": hashlib.sha256(raw).hexdigest(),
    }
    return _media_part(part, mime_type, extra)


def data_url(modality: str, address: str, **extra: Any) -> Part:
    """A `data:` URL as a `binary` part."""
    head, comma, payload = address.partition(",")
    if not comma:  # not whole: nothing says where the type ends
        return binary(modality, address[5:].encode("utf-8", "surrogatepass"), None, **extra)
    mime_type = head[5:].partition(";")[0] or None
    is_base64 = head[-7:].lower() == ";base64"
    data: Any = payload
    if "%" in payload or not is_base64:
        data = unquote_to_bytes(payload.encode("utf-8", "surrogatepass"))
        if is_base64:
            data = data.decode("ascii", "replace")
    return binary(modality, data, mime_type, **extra)


def media(mime_type: Optional[str]) -> str:
    """The modality of a MIME type: `image`, `video`, `audio` or `document`."""
    kind = mime_type.partition("/")[0] if isinstance(mime_type, str) else ""
    return kind if kind in ("image", "video", "audio") else "document"


def _decoded(data: str) -> bytes:
    text = data
    for _ in range(2):
        try:
            return base64.b64decode(text, validate=True)
        except ValueError:  # also where a character is not ASCII
            text = "".join(data.split()).replace("-", "+").replace("_", "/").rstrip("=")
            text += "=" * (-len(text) % 4)
    return data.encode("utf-8", "surrogatepass")


def _media_part(part: Part, mime_type: Optional[str], extra: dict[str, Any]) -> Part:
    if mime_type:
        part["mime_type"] = mime_type if mime_type.__class__ is str else _written(mime_type)
    for key, value in extra.items():
        if value is not None:
            part[key] = value
    return part


# -- the size limit -------------------------------------------------------------------------------

before_cut: Optional[Callable[[Any], Any]] = None
"""What guardrails make of a value that is recorded, where there are any that redact.

A value is redacted before it is cut: the half of a secret is not known for one any more.
"""


def head(content: str, chars: int) -> str:
    """The first characters of a text, redacted before the cut where anything is."""
    if before_cut is None:
        return content[:chars]
    return before_cut(content[: chars + _LONGEST_SECRET])[:chars]


_LONGEST_SECRET = 8_192


def dump(value: Any, max_chars: Optional[int] = None) -> str:
    """Serialise messages (or any JSON value) for a span attribute; never raises.

    Args:
        value: What to serialise.
        max_chars: The most characters that the attribute may hold; None for no limit. A value
            that is longer stays valid JSON: see `cut`.
    """
    made = dumps(value).decode("utf-8")
    if max_chars is None or len(made) <= max_chars:
        return made
    parsed = loads(made)
    return cut(parsed if before_cut is None else before_cut(parsed), max_chars)


def cut(value: Any, max_chars: int) -> str:
    """A JSON value as JSON text in at most `max_chars` characters, cut where it must be.

    Texts are cut first, at their ends, all to the same length. Where that is not enough, lists
    keep their last entries: those are what the model was asked about. Each cut says how much is
    missing: `…[120 characters cut]` at the end of a text, `[3 entries cut]` before the first entry
    that is left, or in it under the key `cut` where it is an object. Lengths are found by halving.
    """
    per_string = max(max_chars, 32)
    while per_string >= _LEAST_CHARS:
        made = dumps(_shortened(value, per_string, None, 0)).decode("utf-8")
        if len(made) <= max_chars:
            return made
        per_string //= 2
    per_list = 64
    while per_list >= 1:
        made = dumps(_shortened(value, _LEAST_CHARS, per_list, 0)).decode("utf-8")
        if len(made) <= max_chars:
            return made
        per_list //= 2
    made = dumps("[cut]").decode("utf-8")
    return made if len(made) <= max_chars else "0"[:max_chars]


_LEAST_CHARS = 16
# What the mark takes itself; names such as `tool_call_response` stay whole in any case.
_MARK_CHARS = 24
_LEAST_KEYS = 8
_MAX_DEPTH = 64


def _shortened(value: Any, per_string: int, per_list: Optional[int], depth: int) -> Any:
    if isinstance(value, str):
        missing = len(value) - per_string
        if missing <= _MARK_CHARS:
            return value
        return f"{value[:per_string]}…[{missing} characters cut]"
    if not isinstance(value, (dict, list)):
        return value
    if depth > _MAX_DEPTH:
        return "[cut]"
    if isinstance(value, dict):
        items = list(cast("dict[str, Any]", value).items())
        kept = items if per_list is None else items[: max(per_list, _LEAST_KEYS)]
        made = {key: _shortened(item, per_string, per_list, depth + 1) for key, item in kept}
        if len(kept) < len(items):
            made["cut"] = f"[{len(items) - len(kept)} keys cut]"
        return made
    entries = cast("list[Any]", value)
    last = entries if per_list is None else entries[-per_list:]
    some = [_shortened(entry, per_string, per_list, depth + 1) for entry in last]
    if len(last) < len(entries):
        mark = f"[{len(entries) - len(last)} entries cut]"
        if isinstance(some[0], dict):
            # A list of messages stays one.
            some[0] = {**cast("dict[str, Any]", some[0]), "cut": mark}
        else:
            some.insert(0, mark)
    return some


# -- the record's form ----------------------------------------------------------------------------


def to_record(messages: Sequence[Message]) -> list[dict[str, Any]]:
    """The conventions' messages in the record's form.

    Runs on the caller's thread, where a message that is one text is the common case.
    """
    made: list[dict[str, Any]] = []
    for entry in messages:
        reason = entry.get("finish_reason")
        if len(entry) == 2 or (reason is not None and len(entry) == 3):
            parts = entry["parts"]
            if len(parts) == 1:
                only = parts[0]
                content = only.get("content")
                if type(content) is str and len(only) == 2 and only.get("type") == "text":
                    plain = {"role": entry["role"], "content": content}
                    if reason is not None:
                        plain["finish_reason"] = reason
                    made.append(plain)
                    continue
        made.append(_to_record(entry))
    return made


def from_record(messages: Sequence[dict[str, Any]]) -> list[Message]:
    """The record's messages in the conventions' form; the inverse of `to_record`."""
    return [_from_record(entry) for entry in messages]


def _to_record(entry: Message) -> dict[str, Any]:
    parts: list[Part] = entry.get("parts") or []
    if not parts and "role" not in entry and "parts" not in entry:
        raise KeyError("neither a role nor parts: no message")
    made: dict[str, Any] = {"role": entry.get("role")}
    first_call = len(parts)
    if first_call == 1:
        only = parts[0]
        kind = only.get("type")
        if kind == "tool_call_response" and len(only) == 3 and "id" in only and "response" in only:
            made["tool_call_id"] = only["id"]
            made["content"] = only["response"]
            return made if len(entry) == 2 else _with_rest(made, entry)
    while first_call and parts[first_call - 1].get("type") == "tool_call":
        first_call -= 1
    if first_call == 1 and _is_plain_text(parts[0]):
        made["content"] = parts[0]["content"]
    elif first_call or not parts:
        made["content"] = parts[:first_call]
    else:
        made["content"] = None
    if first_call < len(parts):
        made["tool_calls"] = [_call_to_record(call) for call in parts[first_call:]]
    return made if len(entry) == 2 else _with_rest(made, entry)


def _is_plain_text(part: Part) -> bool:
    return part.get("type") == "text" and len(part) == 2 and isinstance(part.get("content"), str)


def _with_rest(made: dict[str, Any], entry: Message) -> dict[str, Any]:
    if len(entry) > 2:
        for key, value in entry.items():
            if key not in ("role", "parts"):
                made[key] = value
    return made


def _call_to_record(call: Part) -> dict[str, Any]:
    made: dict[str, Any] = {}
    if "id" in call:
        made["id"] = call["id"]
    for key, value in call.items():
        if key not in ("type", "id"):
            made[key] = value
    return made


def _from_record(entry: dict[str, Any]) -> Message:
    content = entry.get("content")
    calls = cast("list[dict[str, Any]]", entry.get("tool_calls") or [])
    parts: list[Part]
    if "tool_call_id" in entry:
        given = {"type": "tool_call_response", "id": entry["tool_call_id"], "response": content}
        parts = [given]
    elif isinstance(content, str):
        parts = [text(content)]
    elif isinstance(content, list):
        parts = list(cast("list[Part]", content))
    else:
        parts = []
    parts += [{"type": "tool_call", **call} for call in calls]
    made: Message = {"role": entry.get("role"), "parts": parts}
    for key, value in entry.items():
        if key not in ("role", "content", "tool_calls", "tool_call_id"):
            made[key] = value
    return made
