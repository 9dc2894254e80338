"""Recorded exchanges with real providers, read from the shared folder beside the checkout."""

from __future__ import annotations

import functools
import gzip
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Dict, List, Tuple, cast
from urllib.parse import unquote, urlsplit

import pytest

PROVIDERS = ("openai", "anthropic", "bedrock", "gemini")


@dataclass(frozen=True)
class Interaction:
    """One request and its response.

    Attributes:
        path: the request's path, percent-decoded, without the query.
        request_body: the request's JSON object; empty where there was none.
        raw_body: the response's body as it came over the wire, compressed where it was.
        headers: the response's headers, names in lower case, the last value of each.
    """

    provider: str
    method: str
    path: str
    query: str
    request_headers: Dict[str, str]
    request_body: Dict[str, Any]
    status: int
    headers: Dict[str, str]
    raw_body: bytes

    @property
    def body(self) -> bytes:
        """The response's body, decompressed."""
        return gzip.decompress(self.raw_body) if self.compressed else self.raw_body

    @property
    def compressed(self) -> bool:
        """Whether the body is gzip; a recorder may keep the header of a body that it unpacked."""
        return self.raw_body.startswith(b"\x1f\x8b")

    @property
    def content_type(self) -> str:
        return self.headers.get("content-type", "")

    @property
    def streamed(self) -> bool:
        return "event-stream" in self.content_type or "eventstream" in self.content_type


@dataclass(frozen=True)
class Recording:
    """The interactions of one file, in their order."""

    provider: str
    name: str
    interactions: Tuple[Interaction, ...]


def shared_folder() -> Path:
    """Where the recordings are: $PEEKR_SHARED, or `shared` beside the checkout."""
    beside = Path(__file__).resolve().parents[2].parent / "shared"
    return Path(os.environ.get("PEEKR_SHARED") or beside)


def recording_files(*providers: str) -> List[Path]:
    """The recordings' files of these providers (of all without an argument), sorted."""
    folder = shared_folder() / "recordings"
    chosen = providers or PROVIDERS
    return [file for provider in chosen for file in sorted((folder / provider).glob("*.yaml"))]


def recording_params(*providers: str) -> List[Any]:
    """Parameters for `pytest.mark.parametrize("file", ...)`, with the file stems as ids.

    Where the recordings are absent it is one parameter that is skipped and says so.
    """
    files = recording_files(*providers)
    if not files:
        reason = f"no recordings under {shared_folder().name}/recordings; set PEEKR_SHARED"
        return [pytest.param(None, marks=pytest.mark.skip(reason=reason), id="no-recordings")]
    return [pytest.param(file, id=file.stem) for file in files]


def recording(provider: str, name: str) -> Recording:
    """Load one recording by its name; the test is skipped where it is absent."""
    file = shared_folder() / "recordings" / provider / f"{name}.yaml"
    if not file.is_file():
        pytest.skip(f"recording {provider}/{name} is absent; set PEEKR_SHARED")
    return load(file)


@functools.cache
def load(file: Path) -> Recording:
    """Load a recording from its file."""
    yaml = pytest.importorskip("yaml")
    document: Any = yaml.safe_load(file.read_text("utf-8"))
    provider = file.parent.name
    interactions = tuple(_interaction(provider, item) for item in document["interactions"])
    return Recording(provider, file.stem, interactions)


def _interaction(provider: str, item: Any) -> Interaction:
    request, response = item["request"], item["response"]
    target = urlsplit(cast("str", request["uri"]))
    return Interaction(
        provider=provider,
        method=request["method"],
        path=unquote(target.path),
        query=target.query,
        request_headers=_headers(request.get("headers")),
        request_body=json.loads(request["body"]) if request.get("body") else {},
        status=response["status"]["code"],
        headers=_headers(response.get("headers")),
        raw_body=_bytes(response["body"].get("string")),
    )


def _headers(raw: Any) -> Dict[str, str]:
    headers: Dict[str, str] = {}
    given: Dict[str, Any] = raw or {}
    for name, values in given.items():
        headers[name.lower()] = values if isinstance(values, str) else values[-1]
    return headers


def _bytes(value: Any) -> bytes:
    if value is None:
        return b""
    return value.encode() if isinstance(value, str) else value
