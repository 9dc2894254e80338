"""OpenAI, Azure OpenAI and every service that speaks OpenAI's API through the `openai` package."""

from __future__ import annotations

from typing import TYPE_CHECKING

from peekr.late import public_names

if TYPE_CHECKING:
    from peekr.instrumentation.openai.instrumentor import OpenAIInstrumentor

__all__ = ["SDKS", "OpenAIInstrumentor"]

SDKS = ("openai",)
"""The modules whose import loads the hooks."""

# OpenTelemetry's base class is slow to import; only who asks for one pays.
_HOMES = {
    "OpenAIInstrumentor": "peekr.instrumentation.openai.instrumentor",
}

__getattr__, __dir__ = public_names(globals(), _HOMES)
