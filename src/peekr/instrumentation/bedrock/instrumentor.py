"""The instrumentor that OpenTelemetry's launcher finds by its entry point."""

from __future__ import annotations

from peekr.instrumentation.bedrock.hooks import BEDROCK
from peekr.instrumentation.instrumentor import ProviderInstrumentor

__all__ = ["BedrockInstrumentor"]


class BedrockInstrumentor(ProviderInstrumentor):
    """Watches the clients of `bedrock-runtime`; calls of other services and operations pass."""

    instrumentation = BEDROCK
