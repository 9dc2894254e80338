"""Peekr: an OpenTelemetry distribution for LLM applications.

One line, and every model call is a span::

    import peekr

    peekr.instrument()
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from peekr._version import __version__
from peekr.late import public_names

if TYPE_CHECKING:
    from peekr import alert, eval, exporters, guard
    from peekr.bootstrap import flush, instrument, shutdown, uninstrument
    from peekr.diagnosis import doctor
    from peekr.errors import (
        BudgetExceededError,
        ComplianceError,
        ConfigurationError,
        GuardrailError,
        PeekrError,
        RedactionError,
        UnreadableFileError,
    )
    from peekr.eval.retrieval import clear_evidence, evidence, record_evidence
    from peekr.exporters import (
        ConsoleExporter,
        HTTPExporter,
        JSONLExporter,
        OpenInferenceExporter,
        SQLiteExporter,
        add_exporter,
        clear_exporters,
        remove_exporter,
    )
    from peekr.manual.decorator import trace
    from peekr.manual.experiments import experiment
    from peekr.manual.feedbacks import export_feedback, feedback
    from peekr.manual.scopes import feature, session
    from peekr.manual.span_view import Span
    from peekr.manual.spans import end_span, get_current_span, span, start_span
    from peekr.middleware import FastAPIMiddleware, PeekrASGIMiddleware

__all__ = [
    "BudgetExceededError",
    "ComplianceError",
    "ConfigurationError",
    "ConsoleExporter",
    "FastAPIMiddleware",
    "GuardrailError",
    "HTTPExporter",
    "JSONLExporter",
    "OpenInferenceExporter",
    "PeekrASGIMiddleware",
    "PeekrError",
    "RedactionError",
    "SQLiteExporter",
    "Span",
    "UnreadableFileError",
    "__version__",
    "add_exporter",
    "alert",
    "clear_evidence",
    "clear_exporters",
    "doctor",
    "end_span",
    "eval",
    "evidence",
    "experiment",
    "export_feedback",
    "exporters",
    "feature",
    "feedback",
    "flush",
    "get_current_span",
    "guard",
    "instrument",
    "record_evidence",
    "remove_exporter",
    "session",
    "shutdown",
    "span",
    "start_span",
    "trace",
    "uninstrument",
]

# Where each public name lives. Loaded at first use: the command line reads files without any
# OpenTelemetry, and a program pays for what it uses.
_HOMES = {
    "BudgetExceededError": "peekr.errors",
    "ComplianceError": "peekr.errors",
    "ConfigurationError": "peekr.errors",
    "ConsoleExporter": "peekr.exporters",
    "FastAPIMiddleware": "peekr.middleware",
    "GuardrailError": "peekr.errors",
    "HTTPExporter": "peekr.exporters",
    "JSONLExporter": "peekr.exporters",
    "OpenInferenceExporter": "peekr.exporters",
    "PeekrASGIMiddleware": "peekr.middleware",
    "PeekrError": "peekr.errors",
    "RedactionError": "peekr.errors",
    "SQLiteExporter": "peekr.exporters",
    "Span": "peekr.manual.span_view",
    "UnreadableFileError": "peekr.errors",
    "add_exporter": "peekr.exporters",
    "clear_evidence": "peekr.eval.retrieval",
    "clear_exporters": "peekr.exporters",
    "doctor": "peekr.diagnosis",
    "end_span": "peekr.manual.spans",
    "evidence": "peekr.eval.retrieval",
    "experiment": "peekr.manual.experiments",
    "export_feedback": "peekr.manual.feedbacks",
    "feature": "peekr.manual.scopes",
    "feedback": "peekr.manual.feedbacks",
    "flush": "peekr.bootstrap",
    "get_current_span": "peekr.manual.spans",
    "instrument": "peekr.bootstrap",
    "record_evidence": "peekr.eval.retrieval",
    "remove_exporter": "peekr.exporters",
    "session": "peekr.manual.scopes",
    "shutdown": "peekr.bootstrap",
    "span": "peekr.manual.spans",
    "start_span": "peekr.manual.spans",
    "trace": "peekr.manual.decorator",
    "uninstrument": "peekr.bootstrap",
}

# So that `peekr.exporters.add_exporter` needs no import.
_MODULES = ("alert", "eval", "exporters", "guard")

__getattr__, __dir__ = public_names(globals(), _HOMES, _MODULES)
