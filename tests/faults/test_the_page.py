"""The table of faults in docs/ names the tests that show it, and every one of them."""

from __future__ import annotations

import re
from pathlib import Path

HERE = Path(__file__).parent
PAGE = HERE.parents[1] / "docs" / "faults.md"


def test_every_fault_on_the_page_is_tested_and_every_test_is_on_the_page() -> None:
    tests = {
        name
        for path in HERE.glob("test_*.py")
        if path != Path(__file__)
        for name in re.findall(r"^def (test_\w+)", path.read_text("utf-8"), re.MULTILINE)
    }
    named = re.findall(r"`(test_\w+)`", PAGE.read_text("utf-8"))
    assert set(named) == tests
