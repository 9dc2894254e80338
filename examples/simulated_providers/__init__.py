"""A simulation of LLM providers on loopback, for the examples and the tests: no model answers here.

`SimulatedProviders` serves the HTTP interfaces of OpenAI, Anthropic, AWS Bedrock and Google Gemini
as far as the examples need them, so that they run without a key and without a network. Answers
follow fixed rules, and the same requests give the same answers, identifiers and token counts.

    with SimulatedProviders() as providers:
        client = OpenAI(base_url=providers.openai_url, api_key="simulated")
"""

from __future__ import annotations

from .exchange import Request
from .server import SimulatedProviders

__all__ = ["Request", "SimulatedProviders"]
