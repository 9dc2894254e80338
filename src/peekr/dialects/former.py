"""Records of Peekr before 1.0, whose inputs and outputs are the text of JSON."""

from __future__ import annotations

from typing import Any

from peekr.dialects.draft import entries, mapping, parsed
from peekr.dialects.openllmetry import arguments
from peekr.dialects.wire import conversation, is_conversation
from peekr.encoding import loads
from peekr.messages import to_record

__all__ = ["modernise"]


def modernise(attributes: dict[str, Any]) -> None:
    """Give the attributes of a record the form that they have today; never raises.

    Args:
        attributes: Changed in place; a text that was cut off stays a text.
    """
    given = attributes.get("input")
    if "model" not in attributes:
        if isinstance(given, str):
            attributes["input"] = arguments(parsed(given))
        made = attributes.get("output")
        if isinstance(made, str):
            # Every return value was written as JSON, texts too.
            try:
                attributes["output"] = loads(made)
            except (ValueError, RecursionError):
                pass
        return
    read = parsed(given)
    if is_conversation(read):
        messages = to_record(conversation(read) or [])
        system = attributes.get("system")
        if isinstance(system, str) and mapping(entries(messages)[0]).get("role") != "system":
            messages.insert(0, {"role": "system", "content": system})
            attributes["system_instructions"] = 1
            del attributes["system"]
        attributes["input"] = messages
    if attributes.get("output") == "" and "error" not in attributes:
        del attributes["output"]  # what was called instead of an answer was not kept
