"""What Converse says; Amazon Nova's own bodies for `invoke_model` have nearly the same form.

Source: the API reference of Converse and ConverseStream (botocore 1.35 to 1.43), and "Complete
request schema" in Amazon Nova's user guide.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Optional

from peekr.instrumentation.bedrock import client
from peekr.instrumentation.bedrock.converse_stream import ConverseStream
from peekr.instrumentation.bedrock.form import (
    obj,
    objs,
    parameters,
    sampling,
    text_of,
)
from peekr.instrumentation.bedrock.written import converse_form
from peekr.instrumentation.contract import Accumulator, Fault, Request, Response
from peekr.messages import (
    Message,
    Part,
    binary,
    message,
    reasoning,
    text,
    tool_call,
    tool_response,
    uri,
)
from peekr.semconv import otel

__all__ = ["CONVERSE", "CONVERSE_STREAM", "ConverseExtractor", "ConverseForm"]

_PARAMETERS = (
    "guardrailConfig",
    "additionalModelResponseFieldPaths",
    "performanceConfig",
    "outputConfig",
    "serviceTier",
    "requestMetadata",
)
# Formats whose MIME type is not simply the format after a slash.
_DOCUMENT_TYPES = {
    "pdf": "application/pdf",
    "doc": "application/msword",
    "docx": "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
    "xls": "application/vnd.ms-excel",
    "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    "txt": "text/plain",
    "md": "text/markdown",
    "csv": "text/csv",
    "html": "text/html",
}
_VIDEO_TYPES = {"three_gp": "video/3gpp", "mov": "video/quicktime", "mkv": "video/x-matroska"}


class ConverseExtractor:
    """Reads `converse`, or `converse_stream`.

    Args:
        stream: The answer is a stream of events.
    """

    def __init__(self, stream: bool) -> None:
        self._stream = stream

    def request(self, instance: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Request:
        """Read a request from the operation's parameters."""
        asked = client.arguments(args, kwargs)
        further = obj(asked.get("additionalModelRequestFields"))
        request = _request(asked)
        request.attributes = {
            **sampling(further),
            **(request.attributes or {}),
            **client.guardrail_id(obj(asked.get("guardrailConfig")).get("guardrailIdentifier")),
        }
        held = {key: asked[key] for key in _PARAMETERS if asked.get(key)}
        request.parameters = {**parameters(further), **(request.parameters or {}), **held}
        if obj(obj(asked.get("outputConfig")).get("textFormat")).get("type") == "json_schema":
            request.attributes[otel.GEN_AI_OUTPUT_TYPE] = "json"
        if request.input is None and asked.get("promptVariables"):
            # A managed prompt: what the caller gives are the values that go into it.
            values = {"type": "prompt_variables", "content": asked["promptVariables"]}
            request.input = [message("user", [values])]
        client.address(request, instance, asked)
        request.stream = self._stream
        request.form = converse_form(asked)
        return request

    def response(self, result: Any) -> Response:
        """Read the answer of `converse`."""
        answer = obj(result)
        response = _response(answer)
        response.attributes = {
            **client.answer_attributes(answer, obj(answer.get("metrics")).get("latencyMs")),
            **client.guardrail_attributes(answer.get("trace")),
        }
        return response

    def accumulator(self) -> Accumulator:
        """Begin a stream of events."""
        return ConverseStream()

    def fault(self, error: BaseException) -> Optional[Fault]:
        """Read an exception of botocore."""
        return client.fault(error)


class ConverseForm:
    """Amazon Nova's bodies."""

    def asks(self, body: dict[str, Any]) -> bool:
        """Whether a request is Nova's: its contents are blocks without a type."""
        if "inferenceConfig" in body or "toolConfig" in body or "schemaVersion" in body:
            return "messages" in body
        entries = objs(body.get("messages"))
        blocks = objs(entries[0].get("content")) if entries else []
        return bool(blocks) and "type" not in blocks[0] and "text" in blocks[0]

    def request(self, body: dict[str, Any]) -> Request:
        """Read a request."""
        return _request(body)

    def answers(self, body: dict[str, Any]) -> bool:
        """Whether an answer or an event is Nova's."""
        return "message" in obj(body.get("output")) or not _EVENTS.isdisjoint(body)

    def response(self, body: dict[str, Any]) -> Response:
        """Read an answer."""
        return _response(body)

    def accumulator(self) -> Accumulator:
        """Begin a stream of events."""
        return ConverseStream()


_EVENTS = frozenset(
    (
        "messageStart",
        "contentBlockStart",
        "contentBlockDelta",
        "contentBlockStop",
        "messageStop",
    )
)


def _request(body: dict[str, Any]) -> Request:
    tools = obj(body.get("toolConfig"))
    held = parameters(body)
    if tools.get("toolChoice"):
        held["toolChoice"] = tools["toolChoice"]
    entries = objs(body.get("messages"))
    return Request(
        operation="chat",
        attributes=sampling(body),
        parameters=held,
        input=[_message(entry) for entry in entries] or None,
        system=_parts(body.get("system")) or None,
        tools=[_tool(entry) for entry in objs(tools.get("tools"))] or None,
    )


