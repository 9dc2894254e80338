"""A simulation of LLM providers on loopback, for the examples and the tests: no model answers here.

`SimulatedProviders` serves the HTTP interfaces of OpenAI, Anthropic, AWS Bedrock and Google Gemini
as far as the examples need them, so that they run without a key and without a network. Answers
follow fixed rules, and the same requests give the same answers, identifiers and token counts.

    with SimulatedProviders() as providers:
        client = OpenAI(base_url=providers.openai_url, api_key="simulated")

`stand_in` does the same for clients that take address and key from the environment, so that a
program runs unchanged against the real providers:

    with stand_in():
        client = OpenAI()
"""

from __future__ import annotations

from .environment import stand_in
from .exchange import Request
from .server import SimulatedProviders

__all__ = ["Request", "SimulatedProviders", "stand_in"]
