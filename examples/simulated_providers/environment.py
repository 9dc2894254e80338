"""The variables by which clients that are made without arguments find the simulated providers."""

from __future__ import annotations

import contextlib
import os
import sys
from typing import Callable, Dict, Generator, Mapping, Optional

from .server import SimulatedProviders

__all__ = ["stand_in", "variables"]

_KEY = "simulated"


def variables(providers: SimulatedProviders) -> Dict[str, Optional[str]]:
    """Return what the SDKs read for their addresses and keys; None for what must not be set."""
    return {
        "OPENAI_BASE_URL": providers.openai_url,
        "OPENAI_API_KEY": _KEY,
        "ANTHROPIC_BASE_URL": providers.anthropic_url,
        "ANTHROPIC_API_KEY": _KEY,
        "ANTHROPIC_AUTH_TOKEN": None,
        "AWS_ENDPOINT_URL_BEDROCK_RUNTIME": providers.bedrock_url,
        "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS": None,
        "AWS_ACCESS_KEY_ID": _KEY,
        "AWS_SECRET_ACCESS_KEY": _KEY,
        "AWS_SESSION_TOKEN": None,
        "AWS_BEARER_TOKEN_BEDROCK": None,
        "AWS_PROFILE": None,
        "AWS_DEFAULT_REGION": "us-east-1",
        "GOOGLE_GEMINI_BASE_URL": providers.gemini_url,
        "GEMINI_API_KEY": _KEY,
        "GOOGLE_API_KEY": None,
        "GOOGLE_GENAI_USE_VERTEXAI": None,
        "GOOGLE_GENAI_USE_ENTERPRISE": None,
        # A proxy for the outside world is none for this machine.
        "NO_PROXY": "127.0.0.1",
        "no_proxy": "127.0.0.1",
    }


@contextlib.contextmanager
def stand_in(
    answers: Optional[Callable[[str], Optional[str]]] = None,
) -> Generator[Optional[SimulatedProviders], None, None]:
    """Put the simulated providers in the place of the real ones until the end of the block.

    Clients that are made inside without an address and a key go to them. With `--real` among the
    program's arguments, which is taken out there, nothing is simulated: the addresses and keys
    are those of the environment.

    Args:
        answers: See `SimulatedProviders`.

    Yields:
        The simulated providers; None where the real ones are asked.
    """
    if "--real" in sys.argv:
        sys.argv.remove("--real")
        yield None
        return
    with SimulatedProviders(answers=answers) as providers, _set(variables(providers)):
        yield providers


@contextlib.contextmanager
def _set(values: Mapping[str, Optional[str]]) -> Generator[None, None, None]:
    before = {name: os.environ.get(name) for name in values}
    _write(values)
    try:
        yield
    finally:
        _write(before)


def _write(values: Mapping[str, Optional[str]]) -> None:
    for name, value in values.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value
