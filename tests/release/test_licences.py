"""What is installed with Peekr, and with its extras, has licences that ask for little."""

from __future__ import annotations

import pytest

from tests.release.licences import closure, is_allowed, wrong

EXTRAS = ("all", "guard", "parquet", "presidio")


def test_licences_of_everything_that_is_installed_with_peekr_are_allowed() -> None:
    pytest.importorskip("packaging")
    assert wrong("peekr", EXTRAS) == []


def test_what_peekr_needs_is_found_through_what_that_needs() -> None:
    pytest.importorskip("packaging")
    found = set(closure("peekr"))
    assert {"peekr", "click", "opentelemetry-sdk", "requests", "urllib3", "protobuf"} <= found
    assert "pytest" not in found


@pytest.mark.parametrize(
    ("expression", "allowed"),
    [
        ("MIT", True),
        ("BSD 3-Clause License", True),
        ("Apache License, Version 2.0", True),
        ("Apache-2.0 OR BSD-3-Clause", True),
        ("GPL-3.0-only OR MIT", True),
        ("MPL-2.0 AND (Apache-2.0 OR MIT)", True),
        ("(MIT AND BSD-3-Clause) OR GPL-3.0-only", True),
        ("Apache 2.0/MIT", True),
        ("GPL-3.0-only", False),
        ("MIT AND LGPL-2.1-or-later", False),
        ("MPL-2.0 AND (GPL-2.0-only OR AGPL-3.0-only)", False),
        ("SSPL-1.0", False),
        ("nothing", False),
        ("", False),
    ],
)
def test_an_expression_is_read(expression: str, allowed: bool) -> None:
    assert is_allowed(expression) is allowed
