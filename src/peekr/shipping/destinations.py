"""Where stored spans can be sent: an OTLP collector over HTTP or gRPC, or Peekr's own endpoint."""

from __future__ import annotations

import gzip
import os
from collections.abc import Mapping, Sequence
from typing import Any, Optional, Protocol, Union
from urllib.parse import urlsplit

from peekr.cloud import CloudClient
from peekr.encoding import dumps
from peekr.http_client import Answer, HttpClient, address_of
from peekr.plaintext import clean
from peekr.record import SpanRecord
from peekr.store.otlp.encode import request_of
from peekr.store.otlp.wire import encoded

__all__ = ["Destination", "OtlpGrpc", "OtlpHttp", "PeekrHttp"]

_TRACES_PATH = "/v1/traces"
_GRPC_METHOD = "/opentelemetry.proto.collector.trace.v1.TraceService/Export"
# What a gRPC status means in HTTP's terms; what is not here is a fault of the server's.
_GRPC_STATUSES = {
    "INVALID_ARGUMENT": 400,
    "FAILED_PRECONDITION": 400,
    "UNAUTHENTICATED": 401,
    "PERMISSION_DENIED": 403,
    "NOT_FOUND": 404,
    "UNIMPLEMENTED": 404,
    "RESOURCE_EXHAUSTED": 429,
    "UNAVAILABLE": 503,
    "DEADLINE_EXCEEDED": 504,
}

Path = Union[str, "os.PathLike[str]"]


class Destination(Protocol):
    """Takes spans. Used on one thread.

    Attributes:
        name: Where it is, without credentials; the same destination always has the same name.
    """

    name: str

    def send(self, records: Sequence[SpanRecord]) -> Answer:
        """Send spans; never raises. The `body` of a success may tell what was left out."""
        ...

    def rejected(self, answer: Answer) -> tuple[int, str]:
        """How many of the spans that a success answers were left out, and why."""
        ...

    def close(self) -> None:
        """Close connections."""
        ...


class OtlpHttp:
    """An OTLP collector over HTTP with protobuf."""

    def __init__(
        self,
        endpoint: str,
        headers: Optional[Mapping[str, str]] = None,
        *,
        resource: Optional[Mapping[str, str]] = None,
        timeout_s: float = 10.0,
        compress: bool = True,
        certificate_file: Optional[Path] = None,
    ) -> None:
        """Check the address; nothing is connected yet.

        Args:
            endpoint: `http://host:4318`; `/v1/traces` is added where it is missing.
            headers: Sent with each request.
            resource: Attributes of what made the spans.
            timeout_s: How long to wait for a connection, and again for the answer, in seconds.
            compress: Send bodies in gzip.
            certificate_file: The authorities to trust, PEM, instead of the usual ones.

        Raises:
            ConfigurationError: the address cannot be used.
        """
        self.name = address_of(endpoint, "endpoint")
        if not self.name.endswith(_TRACES_PATH):
            self.name += _TRACES_PATH
        self._resource = resource
        self._compress = compress
        self._client = HttpClient(
            headers or {}, timeout_s=timeout_s, certificate_file=certificate_file
        )

    def send(self, records: Sequence[SpanRecord]) -> Answer:
        """Send spans."""
        body = encoded(request_of(records, self._resource))
        headers = {"Content-Type": "application/x-protobuf"}
        if self._compress:
            body = gzip.compress(body, 6)
            headers["Content-Encoding"] = "gzip"
        return self._client.send("POST", self.name, body, headers)

    def rejected(self, answer: Answer) -> tuple[int, str]:
        """What the collector says that it has left out."""
        return _partial_success(answer.body)

    def close(self) -> None:
        """Close connections."""
        self._client.close()


