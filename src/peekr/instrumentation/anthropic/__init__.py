"""Anthropic's API through the `anthropic` package: its own, Bedrock's, Vertex's and the like."""

from __future__ import annotations

from typing import TYPE_CHECKING

from peekr.late import public_names

if TYPE_CHECKING:
    from peekr.instrumentation.anthropic.instrumentor import AnthropicInstrumentor

__all__ = ["SDKS", "AnthropicInstrumentor"]

SDKS = ("anthropic",)
"""The modules whose import loads the hooks."""

# OpenTelemetry's base class is slow to import; only who asks for one pays.
_HOMES = {
    "AnthropicInstrumentor": "peekr.instrumentation.anthropic.instrumentor",
}

__getattr__, __dir__ = public_names(globals(), _HOMES)
