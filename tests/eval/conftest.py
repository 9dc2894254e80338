"""Fixtures of the evaluators' tests."""

from __future__ import annotations

from typing import Iterator

import pytest

from peekr.eval import answers, loops


@pytest.fixture(autouse=True)
def asked_anew() -> Iterator[None]:
    """Let no test find what another's judge has answered."""
    answers.forget()
    yield
    loops.stop()
