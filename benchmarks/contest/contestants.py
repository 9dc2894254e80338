"""How each instrumentation is put on: as its documentation says, content captured, spans kept.

Each but Peekr's JSONL gets the same tracer provider with a `SimpleSpanProcessor` and an exporter
that keeps the last spans, so that what differs is the instrumentation. What makes further signals
out of a call as well (metrics, events beside the span) has them switched off where that loses
no content. Each function is called before the client is made.
"""

from __future__ import annotations

import importlib
import json
import os
from collections import deque
from functools import partial
from pathlib import Path
from typing import Any, Callable, NamedTuple

from contest.by_hand import by_hand
from contest.providers import Calls


class Watching(NamedTuple):
    """Who watches.

    Attributes:
        wrap: What makes the calls watched, where that is not done to the SDK.
        kept: What was recorded last: texts, one a span, then one a log record.
        count: How many spans there have been.
    """

    wrap: Callable[[Calls], Calls]
    kept: Callable[[], list[str]]
    count: Callable[[], int]


Contestant = Callable[[str, Path], Watching]


class Keeping:
    """A tracer provider and, on request, a logger provider, that keep the last things."""

    def __init__(self) -> None:
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import (
            SimpleSpanProcessor,
            SpanExporter,
            SpanExportResult,
        )

        spans: deque[Any] = deque(maxlen=8)
        self._spans, self._logs, self._count = spans, deque[Any](maxlen=32), 0
        keeping = self

        class Last(SpanExporter):
            def export(self, spans: Any) -> SpanExportResult:
                keeping._spans.extend(spans)
                keeping._count += len(spans)
                return SpanExportResult.SUCCESS

        self.processor = SimpleSpanProcessor(Last())
        self.tracer_provider = TracerProvider(shutdown_on_exit=False)
        self.tracer_provider.add_span_processor(self.processor)

    def logger_provider(self) -> Any:
        from opentelemetry.sdk import _logs as logs
        from opentelemetry.sdk._logs import export

        base: Any = getattr(export, "LogRecordExporter", None) or export.LogExporter
        kept = self._logs

        class Last(base):
            def export(self, batch: Any) -> Any:
                kept.extend(batch)

            def shutdown(self) -> None:
                pass

            def force_flush(self, timeout_millis: int = 0) -> bool:
                return True

        provider = logs.LoggerProvider(shutdown_on_exit=False)
        provider.add_log_record_processor(export.SimpleLogRecordProcessor(Last()))
        return provider

    def kept(self) -> list[str]:
        records = [getattr(log, "log_record", log) for log in self._logs]
        return [span.to_json(indent=None) for span in self._spans] + [
            f"{record.body} {record.attributes}" for record in records
        ]

    def watching(self, wrap: Callable[[Calls], Calls] = lambda calls: calls) -> Watching:
        return Watching(wrap, self.kept, lambda: self._count)


def bare(provider: str, folder: Path) -> Watching:
    return Watching(lambda calls: calls, list, lambda: 0)


def handwritten(provider: str, folder: Path) -> Watching:
    keeping = Keeping()
    tracer = keeping.tracer_provider.get_tracer("by hand")
    return keeping.watching(lambda calls: by_hand(provider, calls, tracer))


def peekr_jsonl(provider: str, folder: Path, guards: bool = False) -> Watching:
    import peekr

    path = folder / f"{provider}-{os.getpid()}.jsonl"
    guardrails: list[Any] = []
    if guards:
        from peekr.guard import Blocklist, PIIRedact

        guardrails = [PIIRedact(), Blocklist(patterns=Blocklist.COMMON_SECRETS)]
    peekr.instrument(console=False, jsonl_path=str(path), guardrails=guardrails)

    def lines() -> list[str]:
        peekr.flush()
        return path.read_text("utf-8").splitlines()

    return Watching(lambda calls: calls, lambda: lines()[-8:], lambda: len(lines()))


def peekr_no_store(provider: str, folder: Path) -> Watching:
    import peekr

    keeping = Keeping()
    peekr.instrument(console=False, storage=None, tracer_provider=keeping.tracer_provider)
    return keeping.watching()


