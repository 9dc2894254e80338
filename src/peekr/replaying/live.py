"""Recorded model calls sent once more, as a trace of their own."""

from __future__ import annotations

import importlib
import inspect
import os
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, Optional

from opentelemetry import trace as otel_trace

from peekr import bootstrap, tracing
from peekr.encoding import dumps
from peekr.errors import ReplayError
from peekr.eval.evaluator import as_evaluators
from peekr.eval.results import scores_of
from peekr.eval.scoring import evaluate, is_evaluated
from peekr.files.rescoring import load_evaluator
from peekr.instrumentation.sdks import add_admission, remove_admission
from peekr.pricing.book import PriceBook
from peekr.pricing.spans import Price, price_of
from peekr.record import SpanRecord
from peekr.replaying.answers import is_model_call
from peekr.replaying.requests import Asking, is_embedding, rebuild
from peekr.replaying.taken import TakenTrace
from peekr.semconv import otel, own

__all__ = ["NAME", "Run", "estimate_usd", "evaluators_for", "requests_of", "send"]

NAME = "peekr.replay"
"""The name of the span around a new run."""

# The variable by which each SDK is told where to send, and the end of its own service's name.
_VARIABLES = {
    "openai": ("OPENAI_BASE_URL", "openai.com"),
    "anthropic": ("ANTHROPIC_BASE_URL", "anthropic.com"),
    "bedrock": ("AWS_ENDPOINT_URL_BEDROCK_RUNTIME", "amazonaws.com"),
    "gemini": ("GOOGLE_GEMINI_BASE_URL", "googleapis.com"),
}
_OTHER_VARIABLES = {
    ("openai", "azure.ai.openai"): ("AZURE_OPENAI_ENDPOINT", ""),
    ("anthropic", "aws.bedrock"): ("ANTHROPIC_BEDROCK_BASE_URL", "amazonaws.com"),
    ("anthropic", "gcp.vertex_ai"): ("ANTHROPIC_VERTEX_BASE_URL", "googleapis.com"),
    ("gemini", "gcp.vertex_ai"): ("GOOGLE_VERTEX_BASE_URL", "googleapis.com"),
}
_REGION = re.compile(r"bedrock-runtime(?:-fips)?\.([a-z0-9-]+)\.amazonaws\.com")


class Run(NamedTuple):
    """A run that was sent.

    Attributes:
        trace_id: Of the new trace.
        before: The recorded calls, with the scores of the evaluators that were given.
        after: The new ones, in the same order; one that could not be sent at all is missing.
        errors: What failed, in the words of the SDK or of an evaluator.
    """

    trace_id: str
    before: list[SpanRecord]
    after: list[SpanRecord]
    errors: list[str]

    @property
    def pairs(self) -> list[tuple[SpanRecord, Optional[SpanRecord]]]:
        """Each recorded call with the new one that replays it; None where there is none."""
        replays = {
            str(span.attributes.get(own.PEEKR_REPLAY_OF)).rpartition("/")[2]: span
            for span in self.after
        }
        return [(span, replays.get(span.span_id)) for span in self.before]


def requests_of(
    spans: Sequence[SpanRecord],
    *,
    model: Optional[str] = None,
    provider: Optional[str] = None,
    changes: Optional[Mapping[str, Any]] = None,
) -> list[Asking]:
    """The requests of a trace's model calls, in the order in which they were sent.

    What is changed is so for the calls that generate; embeddings stay as they were, except where
    there is nothing else.

    Args:
        spans: The spans of the trace.
        model: Ask this model instead.
        provider: Ask this provider instead.
        changes: Arguments that are set; see `rebuild`.

    Raises:
        ReplayError: there is none, or one that cannot be sent again; the message says why.
    """
    calls = sorted(filter(is_model_call, spans), key=lambda span: span.start_time)
    if not calls:
        raise ReplayError("there is no model call to replay")
    generating = [call for call in calls if not is_embedding(call)]
    made: list[Asking] = []
    for call in calls:
        if generating and is_embedding(call):
            made.append(rebuild(call))
        else:
            made.append(rebuild(call, model=model, provider=provider, changes=changes))
        if provider is None or is_embedding(call):
            _check_address(made[-1])
    return made


