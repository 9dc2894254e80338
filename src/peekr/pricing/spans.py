"""What the model call behind a span or a record cost, by its attributes."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any, NamedTuple, Optional, Union, cast

from peekr.encoding import loads
from peekr.pricing.book import Pending, PriceBook, tier_of
from peekr.semconv import otel, own

__all__ = ["CALLS", "Price", "price_of"]

CALLS = frozenset(("chat", "text_completion", "generate_content", "embeddings", "responses"))
"""The values of `gen_ai.operation.name` that are one model call; others repeat what calls used."""

# Names of the conventions, today's first, then those of the record.
_INPUT = (otel.GEN_AI_USAGE_INPUT_TOKENS, "tokens_input", "gen_ai.usage.prompt_tokens")
_OUTPUT = (otel.GEN_AI_USAGE_OUTPUT_TOKENS, "tokens_output", "gen_ai.usage.completion_tokens")
_CACHE_READ = (otel.GEN_AI_USAGE_CACHE_READ_INPUT_TOKENS, "tokens_cache_read")
_CACHE_WRITE = (otel.GEN_AI_USAGE_CACHE_CREATION_INPUT_TOKENS, "tokens_cache_write")
_REASONING = (otel.GEN_AI_USAGE_REASONING_OUTPUT_TOKENS, "tokens_reasoning")
_HOUR = (own.PEEKR_USAGE_CACHE_WRITE_1H_INPUT_TOKENS,)
_AUDIO_INPUT = (own.PEEKR_USAGE_AUDIO_INPUT_TOKENS,)
_AUDIO_OUTPUT = (own.PEEKR_USAGE_AUDIO_OUTPUT_TOKENS,)
_IMAGE_INPUT = (own.PEEKR_USAGE_IMAGE_INPUT_TOKENS,)
# What most calls have nothing of: asked for in one step.
_SPECIAL = frozenset(
    (*_CACHE_READ, *_CACHE_WRITE, *_REASONING, *_HOUR, *_AUDIO_INPUT, *_AUDIO_OUTPUT, *_IMAGE_INPUT)
)
_PROVIDER = (otel.GEN_AI_PROVIDER_NAME, "provider", "gen_ai.system")
_MODEL = (otel.GEN_AI_REQUEST_MODEL, "model")
_ANSWERED = (otel.GEN_AI_RESPONSE_MODEL,)
_TIER = frozenset((own.PEEKR_REQUEST_PARAMETERS, otel.OPENAI_RESPONSE_SERVICE_TIER))


class Price(NamedTuple):
    """What a call cost and what its cache saved, in US dollars; None without a cache."""

    cost_usd: float
    saved_usd: Optional[float]


def price_of(
    book: PriceBook, attributes: Mapping[str, Any], start_ns: int
) -> Union[Price, Pending, None]:
    """The price of a model call.

    Args:
        book: The prices.
        attributes: Of a span, under the conventions' names, or of a record.
        start_ns: When it began, in Unix nanoseconds; 0 is now.

    Returns:
        None where the model has no known price or no token count is reported; `PENDING` while the
        table is on its way.
    """
    tokens, output = _count(attributes, _INPUT), _count(attributes, _OUTPUT)
    if tokens is None and output is None:
        return None
    tier = None
    if not _TIER.isdisjoint(attributes):
        given = attributes.get(own.PEEKR_REQUEST_PARAMETERS)
        parameters = _document(given) if isinstance(given, str) else None
        if isinstance(given, dict):
            parameters = cast("dict[str, Any]", given)
        tier = tier_of(attributes.get(otel.OPENAI_RESPONSE_SERVICE_TIER), parameters)
    rates = book.rates(
        _text(attributes, _PROVIDER),
        _text(attributes, _MODEL),
        _text(attributes, _ANSWERED),
        tier,
        start_ns or time.time_ns(),
    )
    if rates is None or isinstance(rates, Pending):
        return rates
    if _SPECIAL.isdisjoint(attributes):
        return Price(rates.cost(tokens, output), None)
    read, written = _count(attributes, _CACHE_READ), _count(attributes, _CACHE_WRITE)
    hour = _count(attributes, _HOUR)
    cost = rates.cost(
        tokens,
        output,
        read,
        written,
        _count(attributes, _REASONING),
        _count(attributes, _AUDIO_INPUT),
        _count(attributes, _AUDIO_OUTPUT),
        _count(attributes, _IMAGE_INPUT),
        hour,
    )
    return Price(cost, rates.saved(tokens, read, written, hour) if read or written else None)


def _count(attributes: Mapping[str, Any], names: tuple[str, ...]) -> Optional[int]:
    for name in names:
        value = attributes.get(name)
        if type(value) is int and 0 <= value < 1_000_000_000_000_000:
            return value
        if value is None:
            continue
        if isinstance(value, (int, float)) and not isinstance(value, bool) and 0 <= value < 1e15:
            return int(value)
    return None


def _text(attributes: Mapping[str, Any], names: tuple[str, ...]) -> Optional[str]:
    for name in names:
        value = attributes.get(name)
        if isinstance(value, str) and value:
            return value
    return None


def _document(text: str) -> Optional[dict[str, Any]]:
    if "service_tier" not in text and "speed" not in text:
        return None
    try:
        found = loads(text)
    except (ValueError, RecursionError):
        return None
    return cast("dict[str, Any]", found) if isinstance(found, dict) else None
