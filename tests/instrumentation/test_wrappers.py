"""Beside other libraries that have wrapped an SDK's methods before."""

from __future__ import annotations

from typing import Any, List, cast

import pytest
import wrapt

from simulated_providers import SimulatedProviders

from ..conftest import Telemetry


@pytest.mark.parametrize("is_async", [False, True])
async def test_wrapper_of_wrapt_still_gets_the_instance(
    bare_telemetry: Telemetry, simulated: SimulatedProviders, is_async: bool
) -> None:
    openai = pytest.importorskip("openai")
    completions: Any = pytest.importorskip("openai.resources.chat.completions")
    cls = completions.AsyncCompletions if is_async else completions.Completions
    original = cls.create
    instances: List[Any] = []

    def theirs(wrapped: Any, instance: Any, args: Any, kwargs: Any) -> Any:
        instances.append(instance)
        return wrapped(*args, **kwargs)

    cls.create = cast("Any", wrapt).FunctionWrapper(original, theirs)
    try:
        bare_telemetry.instrument()
        make = openai.AsyncOpenAI if is_async else openai.OpenAI
        client = make(api_key="none", base_url=simulated.openai_url)
        arguments: Any = {
            "model": "gpt-4o-mini",
            "messages": [{"role": "user", "content": "hi"}],
        }
        if is_async:
            await client.chat.completions.create(**arguments)
            await client.close()
        else:
            client.chat.completions.create(**arguments)
            client.close()
    finally:
        cls.create = original
    assert [type(instance) for instance in instances] == [cls]
    assert bare_telemetry.record["name"] == "openai.chat"
