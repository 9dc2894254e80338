"""A judge's answer: asked for in a schema, read tolerantly as JSON or a bare score."""

from __future__ import annotations

import ast
import json
import math
import re
from collections.abc import Iterator
from typing import Any, Optional, cast

from peekr.errors import EvaluationError

__all__ = ["UnusableAnswerError", "parse_object", "parse_score", "score_schema"]

_SHOWN_CHARS = 200
_VALUES = ("score", "rating", "grade", "value", "result", "verdict", "pass", "passed")
_REASONS = ("explanation", "reasoning", "reason", "rationale", "justification", "comment")
_WORDS = {
    1.0: ("true", "yes", "pass", "passed", "good", "correct"),
    0.0: ("false", "no", "fail", "failed", "bad", "incorrect"),
}
_NUMBER = r"[-+]?(?:\d+(?:\.\d*)?|\.\d+)"
_RATED = re.compile(rf"\s*({_NUMBER})\s*(?:(%)|(?:/|out of)\s*({_NUMBER}))?\s*\.?\s*")
_NAMED = re.compile(
    rf"\b(?:score|rating|grade)\b\W{{0,20}}(?:is|of)?\W{{0,5}}"
    rf"({_NUMBER}\s*(?:%|(?:/|out of)\s*{_NUMBER})?)",
    re.IGNORECASE,
)
_DECODER = json.JSONDecoder()
# Thoughts that open models write before their answer.
_THOUGHTS = re.compile(r"<think(?:ing)?>.*?</think(?:ing)?>", re.DOTALL | re.IGNORECASE)


class UnusableAnswerError(EvaluationError):
    """What the judge answered cannot be understood; the message shows its beginning."""


def parse_object(answer: Any, wanted: tuple[str, ...]) -> dict[str, Any]:
    """The JSON object in an answer that has one of the wanted keys.

    Text around it, code fences, single quotes and a trailing comma do not matter. Of several the
    last one counts: models think aloud first.

    Args:
        answer: The judge's answer: a mapping already, or text.
        wanted: Keys, any of which makes it the right one.

    Raises:
        UnusableAnswerError: there is none.
    """
    if isinstance(answer, dict):
        found = cast("dict[str, Any]", answer)
        if any(key in found for key in wanted):
            return found
    elif isinstance(answer, str):
        candidates = list(_objects(_THOUGHTS.sub("", answer)))
        for candidate in reversed(candidates):
            if any(key in candidate for key in wanted):
                return candidate
    raise UnusableAnswerError(f"the judge gave no usable answer: {_shown(answer)}")


def score_schema(meaning: str) -> dict[str, Any]:
    """The schema of an answer that `parse_score` reads: first the reason, then the score.

    Args:
        meaning: What 0.0 and 1.0 mean.
    """
    return {
        "type": "object",
        "properties": {
            "explanation": {"type": "string", "description": "Why, in one or two sentences."},
            "score": {"type": "number", "description": meaning},
        },
        "required": ["explanation", "score"],
        "additionalProperties": False,
    }


def parse_score(answer: Any) -> tuple[float, Optional[str]]:
    """The score in an answer, 0.0 to 1.0, and its reason if it gives one.

    `0.8`, `"80%"`, `"8/10"`, `true`, `"pass"` and a text with `score: 0.8` are all scores; a
    number outside 0 to 1 without a scale is none.

    Raises:
        UnusableAnswerError: there is none, or it is out of range.
    """
    if isinstance(answer, (bool, int, float)):
        return _number(answer, answer), None
    if isinstance(answer, str):
        bare = _THOUGHTS.sub("", answer).strip().strip("`*").strip()
        value = _value(bare)
        if value is not None:
            return _number(value, answer), None
    try:
        found = parse_object(answer, _VALUES)
    except UnusableAnswerError:
        # Not in an object that is cut off: its number may be.
        is_prose = isinstance(answer, str) and "{" not in answer
        named = _NAMED.findall(answer) if is_prose else []
        value = _value(named[-1]) if named else None
        if value is None:
            raise
        return _number(value, answer), None
    raw = next(found[key] for key in _VALUES if key in found)
    value = _value(raw) if isinstance(raw, str) else raw
    reason = next((found[key] for key in _REASONS if isinstance(found.get(key), str)), None)
    return _number(value, answer), reason or None


def _value(text: str) -> Any:
    rated = _RATED.fullmatch(text)
    if rated is not None:
        number = float(rated[1])
        if rated[2]:
            return number / 100.0
        if rated[3]:
            scale = float(rated[3])
            return number / scale if scale > 0 else None
        return number
    word = text.strip().strip(".!\"'").lower()
    return next((value for value, words in _WORDS.items() if word in words), None)


def _number(value: Any, answer: Any) -> float:
    if isinstance(value, (bool, int, float)) and math.isfinite(value) and 0.0 <= value <= 1.0:
        return float(value)
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        raise UnusableAnswerError(f"the judge's score is outside 0 to 1: {_shown(answer)}")
    raise UnusableAnswerError(f"the judge gave no usable answer: {_shown(answer)}")


def _objects(text: str) -> Iterator[dict[str, Any]]:
    """The JSON objects in a text, the outermost ones, in their order."""
    position = text.find("{")
    while position >= 0:
        found, end = _object_at(text, position)
        if found is not None:
            yield found
            position = text.find("{", end)
        else:
            position = text.find("{", position + 1)


def _object_at(text: str, start: int) -> tuple[Optional[dict[str, Any]], int]:
    try:
        found, end = _DECODER.raw_decode(text, start)
        return found, end
    except (ValueError, RecursionError):
        pass
    end = text.rfind("}") + 1
    if not start < end or len(text) > 100_000:
        return None, start
    piece = text[start:end]
    try:
        # Single quotes, True and a trailing comma, as a Python programmer writes it.
        literal = ast.literal_eval(piece)
    except (ValueError, SyntaxError, RecursionError, MemoryError):
        try:
            literal = json.loads(re.sub(r",\s*([}\]])", r"\1", piece), strict=False)
        except (ValueError, RecursionError):
            return None, start
    return (cast("dict[str, Any]", literal), end) if isinstance(literal, dict) else (None, start)


def _shown(answer: Any) -> str:
    text = " ".join(str(answer).split())
    if not text:
        return "it is empty"
    return text if len(text) <= _SHOWN_CHARS else text[: _SHOWN_CHARS - 1] + "…"
