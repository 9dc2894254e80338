"""Recorded requests in the form of Bedrock's InvokeModel, whose bodies each family has its own."""

from __future__ import annotations

from typing import Any, cast

from peekr.messages import Part
from peekr.replaying import request_anthropic, request_openai
from peekr.replaying.request_bedrock import conversation
from peekr.replaying.request_parts import LostError, Parts, one_text
from peekr.semconv import otel

__all__ = ["WORDS", "invoke"]

_ARGUMENTS = ("guardrailVersion", "trace", "performanceConfigLatency", "serviceTier")


def invoke(parts: Parts) -> dict[str, Any]:
    """The arguments of `invoke_model` and of its stream; the body is not JSON text yet."""
    family = parts.form.get("family")
    body: Any = {}
    if family == "claude":
        held = request_anthropic.messages(_bare(parts))
        body = {name: held[name] for name in ("messages", "system", "tools") if name in held}
    elif family == "nova":
        body = conversation(parts)
    elif family == "chat":
        held = request_openai.chat(_bare(parts))
        body = {name: held[name] for name in ("messages", "tools") if name in held}
    elif family == "command":
        body = _command(parts)
    elif family == "texts":
        body["texts"] = [_text(entry["parts"]) for entry in parts.messages]
    elif family in ("prompt", "inputText"):
        body[family] = _text(parts.messages[0]["parts"])
    elif family != "whole":
        body = LostError("how its body was written is not recorded")
    made: dict[str, Any] = {"modelId": parts.model}
    if family != "none":
        made["body"] = body
    made.update({name: parts.parameters[name] for name in _ARGUMENTS if name in parts.parameters})
    guardrail = parts.settings.get(otel.AWS_BEDROCK_GUARDRAIL_ID)
    if guardrail is not None:
        made["guardrailIdentifier"] = guardrail
    return made


def _bare(parts: Parts) -> Parts:
    """Without what stands in the body as it is."""
    return parts._replace(settings={}, parameters={}, stream=False)


def _text(given: list[Part]) -> Any:
    text = one_text(given)
    return LostError("its prompt is not recorded whole") if text is None else text


def _command(parts: Parts) -> dict[str, Any]:
    made: dict[str, Any] = {}
    for entry in parts.messages:
        if entry.get("role") == "user":
            # The last of the user's; what was said before stands in the history.
            texts = [part for part in cast("list[Part]", entry["parts"]) if part["type"] == "text"]
            made["message"] = str(texts[0].get("content") or "") if texts else ""
    if parts.system:
        made["preamble"] = _text(parts.system[0]["parts"])
    return made


WORDS = request_anthropic.WORDS
"""What the words of a request's form make of a value."""
