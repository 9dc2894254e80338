"""What a record says, as texts that a judge can read."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple, Optional, cast

from peekr.encoding import dumps, loads
from peekr.errors import EvaluationError
from peekr.record import SpanRecord

__all__ = [
    "Passage",
    "as_text",
    "chunks_of",
    "fenced",
    "has_answer",
    "input_text",
    "output_text",
    "passages",
    "require_content",
]

EVIDENCE = "evidence"
"""The record's attribute that holds what was retrieved."""


class Passage(NamedTuple):
    """One chunk of what was retrieved.

    Attributes:
        id: What it is cited by: its own id, else its number from 1.
        text: What it says.
        source: Where it is from, an address say; empty where that is not known.
    """

    id: str
    text: str
    source: str = ""


def require_content(record: SpanRecord) -> None:
    """See that the content was recorded.

    Raises:
        EvaluationError: neither input nor output was, under `capture_content=False` say.
    """
    if "input" not in record.attributes and "output" not in record.attributes:
        raise EvaluationError("the record holds neither input nor output")


def input_text(record: SpanRecord) -> str:
    """What was asked, the system's instructions included; empty where nothing was."""
    return as_text(record.attributes.get("input"))


def output_text(record: SpanRecord) -> str:
    """What was answered, tool calls included; empty where nothing was."""
    return as_text(record.attributes.get("output"), is_answer=True)


def has_answer(record: SpanRecord) -> bool:
    """Whether the answer holds anything but white space and thoughts: text, a tool call, …."""
    return _holds(record.attributes.get("output"))


def as_text(value: Any, *, is_answer: bool = False) -> str:
    """A text, or messages as a transcript; another value as JSON.

    Args:
        value: The record's `input` or `output`.
        is_answer: The role of a single message goes without saying.
    """
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    if _are_messages(value):
        messages = cast("list[dict[str, Any]]", value)
        if is_answer and len(messages) == 1:
            return _body(messages[0])
        return "\n\n".join(f"{message['role']}: {_body(message)}" for message in messages)
    return dumps(value).decode()


def chunks_of(record: SpanRecord) -> list[Passage]:
    """What was retrieved for the call, as `record_evidence` was given it."""
    return passages(record.attributes.get(EVIDENCE))


def passages(value: Any) -> list[Passage]:
    """Passages of what a retriever gives: texts, mappings or documents, one or many.

    Of a mapping or a document, the text is its `text`, `content`, `page_content`, `document` or
    `body`, the id its `id`, `chunk_id` or `doc_id`, the source its `source`, `url` or `uri`, which
    may also stand in its `metadata`.

    Args:
        value: One passage, or a list of them; None for none.
    """
    if value is None:
        return []
    if isinstance(value, (str, bytes, Mapping)) or not isinstance(value, (Sequence, set, Iterator)):
        value = [value]
    made: list[Passage] = []
    for entry in cast("Sequence[Any]", value):
        found = _passage(entry, str(len(made) + 1))
        if found.text.strip():
            made.append(found)
    return made


_TEXT = ("text", "content", "page_content", "document", "body")
_ID = ("id", "chunk_id", "doc_id", "id_")
_SOURCE = ("source", "url", "uri")


def _passage(entry: Any, number: str) -> Passage:
    if isinstance(entry, Passage):
        return entry
    if isinstance(entry, str):
        return Passage(number, entry)
    if isinstance(entry, bytes):
        return Passage(number, entry.decode("utf-8", "replace"))
    text = _first(entry, _TEXT)
    if text is None:
        # A retriever's result that wraps the document together with its rank.
        inner = _field(entry, "node") or _field(entry, "chunk")
        if inner is not None and inner is not entry:
            return _passage(inner, number)
        plain = isinstance(entry, (Mapping, list, tuple, int, float, bool))
        return Passage(number, dumps(entry).decode() if plain else str(entry))
    if not isinstance(text, str):
        text = dumps(text).decode()
    metadata = _field(entry, "metadata")
    identity = _first(entry, _ID) or _first(metadata, _ID)
    source = _first(entry, _SOURCE) or _first(metadata, _SOURCE)
    return Passage(number if identity is None else str(identity), text, str(source or ""))


def _first(entry: Any, names: tuple[str, ...]) -> Any:
    for name in names:
        value = _field(entry, name)
        if value is not None and not callable(value):
            return value
    return None


def _field(entry: Any, name: str) -> Any:
    if isinstance(entry, Mapping):
        return cast("Mapping[str, Any]", entry).get(name)
    return getattr(entry, name, None)


def fenced(tag: str, text: str) -> str:
    """A text between tags that it cannot close itself, whoever wrote it."""
    return f"<{tag}>\n{text.replace(f'</{tag}', f'< /{tag}')}\n</{tag}>"


def _are_messages(value: Any) -> bool:
    return (
        isinstance(value, list)
        and bool(cast("list[Any]", value))
        and all(isinstance(m, dict) and "role" in m for m in cast("list[Any]", value))
    )


def _body(message: dict[str, Any]) -> str:
    pieces = [_content(message.get("content"))]
    pieces += [_call(call) for call in _listed(message.get("tool_calls"))]
    return "\n".join(piece for piece in pieces if piece)


def _content(content: Any) -> str:
    if isinstance(content, str):
        return content
    if not isinstance(content, list):
        return "" if content is None else dumps(content).decode()
    return "\n".join(filter(None, map(_part, cast("list[Any]", content))))


def _part(part: Any) -> str:
    if not isinstance(part, dict):
        return str(part)
    found = cast("dict[str, Any]", part)
    kind = found.get("type")
    if kind == "reasoning":
        return ""  # what the model thought is not what it said
    if kind == "tool_call":
        return _call(found)
    if kind == "tool_call_response":
        return _content(found.get("response", found.get("result")))
    text = found.get("content", found.get("text"))
    if kind in ("text", "refusal", None) and isinstance(text, str):
        return text
    return f"[{found.get('modality') or kind}]"


def _call(call: Any) -> str:
    if not isinstance(call, dict):
        return str(call)
    found = cast("dict[str, Any]", call)
    arguments = found.get("arguments")
    if isinstance(arguments, str):
        try:
            arguments = loads(arguments)
        except ValueError:
            return f"[calls {found.get('name')}({arguments})]"
    return f"[calls {found.get('name')}({'' if arguments is None else dumps(arguments).decode()})]"


def _listed(value: Any) -> list[Any]:
    return cast("list[Any]", value) if isinstance(value, list) else []


def _holds(value: Any) -> bool:
    if value is None:
        return False
    if isinstance(value, str):
        return bool(value.strip())
    if _are_messages(value):
        return any(_body(message).strip() for message in cast("list[dict[str, Any]]", value))
    if isinstance(value, (list, dict)):
        return bool(cast("Optional[Any]", value))
    return True
