"""Contents and their parts, in every shape that the SDK takes or gives, as messages."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Optional, cast

from peekr.instrumentation.google_genai.client import get, items_of, reader, word
from peekr.messages import (
    Message,
    Part,
    binary,
    media,
    message,
    reasoning,
    text,
    tool_call,
    tool_response,
    uri,
)

__all__ = ["answer_part", "input_messages", "part_of", "system_parts"]

_ROLES = {"model": "assistant", "function": "tool"}
# base64 in Google's JSON may be the variant for URLs.
_STANDARD_BASE64 = str.maketrans("-_", "+/")


def input_messages(contents: Any) -> Optional[list[Message]]:
    """The messages of `contents`: a text, a part, a file, an image, a content, or a list of them.

    As in the SDK, parts that stand side by side in a list are one message: of the model where they
    are function calls, else of the user.
    """
    if contents is None:
        return None
    entries = items_of(contents) if isinstance(contents, (list, tuple)) else [contents]
    made: list[Message] = []
    loose: Optional[Message] = None
    for entry in entries:
        if isinstance(entry, (list, tuple)):
            made.append(message("user", _parts(entry)))
            loose = None
        elif _is_content(entry):
            made.append(_message(entry))
            loose = None
        else:
            part = part_of(entry)
            role = "assistant" if part["type"] == "tool_call" else "user"
            if loose is None or loose["role"] != role:
                loose = message(role, [])
                made.append(loose)
            cast("list[Part]", loose["parts"]).append(part)
    for entry in made:
        _name_role(entry)
    return made


def system_parts(instruction: Any) -> Optional[list[Part]]:
    """The parts of a system instruction, whatever its shape."""
    if instruction is None or instruction == "":
        return None
    if _is_content(instruction):
        return _parts(get(instruction, "parts"))
    return _parts(instruction)


def part_of(entry: Any) -> Part:
    """One part of a request: a text, a file, an image, a `Part` or its dictionary."""
    if isinstance(entry, str):
        return text(entry)
    found = answer_part(entry)
    if found is not None:
        return found
    address = get(entry, "uri") or get(entry, "file_uri")
    if isinstance(address, str):
        # A file that was uploaded, or the bare data of one.
        return _by_address(entry, address)
    if "image" in type(entry).__name__.lower():
        return _image(entry)
    if get(entry, "data") is not None:
        return _inline_data(entry)
    return text("") if isinstance(get(entry, "text"), str) else {"type": "unknown"}


def answer_part(entry: Any) -> Optional[Part]:
    """One part of an answer or of a request; None where it says nothing."""
    get = reader(entry)
    for name, read in _READERS:
        value = get(name)
        if value is not None:
            return read(value)
    written = get("text")
    if isinstance(written, str) and written:
        return reasoning(written) if get("thought") else text(written)
    return None


def _is_content(entry: Any) -> bool:
    if isinstance(entry, dict):
        return "parts" in entry or "role" in entry
    return hasattr(entry, "parts")


def _message(content: Any) -> Message:
    role = get(content, "role") or "user"
    name = role if isinstance(role, str) else str(role)
    return message(_ROLES.get(name, name), _parts(get(content, "parts")))


def _name_role(entry: Message) -> None:
    """Functions' results come under the user's role; the conventions call that role `tool`."""
    parts = cast("list[Part]", entry["parts"])
    if parts and all(part["type"] == "tool_call_response" for part in parts):
        entry["role"] = "tool"


def _parts(entries: Any) -> list[Part]:
    if entries is None:
        return []
    if isinstance(entries, (list, tuple)):
        return [part_of(entry) for entry in cast("list[Any]", entries)]
    return [part_of(entries)]


def _function_call(value: Any) -> Part:
    return tool_call(get(value, "id"), get(value, "name"), get(value, "args") or {})


def _function_response(value: Any) -> Part:
    call_id = get(value, "id")
    made = tool_response(call_id, get(value, "response"))
    if not call_id:
        # Without an id it is the name that says which call this answers.
        made["name"] = get(value, "name") or ""
    attached = [part for part in map(answer_part, items_of(get(value, "parts"))) if part]
    if attached:
        made["parts"] = attached
    return made


def _inline_data(value: Any) -> Part:
    mime_type = get(value, "mime_type")
    data = get(value, "data")
    if isinstance(data, str):
        data = data.translate(_STANDARD_BASE64)
    return binary(media(mime_type), data, mime_type, name=get(value, "display_name"))


def _file_data(value: Any) -> Part:
    return _by_address(value, str(get(value, "file_uri") or ""))


def _by_address(value: Any, address: str) -> Part:
    mime_type = get(value, "mime_type")
    return uri(media(mime_type), address, mime_type, name=get(value, "display_name"))


def _image(value: Any) -> Part:
    """An image of PIL, which the SDK encodes later: its type and measures."""
    kind = str(getattr(value, "format", None) or "PNG").lower()
    width, height = getattr(value, "size", None) or (None, None)
    return binary("image", None, f"image/{kind}", width=width, height=height)


def _server_call(name: str, call_id: Any, **detail: Any) -> Part:
    made: Part = {"type": "server_tool_call", "name": name, "server_tool_call": detail}
    if call_id:
        made["id"] = call_id
    return made


def _server_response(call_id: Any, **detail: Any) -> Part:
    made: Part = {"type": "server_tool_call_response", "server_tool_call_response": detail}
    if call_id:
        made["id"] = call_id
    return made


def _executable_code(value: Any) -> Part:
    return _server_call(
        "code_execution",
        get(value, "id"),
        type="code_execution",
        language=word(get(value, "language")),
        code=get(value, "code"),
    )


def _code_execution_result(value: Any) -> Part:
    return _server_response(
        get(value, "id"),
        type="code_execution",
        outcome=word(get(value, "outcome")),
        output=get(value, "output"),
    )


def _tool_call(value: Any) -> Part:
    kind = (word(get(value, "tool_type")) or "tool").lower()
    return _server_call(kind, get(value, "id"), type=kind, arguments=get(value, "args"))


def _tool_response(value: Any) -> Part:
    kind = (word(get(value, "tool_type")) or "tool").lower()
    return _server_response(get(value, "id"), type=kind, response=get(value, "response"))


_READERS: tuple[tuple[str, Callable[[Any], Part]], ...] = (
    ("function_call", _function_call),
    ("function_response", _function_response),
    ("inline_data", _inline_data),
    ("file_data", _file_data),
    ("executable_code", _executable_code),
    ("code_execution_result", _code_execution_result),
    ("tool_call", _tool_call),
    ("tool_response", _tool_response),
)