def _message(entry: dict[str, Any]) -> Message:
    parts = _parts(entry.get("content"))
    role = text_of(entry.get("role")) or "user"
    if role == "user" and parts and all(part["type"] == "tool_call_response" for part in parts):
        role = "tool"
    return message(role, parts)


def _tool(entry: dict[str, Any]) -> dict[str, Any]:
    spec = obj(entry.get("toolSpec"))
    if not spec:
        kind = next(iter(entry), "tool")
        return {"type": kind, "name": obj(entry.get(kind)).get("name") or kind}
    made: dict[str, Any] = {"type": "function", "name": spec.get("name")}
    if spec.get("description"):
        made["description"] = spec["description"]
    schema = obj(spec.get("inputSchema"))
    if schema:
        made["parameters"] = schema.get("json", schema)
    return made


def _response(body: dict[str, Any]) -> Response:
    said = obj(obj(body.get("output")).get("message"))
    reason = body.get("stopReason")
    output = None
    if said:
        role = text_of(said.get("role")) or "assistant"
        output = [message(role, _parts(said.get("content")), finish_reason=reason or "")]
    return Response(
        model=client.routed_model(body.get("trace")),
        finish_reasons=[reason] if reason else None,
        usage=client.converse_usage(body.get("usage")),
        output=output,
    )


def _parts(content: Any) -> list[Part]:
    if isinstance(content, str):
        return [text(content)] if content else []
    return [_part(block) for block in objs(content)]


def _part(block: dict[str, Any]) -> Part:
    for kind, value in block.items():
        if kind == "text":
            return text(text_of(value))
        reader = _READERS.get(kind)
        if reader is not None:
            return reader(obj(value))
    return {"type": next(iter(block), "unknown")}


def _tool_use(value: dict[str, Any]) -> Part:
    return tool_call(value.get("toolUseId"), value.get("name"), value.get("input"))


def _tool_result(value: dict[str, Any]) -> Part:
    blocks = objs(value.get("content"))
    response: Any
    if len(blocks) == 1 and "json" in blocks[0]:
        response = blocks[0]["json"]
    elif len(blocks) == 1 and "text" in blocks[0]:
        response = blocks[0]["text"]
    else:
        response = [
            {"type": "json", "content": block["json"]} if "json" in block else _part(block)
            for block in blocks
        ]
    part = tool_response(value.get("toolUseId"), response)
    if value.get("status") == "error":
        part["status"] = "error"
    return part


def _reasoning(value: dict[str, Any]) -> Part:
    shown = obj(value.get("reasoningText"))
    if shown:
        return reasoning(text_of(shown.get("text")))
    return {**reasoning(""), "redacted": True}


def _image(value: dict[str, Any]) -> Part:
    return _media("image", value, f"image/{value.get('format')}")


def _video(value: dict[str, Any]) -> Part:
    suffix = text_of(value.get("format"))
    return _media("video", value, _VIDEO_TYPES.get(suffix, f"video/{suffix}"))


def _audio(value: dict[str, Any]) -> Part:
    return _media("audio", value, f"audio/{value.get('format')}")


def _document(value: dict[str, Any]) -> Part:
    suffix = text_of(value.get("format"))
    mime_type = _DOCUMENT_TYPES.get(suffix)
    name, source = value.get("name"), obj(value.get("source"))
    if "text" in source or "content" in source:
        written = source.get("text")
        if not isinstance(written, str):
            written = "".join(text_of(part.get("text")) for part in objs(source.get("content")))
        return {"type": "document", "filename": name, "content": written}
    return _media("document", value, mime_type, filename=name)


def _media(modality: str, value: dict[str, Any], mime_type: Optional[str], **extra: Any) -> Part:
    source = obj(value.get("source"))
    held = obj(source.get("s3Location"))
    if held:
        return uri(modality, text_of(held.get("uri")), mime_type, **extra)
    return binary(modality, source.get("bytes"), mime_type, **extra)


def _guarded(value: dict[str, Any]) -> Part:
    """Content that is marked for the guardrail; the model reads it like any other."""
    if value.get("image"):
        return _image(obj(value["image"]))
    marked = obj(value.get("text"))
    part = text(text_of(marked.get("text")))
    part["qualifiers"] = marked.get("qualifiers") or ["guard_content"]
    return part


def _cited(value: dict[str, Any]) -> Part:
    part = text("".join(text_of(entry.get("text")) for entry in objs(value.get("content"))))
    if value.get("citations"):
        part["citations"] = value["citations"]
    return part


def _cache_point(value: dict[str, Any]) -> Part:
    return {"type": "cache_point", **{key: value[key] for key in ("ttl",) if key in value}}


def _search_result(value: dict[str, Any]) -> Part:
    return {"type": "search_result", **{k: v for k, v in value.items() if k != "citations"}}


_READERS = {
    "toolUse": _tool_use,
    "toolResult": _tool_result,
    "reasoningContent": _reasoning,
    "image": _image,
    "video": _video,
    "audio": _audio,
    "document": _document,
    "guardContent": _guarded,
    "citationsContent": _cited,
    "cachePoint": _cache_point,
    "searchResult": _search_result,
}


CONVERSE = ConverseExtractor(stream=False)
CONVERSE_STREAM = ConverseExtractor(stream=True)
