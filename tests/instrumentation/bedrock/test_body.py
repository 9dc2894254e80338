"""The body of `invoke_model` reads as if nobody had looked."""

from __future__ import annotations

import asyncio
import codecs
import gc
import io
import json
from typing import Any, Awaitable, Callable, Dict, List, cast

import pytest

from ...conftest import Telemetry
from .serving import MODES, answer, async_client, call, options, play, sync_client

boto3 = pytest.importorskip("boto3")
exceptions = pytest.importorskip("botocore.exceptions")
StreamingBody = pytest.importorskip("botocore.response").StreamingBody

TEXT = "This is a test.\n" * 300
SAID = {"outputs": [{"text": TEXT, "stop_reason": "stop"}], "more": "x\ny"}
WHOLE = json.dumps(SAID).encode()
ARGUMENTS = {"modelId": "m", "body": '{"prompt": "Say this"}'}


def into(body: Any) -> bytes:
    if not hasattr(body, "readinto"):
        pytest.skip("bodies of this SDK have no readinto")
    room, read = bytearray(1000), b""
    while True:
        size = body.readinto(room)
        if not size:
            return read
        read += room[:size]


def entered(body: Any, read: Callable[[Any], Any]) -> Any:
    with body as raw:
        return read(raw)


SYNC_WAYS: Dict[str, Callable[[Any], Any]] = {
    "read": lambda body: body.read(),
    "read, then again": lambda body: [body.read(), body.read()],
    "read a little": lambda body: [body.read(5), body.tell(), body.read(7), body.tell()],
    "read in pieces": lambda body: list(iter(lambda: body.read(100), b"")),
    "iterated": lambda body: list(body),
    "next": lambda body: [next(body), next(body)],
    "chunks": lambda body: list(body.iter_chunks(77)),
    "lines": lambda body: list(body.iter_lines()),
    "lines kept": lambda body: list(body.iter_lines(50, keepends=True)),
    "readlines": lambda body: body.readlines(),
    "readinto": into,
    "readable": lambda body: [body.readable(), body.closed, body.read()],
    "json.load": json.load,
    "with": lambda body: entered(body, lambda raw: raw.read()),
    "with pieces": lambda body: entered(body, lambda raw: b"".join(raw.stream(99))),
    "with json": lambda body: entered(body, json.load),
    "with lines": lambda body: entered(body, list),
    "buffered": lambda body: io.BufferedReader(body).read(),
    "decoded": lambda body: codecs.getreader("utf-8")(body).read(),
    "raw buffered": lambda body: entered(body, lambda raw: io.BufferedReader(raw).read()),
    "closed": lambda body: body.close(),
    "timeout set": lambda body: [body.set_socket_timeout(5), body.read()],
    "of type": lambda body: [type(body), isinstance(body, io.IOBase)],
}


def read_sync(way: Callable[[Any], Any]) -> Any:
    with play(answer("invoke", SAID)) as player, sync_client(player.url) as client:
        response = client.invoke_model(**ARGUMENTS)
        return sorted(response), way(response["body"])


@pytest.mark.parametrize("name", SYNC_WAYS)
def test_sync_body_reads_as_without_peekr(name: str, bare_telemetry: Telemetry):
    expected = read_sync(SYNC_WAYS[name])
    bare_telemetry.instrument()
    assert read_sync(SYNC_WAYS[name]) == expected
    assert bare_telemetry.record["attributes"]["output"] == TEXT


async def chunks_of(body: Any) -> List[bytes]:
    return [chunk async for chunk in body.iter_chunks(77)]


async def lines_of(body: Any) -> List[bytes]:
    return [line async for line in body.iter_lines()]


async def pieces_of(body: Any) -> List[bytes]:
    return [piece async for piece in body]


async def read_twice(body: Any) -> List[bytes]:
    return [await body.read(), await body.read()]


async def read_a_little(body: Any) -> List[Any]:
    return [await body.read(5), body.tell(), await body.read(7), body.tell()]


async def read_into(body: Any) -> bytes:
    if not hasattr(body, "readinto"):
        pytest.skip("bodies of this SDK have no readinto")
    room, read = bytearray(1000), b""
    while True:
        size = await body.readinto(room)
        if not size:
            return read
        read += room[:size]


async def within(body: Any) -> bytes:
    async with body as raw:
        return await raw.read()


async def content_of(body: Any) -> List[bytes]:
    """Through aiohttp's reader, as aiobotocore before version 3 lets its callers."""
    raw = getattr(body, "_raw_stream", body)
    return [piece async for piece in raw.content.iter_chunked(99)]


async def closed(body: Any) -> None:
    body.close()


async def type_of(body: Any) -> Any:
    return cast("Any", type(body))


ASYNC_WAYS: Dict[str, Callable[[Any], Awaitable[Any]]] = {
    "read": lambda body: body.read(),
    "read, then again": read_twice,
    "read a little": read_a_little,
    "iterated": pieces_of,
    "chunks": chunks_of,
    "lines": lines_of,
    "readlines": lambda body: body.readlines(),
    "readinto": read_into,
    "with": within,
    "reader": content_of,
    "closed": closed,
    "of type": type_of,
}


def read_async(way: Callable[[Any], Awaitable[Any]]) -> Any:
    async def run() -> Any:
        with play(answer("invoke", SAID)) as player:
            async with async_client(player.url) as client:
                response = await client.invoke_model(**ARGUMENTS)
                return sorted(response), await way(response["body"])

    return asyncio.run(run())


