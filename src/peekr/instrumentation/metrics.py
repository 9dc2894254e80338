"""The GenAI conventions' client metrics of each model call, where somebody collects metrics.

The OpenTelemetry metrics API is asked at each call whether there is a MeterProvider by now: one may
be set long after `instrument()`. Without one nothing is made and nothing is recorded.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, Optional, cast

from peekr._version import __version__
from peekr.semconv import otel

if TYPE_CHECKING:
    from peekr.instrumentation.call import Call
    from peekr.instrumentation.contract import Fault, Response

__all__ = [
    "DURATION",
    "TIME_PER_OUTPUT_CHUNK",
    "TIME_TO_FIRST_CHUNK",
    "TOKENS",
    "CallMetrics",
    "attributes_of",
]

TOKENS = "gen_ai.client.token.usage"
DURATION = "gen_ai.client.operation.duration"
TIME_TO_FIRST_CHUNK = "gen_ai.client.operation.time_to_first_chunk"
TIME_PER_OUTPUT_CHUNK = "gen_ai.client.operation.time_per_output_chunk"

_TOKEN_BOUNDARIES = tuple(4**power for power in range(14))
_SECOND_BOUNDARIES = tuple(0.01 * 2**power for power in range(14))
# Source: the conventions' metrics of release 1.42.0, and the boundaries that their text asks for.
_INSTRUMENTS = (
    (TOKENS, "{token}", "Number of input and output tokens used.", _TOKEN_BOUNDARIES),
    (DURATION, "s", "GenAI operation duration.", _SECOND_BOUNDARIES),
    (
        TIME_TO_FIRST_CHUNK,
        "s",
        "Time to receive the first chunk, measured from when the client issues the generation "
        "request to when the first chunk is received in the response stream.",
        _SECOND_BOUNDARIES,
    ),
    (
        TIME_PER_OUTPUT_CHUNK,
        "s",
        "Time per output chunk, recorded for each chunk received after the first one, measured as "
        "the time elapsed from the end of the previous chunk to the end of the current chunk.",
        _SECOND_BOUNDARIES,
    ),
)
_INPUT, _OUTPUT = "input", "output"


class CallMetrics:
    """Records the metrics of one SDK's calls; runs on the thread that ends a call.

    Its truth is whether there is anybody to record for: ask that first, it is cheap.
    """

    def __init__(self, scope: str, schema_url: str, provider: Any = None) -> None:
        """Begin; nothing of OpenTelemetry's is loaded.

        Args:
            scope: The name of the meter.
            schema_url: The release of the conventions.
            provider: Collects the metrics; None for the global one, whenever it is set.
        """
        self._scope = scope
        self._schema_url = schema_url
        self._given = provider
        self._provider: Any = None
        self._has_asked = False
        self._instruments: Optional[tuple[Any, ...]] = None

    def __bool__(self) -> bool:
        """Whether there is a MeterProvider."""
        provider = self._given
        if provider is None:
            provider = self._global()
            if provider is None:
                return False
        if provider is not self._provider:
            self._instruments = self._make(provider)
            self._provider = provider
        return self._instruments is not None

    def __call__(self, call: Call, response: Optional[Response], fault: Optional[Fault]) -> None:
        """Record a call that ends."""
        if not self:
            return
        tokens, duration, first_chunk, later_chunks = cast("tuple[Any, ...]", self._instruments)
        # For exemplars: the call's span, not whatever is current where a stream ends.
        context = call.context()
        attributes = attributes_of(call, response)
        # Here: who collects no metrics does not wait for it at the start.
        from peekr import messages

        if messages.before_cut is not None:
            attributes = messages.before_cut(attributes)
        usage = None if response is None else response.usage
        if usage is not None:
            for kind, count in ((_INPUT, usage.input), (_OUTPUT, usage.output)):
                if count is not None:
                    tokens.record(count, {**attributes, otel.GEN_AI_TOKEN_TYPE: kind}, context)
        seconds = (call.now_ns() - call.start_ns) / 1e9
        failed = attributes if fault is None else {**attributes, otel.ERROR_TYPE: fault.type}
        duration.record(seconds, failed, context)
        if call.first_chunk_ns:
            seconds = (call.first_chunk_ns - call.start_ns) / 1e9
            first_chunk.record(seconds, attributes, context)
        times_ns = call.chunk_times_ns or ()
        for before_ns, after_ns in zip(times_ns, times_ns[1:]):
            later_chunks.record((after_ns - before_ns) / 1e9, attributes, context)

    def _global(self) -> Any:
        # Who has set one has imported it; reading does not import it for those who have not.
        api = sys.modules.get("opentelemetry.metrics._internal")
        if api is None:
            return None
        # While there is none, asking for it looks into the environment each time: once is enough.
        if self._has_asked and getattr(api, "_METER_PROVIDER", api) is None:
            return None
        self._has_asked = True
        return api.get_meter_provider()

    def _make(self, provider: Any) -> Optional[tuple[Any, ...]]:
        """The instruments; None where the provider is none that keeps anything."""
        # The API's own keep nothing: stand-ins until there is another, or instead of one.
        if cast("type[Any]", type(provider)).__module__.startswith("opentelemetry.metrics"):
            return None
        meter = provider.get_meter(self._scope, __version__, self._schema_url)
        return tuple(_histogram(meter, *described) for described in _INSTRUMENTS)


def _histogram(meter: Any, name: str, unit: str, brief: str, boundaries: tuple[float, ...]) -> Any:
    try:
        return meter.create_histogram(
            name, unit, brief, explicit_bucket_boundaries_advisory=boundaries
        )
    except TypeError:
        return meter.create_histogram(name, unit, brief)  # another SDK, which knows no such advice


def attributes_of(call: Call, response: Optional[Response]) -> dict[str, Any]:
    """What the conventions want to be known of a call besides what is measured."""
    request, hook = call.request, call.hook
    made: dict[str, Any] = {
        otel.GEN_AI_OPERATION_NAME: request.operation or hook.operation,
        otel.GEN_AI_PROVIDER_NAME: request.provider or hook.provider,
    }
    if request.model:
        made[otel.GEN_AI_REQUEST_MODEL] = request.model
    if request.server is not None:
        address, port = request.server
        made[otel.SERVER_ADDRESS] = address
        if port is not None:
            made[otel.SERVER_PORT] = port
    if response is not None:
        if response.model:
            made[otel.GEN_AI_RESPONSE_MODEL] = response.model
        facts = response.attributes or {}
        for name in (otel.OPENAI_RESPONSE_SERVICE_TIER, otel.OPENAI_RESPONSE_SYSTEM_FINGERPRINT):
            if name in facts:
                made[name] = facts[name]
    return made
