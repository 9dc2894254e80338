"""What the families say that take a prompt rather than messages.

Amazon Titan Text, Meta Llama, Mistral's instruct models, Cohere Command, AI21 Jurassic,
Anthropic's text completions, and models imported in one of these forms. Source: "Inference request
parameters and response fields for foundation models" in Amazon Bedrock's user guide.
"""

from __future__ import annotations

from typing import Any, Optional, cast

from peekr.instrumentation.bedrock.form import obj, objs, parameters, sampling
from peekr.instrumentation.contract import Accumulator, Request, Response, Usage
from peekr.instrumentation.sound import count
from peekr.messages import Message, Part, binary, message, text

__all__ = ["PromptForm"]

_PROMPTS = ("prompt", "inputText")
# Where an answer has its texts: in a list, or at the top.
_LISTS = ("results", "outputs", "generations", "completions")
_TEXTS = ("outputText", "generation", "completion", "text")
_REASONS = ("completionReason", "stop_reason", "finish_reason")


class PromptForm:
    """A prompt, and one text or several."""

    def asks(self, body: dict[str, Any]) -> bool:
        """Whether a request has a prompt."""
        return any(isinstance(body.get(name), str) for name in _PROMPTS)

    def request(self, body: dict[str, Any]) -> Request:
        """Read a request."""
        parts: list[Part] = []
        for name in _PROMPTS:
            prompt = body.get(name)
            if isinstance(prompt, str):
                parts.append(text(prompt))
        images: Any = body.get("images")
        if isinstance(images, list):
            parts += [binary("image", image) for image in cast("list[Any]", images)]
        return Request(
            operation="text_completion",
            attributes=sampling(body),
            parameters=parameters(body),
            input=[message("user", parts)],
        )

    def answers(self, body: dict[str, Any]) -> bool:
        """Whether an answer or a chunk has texts."""
        if any(isinstance(body.get(name), str) for name in _TEXTS):
            return True
        return any(_text(entry) is not None for name in _LISTS for entry in objs(body.get(name)))

    def response(self, body: dict[str, Any]) -> Response:
        """Read an answer."""
        stream = _PromptStream()
        stream.add(body)
        return stream.response()

    def accumulator(self) -> Accumulator:
        """Begin a stream of chunks."""
        return _PromptStream()


def _text(entry: dict[str, Any]) -> Optional[str]:
    for name in _TEXTS:
        value = entry.get(name)
        if isinstance(value, str):
            return value
    held = obj(entry.get("data")).get("text")  # AI21 Jurassic's
    return held if isinstance(held, str) else None


def _reason(entry: dict[str, Any]) -> Optional[str]:
    for name in _REASONS:
        value = entry.get(name)
        if isinstance(value, str):
            return value
    held = obj(entry.get("finishReason")).get("reason")  # AI21 Jurassic's
    return held if isinstance(held, str) else None


class _PromptStream:
    """Puts chunks together; a whole answer is a stream of one."""

    __slots__ = ("_head", "_input", "_outputs", "_reasons", "_texts")

    def __init__(self) -> None:
        self._head: dict[str, Any] = {}
        self._texts: dict[int, list[str]] = {}
        self._reasons: dict[int, str] = {}
        self._input: Optional[int] = None
        self._outputs: dict[int, int] = {}

    def add(self, chunk: Any) -> None:
        """Take a chunk's JSON."""
        body = cast("dict[str, Any]", chunk)
        for key in ("id", "model"):
            if body.get(key) is not None:
                self._head[key] = body[key]
        counted = count(body.get("inputTextTokenCount", body.get("prompt_token_count")))
        if counted is not None:
            self._input = counted
        entries = next(
            (found for found in (objs(body.get(name)) for name in _LISTS) if found), None
        )
        for position, entry in enumerate(entries or (body,)):
            self._add_entry(entry.get("index"), position, entry)

    def _add_entry(self, index: Any, position: int, entry: dict[str, Any]) -> None:
        at = index if isinstance(index, int) else position
        said = _text(entry)
        if said:
            self._texts.setdefault(at, []).append(said)
        reason = _reason(entry)
        if reason is not None:
            self._reasons[at] = reason
        for name in ("totalOutputTextTokenCount", "tokenCount", "generation_token_count"):
            counted = count(entry.get(name))
            if counted is not None:
                self._outputs[at] = counted  # of a stream's chunks the last tells the total

    def response(self) -> Response:
        """What has arrived; complete with the reason why it finished."""
        output: list[Message] = [
            message("assistant", [text("".join(pieces))], finish_reason=self._reasons.get(at, ""))
            for at, pieces in sorted(self._texts.items())
        ]
        usage = None
        if self._input is not None or self._outputs:
            made = sum(self._outputs.values()) if self._outputs else None
            usage = Usage(self._input, made)
        answer_id = self._head.get("id")
        model = self._head.get("model")
        return Response(
            id=str(answer_id) if isinstance(answer_id, (str, int)) else None,
            model=model if isinstance(model, str) else None,
            finish_reasons=[reason for _, reason in sorted(self._reasons.items())] or None,
            usage=usage,
            output=output or None,
            complete=bool(self._reasons),
        )
