from __future__ import annotations

from importlib.util import find_spec
from typing import Iterator, List, Optional

import pytest

from simulated_providers import SimulatedProviders

from .guards import SECRET

# What is the same for all providers is tested with one of them.
collect_ignore: List[str] = []
if find_spec("openai") is None:
    collect_ignore += ["test_bytes.py", "test_compliance.py", "test_input.py", "test_order.py"]

WORDS = "All is well and nobody said a thing. "


def _answer(question: str) -> Optional[str]:
    """A long answer: one that tells the secret in its middle, and one that does not."""
    if "leak" in question:
        return WORDS * 20 + SECRET + ". " + WORDS * 20
    return WORDS * 40


@pytest.fixture(scope="session")
def server() -> Iterator[SimulatedProviders]:
    """Simulated providers whose model tells the secret when it is asked to leak."""
    with SimulatedProviders(answers=_answer) as started:
        yield started
