"""The instrumentors that OpenTelemetry's launcher finds by their entry point."""

from __future__ import annotations

from peekr.instrumentation.google_genai.hooks import GOOGLE_GENAI, GOOGLE_GENERATIVEAI
from peekr.instrumentation.instrumentor import ProviderInstrumentor

__all__ = ["GoogleGenAIInstrumentor", "GoogleGenerativeAIInstrumentor"]


class GoogleGenAIInstrumentor(ProviderInstrumentor):
    """Watches the `google-genai` package."""

    instrumentation = GOOGLE_GENAI


class GoogleGenerativeAIInstrumentor(ProviderInstrumentor):
    """Watches the older `google-generativeai` package: `GenerativeModel` and its chats."""

    instrumentation = GOOGLE_GENERATIVEAI
