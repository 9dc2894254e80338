"""The instrumentor that OpenTelemetry's launcher finds by its entry point."""

from __future__ import annotations

from peekr.instrumentation.instrumentor import ProviderInstrumentor
from peekr.instrumentation.openai.hooks import OPENAI

__all__ = ["OpenAIInstrumentor"]


class OpenAIInstrumentor(ProviderInstrumentor):
    """Watches the `openai` package.

    Options: `stream_usage=True` asks each chat stream for its token counts, which OpenAI leaves
    out unless asked, and hides the chunk that brings them; without it no request is changed. Where
    it is not given, `PEEKR_OPENAI_STREAM_USAGE` decides.
    """

    instrumentation = OPENAI
