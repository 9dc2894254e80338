"""The tables of hooks name what they need; what they name must be there."""

from __future__ import annotations

import importlib
from typing import Any

import pytest

from peekr.instrumentation.runtime import Hook
from peekr.instrumentation.sdks import _folders  # pyright: ignore[reportPrivateUsage]
from peekr.late import loaded


def _rows() -> list[Hook]:
    made: list[Hook] = []
    for name in _folders():
        hooks: Any = importlib.import_module(f"peekr.instrumentation.{name}.hooks")
        for instrumentation in hooks.INSTRUMENTATIONS:
            made.extend(instrumentation.hooks)
    return made


@pytest.mark.parametrize("row", _rows(), ids=lambda row: f"{row.module}.{row.target}")
def test_hook_names_an_extractor_and_functions_that_exist(row: Hook) -> None:
    extractor = loaded[row.extractor]
    for method in ("request", "response", "accumulator", "fault"):
        assert callable(getattr(extractor, method)), (row.extractor, method)
    assert callable(loaded[row.deliver])
    assert row.rewrite is None or callable(loaded[row.rewrite])
