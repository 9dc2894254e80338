"""Which versions of an SDK are supported."""

from __future__ import annotations

import sys
from types import SimpleNamespace
from typing import Optional

import pytest

from peekr.instrumentation.versions import unsupported


@pytest.mark.parametrize(
    ("version", "range_", "fits"),
    [
        ("1.66.0", ">= 1.66", True),
        ("1.66", ">= 1.66.0", True),
        ("1.65.99", ">= 1.66", False),
        ("1.10", ">= 1.9", True),
        ("2.0.0rc1", ">= 2", True),
        ("3.54.0", ">= 1.66, < 4", True),
        ("4.0", ">= 1.66, < 4", False),
        ("4", "<= 4.0.0", True),
        ("4.0", "> 4", False),
        ("0.0.0", ">= 0.45", False),
        ("from a branch", ">= 1.66", True),
        (None, ">= 1.66", True),
    ],
)
def test_a_version_fits_its_range_or_is_said_not_to(
    version: Optional[str], range_: str, fits: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "made_up_sdk", SimpleNamespace(__version__=version))
    said = unsupported((f"made-up-sdk {range_}",))
    expected = f"made-up-sdk {version} is not supported (made-up-sdk {range_})"
    assert said == (None if fits else expected)
