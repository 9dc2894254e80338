"""The simulated model: what it answers and what it counts, the same for every provider."""

from __future__ import annotations

import hashlib
import json
import re
import threading
from dataclasses import dataclass
from typing import Any, Callable, Dict, List, Optional, Sequence, Set, Tuple, cast

from .exchange import Json

__all__ = [
    "Answer",
    "Prompt",
    "SimulatedModel",
    "Tool",
    "ToolCall",
    "count_tokens",
    "pieces",
    "vector",
]

_CHARACTERS_A_TOKEN = 4
_CACHEABLE_TOKENS = 1024
_CACHE_STEP_TOKENS = 128

# A place is what follows "in" or "for" and starts with a capital: "in Seattle and San Francisco".
_PLACE = r"[A-Z][\w'-]*(?: [A-Z][\w'-]*)*"
_PLACES = re.compile(
    rf"\b(?:in|for|at) ({_PLACE}(?:(?:, | and |, and |, or | or )(?={_PLACE}){_PLACE})*)"
)
_BETWEEN_PLACES = re.compile(r", and |, or |, | and | or ")
_PIECE = re.compile(r"\s*\S+|\s+")


@dataclass(frozen=True)
class Tool:
    """A tool that the request offers: its name and the JSON schema of its arguments."""

    name: str
    schema: Json


@dataclass(frozen=True)
class ToolCall:
    """A tool that the model wants called."""

    name: str
    arguments: Json

    @property
    def arguments_json(self) -> str:
        """The arguments as JSON text."""
        return json.dumps(self.arguments, separators=(",", ":"))


@dataclass(frozen=True)
class Prompt:
    """A request as the model sees it, whatever the provider's form.

    Attributes:
        text: everything that counts as input.
        question: the text of the last user message.
        tools: the tools offered.
        tool_results: results that came after the last question, as text; with one or more of
            them the model answers instead of calling a tool again.
        schema: the JSON schema that the answer must follow; `{}` for any JSON object; None for
            free text.
        max_tokens: the answer's upper bound in tokens; None for no bound.
        stop: texts at which the answer ends.
        thinks: whether the model reasons before it answers.
        marked: the beginning of the input that the request marks to be cached; empty where it
            marks none.
    """

    text: str
    question: str
    tools: Sequence[Tool] = ()
    tool_results: Sequence[str] = ()
    schema: Optional[Json] = None
    max_tokens: Optional[int] = None
    stop: Sequence[str] = ()
    thinks: bool = False
    marked: str = ""

    @property
    def tokens(self) -> int:
        """Input tokens: the text's, and those of the tools' definitions."""
        tools = sum(count_tokens(tool.name + json.dumps(tool.schema)) for tool in self.tools)
        return count_tokens(self.text) + tools


@dataclass(frozen=True)
class Answer:
    """What the model says.

    Attributes:
        text: the answer's text; empty where tools are called.
        tool_calls: the tools to call.
        reasoning: what the model thought before; empty where it does not reason.
        truncated: the token limit cut the text.
        stopped_by: the stop text that ended the answer.
    """

    text: str
    tool_calls: Tuple[ToolCall, ...] = ()
    reasoning: str = ""
    truncated: bool = False
    stopped_by: Optional[str] = None

    @property
    def reasoning_tokens(self) -> int:
        """Tokens of the reasoning, a part of `tokens`."""
        return count_tokens(self.reasoning)

    @property
    def tokens(self) -> int:
        """Output tokens: text, tool calls and reasoning."""
        calls = sum(count_tokens(call.name + call.arguments_json) for call in self.tool_calls)
        return count_tokens(self.text) + calls + self.reasoning_tokens


