"""The events of ConverseStream, and of Amazon Nova's streams, put together to an answer."""

from __future__ import annotations

from typing import Any, Optional, cast

from peekr.instrumentation.bedrock import client
from peekr.instrumentation.bedrock.form import obj, text_of
from peekr.instrumentation.contract import Fault, Response
from peekr.instrumentation.sound import joined
from peekr.messages import Part, message, reasoning, text, tool_call

__all__ = ["ConverseStream"]


class _Block:
    """One block of a streamed answer as far as it has come."""

    __slots__ = ("citations", "kind", "pieces", "start")

    def __init__(self) -> None:
        self.kind = ""
        self.start: dict[str, Any] = {}
        self.pieces: list[str] = []
        self.citations: list[Any] = []

    def part(self) -> Optional[Part]:
        said = joined(self.pieces)
        if self.kind == "toolUse":
            return tool_call(self.start.get("toolUseId"), self.start.get("name"), said)
        if self.kind == "reasoningContent":
            return reasoning(said) if said else {**reasoning(""), "redacted": True}
        if self.kind == "text":
            part = text(said)
            if self.citations:
                part["citations"] = self.citations
            return part if said else None
        return {"type": self.kind} if self.kind else None


class ConverseStream:
    """Puts the events of a stream together."""

    __slots__ = ("_blocks", "_fault", "_head", "_metadata", "_reason", "_role")

    def __init__(self) -> None:
        self._blocks: dict[Any, _Block] = {}
        self._head: dict[str, Any] = {}
        self._metadata: Optional[dict[str, Any]] = None
        self._reason: Optional[str] = None
        self._role = "assistant"
        self._fault: Optional[Fault] = None

    def add(self, chunk: Any) -> None:
        """Take an event, or first of all the response's metadata."""
        event = cast("dict[str, Any]", chunk)
        found: Any = event.get("contentBlockDelta")
        if found.__class__ is dict:
            index = found.get("contentBlockIndex")
            if index.__class__ is not int:
                index = 0
            block = self._blocks.get(index) or self._block(index)
            delta = obj(found.get("delta"))
            said = delta.get("text")
            if said is not None:
                block.kind = "text"
                block.pieces.append(said)
            else:
                _add_delta(block, delta)
        elif "contentBlockStart" in event:
            found = obj(event["contentBlockStart"])
            index = found.get("contentBlockIndex")
            block = self._block(index if index.__class__ is int else 0)
            for kind, start in obj(found.get("start")).items():
                block.kind, block.start = kind, obj(start)
        elif "messageStart" in event:
            self._role = obj(event["messageStart"]).get("role") or "assistant"
        elif "messageStop" in event:
            self._reason = obj(event["messageStop"]).get("stopReason")
        elif "metadata" in event:
            self._metadata = obj(event["metadata"])
        elif "ResponseMetadata" in event:
            self._head = event
        else:
            self._fault = self._fault or client.event_fault(event)

    def _block(self, index: Any) -> _Block:
        block = self._blocks.get(index)
        if block is None:
            block = self._blocks[index] = _Block()
        return block

    def response(self) -> Response:
        """What has arrived; complete with the metadata, which comes last."""
        parts: list[Part] = []
        for _, block in sorted(self._blocks.items(), key=_by_index):
            part = block.part()
            if part is None:
                continue
            # Nova gives every piece of text a block of its own.
            last = parts[-1] if parts else None
            if last is not None and part["type"] == last["type"] == "text" and len(last) == 2:
                last["content"] += part.pop("content")
                last.update(part)
            else:
                parts.append(part)
        metadata = self._metadata or {}
        output = [message(self._role, parts, finish_reason=self._reason or "")]
        return Response(
            model=client.routed_model(metadata.get("trace")),
            finish_reasons=[self._reason] if self._reason else None,
            usage=client.converse_usage(metadata.get("usage")),
            output=output if parts else None,
            attributes={
                **client.answer_attributes(
                    self._head, obj(metadata.get("metrics")).get("latencyMs")
                ),
                **client.guardrail_attributes(metadata.get("trace")),
            },
            fault=self._fault,
            complete=self._metadata is not None,
        )


def _by_index(item: tuple[Any, _Block]) -> int:
    return item[0] if isinstance(item[0], int) else 0


def _add_delta(block: _Block, delta: dict[str, Any]) -> None:
    for kind, value in delta.items():
        if kind in ("toolUse", "reasoningContent"):
            block.kind = kind
            block.pieces.append(text_of(obj(value).get("input" if kind == "toolUse" else "text")))
        elif kind == "citation":
            block.citations.append(value)
        else:
            block.kind = block.kind or kind
