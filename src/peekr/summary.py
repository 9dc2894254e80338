"""One line that says what a span was, and the number formats in it.

The live console and `peekr view` both print it. Standard library only and cheap: the console
runs it on the thread that ended the span.
"""

from __future__ import annotations

import math
from typing import NamedTuple, Optional

from peekr.plaintext import clean
from peekr.record import SpanRecord

__all__ = [
    "Summary",
    "error_text",
    "format_cost",
    "format_duration",
    "format_tokens",
    "number",
    "shorten",
    "summarize",
    "summary_line",
    "total_tokens",
]

_NAME_CHARS = 200
_MODEL_CHARS = 100
_ERROR_CHARS = 300


class Summary(NamedTuple):
    """The parts of a span's line, each safe to print; empty where the record does not say."""

    name: str
    model: str
    duration: str
    tokens: str
    cost: str
    is_error: bool


def summarize(record: SpanRecord) -> Summary:
    """The parts of a span's line; never raises, whatever types the attributes hold."""
    attributes = record.attributes
    model, cost = attributes.get("model"), attributes.get("cost_usd")
    tokens = total_tokens(record)
    cost = None if cost is None else number(cost)
    return Summary(
        shorten(record.name, _NAME_CHARS) or "(no name)",
        shorten(model, _MODEL_CHARS) if isinstance(model, str) else "",
        "" if record.duration_ms is None else format_duration(record.duration_ms),
        "" if tokens is None else format_tokens(tokens),
        "" if cost is None else format_cost(cost),
        record.status == "error",
    )


def summary_line(record: SpanRecord) -> str:
    """`openai.chat [gpt-4o]  843ms  312tok  $0.0021`, and for a failed span `  ERROR message`.

    Without colour, on one line, without control characters; of an error the first line.
    """
    part = summarize(record)
    line = f"{part.name} [{part.model}]" if part.model else part.name
    for text in (part.duration, part.tokens, part.cost):
        if text:
            line = f"{line}  {text}"
    if part.is_error:
        message = shorten(error_text(record).partition("\n")[0], _ERROR_CHARS)
        line = f"{line}  ERROR {message}" if message else f"{line}  ERROR"
    return line


def error_text(record: SpanRecord) -> str:
    """The error as it was recorded, not cleaned; empty where there is none."""
    error = record.attributes.get("error")
    if error is None or error is False:
        return ""
    if isinstance(error, str):
        return error.strip()
    try:
        return str(error)
    except RecursionError:
        return f"({type(error).__name__}, nested too deeply)"


def total_tokens(record: SpanRecord) -> Optional[float]:
    """`tokens_total`, else the sum of what is known of input and output; None if nothing is."""
    attributes = record.attributes
    total = attributes.get("tokens_total")
    if total is not None:
        total = number(total)
        if total is not None:
            return total
    tokens_input, tokens_output = attributes.get("tokens_input"), attributes.get("tokens_output")
    if tokens_input is None and tokens_output is None:
        return None
    tokens_input, tokens_output = number(tokens_input), number(tokens_output)
    if tokens_input is None:
        return tokens_output
    return tokens_input if tokens_output is None else tokens_input + tokens_output


def format_duration(duration_ms: float) -> str:
    """`0.42ms`, `9.3ms`, `843ms`, `1.24s`, `2m05s`, `1h02m`."""
    if duration_ms < 0:
        return f"-{format_duration(-duration_ms)}"
    if duration_ms < 999.5:
        digits = 0 if duration_ms >= 9.95 or duration_ms == 0 else 1 if duration_ms >= 0.995 else 2
        return f"{duration_ms:.{digits}f}ms"
    seconds = duration_ms / 1000.0
    if seconds < 59.995:
        return f"{seconds:.2f}s"
    whole = round(min(seconds, 1e18))  # a damaged record may say anything
    if whole < 3600:
        return f"{whole // 60}m{whole % 60:02d}s"
    return f"{whole // 3600}h{whole % 3600 // 60:02d}m"


def format_tokens(tokens: float) -> str:
    """`312tok`; the number is exact."""
    return f"{tokens:.0f}tok"


def format_cost(cost_usd: float) -> str:
    """`$0.0021`, `$12.50`; below a hundredth of a cent two significant digits: `$0.000012`."""
    if cost_usd < 0:
        return f"-{format_cost(-cost_usd)}"
    if cost_usd == 0:
        return "$0"
    if cost_usd >= 0.99995:
        return f"${cost_usd:.2f}"
    if cost_usd >= 0.0001:
        return f"${cost_usd:.4f}"
    digits = min(1 - math.floor(math.log10(cost_usd)), 15)
    return f"${cost_usd:.{digits}f}"


def number(value: object) -> Optional[float]:
    """A finite number, also from text that holds one; None for everything else."""
    kind = type(value)
    if (kind is float or kind is int) and -1e300 < value < 1e300:  # type: ignore[operator]
        return value  # type: ignore[return-value]
    if isinstance(value, str):
        try:
            value = float(value) if len(value) < 40 else None
        except ValueError:
            return None
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    try:
        # An integer that no float can hold raises here.
        return value if math.isfinite(value) else None
    except OverflowError:
        return None


def shorten(text: str, limit: int) -> str:
    """The text on one line, safe to print, of at most `limit` characters (before escaping)."""
    return clean(text) if len(text) <= limit else clean(text[: limit - 1]) + "…"
