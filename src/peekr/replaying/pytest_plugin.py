"""Fixtures for pytest: what a test's calls were, and recorded answers for them.

pytest loads this with every project that Peekr is installed for, so it imports nothing until a
test asks for a fixture.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any, Callable, Optional, Union

import pytest

if TYPE_CHECKING:
    from peekr.replaying.serving import Offline
    from peekr.replaying.taken import TakenTrace

__all__ = ["peekr_replay", "peekr_trace"]


@pytest.fixture
def peekr_trace() -> Iterator[TakenTrace]:
    """Every span that ends during the test, with assertions on calls, tokens and cost.

    Where `peekr.instrument()` was not called it is, to store nothing, and undone after the test.
    """
    from peekr.replaying.taken import TakenTrace

    taken = TakenTrace()
    taken.start()
    try:
        yield taken
    finally:
        taken.stop()


@pytest.fixture
def peekr_replay(
    request: pytest.FixtureRequest, peekr_trace: TakenTrace
) -> Iterator[Callable[..., Offline]]:
    """Serve recorded answers for the rest of the test: `peekr_replay("agent.jsonl")`.

    It takes what `peekr.replaying.offline()` takes, looks for the file beside the test's own
    first, and returns the `Offline`. A call that was not recorded fails the test, also where the
    application swallows its error.
    """
    del peekr_trace  # the calls are to be seen
    entered: list[Offline] = []
    with ExitStack() as stack:

        def replay(
            path: Union[str, os.PathLike[str]], trace_id: Optional[str] = None, **options: Any
        ) -> Offline:
            from peekr.errors import PeekrError
            from peekr.replaying.serving import offline

            # A failure is the test's line and the message, without what Peekr did in between.
            __tracebackhide__ = True
            beside = Path(str(request.path)).parent / path
            try:
                found = offline(beside if beside.exists() else path, trace_id, **options)
            except PeekrError as error:
                raise error.with_traceback(None) from None
            entered.append(stack.enter_context(found))
            return found

        yield replay
    told = [line for held in entered for line in held.unmatched]
    if told:
        pytest.fail("model calls were not recorded:\n" + "\n".join(told), pytrace=False)