def _instrumentors(table: dict[str, str], **more: Any) -> Contestant:
    """One that is a `BaseInstrumentor` a provider."""

    def put_on(provider: str, folder: Path) -> Watching:
        keeping = Keeping()
        module, _, name = table[provider].partition(":")
        given = {k: getattr(keeping, v)() for k, v in more.items()}
        getattr(importlib.import_module(module), name)().instrument(
            tracer_provider=keeping.tracer_provider, **given
        )
        return keeping.watching()

    return put_on


def _opentelemetry(content: str, table: dict[str, str], **more: str) -> Contestant:
    put_on = _instrumentors(table, **more)

    def with_content(provider: str, folder: Path) -> Watching:
        os.environ["OTEL_SEMCONV_STABILITY_OPT_IN"] = "gen_ai_latest_experimental"
        # Of botocore's the events are the one place where it puts messages.
        os.environ["OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT"] = (
            "true" if "botocore" in table[provider] else content
        )
        return put_on(provider, folder)

    return with_content


def openlit(provider: str, folder: Path) -> Watching:
    import openlit
    from openlit import _instrumentors as every
    from opentelemetry import trace

    keeping = Keeping()
    trace.set_tracer_provider(keeping.tracer_provider)
    prices = folder / "openlit.json"
    price = {"promptPrice": 0.0025, "completionPrice": 0.01}
    models = ("gpt-4o", "claude-sonnet-4-5", "us.amazon.nova-lite-v1:0", "gemini-2.5-flash")
    prices.write_text(json.dumps({"chat": dict.fromkeys(models, price)}))
    wanted = {"gemini": "google-ai-studio"}.get(provider, provider)
    openlit.init(
        disabled_instrumentors=[name for name in every.MODULE_NAME_MAP if name != wanted],
        disable_metrics=True,
        disable_events=True,
        pricing_json=str(prices),
    )
    return keeping.watching()


def logfire(provider: str, folder: Path) -> Watching:
    import logfire

    keeping = Keeping()
    os.environ["OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT"] = "SPAN_ONLY"
    # It takes the global provider, on which Anthropic's SDK would make a second span of each call.
    os.environ["ANTHROPIC_OPEN_TELEMETRY"] = "false"
    logfire.configure(
        send_to_logfire=False,
        console=False,
        additional_span_processors=[keeping.processor],
        metrics=False,
        inspect_arguments=False,
    )
    getattr(logfire, "instrument_" + {"gemini": "google_genai"}.get(provider, provider))()
    return keeping.watching()


CONTESTANTS: dict[str, Contestant] = {
    "bare": bare,
    "by hand": handwritten,
    "peekr": peekr_jsonl,
    "peekr, no store": peekr_no_store,
    "peekr, guards": partial(peekr_jsonl, guards=True),
    "opentelemetry": _opentelemetry(
        "SPAN_ONLY",
        {
            "openai": "opentelemetry.instrumentation.genai.openai:OpenAIInstrumentor",
            "anthropic": "opentelemetry.instrumentation.genai.anthropic:AnthropicInstrumentor",
            "bedrock": "opentelemetry.instrumentation.genai.bedrock:BedrockInstrumentor",
            "gemini": "opentelemetry.instrumentation.google_genai:GoogleGenAiSdkInstrumentor",
        },
    ),
    "opentelemetry, earlier": _opentelemetry(
        "SPAN_ONLY",
        {
            "openai": "opentelemetry.instrumentation.openai_v2:OpenAIInstrumentor",
            "bedrock": "opentelemetry.instrumentation.botocore:BotocoreInstrumentor",
        },
        logger_provider="logger_provider",
    ),
    "openllmetry": _instrumentors(
        {
            "openai": "opentelemetry.instrumentation.openai:OpenAIInstrumentor",
            "anthropic": "opentelemetry.instrumentation.anthropic:AnthropicInstrumentor",
            "bedrock": "opentelemetry.instrumentation.bedrock:BedrockInstrumentor",
            "gemini": "opentelemetry.instrumentation.google_generativeai"
            ":GoogleGenerativeAiInstrumentor",
        }
    ),
    "openinference": _instrumentors(
        {
            "openai": "openinference.instrumentation.openai:OpenAIInstrumentor",
            "anthropic": "openinference.instrumentation.anthropic:AnthropicInstrumentor",
            "bedrock": "openinference.instrumentation.bedrock:BedrockInstrumentor",
            "gemini": "openinference.instrumentation.google_genai:GoogleGenAIInstrumentor",
        }
    ),
    "openlit": openlit,
    "logfire": logfire,
}
