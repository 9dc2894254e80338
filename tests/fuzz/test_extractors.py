"""Whatever a provider answers: reading it raises nothing, and only what it said is recorded."""

from __future__ import annotations

import json
import warnings
from typing import Any, List, Tuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from peekr.instrumentation.contract import Response
from peekr.instrumentation.sound import clean
from peekr.messages import dump

from .corpus import Exchange, exchanges, requests
from .mutating import Mutation, mutate, mutations
from .oracle import check
from .profiles import fuzzed
from .reading import as_models, extractor_of, is_invoke, read, read_documents

PROVIDERS = ("openai", "anthropic", "bedrock", "gemini")
WITH_MODELS = ("openai", "anthropic")


def _of(provider: str) -> List[Exchange]:
    return [one for one in exchanges() if one.interaction.provider == provider]


def _cleaned(response: Response) -> Response:
    clean(response)  # as the call driver does before anything else
    return response


@pytest.mark.parametrize("provider", PROVIDERS)
def test_what_is_read_of_answers_that_are_whole_was_said(provider: str) -> None:
    for exchange in _of(provider):
        response = _cleaned(read(exchange.interaction, exchange.documents))
        check(response, exchange.documents)
        assert response.usage or response.output or response.fault, exchange.name


def damaged_answers(provider: str) -> Any:
    found = _of(provider)

    @fuzzed(200)
    @given(st.sampled_from(found), mutations())
    def damage(exchange: Exchange, how: List[Mutation]) -> None:
        documents = mutate(exchange.documents, how)
        if documents:
            check(_cleaned(read(exchange.interaction, documents)), documents)

    return damage


@pytest.mark.parametrize("provider", PROVIDERS)
def test_damaged_answers_are_read_without_a_fault_and_nothing_is_made_up(provider: str) -> None:
    damaged_answers(provider)()


def damaged_models(provider: str) -> Any:
    found = _of(provider)

    @fuzzed(100)
    @given(st.sampled_from(found), mutations())
    def damage(exchange: Exchange, how: List[Mutation]) -> None:
        documents = mutate(exchange.documents, how)
        try:
            models = as_models(exchange.interaction, documents)
        except Exception:
            return  # the SDK raises at its caller: there is nothing to read
        if models:
            with warnings.catch_warnings():
                warnings.simplefilter("error")  # a user's log is not ours to fill
                response = read_documents(exchange.interaction, models)
            check(_cleaned(response), documents, coerced=True)

    return damage


@pytest.mark.parametrize("provider", WITH_MODELS)
def test_damaged_answers_in_the_sdks_own_objects_are_read_the_same_way(provider: str) -> None:
    pytest.importorskip(provider)
    damaged_models(provider)()


def damaged_requests(provider: str) -> Any:
    found = requests(provider)

    @fuzzed(150)
    @given(st.sampled_from(found), mutations())
    def damage(asked: Tuple[Exchange, Any], how: List[Mutation]) -> None:
        exchange, arguments = asked
        mutated: Any = mutate(arguments, how)
        extractor = extractor_of(exchange.interaction)
        if is_invoke(exchange.interaction):
            model = exchange.interaction.path.split("/")[2]
            mutated = {"modelId": model, "body": json.dumps(mutated).encode()}
        if provider == "bedrock":
            request = extractor.request(None, ("Operation", mutated), {})
        else:
            request = extractor.request(None, (), mutated)
        assert request.model is None or isinstance(request.model, str)
        for entry in request.input or ():
            assert isinstance(entry["role"], str), entry
            assert all(isinstance(part["type"], str) for part in entry["parts"]), entry
        for value in (request.input, request.system, request.tools, request.parameters):
            limited = dump(value, 200)
            assert len(limited) <= 200
            json.loads(limited)

    return damage


@pytest.mark.parametrize("provider", PROVIDERS)
def test_damaged_requests_are_read_without_a_fault(provider: str) -> None:
    damaged_requests(provider)()


def _and_unknown(exchange: Exchange, places: List[int], odd: Any) -> List[Any]:
    """The same answer with fields and events that no version of the API has."""
    made: List[Any] = json.loads(json.dumps(exchange.documents))
    # In an answer that is put together from whole chunks every field counts, known or not.
    nested = [made[0]] if not exchange.streamed else made
    for holder in nested:
        for value in (holder, holder.get("usage"), holder.get("usageMetadata")):
            if isinstance(value, dict):
                value["brand_new"] = odd
    if exchange.streamed and exchange.interaction.provider != "gemini":
        for place in places:
            at = place % (len(made) + 1)
            made.insert(at, {"type": "brand_new.event", "brandNew": {"text": "x"}})
    return made


@pytest.mark.parametrize("provider", PROVIDERS)
def test_what_is_new_in_an_api_changes_nothing_of_what_is_known(provider: str) -> None:
    found = _of(provider)

    @fuzzed(60)
    @given(
        st.sampled_from(found),
        st.lists(st.integers(0, 99), max_size=3),
        st.sampled_from([None, "x", 7, [], {"text": "x"}]),
    )
    def add(exchange: Exchange, places: List[int], odd: Any) -> None:
        plain = _cleaned(read(exchange.interaction, exchange.documents))
        more = _cleaned(read(exchange.interaction, _and_unknown(exchange, places, odd)))
        assert _facts(more) == _facts(plain)

    add()


def _facts(response: Response) -> Any:
    names = ("id", "model", "finish_reasons", "usage", "output", "complete")
    return [getattr(response, name) for name in names]
