"""The chain of stages: order, spans that are held, faults."""

from __future__ import annotations

from typing import Any, Callable, Optional

import pytest
from opentelemetry.sdk.trace import ReadableSpan

from peekr.pipeline.chain import Chain


class _Stage:
    """Notes what it sees; keeps a span where it is told to."""

    def __init__(self, name: str, seen: list[str], keeps: bool = False) -> None:
        self.name, self.seen, self.keeps = name, seen, keeps
        self.kept: list[tuple[ReadableSpan, Callable[[ReadableSpan], None]]] = []

    def take(
        self, span: ReadableSpan, resume: Callable[[ReadableSpan], None]
    ) -> Optional[ReadableSpan]:
        self.seen.append(f"{self.name} {span.name}")
        if self.keeps:
            self.kept.append((span, resume))
            return None
        return ReadableSpan(f"{span.name}+{self.name}")

    def flush(self, timeout_s: float) -> bool:
        assert timeout_s >= 0.0
        for span, resume in self.kept:
            resume(span)
        self.kept = []
        return True

    def close(self, timeout_s: float) -> bool:
        return self.flush(timeout_s)


class _Broken(_Stage):
    def take(self, span: ReadableSpan, resume: Any) -> Optional[ReadableSpan]:
        raise RuntimeError("a fault of a stage")


def test_stages_see_a_span_in_their_order_and_as_the_ones_before_left_it() -> None:
    seen: list[str] = []
    chain = Chain([_Stage("a", seen), _Stage("b", seen)], lambda s: seen.append(s.name))
    chain(ReadableSpan("span"))
    assert seen == ["a span", "b span+a", "span+a+b"]


@pytest.mark.parametrize("ending", ["flush", "close"])
def test_span_that_a_stage_keeps_goes_on_behind_it_once(ending: str) -> None:
    seen: list[str] = []
    keeping = _Stage("keeps", seen, keeps=True)
    chain = Chain(
        [_Stage("a", seen), keeping, _Stage("b", seen)], lambda span: seen.append(span.name)
    )
    chain(ReadableSpan("span"))
    assert seen == ["a span", "keeps span+a"]
    assert getattr(chain, ending)(1.0)
    assert getattr(chain, ending)(1.0)
    assert seen == ["a span", "keeps span+a", "b span+a", "span+a+b"]


@pytest.mark.usefixtures("contained_faults")
def test_fault_of_a_stage_costs_neither_the_span_nor_the_other_stages() -> None:
    seen: list[str] = []
    chain = Chain([_Broken("x", seen), _Stage("b", seen)], lambda span: seen.append(span.name))
    chain(ReadableSpan("span"))
    assert seen == ["b span", "span+b"]
