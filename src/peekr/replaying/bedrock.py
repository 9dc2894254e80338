"""Recorded answers in the forms of Bedrock's runtime: Converse, and the bodies of each family."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterable
from typing import Any, Optional

from peekr.encoding import dumps
from peekr.replaying import bedrock_families as families
from peekr.replaying.answers import Answer, Failure
from peekr.replaying.reply import Reply, broken, failed, plain
from peekr.semconv import own

__all__ = ["frame", "runtime"]

_MESSAGE = re.compile(r"^An error occurred \((\w+)\)[^:]*: ", re.DOTALL)
_EVENT_STREAM = "application/vnd.amazon.eventstream"


def runtime(answer: Answer, path: str, request: dict[str, Any]) -> Reply:
    """What the runtime answers to a request with this path and body."""
    operation = path.rpartition("/")[2]
    failure = answer.failure
    if failure is not None and failure.status is not None:
        words = _MESSAGE.sub("", failure.message)
        return failed(
            failure, {"message": words}, {"x-amzn-errortype": failure.type, **_id(answer)}
        )
    if failure is not None and not answer.choices:
        return broken(answer)
    if operation == "converse":
        return plain(_converse(answer), _id(answer))
    if operation == "converse-stream":
        made = _named(_converse_events(answer))
    elif operation == "invoke":
        body = families.body(answer, request)
        return plain(body, {**_id(answer), **_counted(answer)})
    else:
        made = [
            frame("chunk", {"bytes": base64.b64encode(dumps(chunk)).decode("ascii")})
            for chunk in families.chunks(answer, request)
        ]
    return _stream(answer, made)


def frame(name: str, payload: Any, kind: str = "event") -> bytes:
    """A message of an AWS event stream.

    Args:
        name: Of the event, or of the exception.
        payload: JSON values.
        kind: `event` or `exception`.
    """
    headers = b""
    for key, value in (
        (f":{kind}-type", name),
        (":content-type", "application/json"),
        (":message-type", kind),
    ):
        text = value.encode()
        headers += bytes([len(key)]) + key.encode() + b"\x07" + len(text).to_bytes(2, "big") + text
    data = dumps(payload)
    total = 12 + len(headers) + len(data) + 4
    prelude = total.to_bytes(4, "big") + len(headers).to_bytes(4, "big")
    prelude += binascii.crc32(prelude).to_bytes(4, "big")
    whole = prelude + headers + data
    return whole + binascii.crc32(whole).to_bytes(4, "big")


def _stream(answer: Answer, sent: list[bytes]) -> Reply:
    failure = answer.failure
    headers = {"content-type": _EVENT_STREAM, **_id(answer)}
    if failure is None:
        return Reply(200, headers, sent)
    if failure.type.endswith("Exception"):
        name = failure.type[:1].lower() + failure.type[1:]
        sent.append(frame(name, {"message": _words(failure)}, "exception"))
        return Reply(200, headers, sent)
    return broken(answer, sent)._replace(headers=headers)


def _words(failure: Failure) -> str:
    return _MESSAGE.sub("", failure.message)


def _id(answer: Answer) -> dict[str, str]:
    request_id = answer.attribute(own.PEEKR_REQUEST_ID)
    return {"x-amzn-requestid": request_id} if isinstance(request_id, str) else {}


def _counted(answer: Answer) -> dict[str, str]:
    counts = answer.counts
    held = {
        "input": counts.uncached,
        "output": counts.output,
        "cache-read-input": counts.cache_read,
        "cache-write-input": counts.cache_write,
    }
    made = {
        f"x-amzn-bedrock-{name}-token-count": str(count)
        for name, count in held.items()
        if count is not None
    }
    latency = answer.attribute(own.PEEKR_RESPONSE_LATENCY_MS)
    if latency is not None:
        made["x-amzn-bedrock-invocation-latency"] = str(latency)
    return made


def _converse(answer: Answer) -> dict[str, Any]:
    made: dict[str, Any] = dict(families.converse(answer))
    latency = answer.attribute(own.PEEKR_RESPONSE_LATENCY_MS)
    made["metrics"] = {"latencyMs": latency or 0}
    return made


def _named(events: Iterable[dict[str, Any]]) -> list[bytes]:
    return [frame(name, data) for event in events for name, data in event.items()]


def _converse_events(answer: Answer) -> Iterable[dict[str, Any]]:
    latency: Optional[Any] = answer.attribute(own.PEEKR_RESPONSE_LATENCY_MS)
    for event in families.converse_events(answer):
        metadata = event.get("metadata")
        if metadata is not None:
            metadata["metrics"] = {"latencyMs": latency or 0}
        yield event
