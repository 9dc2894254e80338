"""The instrumentor that OpenTelemetry's launcher finds by its entry point."""

from __future__ import annotations

from peekr.instrumentation.anthropic.hooks import ANTHROPIC
from peekr.instrumentation.instrumentor import ProviderInstrumentor

__all__ = ["AnthropicInstrumentor"]


class AnthropicInstrumentor(ProviderInstrumentor):
    """Watches the `anthropic` package."""

    instrumentation = ANTHROPIC