@pytest.mark.parametrize("name", ASYNC_WAYS)
def test_async_body_reads_as_without_peekr(name: str, bare_telemetry: Telemetry):
    expected = read_async(ASYNC_WAYS[name])
    bare_telemetry.instrument()
    assert read_async(ASYNC_WAYS[name]) == expected
    assert bare_telemetry.record["attributes"]["output"] == TEXT


def test_body_over_httpx_reads_as_without_peekr(telemetry: Telemetry):
    """aiobotocore can speak through httpx instead of aiohttp."""
    response = pytest.importorskip("aiobotocore.response")
    if not hasattr(response, "AioHttpxStreamingBody"):
        pytest.skip("bodies of this aiobotocore do not read over httpx")
    sessions = pytest.importorskip("aiobotocore.session")
    config = pytest.importorskip("aiobotocore.config")
    httpx_session = pytest.importorskip("aiobotocore.httpxsession").HttpxSession

    async def run() -> None:
        with play(answer("invoke", SAID), repeat=True) as player:
            made = {
                **options(player.url),
                "config": config.AioConfig(http_session_cls=httpx_session),
            }
            async with sessions.get_session().create_client("bedrock-runtime", **made) as client:
                body = (await client.invoke_model(**ARGUMENTS))["body"]
                assert isinstance(body, response.AioHttpxStreamingBody)
                assert b"".join(await chunks_of(body)) == WHOLE
                body = (await client.invoke_model(**ARGUMENTS))["body"]
                assert await read_a_little(body) == [WHOLE[:5], 5, WHOLE[5:12], 12]
                await body.close()

    asyncio.run(run())
    assert [r["attributes"]["output"] for r in telemetry.records] == [TEXT, TEXT]


@pytest.mark.parametrize("mode", MODES)
def test_body_that_is_never_read_is_told_whole(mode: str, telemetry: Telemetry):
    async def run(url: str) -> Any:
        if mode == "sync":
            with sync_client(url) as client:
                return client.invoke_model(**ARGUMENTS)
        async with async_client(url) as client:
            return await client.invoke_model(**ARGUMENTS)

    with play(answer("invoke", SAID)) as player:
        response = asyncio.run(run(player.url))
        got = telemetry.record["attributes"]
    assert response["body"] is not None
    assert got["output"].startswith("This is a test.")
    assert "peekr.stream.abandoned" not in got
    gc.collect()
    assert len(telemetry.spans) == 1


def broken(mode: str) -> List[Any]:
    """What a caller sees of a body whose connection breaks: each reading, or its error's type."""
    seen: List[Any] = []

    async def run() -> None:
        with play(answer("invoke", SAID), cut_after=0) as player:
            if mode == "sync":
                with sync_client(player.url) as client:
                    body = client.invoke_model(**ARGUMENTS)["body"]
                    try:
                        seen.append(body.read())
                    except Exception as error:
                        seen.append(type(error))
                return
            async with async_client(player.url) as client:
                body = (await client.invoke_model(**ARGUMENTS))["body"]
                try:
                    seen.append(await body.read())
                except Exception as error:
                    seen.append(type(error))
                body.close()

    asyncio.run(run())
    return seen


@pytest.mark.parametrize("mode", MODES)
def test_broken_body_breaks_where_the_caller_reads_it(mode: str, bare_telemetry: Telemetry):
    expected = broken(mode)
    assert isinstance(expected[0], type)
    bare_telemetry.instrument()
    assert broken(mode) == expected
    assert bare_telemetry.record["status"] == "error"
    assert bare_telemetry.record["attributes"]["error.type"] == expected[0].__name__


def test_pieces_before_a_break_are_there(telemetry: Telemetry):
    with play(answer("invoke", SAID), cut_after=0) as player, sync_client(player.url) as client:
        body = client.invoke_model(**ARGUMENTS)["body"]
        pieces: List[bytes] = []
        with pytest.raises((exceptions.HTTPClientError, exceptions.IncompleteReadError)):
            pieces.extend(iter(lambda: body.read(100), b""))
    read = b"".join(pieces)
    assert read == WHOLE[: len(WHOLE) // 2]


def streaming_body(data: bytes) -> Any:
    return StreamingBody(io.BytesIO(data), len(data))


@pytest.mark.parametrize("made", [streaming_body, io.BytesIO])
def test_stubbed_body_is_told(made: Callable[[bytes], Any], telemetry: Telemetry):
    stub = pytest.importorskip("botocore.stub")
    client = boto3.client("bedrock-runtime", **options("http://127.0.0.1:9"))
    held = made(WHOLE)
    with stub.Stubber(client) as stubber:
        stubber.add_response("invoke_model", {"body": held, "contentType": "application/json"})
        response = client.invoke_model(**ARGUMENTS)
    assert response["body"] is held
    assert response["body"].read() == WHOLE
    assert telemetry.record["attributes"]["output"].startswith("This is a test.")


@pytest.mark.parametrize("kind", ["bytes", "bytearray", "BytesIO", "file"])
def test_request_body_of_each_kind_is_read_and_sent(kind: str, telemetry: Telemetry, tmp_path: Any):
    data = b'{"prompt": "Say this"}'
    path = tmp_path / "body.json"
    path.write_bytes(data)
    with path.open("rb") as opened, play(answer("invoke", SAID)) as player:
        body = {
            "bytes": data,
            "bytearray": bytearray(data),
            "BytesIO": io.BytesIO(data),
            "file": opened,
        }[kind]
        call("sync", player.url, "invoke_model", modelId="m", body=body)
        assert player.requests[0].body == data
    assert telemetry.record["attributes"]["input"] == "Say this"
