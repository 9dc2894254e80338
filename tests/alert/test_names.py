"""Where the names of alerts are found."""

from __future__ import annotations

import pytest

import peekr
from peekr import alert


def test_both_ways_to_a_name_are_one() -> None:
    from peekr.alert import ErrorRate

    assert peekr.alert.ErrorRate is ErrorRate
    assert set(alert.__all__) <= set(dir(alert))
    assert list(alert.__all__) == sorted(alert.__all__)
    for name in alert.__all__:
        assert getattr(alert, name).__name__ == name
    with pytest.raises(AttributeError, match="no attribute 'Nothing'"):
        _ = alert.Nothing  # type: ignore[attr-defined] # pyright: ignore
