"""What the forms of requests and answers have in common, whichever family of models has them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Optional, Protocol, cast

from peekr.instrumentation.contract import Accumulator, Request, Response, Usage
from peekr.instrumentation.sound import count
from peekr.semconv import otel

__all__ = ["Form", "merged", "obj", "objs", "parameters", "sampling", "text_of", "whole_input"]


class Form(Protocol):
    """One form of the JSON bodies of `invoke_model`, told by their contents."""

    def asks(self, body: dict[str, Any]) -> bool:
        """Whether a request has this form."""
        ...

    def request(self, body: dict[str, Any]) -> Request:
        """Read a request."""
        ...

    def answers(self, body: dict[str, Any]) -> bool:
        """Whether an answer, or a chunk of one, has this form."""
        ...

    def response(self, body: dict[str, Any]) -> Response:
        """Read an answer."""
        ...

    def accumulator(self) -> Accumulator:
        """Begin a stream of decoded chunks."""
        ...


# The families' names of one thing; each is a number or a text.
_SAMPLING = {
    "temperature": otel.GEN_AI_REQUEST_TEMPERATURE,
    "topP": otel.GEN_AI_REQUEST_TOP_P,
    "top_p": otel.GEN_AI_REQUEST_TOP_P,
    "p": otel.GEN_AI_REQUEST_TOP_P,
    "topK": otel.GEN_AI_REQUEST_TOP_K,
    "top_k": otel.GEN_AI_REQUEST_TOP_K,
    "k": otel.GEN_AI_REQUEST_TOP_K,
    "maxTokens": otel.GEN_AI_REQUEST_MAX_TOKENS,
    "max_tokens": otel.GEN_AI_REQUEST_MAX_TOKENS,
    "max_new_tokens": otel.GEN_AI_REQUEST_MAX_TOKENS,
    "maxTokenCount": otel.GEN_AI_REQUEST_MAX_TOKENS,
    "max_tokens_to_sample": otel.GEN_AI_REQUEST_MAX_TOKENS,
    "max_completion_tokens": otel.GEN_AI_REQUEST_MAX_TOKENS,
    "max_gen_len": otel.GEN_AI_REQUEST_MAX_TOKENS,
    "seed": otel.GEN_AI_REQUEST_SEED,
    "frequency_penalty": otel.GEN_AI_REQUEST_FREQUENCY_PENALTY,
    "presence_penalty": otel.GEN_AI_REQUEST_PRESENCE_PENALTY,
}
_FLOATS = frozenset(("temperature", "topP", "top_p", "p", "frequency_penalty", "presence_penalty"))
_STOPS = ("stopSequences", "stop_sequences", "stop")
_CHOICES = ("n", "num_generations", "numResults")
# Where some families keep their sampling parameters.
_NESTED = ("inferenceConfig", "textGenerationConfig")
# Parameters that hold no content, besides the numbers and the switches.
_NAMED = frozenset(
    (
        "anthropic_beta",
        "anthropic_version",
        "citation_quality",
        "countPenalty",
        "embeddingConfig",
        "embedding_types",
        "embeddingTypes",
        "frequencyPenalty",
        "input_type",
        "logit_bias",
        "output_config",
        "output_format",
        "performanceConfig",
        "presencePenalty",
        "prompt_truncation",
        "reasoning_effort",
        "response_format",
        "return_likelihoods",
        "safety_mode",
        "schemaVersion",
        "service_tier",
        "taskType",
        "thinking",
        "toolChoice",
        "tool_choice",
        "truncate",
    )
)
_SPECIAL = frozenset((*_STOPS, *_CHOICES))
_KNOWN = frozenset((*_SAMPLING, *_SPECIAL, *_NESTED))


def obj(value: Any) -> dict[str, Any]:
    """A JSON object; an empty one for anything else."""
    return cast("dict[str, Any]", value) if isinstance(value, dict) else {}


def objs(value: Any) -> list[dict[str, Any]]:
    """The objects of a JSON array; none for anything else."""
    if not isinstance(value, (list, tuple)):
        return []
    return [
        cast("dict[str, Any]", entry)
        for entry in cast("list[Any]", value)
        if isinstance(entry, dict)
    ]


def text_of(value: Any) -> str:
    """A text; an empty one for anything else."""
    return value if isinstance(value, str) else ""


def _holders(body: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Where a body may have parameters: itself, and objects in it."""
    found = [body] if body else []
    for name in _NESTED:
        held = body.get(name)
        if held and isinstance(held, dict):
            found.append(cast("dict[str, Any]", held))
    return found


def sampling(body: Mapping[str, Any]) -> dict[str, Any]:
    """The sampling parameters and the like under their attribute names."""
    made: dict[str, Any] = {}
    for holder in _holders(body):
        for key, value in holder.items():
            name = _SAMPLING.get(key)
            if name is None or isinstance(value, bool) or not isinstance(value, (int, float)):
                continue
            made[name] = float(value) if key in _FLOATS else value
        if _SPECIAL.isdisjoint(holder):
            continue
        for key in _STOPS:
            stop = holder.get(key)
            if isinstance(stop, str):
                made[otel.GEN_AI_REQUEST_STOP_SEQUENCES] = [stop]
            elif isinstance(stop, (list, tuple)) and stop:
                entries = cast("list[Any]", stop)
                made[otel.GEN_AI_REQUEST_STOP_SEQUENCES] = [str(entry) for entry in entries]
        for key in _CHOICES:
            choices = holder.get(key)
            if isinstance(choices, int) and choices > 1:
                made[otel.GEN_AI_REQUEST_CHOICE_COUNT] = choices
    return made


def parameters(body: Mapping[str, Any]) -> dict[str, Any]:
    """The parameters without an attribute of their own; none that may hold content."""
    made: dict[str, Any] = {}
    for holder in _holders(body):
        for key, value in holder.items():
            if key in _NAMED or (key not in _KNOWN and isinstance(value, (bool, int, float))):
                made[key] = value
    return made


def whole_input(sent: Any, read: Any, written: Any) -> Optional[int]:
    """The whole input, where the provider counts what is in the cache apart.

    Source: "Prompt caching for faster model inference" in Amazon Bedrock's user guide: input
    tokens are those that are neither read from the cache nor written to it.
    """
    fresh = count(sent)
    if fresh is None:
        return None
    return fresh + (count(read) or 0) + (count(written) or 0)


def merged(first: Optional[Usage], second: Optional[Usage]) -> Optional[Usage]:
    """Counts of the first, and of the second what the first leaves open."""
    if first is None or second is None:
        return first or second
    return Usage(*(a if a is not None else b for a, b in zip(first, second)))
