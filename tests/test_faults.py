"""Faults of Peekr's own: contained, said once, raised where a test asks for it."""

from __future__ import annotations

import logging

import pytest

from peekr import faults


def fail(where: str, error: BaseException) -> None:
    try:
        raise error
    except BaseException:
        faults.report(where)


def test_a_fault_is_logged_once_with_its_traceback(
    contained_faults: None, caplog: pytest.LogCaptureFixture
) -> None:
    for number in range(3):
        fail("reading a response", ValueError(f"number {number}"))
    fail("printing a span", KeyError("other"))
    first, second = caplog.records
    assert first.name == "peekr"
    assert first.levelno == logging.WARNING
    assert "while reading a response; the application is not affected" in first.message
    assert first.exc_info is not None
    assert str(first.exc_info[1]) == "number 0"
    assert "printing a span" in second.message


def test_after_a_reset_it_is_said_again(
    contained_faults: None, caplog: pytest.LogCaptureFixture
) -> None:
    fail("reading", ValueError())
    faults.reset()
    fail("reading", ValueError())
    assert len(caplog.records) == 2


def test_tests_see_the_fault_itself() -> None:
    error = ValueError("itself")
    with pytest.raises(ValueError, match="itself") as caught:
        fail("reading", error)
    assert caught.value is error


def test_a_pipeline_that_fails_never_reaches_the_application(
    contained_faults: None, caplog: pytest.LogCaptureFixture
) -> None:
    from opentelemetry.sdk.trace import TracerProvider

    from peekr.provider import joined

    provider = TracerProvider(shutdown_on_exit=False)
    processor = joined(provider)

    def pipeline(span: object) -> None:
        raise RuntimeError("broken")

    processor.pipeline = pipeline
    for _ in range(2):
        with provider.get_tracer("t").start_as_current_span("work"):
            pass
    processor.pipeline = None
    provider.shutdown()
    (said,) = caplog.records
    assert "processing a finished span" in said.message
