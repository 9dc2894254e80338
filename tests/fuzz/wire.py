"""Documents as the bytes that a provider sends."""

from __future__ import annotations

import base64
import json
import struct
import zlib
from typing import Any, Dict, List

from ..support.facts.wire import json_object
from ..support.recordings import Interaction
from .reading import is_invoke

__all__ = ["aws_message", "encoded"]


def encoded(interaction: Interaction, documents: List[Any]) -> bytes:
    """The body of an answer."""
    if not interaction.streamed:
        return json.dumps(documents[0]).encode() if documents else b""
    if interaction.provider == "bedrock":
        return b"".join(_aws(interaction, document) for document in documents)
    return b"".join(_sse(interaction, document) for document in documents)


def _sse(interaction: Interaction, document: Any) -> bytes:
    kind = json_object(document).get("type")
    name = f"event: {kind}\n" if interaction.provider == "anthropic" else ""
    return f"{name}data: {json.dumps(document)}\n\n".encode("utf-8", "backslashreplace")


def _aws(interaction: Interaction, document: Any) -> bytes:
    if is_invoke(interaction):
        data = base64.b64encode(json.dumps(document).encode()).decode()
        return aws_message("chunk", json.dumps({"bytes": data}).encode())
    held = json_object(document)
    name = next(iter(held), "brandNew")
    return aws_message(name, json.dumps(held.get(name)).encode())


def aws_message(event_type: str, payload: bytes) -> bytes:
    """One message of an AWS event stream."""
    named: Dict[str, str] = {
        ":message-type": "event",
        ":event-type": event_type,
        ":content-type": "application/json",
    }
    headers = b"".join(
        struct.pack(">B", len(name.encode()))
        + name.encode()
        + struct.pack(">BH", 7, len(value.encode("utf-8", "replace")))
        + value.encode("utf-8", "replace")
        for name, value in named.items()
    )
    prelude = struct.pack(">II", len(headers) + len(payload) + 16, len(headers))
    start = prelude + struct.pack(">I", zlib.crc32(prelude)) + headers + payload
    return start + struct.pack(">I", zlib.crc32(start))
