"""Spans of other instrumentations, damaged: no dialect stumbles, and nothing is made up."""

from __future__ import annotations

import copy
import functools
import json
from typing import Any, Dict, List, cast

from hypothesis import given
from hypothesis import strategies as st

from peekr import dialects
from peekr.encoding import loads
from peekr.pricing import library
from peekr.pricing.book import Pending, PriceBook
from peekr.pricing.spans import price_of
from peekr.projection import project
from peekr.store.otlp.decode import RawSpan, contents
from tests.dialects.reading import FILES
from tests.dialects.test_damage import DIALECTS

from .mutating import ODD, Mutation, mutate, mutations
from .oracle import Said
from .profiles import fuzzed

Json = Dict[str, Any]


@functools.cache
def documents() -> List[Json]:
    """The exports of the samples, a line each."""
    found = [path for path in FILES if path.suffix == ".jsonl" and not path.stem.startswith("p")]
    found += [path for path in FILES if path.stem.startswith("pydantic")]
    return [json.loads(line) for path in found for line in path.read_text("utf-8").splitlines()]


_TOKENS = ("tokens_input", "tokens_output", "tokens_cache_read", "tokens_cache_write")


def said_in(value: Any) -> Said:
    """All that an export says, also in JSON within its texts."""
    said = Said(value, coerced=True)
    for text in list(said.texts):
        if text[:1] in ("{", "["):
            try:
                inner = Said(loads(text), coerced=True)
            except ValueError:
                continue
            said.texts += inner.texts
            said.numbers |= inner.numbers
    return said


@fuzzed(200)
@given(st.data(), mutations())
def test_damaged_spans_of_others_are_read_without_a_fault_and_nothing_is_made_up(
    data: st.DataObject, how: List[Mutation]
) -> None:
    document = mutate(data.draw(st.sampled_from(documents())), how)
    if not isinstance(document, dict):
        return
    said = said_in(document)
    for item in contents(cast("Json", document)):
        if not isinstance(item, RawSpan):
            continue
        span = item.decoded()
        scope = span.instrumentation_scope.name
        attributes = copy.deepcopy(span.attributes)
        for dialect in DIALECTS:
            # Without the net that `dialects.translate` has under each.
            dialect.translate(dialects.Draft(attributes, span.events, scope, span.name))
        record = project(span)
        got = record.attributes
        for name in ("model", "provider", "session_id"):
            value = got.get(name)
            assert not isinstance(value, str) or name == "provider" or _is_said(value, said), value
        for name in _TOKENS:
            count = got.get(name)
            if isinstance(count, (int, float)) and not isinstance(count, bool) and count == count:
                assert abs(count) >= 2**63 or count < 0 or said.counts(int(count)), (name, count)


def _is_said(value: str, said: Said) -> bool:
    return any(value.lower() in text.lower() for text in said.texts)


@functools.cache
def book() -> PriceBook:
    library.load()
    return PriceBook()


_NAMES = st.sampled_from(
    [
        *("gen_ai.usage.input_tokens", "gen_ai.usage.output_tokens", "tokens_input"),
        *("gen_ai.usage.cache_read.input_tokens", "tokens_cache_write", "tokens_reasoning"),
        *("peekr.usage.audio.input_tokens", "openai.response.service_tier"),
        *("peekr.request.parameters", "gen_ai.provider.name", "gen_ai.request.model", "model"),
        "gen_ai.response.model",
    ]
)
_VALUES = ODD | st.integers(-5, 10**9) | st.sampled_from(["gpt-4o", "openai", "flex", "batch"])


@fuzzed(200)
@given(st.dictionaries(_NAMES, _VALUES, max_size=8), st.integers(0, 2**63))
def test_the_price_of_any_attributes_is_none_or_not_negative(
    attributes: Json, start_ns: int
) -> None:
    attributes = {"gen_ai.request.model": "gpt-4o", "gen_ai.provider.name": "openai", **attributes}
    price = price_of(book(), attributes, start_ns)
    if price is None or isinstance(price, Pending):
        return
    assert price.cost_usd >= 0
    assert any(isinstance(attributes.get(name), (int, float)) for name in attributes)