class OtlpGrpc:
    """An OTLP collector over gRPC."""

    def __init__(
        self,
        endpoint: str,
        headers: Optional[Mapping[str, str]] = None,
        *,
        resource: Optional[Mapping[str, str]] = None,
        timeout_s: float = 10.0,
        compress: bool = True,
        certificate_file: Optional[Path] = None,
    ) -> None:
        """Open a channel, which connects by itself.

        Args:
            endpoint: `http://host:4317`, or `https://host:4317` with TLS.
            headers: Sent as metadata with each request.
            resource: Attributes of what made the spans.
            timeout_s: How long to wait for an answer, in seconds.
            compress: Send in gzip.
            certificate_file: The authorities to trust, PEM, instead of the usual ones.

        Raises:
            ConfigurationError: the address cannot be used.
            OSError: the certificates cannot be read.
        """
        import grpc  # here: it takes long to load

        self.name = address_of(endpoint, "endpoint")
        parts = urlsplit(self.name)
        target = parts.netloc if parts.port else f"{parts.netloc}:4317"
        compression = grpc.Compression.Gzip if compress else grpc.Compression.NoCompression
        if parts.scheme == "https":
            roots = None
            if certificate_file is not None:
                with open(certificate_file, "rb") as file:
                    roots = file.read()
            self._channel: Any = grpc.secure_channel(
                target, grpc.ssl_channel_credentials(roots), compression=compression
            )
        else:
            self._channel = grpc.insecure_channel(target, compression=compression)
        self._export = self._channel.unary_unary(_GRPC_METHOD)
        self._metadata = [(key.lower(), value) for key, value in (headers or {}).items()]
        self._resource = resource
        self._timeout_s = timeout_s

    def send(self, records: Sequence[SpanRecord]) -> Answer:
        """Send spans."""
        import grpc

        body = encoded(request_of(records, self._resource))
        try:
            said = self._export(body, timeout=self._timeout_s, metadata=self._metadata)
            return Answer(200, body=said)
        except grpc.RpcError as error:
            fault: Any = error
            code = fault.code().name
            detail = clean(fault.details() or "")
            status = _GRPC_STATUSES.get(code, 500)
            if status == 429 and "larger than" in detail:
                status = 413
            return Answer(status, f"{code.lower().replace('_', ' ')}: {detail}"[:300])

    def rejected(self, answer: Answer) -> tuple[int, str]:
        """What the collector says that it has left out."""
        return _partial_success(answer.body)

    def close(self) -> None:
        """Close the channel."""
        self._channel.close()


class PeekrHttp:
    """Peekr Cloud, or a server that speaks its protocol."""

    def __init__(self, client: CloudClient) -> None:
        """Send in the name of a key.

        Args:
            client: Has the address and the key.
        """
        self.name = f"{client.endpoint}/v1/spans"
        self._client = client

    def send(self, records: Sequence[SpanRecord]) -> Answer:
        """Send spans."""
        body = dumps({"spans": [record.to_dict() for record in records]})
        return self._client.post("/v1/spans", gzip.compress(body, 6), {"Content-Encoding": "gzip"})

    def rejected(self, answer: Answer) -> tuple[int, str]:
        """None: it takes a batch or does not."""
        del answer
        return 0, ""

    def close(self) -> None:
        """Close connections."""
        self._client.close()


def _partial_success(body: bytes) -> tuple[int, str]:
    """The `partial_success` of an `ExportTraceServiceResponse`: how many, and why."""
    found: dict[int, Any] = _fields(_fields(body).get(1, b""))
    message = found.get(2, b"")
    count = found.get(1, 0)
    text = message.decode("utf-8", "replace") if isinstance(message, bytes) else ""
    return count if isinstance(count, int) else 0, clean(text)[:300]


def _fields(data: Any) -> dict[int, Any]:
    """The varint and length-delimited fields of a protobuf message; what is none is left out."""
    found: dict[int, Any] = {}
    place = 0

    def varint() -> int:
        nonlocal place
        value = shift = 0
        while True:
            byte = data[place]
            place += 1
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return value

    try:
        while place < len(data):
            tag = varint()
            if tag & 7 == 0:
                found[tag >> 3] = varint()
            elif tag & 7 == 2:
                size = varint()
                found[tag >> 3] = bytes(data[place : place + size])
                place += size
            else:
                break
    except (IndexError, TypeError):
        pass  # an answer in another form
    return found
