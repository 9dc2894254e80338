"""AWS Bedrock's runtime, simulated: Converse, InvokeModel, and the streams of both."""

from __future__ import annotations

import base64
import json
import re
import struct
import zlib
from typing import Optional, Tuple
from urllib.parse import unquote

from .bedrock_converse import converse_answer, converse_events, converse_prompt
from .bedrock_families import Family, family_of
from .exchange import (
    Ids,
    Json,
    Rejected,
    Reply,
    Request,
    json_reply,
    stream_reply,
)
from .failures import Failures, break_stream
from .model import SimulatedModel

__all__ = ["BedrockApi", "event_message"]

_PATH = re.compile(r"^/model/(?P<model>[^/]+)/(?P<method>[a-z-]+)$")
_EVENT_STREAM = "application/vnd.amazon.eventstream"
_ERRORS = {
    400: ("ValidationException", "The request is invalid."),
    403: ("AccessDeniedException", "You don't have access to the model with the specified ID."),
    404: ("ResourceNotFoundException", "Could not resolve the foundation model."),
    408: ("ModelTimeoutException", "The model took too long to answer."),
    424: ("ModelErrorException", "The model failed to answer."),
    429: ("ThrottlingException", "Too many requests, please wait before trying again."),
    503: ("ServiceUnavailableException", "Bedrock is unable to process your request."),
}
_SERVER_ERROR = (
    "InternalServerException",
    "The system encountered an unexpected error during processing. Try your request again.",
)
_STRING = 7  # the type of a header's value, in the numbers of the event stream encoding


class BedrockApi:
    """Answers the requests of boto3's `bedrock-runtime` client.

    Args:
        model: gives the answers.
        ids: gives the identifiers.
    """

    def __init__(self, model: SimulatedModel, ids: Ids) -> None:
        self._model = model
        self._ids = ids
        self._failures = Failures()

    def handle(self, request: Request) -> Optional[Reply]:
        """Answer a request; None where the path is not Bedrock's.

        Raises:
            Rejected: the request is refused.
        """
        path = _PATH.match(request.path)
        if path is None:
            return None
        methods = {
            "converse": self._converse,
            "converse-stream": self._converse_stream,
            "invoke": self._invoke,
            "invoke-with-response-stream": self._invoke_stream,
        }
        method = methods.get(path["method"])
        if method is None:
            return None
        model_id = unquote(path["model"])
        status = self._failures.status(model_id)
        if status is not None:
            raise _refused(status)
        family = family_of(model_id)
        if family is None:
            raise _refused(400, "The provided model identifier is invalid.")
        if request.body is None:
            raise _refused(400, "Malformed input request, please reformat your input.")
        reply = method(model_id, family, request.body)
        headers = {**reply.headers, "x-amzn-RequestId": self._ids.next("request-")}
        return Reply(reply.status, reply.content_type, reply.chunks, reply.streamed, headers)

    # -- converse -----------------------------------------------------------------------------

    def _converse(self, model_id: str, family: Family, body: Json) -> Reply:
        return json_reply(self._converse_answer(body))

    def _converse_stream(self, model_id: str, family: Family, body: Json) -> Reply:
        events = converse_events(self._converse_answer(body))
        chunks = (_event(kind, payload) for kind, payload in events)
        broken = break_stream(model_id, chunks, [_exception(*_SERVER_ERROR)])
        return stream_reply(broken, content_type=_EVENT_STREAM)

    def _converse_answer(self, body: Json) -> Json:
        try:
            prompt = converse_prompt(body)
        except ValueError as invalid:
            raise _refused(400, str(invalid)) from None
        return converse_answer(prompt, self._model, self._ids)

    # -- invoke -------------------------------------------------------------------------------

    def _invoke(self, model_id: str, family: Family, body: Json) -> Reply:
        said, tokens = self._family_answer(model_id, family, body)
        headers = {
            "X-Amzn-Bedrock-Input-Token-Count": str(tokens[0]),
            "X-Amzn-Bedrock-Output-Token-Count": str(tokens[1]),
            "X-Amzn-Bedrock-Invocation-Latency": "1",
        }
        return json_reply(said, headers=headers)

    def _invoke_stream(self, model_id: str, family: Family, body: Json) -> Reply:
        said, tokens = self._family_answer(model_id, family, body)
        if not family.streams:
            raise _refused(400, "The model is unsupported for streaming")
        metrics = {
            "inputTokenCount": tokens[0],
            "outputTokenCount": tokens[1],
            "invocationLatency": 1,
            "firstByteLatency": 1,
        }
        events = list(family.events(said))
        events[-1] = {**events[-1], "amazon-bedrock-invocationMetrics": metrics}
        chunks = (_invoke_chunk(event) for event in events)
        broken = break_stream(model_id, chunks, [_exception(*_SERVER_ERROR)])
        return stream_reply(
            broken,
            content_type=_EVENT_STREAM,
            headers={"X-Amzn-Bedrock-Content-Type": "application/json"},
        )

    def _family_answer(
        self, model_id: str, family: Family, body: Json
    ) -> Tuple[Json, Tuple[int, int]]:
        try:
            return family.answer(model_id, body, self._model, self._ids)
        except ValueError as invalid:
            message = (
                f"Malformed input request: {invalid}, please reformat your input and try again."
            )
            raise _refused(400, message) from None


def event_message(payload: Json, **headers: str) -> bytes:
    """Encode one message of an AWS event stream.

    A message is its length, its headers' length and a CRC of the two, the headers, the payload,
    and a CRC of all that.

    Args:
        payload: sent as JSON.
        headers: names without the colon, with `_` for `-`, and their values.

    Source: AWS, "Amazon event stream encoding" (application/vnd.amazon.eventstream).
    """
    named = {f":{name.replace('_', '-')}": value for name, value in headers.items()}
    encoded = b"".join(
        struct.pack(f">B{len(name)}sBH", len(name), name.encode(), _STRING, len(value))
        + value.encode()
        for name, value in {**named, ":content-type": "application/json"}.items()
    )
    body = json.dumps(payload, separators=(",", ":")).encode()
    prelude = struct.pack(">II", 16 + len(encoded) + len(body), len(encoded))
    start = prelude + struct.pack(">I", zlib.crc32(prelude))
    whole = start + encoded + body
    return whole + struct.pack(">I", zlib.crc32(whole))


def _event(kind: str, payload: Json) -> bytes:
    return event_message(payload, event_type=kind, message_type="event")


def _exception(kind: str, text: str) -> bytes:
    kind = kind[0].lower() + kind[1:]
    return event_message({"message": text}, exception_type=kind, message_type="exception")


def _invoke_chunk(event: Json) -> bytes:
    encoded = base64.b64encode(json.dumps(event, separators=(",", ":")).encode()).decode()
    return _event("chunk", {"bytes": encoded, "p": "abcdefgh"})


def _refused(status: int, text: Optional[str] = None) -> Rejected:
    kind, usual = _ERRORS.get(status, _SERVER_ERROR)
    headers = {"x-amzn-ErrorType": f"{kind}:http://internal.amazon.com/coral/com.amazon.bedrock/"}
    return Rejected(json_reply({"message": text or usual}, status=status, headers=headers))
