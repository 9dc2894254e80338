"""The spans that were made while it listened, with assertions for tests."""

from __future__ import annotations

import threading
from typing import Any, Optional

from peekr import bootstrap, exporters
from peekr.record import SpanRecord
from peekr.semconv import otel

__all__ = ["TakenTrace"]


class TakenTrace:
    """Takes the record of every span that ends, from `start` to `stop`.

    Its answers wait until what has ended is there.
    """

    def __init__(self) -> None:
        self._records: list[SpanRecord] = []
        self._lock = threading.Lock()
        self._installed = False

    def start(self) -> None:
        """Begin to listen; without `peekr.instrument()` it is called, to store nothing."""
        if bootstrap.active_settings() is None:
            bootstrap.instrument(console=False, storage=None)
            self._installed = True
        exporters.add_exporter(self)

    def stop(self) -> None:
        """Listen no more."""
        exporters.remove_exporter(self)
        if self._installed:
            self._installed = False
            bootstrap.uninstrument()

    def export(self, span: Any) -> None:
        """Take a span; called by the pipeline."""
        with self._lock:
            self._records.append(SpanRecord.from_dict(span.to_dict()))

    @property
    def spans(self) -> list[SpanRecord]:
        """All spans so far, in the order in which they started."""
        bootstrap.flush()
        with self._lock:
            return sorted(self._records, key=lambda record: record.start_time)

    def named(self, name: str) -> list[SpanRecord]:
        """The spans of a name, such as `openai.chat`."""
        return [record for record in self.spans if record.name == name]

    @property
    def calls(self) -> list[SpanRecord]:
        """The model calls, embeddings too."""
        return [span for span in self.spans if otel.GEN_AI_REQUEST_MODEL in span.attributes]

    @property
    def errors(self) -> list[SpanRecord]:
        """The spans that failed."""
        return [record for record in self.spans if record.status == "error"]

    @property
    def tool_calls(self) -> list[str]:
        """The names of the tools that models asked for, in their order."""
        return [
            str(call.get("name"))
            for record in self.spans
            for call in record.attributes.get("tool_calls") or ()
        ]

    @property
    def tokens_input(self) -> int:
        """The input tokens of all calls."""
        return self._sum("tokens_input")

    @property
    def tokens_output(self) -> int:
        """The output tokens of all calls."""
        return self._sum("tokens_output")

    @property
    def tokens_total(self) -> int:
        """The tokens of all calls."""
        return self._sum("tokens_total")

    @property
    def cost_usd(self) -> float:
        """What all calls cost, in US dollars; those without a known price are not in it."""
        return sum(float(span.attributes.get("cost_usd") or 0.0) for span in self.spans)

    def assert_no_errors(self) -> None:
        """Check that no span failed.

        Raises:
            AssertionError: some did; the message has what they say.
        """
        __tracebackhide__ = True
        told = [f"{span.name}: {span.attributes.get('error')}" for span in self.errors]
        if told:
            raise AssertionError("spans failed\n" + "\n".join(told))

    def assert_calls(self, *names: str) -> None:
        """Check which model calls were made: the names of their spans, in any order.

        Raises:
            AssertionError: there were others, or not as many.
        """
        __tracebackhide__ = True
        made = sorted(span.name for span in self.calls)
        if made != sorted(names):
            raise AssertionError(f"model calls were {made}, not {sorted(names)}")

    def assert_tokens(
        self,
        *,
        max_total: Optional[int] = None,
        max_input: Optional[int] = None,
        max_output: Optional[int] = None,
    ) -> None:
        """Check that all calls together took at most so many tokens.

        Args:
            max_total: Input and output tokens; None does not check.
            max_input: Input tokens.
            max_output: Output tokens.

        Raises:
            AssertionError: they took more.
        """
        __tracebackhide__ = True
        for name, limit in (("total", max_total), ("input", max_input), ("output", max_output)):
            taken = self._sum(f"tokens_{name}")
            if limit is not None and taken > limit:
                raise AssertionError(f"{taken} {name} tokens, more than {limit}")

    def assert_cost(self, max_usd: float) -> None:
        """Check that all calls together cost at most so many US dollars.

        Calls without a known price count as nothing.

        Raises:
            AssertionError: they cost more.
        """
        __tracebackhide__ = True
        if self.cost_usd > max_usd:
            raise AssertionError(f"calls cost ${self.cost_usd:.6f}, more than ${max_usd:.6f}")

    def _sum(self, name: str) -> int:
        return sum(int(span.attributes.get(name) or 0) for span in self.spans)
