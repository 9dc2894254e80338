"""Google Gemini through `google-genai` (AI Studio, Vertex AI) and through its older package."""

from __future__ import annotations

from typing import TYPE_CHECKING

from peekr.late import public_names

if TYPE_CHECKING:
    from peekr.instrumentation.google_genai.instrumentor import (
        GoogleGenAIInstrumentor,
        GoogleGenerativeAIInstrumentor,
    )

__all__ = ["SDKS", "GoogleGenAIInstrumentor", "GoogleGenerativeAIInstrumentor"]

SDKS = (
    "google.genai",
    "google.generativeai",
)
"""The modules whose import loads the hooks."""

# OpenTelemetry's base class is slow to import; only who asks for one pays.
_HOMES = {
    "GoogleGenAIInstrumentor": "peekr.instrumentation.google_genai.instrumentor",
    "GoogleGenerativeAIInstrumentor": "peekr.instrumentation.google_genai.instrumentor",
}

__getattr__, __dir__ = public_names(globals(), _HOMES)