def estimate_usd(asking: Asking, book: PriceBook) -> Optional[float]:
    """What a request would cost if it took as many tokens as the recorded one; None if unknown."""
    attributes = dict(asking.record.attributes)
    if asking.model != attributes.get("model"):
        attributes.pop(otel.GEN_AI_RESPONSE_MODEL, None)
    attributes["model"] = attributes[otel.GEN_AI_REQUEST_MODEL] = asking.model
    names = {"gemini": "gcp.gemini", "bedrock": "aws.bedrock"}
    if not asking.record.name.startswith(asking.provider):
        provider = names.get(asking.provider, asking.provider)
        attributes["provider"] = attributes[otel.GEN_AI_PROVIDER_NAME] = provider
    found = price_of(book, attributes, 0)
    return found.cost_usd if isinstance(found, Price) else None


# Those that ask no judge and need no more than the call itself.
_FREE = ("NotEmpty", "NoError")


def evaluators_for(asked: Sequence[Asking]) -> list[Any]:
    """The evaluators whose scores the recorded calls have and that cost nothing."""
    known = {name for asking in asked for name in scores_of(asking.record)}
    return [load_evaluator(name) for name in _FREE if name in known]


def send(
    asked: Sequence[Asking],
    *,
    evaluators: Sequence[Any] = (),
    advanced: Callable[[], None] = lambda: None,
    **settings: Any,
) -> Run:
    """Send requests one after the other through the real SDKs, and wait for the answers.

    Args:
        asked: What to send.
        evaluators: Score the answers, and the recorded ones where those have no such score.
        advanced: Called after each.
        **settings: Of `peekr.instrument()`: where the new trace is stored.
    """
    of_trace = asked[0].record.trace_id
    errors: list[str] = []
    after: list[SpanRecord] = []
    before = [_scored(asking.record, evaluators, errors) for asking in asked]
    arguments: dict[str, Any] = {"console": False, **settings}
    if evaluators:
        arguments |= {"evaluators": list(evaluators), "async_eval": False}
    bootstrap.instrument(**arguments)
    taken = TakenTrace()
    taken.start()
    try:
        link = otel_trace.Link(
            otel_trace.SpanContext(int(of_trace, 16), int(asked[0].record.span_id[:16], 16), True)
        )
        with tracing.current().tracer.start_as_current_span(
            NAME, links=[link], attributes={own.PEEKR_REPLAY_OF: of_trace}
        ) as root:
            trace_id = format(root.get_span_context().trace_id, "032x")
            for asking in asked:
                _send_one(asking, errors)
                advanced()
        after = [span for span in taken.spans if is_model_call(span)]
        for span in after:
            given: dict[str, str] = span.attributes.get("eval_errors") or {}
            errors += [f"{span.name}: {name} gave no score: {why}" for name, why in given.items()]
    finally:
        taken.stop()
        bootstrap.shutdown()
    return Run(trace_id, before, after, errors)


def _scored(record: SpanRecord, evaluators: Sequence[Any], errors: list[str]) -> SpanRecord:
    """A recorded call with the scores that it has not; the record itself stays as it is."""
    scores = dict(scores_of(record))
    missing = [one for one in as_evaluators(evaluators) if one.name not in scores]
    if not missing or not is_evaluated(record.attributes):
        return record
    attributes = dict(record.attributes)
    copied = SpanRecord.from_dict({**record.to_dict(), "attributes": attributes})
    for evaluator in missing:
        found = evaluate(evaluator, copied, _EVALUATION_TIMEOUT_S)
        if found.score is not None:
            scores[evaluator.name] = float(found.score)
        elif found.error is not None:
            errors.append(f"{record.name}: {evaluator.name} gave no score: {found.error}")
    copied.attributes["eval_scores"] = scores
    return copied


_EVALUATION_TIMEOUT_S = 300.0


def _send_one(asking: Asking, errors: list[str]) -> None:
    record = asking.record

    def note(call: Any) -> None:
        call.note(own.PEEKR_REPLAY_OF, f"{record.trace_id}/{record.span_id}")

    add_admission(note)
    try:
        _SENDERS[asking.provider](asking)
    except ImportError as error:
        raise ReplayError(f"the SDK of {asking.provider} is not installed: {error}") from None
    except Exception as error:
        # The span has it; the other calls are sent all the same.
        errors.append(f"{record.name}: {type(error).__name__}: {error}")
    finally:
        remove_admission(note)