def count_tokens(text: str) -> int:
    """Count a text's tokens: one for every four characters begun."""
    return -(-len(text) // _CHARACTERS_A_TOKEN)


def pieces(text: str) -> List[str]:
    """Cut a text into the pieces of a stream, a word each; joined they are the text again."""
    return _PIECE.findall(text)


def vector(text: str, dimensions: int) -> List[float]:
    """Return the embedding of a text: unit length, the same for the same text.

    Texts that share words have similar vectors, so that a search over them finds something.
    """
    values = [0.0] * dimensions
    for word in re.findall(r"\w+", text.lower()) or [text]:
        # A digest, because hash() of a text changes from run to run.
        digest = hashlib.sha256(word.encode()).digest()
        for start in range(0, len(digest), 4):
            number = int.from_bytes(digest[start : start + 4], "big")
            values[(number >> 1) % dimensions] += 1.0 if number & 1 else -1.0
    length = sum(value * value for value in values) ** 0.5 or 1.0
    return [value / length for value in values]


class SimulatedModel:
    """Answers prompts by fixed rules; safe to use from several threads.

    Args:
        answers: gives the text for a question where it does not return None; the rules hold for
            the rest. Tool calls are not asked.
    """

    def __init__(self, answers: Optional[Callable[[str], Optional[str]]] = None) -> None:
        self._answers = answers
        self._seen_prefixes: Set[str] = set()
        self._lock = threading.Lock()

    def answer(self, prompt: Prompt) -> Answer:
        """Answer a prompt.

        A question about the weather calls the offered weather tool, once for each place named;
        a question that names an offered tool calls that tool; the rest is answered in text.
        """
        reasoning = f"The user wants to know: {prompt.question}" if prompt.thinks else ""
        calls = () if prompt.tool_results else _tool_calls(prompt)
        if calls:
            return Answer("", tool_calls=calls, reasoning=reasoning)
        text = self._text(prompt)
        stopped_by = None
        for stop in prompt.stop:
            if stop and stop in text:
                text, stopped_by = text[: text.index(stop)], stop
        limit = prompt.max_tokens
        truncated = limit is not None and count_tokens(text) > limit
        if truncated and limit is not None:
            text, stopped_by = text[: limit * _CHARACTERS_A_TOKEN], None
        return Answer(text, reasoning=reasoning, truncated=truncated, stopped_by=stopped_by)

    def cached_tokens(self, prompt: Prompt) -> int:
        """Return how many input tokens come from the cache, as a provider with one by itself does.

        From 1024 tokens on, a prompt whose beginning was seen before is cached in steps of 128.
        """
        tokens = prompt.tokens
        if tokens < _CACHEABLE_TOKENS:
            return 0
        prefix = prompt.text[: _CACHEABLE_TOKENS * _CHARACTERS_A_TOKEN]
        return tokens // _CACHE_STEP_TOKENS * _CACHE_STEP_TOKENS if self._saw(prefix) else 0

    def marked_tokens(self, prompt: Prompt) -> Tuple[int, int]:
        """Return the input tokens read from the cache and written to it, where requests mark them.

        A marked beginning of 1024 tokens or more is written the first time and read from then on.
        """
        tokens = min(count_tokens(prompt.marked), prompt.tokens)
        if tokens < _CACHEABLE_TOKENS:
            return 0, 0
        return (tokens, 0) if self._saw(prompt.marked) else (0, tokens)

    def _saw(self, prefix: str) -> bool:
        with self._lock:
            if prefix in self._seen_prefixes:
                return True
            self._seen_prefixes.add(prefix)
            return False

    def _text(self, prompt: Prompt) -> str:
        chosen = self._answers(prompt.question) if self._answers else None
        if chosen is not None:
            return chosen
        text = _plain_text(prompt)
        if prompt.schema is None:
            return text
        if not prompt.schema:
            return json.dumps({"answer": text, "simulated": True})
        return json.dumps(_instance(prompt.schema, prompt.schema, text))


def _plain_text(prompt: Prompt) -> str:
    if prompt.tool_results:
        return f"Here is what I found: {'; '.join(prompt.tool_results)}"
    if prompt.question.lower().startswith("say "):
        said = prompt.question[4:].strip(" .!")
        return f"{said[:1].upper()}{said[1:]}."
    return f"This is a simulated answer to: {prompt.question}"


def _tool_calls(prompt: Prompt) -> Tuple[ToolCall, ...]:
    question = prompt.question
    if "weather" in question.lower():
        # Any tool will do where none has the word in its name: it is the one on offer.
        about = [tool for tool in prompt.tools if "weather" in tool.name.lower()]
        chosen = (about or list(prompt.tools))[:1]
        return tuple(
            ToolCall(tool.name, _arguments(tool, question, place))
            for tool in chosen
            for place in _places(question) or ["Paris"]
        )
    named = [tool for tool in prompt.tools if tool.name in question]
    return tuple(ToolCall(tool.name, _arguments(tool, question, question)) for tool in named)


def _places(question: str) -> List[str]:
    found = _PLACES.search(question)
    return _BETWEEN_PLACES.split(found.group(1)) if found else []


def _arguments(tool: Tool, question: str, place: str) -> Json:
    properties = cast("Dict[str, Json]", tool.schema.get("properties") or {})
    required = cast("List[str]", tool.schema.get("required") or list(properties))
    arguments: Json = {}
    for name in required:
        schema = properties.get(name, {})
        about_place = name.lower() in ("location", "city", "place", "town")
        arguments[name] = _instance(schema, tool.schema, place if about_place else question)
    return arguments


def _instance(schema: Json, root: Json, text: str) -> Any:
    """Make a value that follows a JSON schema; `text` fills its strings."""
    if "$ref" in schema:
        target: Any = root
        for step in str(schema["$ref"]).lstrip("#/").split("/"):
            target = target[step]
        return _instance(cast("Json", target), root, text)
    for word in ("anyOf", "oneOf", "allOf"):
        if schema.get(word):
            return _instance(cast("List[Json]", schema[word])[0], root, text)
    if "const" in schema:
        return schema["const"]
    if schema.get("enum"):
        return schema["enum"][0]
    kind: Any = schema.get("type")
    if isinstance(kind, list):
        kind = cast("List[str]", kind)[0]
    # Google writes its types in capitals.
    kind = str(kind).lower() if kind else ("object" if "properties" in schema else "string")
    if kind == "object":
        properties = cast("Dict[str, Json]", schema.get("properties") or {})
        return {name: _instance(part, root, text) for name, part in properties.items()}
    if kind == "array":
        return [_instance(cast("Json", schema.get("items") or {}), root, text)]
    if kind in ("integer", "number"):
        low, high = schema.get("minimum"), schema.get("maximum")
        value = 1 if kind == "integer" else 0.5
        if low is not None:
            value = max(value, low)
        return min(value, high) if high is not None else value
    return {"boolean": True, "null": None}.get(kind, text)
