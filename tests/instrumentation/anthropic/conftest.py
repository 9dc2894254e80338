from __future__ import annotations

from typing import Any, AsyncIterator

import pytest

from simulated_providers import SimulatedProviders

pytest.importorskip("anthropic")

from .calls import MODES, Calls


@pytest.fixture(params=MODES)
def mode(request: pytest.FixtureRequest) -> Any:
    """Sync and async."""
    return request.param


@pytest.fixture
async def call(mode: str, simulated: SimulatedProviders) -> AsyncIterator[Calls]:
    """Calls of the simulated Anthropic, through the sync and the async client."""
    async with Calls(mode, simulated.anthropic_url) as calls:
        yield calls