def _check_address(asking: Asking) -> None:
    """Send nothing to another service than the one it was recorded from, unless told where."""
    known = _VARIABLES[asking.provider]
    variable, home = _OTHER_VARIABLES.get((asking.provider, _service_of(asking)), known)
    address = asking.record.attributes.get(otel.SERVER_ADDRESS)
    if not isinstance(address, str) or {variable, known[0]} & os.environ.keys():
        return
    if home and (address == home or address.endswith((f".{home}", f"-{home}"))):
        return
    raise ReplayError(
        f"{asking.record.name} (span {asking.record.span_id}) was sent to {address}: set "
        f"{variable} to where it is to be sent now"
    )


def _service_of(asking: Asking) -> str:
    """The service that a call was recorded from; empty where another provider is asked."""
    record = asking.record
    own_one = record.name.startswith(f"{asking.provider}.")
    return str(record.attributes.get(otel.GEN_AI_PROVIDER_NAME) or "") if own_one else ""


def _openai(asking: Asking) -> None:
    sdk: Any = importlib.import_module("openai")
    # Azure's addresses are taken by either client; the variable says which.
    is_azure = _service_of(asking) == "azure.ai.openai" and "AZURE_OPENAI_ENDPOINT" in os.environ
    with (sdk.AzureOpenAI if is_azure else sdk.OpenAI)() as client:
        resource: Any = {
            "chat": client.chat.completions,
            "completions": client.completions,
            "responses": client.responses,
            "embeddings": client.embeddings,
        }[asking.method]
        _consume(_call(resource.create, asking.arguments), asking.stream)


def _anthropic(asking: Asking) -> None:
    sdk: Any = importlib.import_module("anthropic")
    classes = {"aws.bedrock": "AnthropicBedrock", "gcp.vertex_ai": "AnthropicVertex"}
    with getattr(sdk, classes.get(_service_of(asking), "Anthropic"))() as client:
        _consume(_call(client.messages.create, asking.arguments), asking.stream)


def _gemini(asking: Asking) -> None:
    sdk: Any = importlib.import_module("google.genai")
    service = _service_of(asking)
    # Else the environment says which of the two services is asked.
    chosen = {"vertexai": service == "gcp.vertex_ai"} if service else {}
    client: Any = sdk.Client(**chosen)  # one that nobody holds closes itself
    method: Any = client.models.generate_content
    if asking.method == "embed_content":
        method = client.models.embed_content
    elif asking.stream:
        method = client.models.generate_content_stream
    _consume(method(**asking.arguments), asking.stream)


def _bedrock(asking: Asking) -> None:
    found = _REGION.fullmatch(str(asking.record.attributes.get(otel.SERVER_ADDRESS)))
    region = {"region_name": found.group(1)} if found and _service_of(asking) else {}
    client: Any = importlib.import_module("boto3").client("bedrock-runtime", **region)
    if asking.method == "invoke_model":
        arguments = dict(asking.arguments)
        if "body" in arguments:
            arguments["body"] = dumps(arguments["body"])
        if asking.stream:
            _consume(client.invoke_model_with_response_stream(**arguments)["body"], True)
        else:
            client.invoke_model(**arguments)["body"].read()
    elif asking.stream:
        _consume(client.converse_stream(**asking.arguments)["stream"], True)
    else:
        client.converse(**asking.arguments)


_SENDERS = {"openai": _openai, "anthropic": _anthropic, "gemini": _gemini, "bedrock": _bedrock}


def _call(method: Any, arguments: dict[str, Any]) -> Any:
    """Call an SDK's method; arguments that this version does not name go into the body."""
    known = inspect.signature(method).parameters
    kept = {name: value for name, value in arguments.items() if name in known}
    extra = {name: value for name, value in arguments.items() if name not in known}
    return method(**kept, **({"extra_body": extra} if extra else {}))


def _consume(result: Any, is_stream: bool) -> None:
    if is_stream:
        for _ in result:
            pass
