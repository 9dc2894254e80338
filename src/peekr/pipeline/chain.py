"""The stages between a span's end and its outputs, one after the other; a stage may hold a span."""

from __future__ import annotations

import time
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Callable, Optional

from peekr import faults

if TYPE_CHECKING:
    from typing import Protocol

    from opentelemetry.sdk.trace import ReadableSpan

    class Stage(Protocol):
        """One step of the pipeline."""

        def take(
            self, span: ReadableSpan, resume: Callable[[ReadableSpan], None]
        ) -> Optional[ReadableSpan]:
            """Take a finished span; runs on the thread that ended it, or a former stage's.

            Args:
                span: The span as the stages before have left it; it is not changed.
                resume: Goes on with the span that it is given.

            Returns:
                The span to go on with, the same or a copy; None when the stage keeps it and calls
                `resume` later, exactly once, from any thread.
            """
            ...

        def flush(self, timeout_s: float) -> bool:
            """Wait until every span that is kept has been resumed; False when time ran out."""
            ...

        def close(self, timeout_s: float) -> bool:
            """Resume what is kept, scored or not, and let go of threads."""
            ...

else:
    Stage = object

__all__ = ["Chain", "Late", "Stage"]


class Chain:
    """Hands each finished span to the stages in their order, then to the end.

    A fault of a stage is contained: the span goes on as it was.
    """

    def __init__(self, stages: Sequence[Stage], last: Callable[[ReadableSpan], None]) -> None:
        """Put stages in a row.

        Args:
            stages: In the order in which they see a span.
            last: Takes each span in the end.
        """
        self._stages = tuple(stages)
        # Each with what goes on behind it.
        self._steps = tuple(
            (stage, partial(self, place=number + 1)) for number, stage in enumerate(stages)
        )
        self._last = last

    def __call__(self, span: ReadableSpan, place: int = 0) -> None:
        """Take one finished span, from the stage at this place on."""
        for stage, resume in self._steps[place:]:
            try:
                taken = stage.take(span, resume)
            except Exception:
                faults.report(f"processing a finished span ({type(stage).__name__})")
                continue
            if taken is None:
                return
            span = taken
        self._last(span)

    def flush(self, timeout_s: float) -> bool:
        """Wait until no stage keeps a span that ended before; False when time ran out."""
        deadline = time.monotonic() + timeout_s
        done = [stage.flush(max(0.0, deadline - time.monotonic())) for stage in self._stages]
        return all(done)

    def settle(self, timeout_s: float) -> bool:
        """Wait for what stages do apart from the spans they pass on; False when time ran out.

        Such a stage has a `settle` of its own; alerts on their way to a webhook are an example.
        """
        deadline = time.monotonic() + timeout_s
        settles = [getattr(stage, "settle", None) for stage in self._stages]
        done = [settle(max(0.0, deadline - time.monotonic())) for settle in settles if settle]
        return all(done)

    def release(self) -> None:
        """Have stages pass on at once what they keep, now that the process ends.

        A stage that may keep a span for long has a `release` of its own.
        """
        for stage in self._stages:
            release = getattr(stage, "release", None)
            if release is not None:
                release()

    def close(self, timeout_s: float) -> bool:
        """Have every stage pass on what it keeps."""
        deadline = time.monotonic() + timeout_s
        done = [stage.close(max(0.0, deadline - time.monotonic())) for stage in self._stages]
        return all(done)


class Late:
    """A stage that is made when the first span comes."""

    def __init__(self, make: Callable[[], Stage]) -> None:
        """Remember how to make it.

        Args:
            make: Makes the stage; called once or, when two threads come at once, twice, of which
                one is forgotten before it has seen a span.
        """
        self._make = make
        self._made: list[Stage] = []

    def take(
        self, span: ReadableSpan, resume: Callable[[ReadableSpan], None]
    ) -> Optional[ReadableSpan]:
        """Have the stage take a span."""
        made = self._made
        if not made:
            # append() and [0] are one step each: whoever is first decides for all.
            made.append(self._make())
            vars(self)["take"] = made[0].take  # the next spans go there straight away
        return made[0].take(span, resume)

    def flush(self, timeout_s: float) -> bool:
        """Wait for the stage, if there is one."""
        return all(stage.flush(timeout_s) for stage in self._made[:1])

    def close(self, timeout_s: float) -> bool:
        """Close the stage, if there is one."""
        return all(stage.close(timeout_s) for stage in self._made[:1])
