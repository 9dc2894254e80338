from __future__ import annotations

from typing import Iterator

import pytest
from opentelemetry import metrics
from opentelemetry.metrics import _internal
from opentelemetry.util._once import Once

# The SDK warns of retired models, and of its own way to use aiohttp.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


@pytest.fixture
def no_meter_provider(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let a test set the global MeterProvider, which can be set once a process."""
    monkeypatch.setattr(_internal, "_METER_PROVIDER", None)
    monkeypatch.setattr(_internal, "_METER_PROVIDER_SET_ONCE", Once())
    monkeypatch.setattr(_internal, "_PROXY_METER_PROVIDER", _internal._ProxyMeterProvider())  # pyright: ignore[reportPrivateUsage]
    yield
    shutdown = getattr(metrics.get_meter_provider(), "shutdown", None)
    if shutdown is not None:
        shutdown()
