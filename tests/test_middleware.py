"""HTTP requests as root spans, on real FastAPI and Starlette under uvicorn."""

from __future__ import annotations

import asyncio
import http.client
import json
import threading
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from typing import Any, Optional
from urllib.parse import urlsplit

import httpx
import pytest
from opentelemetry import context as otel_context
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.trace import SpanContext, SpanKind, StatusCode

from peekr.context import Scope, current_scope
from peekr.middleware import FastAPIMiddleware, PeekrASGIMiddleware
from peekr.pipeline import skip
from peekr.semconv import otel, own
from tests.conftest import Telemetry, attributes_of

pytest.importorskip("fastapi")
pytest.importorskip("uvicorn")

from fastapi import APIRouter, BackgroundTasks, FastAPI, HTTPException, WebSocket
from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import Host, Mount, Route

from tests.support.asgi_server import DEADLINE_S, serving

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
PARENT = "00f067aa0ba902b7"


def until(condition: Callable[[], Any]) -> Any:
    deadline = time.monotonic() + DEADLINE_S
    while True:
        found = condition()
        if found:
            return found
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.002)


def server_spans(telemetry: Telemetry) -> list[ReadableSpan]:
    return [span for span in telemetry.spans if span.kind is SpanKind.SERVER]


def server_span(telemetry: Telemetry) -> ReadableSpan:
    """The one server span, once it has ended."""
    spans = until(lambda: server_spans(telemetry))
    assert len(spans) == 1, [span.name for span in spans]
    return spans[0]


def root_record(telemetry: Telemetry) -> dict[str, Any]:
    """The record of the request; its line comes a moment after the span in memory."""
    return until(lambda: [one for one in telemetry.records if one["parent_id"] is None])[0]


def ids(span: ReadableSpan) -> SpanContext:
    assert span.context is not None
    return span.context


def inner(telemetry: Telemetry, name: str) -> None:
    with telemetry.tracer.start_as_current_span(name):
        pass


class Applications:
    """The same routes in Starlette and in FastAPI."""

    def __init__(self, telemetry: Telemetry) -> None:
        self.telemetry = telemetry
        self.gate = threading.Event()
        self.background: list[str] = []

    def user(self, user_id: str) -> dict[str, Any]:
        inner(self.telemetry, "inner")
        return {"user": user_id, "scope": list(current_scope())}

    def fastapi(self) -> FastAPI:
        app = FastAPI()

        @app.get("/users/{user_id}")
        async def user(user_id: str) -> Any:
            return self.user(user_id)

        @app.get("/threaded/{user_id}")
        def threaded(user_id: str) -> Any:
            return self.user(user_id)

        @app.get("/broken")
        async def broken() -> None:
            raise ValueError("no such thing")

        @app.get("/refused")
        async def refused() -> None:
            raise HTTPException(503, "later")

        @app.get("/stream")
        async def stream() -> Response:
            return StreamingResponse(self.chunks())

        @app.get("/endless")
        async def endless() -> Response:
            return StreamingResponse(self.endless())

        @app.get("/background")
        async def background(tasks: BackgroundTasks) -> str:
            tasks.add_task(self.work)
            return "done"

        @app.get("/health")
        async def health() -> str:
            return "ok"

        router = APIRouter(prefix="/v1")

        @router.get("/items/{item_id:int}/{rest:path}")
        async def item(item_id: int, rest: str) -> Any:
            return self.user(str(item_id))

        outer = APIRouter(prefix="/api")
        outer.include_router(router)
        app.include_router(outer)

        sub = FastAPI()

        @sub.get("/things/{thing}")
        async def thing(thing: str) -> Any:
            return self.user(thing)

        app.mount("/tenants/{tenant}/sub", sub)
        return app

    def starlette(self) -> Starlette:
        async def user(request: Request) -> Response:
            return JSONResponse(self.user(request.path_params["user_id"]))

        def threaded(request: Request) -> Response:
            return JSONResponse(self.user(request.path_params["user_id"]))

        async def broken(request: Request) -> Response:
            raise ValueError("no such thing")

        async def refused(request: Request) -> Response:
            return PlainTextResponse("later", 503)

        async def stream(request: Request) -> Response:
            return StreamingResponse(self.chunks())

        async def endless(request: Request) -> Response:
            return StreamingResponse(self.endless())

        async def background(request: Request) -> Response:
            return PlainTextResponse("done", background=BackgroundTask(self.work))

        async def health(request: Request) -> Response:
            return PlainTextResponse("ok")

        async def item(request: Request) -> Response:
            return JSONResponse(self.user(str(request.path_params["item_id"])))

        async def thing(request: Request) -> Response:
            return JSONResponse(self.user(request.path_params["thing"]))

        return Starlette(
            routes=[
                Route("/users/{user_id}", user),
                Route("/threaded/{user_id}", threaded),
                Route("/broken", broken),
                Route("/refused", refused),
                Route("/stream", stream),
                Route("/endless", endless),
                Route("/background", background),
                Route("/health", health),
                Mount("/api", routes=[Mount("/v1", routes=[
                    Route("/items/{item_id:int}/{rest:path}", item)])]),
                Mount("/tenants/{tenant}/sub", Starlette(routes=[Route("/things/{thing}", thing)])),
            ]
        )  # fmt: skip

    async def chunks(self) -> AsyncIterator[bytes]:
        yield b"first"
        await asyncio.get_running_loop().run_in_executor(None, self.gate.wait, DEADLINE_S)
        inner(self.telemetry, "within the stream")
        yield b"last"

    async def endless(self) -> AsyncIterator[bytes]:
        while not self.gate.is_set():
            yield b"more"
            await asyncio.sleep(0.001)

    def work(self) -> None:
        self.gate.wait(DEADLINE_S)
        inner(self.telemetry, "in the background")


@pytest.fixture(params=["fastapi", "starlette"])
def framework(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture(params=["added", "around"])
def placement(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture
def applications(telemetry: Telemetry) -> Applications:
    return Applications(telemetry)


@pytest.fixture
def served(applications: Applications, framework: str, placement: str) -> Iterator[str]:
    app: Any = getattr(applications, framework)()
    if placement == "added":
        app.add_middleware(FastAPIMiddleware)
    else:
        app = PeekrASGIMiddleware(app)
    with serving(app) as address:
        yield address


# -- names ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "route"),
    [
        ("/users/7?secret=1", "/users/{user_id}"),
        ("/threaded/7", "/threaded/{user_id}"),
        ("/api/v1/items/3/a/b", "/api/v1/items/{item_id}/{rest}"),
        ("/tenants/acme/sub/things/x", "/tenants/{tenant}/sub/things/{thing}"),
    ],
)
def test_a_request_is_a_root_span_named_by_its_template(
    telemetry: Telemetry, served: str, path: str, route: str
) -> None:
    answer = httpx.get(served + path)
    assert answer.status_code == 200
    span = server_span(telemetry)
    address = urlsplit(served)
    assert span.name == f"GET {route}"
    assert span.parent is None
    assert span.status.status_code is StatusCode.UNSET
    assert attributes_of(span) == {
        otel.HTTP_REQUEST_METHOD: "GET",
        otel.HTTP_ROUTE: route,
        otel.HTTP_RESPONSE_STATUS_CODE: 200,
        otel.URL_PATH: path.partition("?")[0],
        otel.URL_SCHEME: "http",
        otel.SERVER_ADDRESS: "127.0.0.1",
        otel.SERVER_PORT: address.port,
        own.PEEKR_ENDPOINT: route,
    }
    child = next(span for span in telemetry.spans if span.name == "inner")
    assert child.parent is not None
    assert child.parent.span_id == ids(span).span_id
    assert attributes_of(child)[own.PEEKR_ENDPOINT] == route
    record = root_record(telemetry)
    assert record["name"] == f"GET {route}"
    assert record["status"] == "ok"
    assert record["attributes"]["endpoint"] == route


@pytest.mark.parametrize("path", ["/nothing/12345", "/tenants/acme/sub/nothing/12345"])
def test_what_no_route_matches_is_named_by_its_method(
    telemetry: Telemetry, served: str, path: str
) -> None:
    assert httpx.get(served + path).status_code == 404
    span = server_span(telemetry)
    assert span.name == "GET"
    assert otel.HTTP_ROUTE not in attributes_of(span)
    assert own.PEEKR_ENDPOINT not in attributes_of(span)
    assert attributes_of(span)[otel.HTTP_RESPONSE_STATUS_CODE] == 404
    assert span.status.status_code is StatusCode.UNSET


def test_a_wrong_method_still_has_the_route_and_an_unknown_one_no_name(
    telemetry: Telemetry, served: str
) -> None:
    assert httpx.delete(f"{served}/users/7").status_code == 405
    assert server_span(telemetry).name == "DELETE /users/{user_id}"
    telemetry.exporter.clear()
    assert httpx.request("BREW", f"{served}/users/7").status_code == 405
    span = server_span(telemetry)
    assert span.name == "HTTP /users/{user_id}"
    assert attributes_of(span)[otel.HTTP_REQUEST_METHOD] == "_OTHER"
    assert attributes_of(span)[otel.HTTP_REQUEST_METHOD_ORIGINAL] == "BREW"


def test_middleware_of_a_mounted_application_names_the_whole_template(
    telemetry: Telemetry, applications: Applications, framework: str
) -> None:
    sub: Any = getattr(applications, framework)()
    sub.add_middleware(FastAPIMiddleware)
    app = Starlette(routes=[Mount("/of/{tenant}", sub)])
    with serving(app) as address:
        assert httpx.get(f"{address}/of/acme/users/7").status_code == 200
    assert server_span(telemetry).name == "GET /of/{tenant}/users/{user_id}"


def test_middleware_twice_is_one_span(telemetry: Telemetry, applications: Applications) -> None:
    sub = applications.fastapi()
    sub.add_middleware(FastAPIMiddleware)
    app = FastAPI()
    app.mount("/sub", sub)
    app.add_middleware(FastAPIMiddleware)
    app.add_middleware(FastAPIMiddleware)
    with serving(PeekrASGIMiddleware(app)) as address:
        assert httpx.get(f"{address}/sub/users/7").status_code == 200
    assert server_span(telemetry).name == "GET /sub/users/{user_id}"


def test_a_root_path_of_the_server_is_no_part_of_the_route(
    telemetry: Telemetry, applications: Applications, framework: str
) -> None:
    app: Any = getattr(applications, framework)()
    app.add_middleware(FastAPIMiddleware)
    with serving(app, root_path="/proxied") as address:
        if httpx.get(f"{address}/users/7").status_code == 404:
            pytest.skip("this Starlette and this uvicorn do not agree about root paths")
        assert httpx.get(f"{address}/health").status_code == 200
    assert server_span(telemetry).name == "GET /users/{user_id}"


def test_routes_by_host_and_applications_without_routes_are_named(telemetry: Telemetry) -> None:
    async def bare(scope: Any, receive: Any, send: Any) -> None:
        await PlainTextResponse("bare")(scope, receive, send)

    async def here(request: Request) -> Response:
        return PlainTextResponse("here")

    app = Starlette(
        routes=[
            Mount("/bare", bare),
            Host("127.0.0.1", Starlette(routes=[Route("/here/{x}", here)])),
        ]
    )
    app.add_middleware(PeekrASGIMiddleware)
    with serving(app) as address:
        assert httpx.get(f"{address}/bare/12345").text == "bare"
        assert server_span(telemetry).name == "GET /bare"
        telemetry.exporter.clear()
        assert httpx.get(f"{address}/here/12345").text == "here"
        assert server_span(telemetry).name == "GET /here/{x}"


@pytest.mark.parametrize("told", [{"path_template": "/late/{x:str}"}, {"route": "as an object"}])
def test_a_route_that_only_the_application_knows_is_told_late(
    telemetry: Telemetry, told: dict[str, Any]
) -> None:
    class Chosen:
        path = "/late/{x:str}"

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http":
            scope.update({"route": Chosen()} if "route" in told else told)
            await PlainTextResponse("late")(scope, receive, send)

    with serving(PeekrASGIMiddleware(app), lifespan="off") as address:
        assert httpx.get(f"{address}/late/12345").text == "late"
    span = server_span(telemetry)
    assert span.name == "GET /late/{x}"
    assert attributes_of(span)[own.PEEKR_ENDPOINT] == "/late/{x}"


# -- traces ---------------------------------------------------------------------------------------


def test_an_incoming_traceparent_is_continued(telemetry: Telemetry, served: str) -> None:
    httpx.get(f"{served}/users/7", headers={"traceparent": f"00-{TRACE}-{PARENT}-01"})
    span = server_span(telemetry)
    assert format(ids(span).trace_id, "032x") == TRACE
    assert span.parent is not None
    assert format(span.parent.span_id, "016x") == PARENT
    for other in telemetry.spans:
        assert ids(other).trace_id == ids(span).trace_id


def test_a_malformed_traceparent_starts_a_trace(telemetry: Telemetry, served: str) -> None:
    httpx.get(f"{served}/users/7", headers={"traceparent": "00-nonsense"})
    assert server_span(telemetry).parent is None


def test_requests_never_share_a_trace_even_in_a_server_started_inside_of_a_span(
    telemetry: Telemetry, applications: Applications
) -> None:
    app = applications.starlette()
    app.add_middleware(FastAPIMiddleware)

    async def client(address: str) -> list[int]:
        async with httpx.AsyncClient() as asking:
            answers = await asyncio.gather(
                *(asking.get(f"{address}/users/{number}") for number in range(20))
            )
        return [answer.status_code for answer in answers]

    async def in_process() -> None:
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as asking:
            for _ in range(2):
                assert (await asking.get("/users/7")).status_code == 200

    with serving(app) as address:
        assert set(asyncio.run(client(address))) == {200}
    with telemetry.tracer.start_as_current_span("around the server"):
        asyncio.run(in_process())
    spans = until(lambda: len(server_spans(telemetry)) == 22 and server_spans(telemetry))
    assert len({ids(span).trace_id for span in spans}) == 22
    assert {span.parent for span in spans} == {None}


# -- who ------------------------------------------------------------------------------------------


def test_tenant_and_user_headers_are_on_all_spans(telemetry: Telemetry, served: str) -> None:
    headers = {b"X-Tenant-Id": b"acme", b"X-User-Id": "Zo\u00eb".encode()}
    httpx.get(f"{served}/users/7", headers=headers)
    server_span(telemetry)
    for span in telemetry.spans:
        assert attributes_of(span)[own.PEEKR_TENANT_ID] == "acme"
        assert attributes_of(span)[otel.USER_ID] == "Zo\u00eb"
    root_record(telemetry)
    assert {record["tenant_id"] for record in telemetry.records} == {"acme"}


def test_headers_that_are_off_empty_or_endless_are_not_read(
    telemetry: Telemetry, applications: Applications
) -> None:
    app = applications.starlette()
    app.add_middleware(FastAPIMiddleware, tenant_header=None, user_header="X-Who")
    with serving(app) as address:
        for who in ("", "x" * 300):
            httpx.get(f"{address}/users/7", headers={"X-Tenant-Id": "acme", "X-Who": who})
    for span in until(lambda: len(server_spans(telemetry)) == 2 and telemetry.spans):
        assert own.PEEKR_TENANT_ID not in attributes_of(span)
        assert otel.USER_ID not in attributes_of(span)


def test_incoming_baggage_is_taken_only_when_asked_for(
    telemetry: Telemetry, applications: Applications
) -> None:
    sent = {"baggage": f"{otel.SESSION_ID}=s1,{own.PEEKR_TENANT_ID}=other", "X-Tenant-Id": "acme"}
    for accepted, session in ((False, None), (True, "s1")):
        app = applications.starlette()
        app.add_middleware(FastAPIMiddleware, accept_baggage=accepted)
        with serving(app) as address:
            httpx.get(f"{address}/users/7", headers=sent)
        attributes = attributes_of(server_span(telemetry))
        assert attributes.get(otel.SESSION_ID) == session
        assert attributes[own.PEEKR_TENANT_ID] == "acme"
        telemetry.exporter.clear()


# -- ends -----------------------------------------------------------------------------------------


def test_the_span_of_a_stream_ends_with_its_last_byte(
    telemetry: Telemetry, applications: Applications, served: str
) -> None:
    with httpx.stream("GET", f"{served}/stream") as answer:
        chunks = answer.iter_raw()
        assert next(chunks) == b"first"
        assert server_spans(telemetry) == []
        applications.gate.set()
        assert b"".join(chunks) == b"last"
    span = server_span(telemetry)
    within = next(one for one in telemetry.spans if one.name == "within the stream")
    assert within.end_time is not None
    assert span.end_time is not None
    assert span.end_time > within.end_time
    assert within.parent is not None
    assert within.parent.span_id == ids(span).span_id
    assert own.PEEKR_STREAM_ABANDONED not in attributes_of(span)


def test_a_client_that_goes_away_is_no_error(telemetry: Telemetry, served: str) -> None:
    with httpx.stream("GET", f"{served}/endless") as answer:
        assert next(answer.iter_raw()).startswith(b"more")
    span = server_span(telemetry)
    assert span.status.status_code is StatusCode.UNSET
    assert attributes_of(span)[own.PEEKR_STREAM_ABANDONED] is True
    assert attributes_of(span)[otel.HTTP_RESPONSE_STATUS_CODE] == 200


def test_background_tasks_outlast_the_span_and_stay_in_its_trace(
    telemetry: Telemetry, applications: Applications, served: str
) -> None:
    assert httpx.get(f"{served}/background").status_code == 200
    span = server_span(telemetry)
    assert [one.name for one in telemetry.spans if one is not span] == []
    applications.gate.set()
    behind = until(lambda: [one for one in telemetry.spans if one.name == "in the background"])[0]
    assert ids(behind).trace_id == ids(span).trace_id
    assert behind.parent.span_id == ids(span).span_id
    assert attributes_of(behind)[own.PEEKR_ENDPOINT] == "/background"


def test_an_exception_is_recorded_and_still_answered_with_500(
    telemetry: Telemetry, served: str
) -> None:
    assert httpx.get(f"{served}/broken").status_code == 500
    span = server_span(telemetry)
    assert span.name == "GET /broken"
    assert span.status.status_code is StatusCode.ERROR
    assert span.status.description == "no such thing"
    attributes = attributes_of(span)
    assert attributes[otel.ERROR_TYPE] == "ValueError"
    assert attributes[otel.HTTP_RESPONSE_STATUS_CODE] == 500
    assert [event.name for event in span.events] == ["exception"]
    record = root_record(telemetry)
    assert record["status"] == "error"
    assert record["attributes"]["error"] == "no such thing"


def test_a_5xx_is_an_error_of_its_own(telemetry: Telemetry, served: str) -> None:
    assert httpx.get(f"{served}/refused").status_code == 503
    span = server_span(telemetry)
    assert span.status.status_code is StatusCode.ERROR
    assert attributes_of(span)[otel.ERROR_TYPE] == "503"
    assert root_record(telemetry)["attributes"]["error"] == "HTTP 503"


def test_the_status_of_a_custom_error_handler_is_not_invented(telemetry: Telemetry) -> None:
    app = FastAPI()

    @app.exception_handler(Exception)
    async def handle(request: Request, error: Exception) -> Response:  # pyright: ignore[reportUnusedFunction]
        return PlainTextResponse("tea", 418)

    @app.get("/broken")
    async def broken() -> None:  # pyright: ignore[reportUnusedFunction]
        raise ValueError("no")

    app.add_middleware(FastAPIMiddleware)
    with serving(app) as address:
        assert httpx.get(f"{address}/broken").status_code == 418
    span = server_span(telemetry)
    assert span.status.status_code is StatusCode.ERROR
    assert otel.HTTP_RESPONSE_STATUS_CODE not in attributes_of(span)


async def call(app: Any, path: str = "/x", **more: Any) -> list[dict[str, Any]]:
    """Call an ASGI application without a server."""
    sent: list[dict[str, Any]] = []
    scope: dict[str, Any] = {"type": "http", "method": "GET", "path": path, "headers": [], **more}

    async def receive() -> dict[str, Any]:
        return {"type": "http.disconnect"}

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    await app(scope, receive, send)
    return sent


async def test_exceptions_pass_unmodified_and_cancellation_is_no_error(
    telemetry: Telemetry,
) -> None:
    raised: BaseException = ValueError("mine")

    async def app(scope: Any, receive: Any, send: Any) -> None:
        raise raised

    for error, status in (
        (raised, StatusCode.ERROR),
        (KeyboardInterrupt(), StatusCode.ERROR),
        (asyncio.CancelledError(), StatusCode.UNSET),
    ):
        raised = error
        with pytest.raises(type(error)) as caught:
            await call(PeekrASGIMiddleware(app))
        assert caught.value is error
        assert telemetry.spans[-1].status.status_code is status
    assert len(telemetry.spans) == 3


async def test_an_application_that_sends_nothing_is_an_error(telemetry: Telemetry) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        return None

    await call(PeekrASGIMiddleware(app))
    assert telemetry.span.status.status_code is StatusCode.ERROR
    assert attributes_of(telemetry.span)[otel.ERROR_TYPE] == "incomplete_response"


async def test_trailers_and_files_end_the_span(telemetry: Telemetry) -> None:
    ended: list[int] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": [], "trailers": True})
        await send({"type": "http.response.body", "body": b"x"})
        ended.append(len(telemetry.spans))
        await send({"type": "http.response.trailers", "headers": []})
        ended.append(len(telemetry.spans))

    async def files(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.pathsend", "path": "/x"})
        ended.append(len(telemetry.spans))

    assert len(await call(PeekrASGIMiddleware(app))) == 3
    assert len(await call(PeekrASGIMiddleware(files))) == 2
    assert ended == [0, 1, 2]


# -- what is left alone ---------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/healthz", "/health", "/metrics", "/ping", "/health/"])
async def test_probes_are_skipped_by_default(telemetry: Telemetry, path: str) -> None:
    app = PeekrASGIMiddleware(PlainTextResponse("ok"))
    assert len(await call(app, path)) == 2
    assert telemetry.spans == []


async def test_skipped_paths_can_be_chosen(telemetry: Telemetry) -> None:
    app = PeekrASGIMiddleware(PlainTextResponse("ok"), skip_paths=["/live", "/internal/*"])
    for path in ("/live", "/internal/a/b", "/health", "/lively", "/internal"):
        await call(app, path)
    paths = [attributes_of(span)[otel.URL_PATH] for span in telemetry.spans]
    assert paths == ["/health", "/lively", "/internal"]
    telemetry.exporter.clear()
    await call(PeekrASGIMiddleware(PlainTextResponse("ok"), skip_paths=[]), "/health")
    assert len(telemetry.spans) == 1
    with pytest.raises(TypeError):
        PeekrASGIMiddleware(PlainTextResponse("ok"), skip_paths="/health")


def test_websockets_and_lifespan_pass_untouched(telemetry: Telemetry) -> None:
    import websockets.sync.client
    from uvicorn.config import WS_PROTOCOLS

    protocol: Any = "websockets-sansio"
    if protocol not in WS_PROTOCOLS:
        pytest.skip("this uvicorn speaks only the old interface of websockets, which warns")
    seen: list[str] = []

    @asynccontextmanager
    async def lifespan(app: Any) -> AsyncGenerator[None, None]:
        seen.append("started")
        yield
        seen.append("stopped")

    app = FastAPI(lifespan=lifespan)

    @app.websocket("/ws")
    async def echo(socket: WebSocket) -> None:  # pyright: ignore[reportUnusedFunction]
        await socket.accept()
        await socket.send_text(await socket.receive_text() + "!")
        await socket.close()

    app.add_middleware(FastAPIMiddleware)
    with serving(PeekrASGIMiddleware(app), ws=protocol) as address:
        url = address.replace("http", "ws") + "/ws"
        with websockets.sync.client.connect(url) as connection:
            connection.send("hello")
            assert connection.recv() == "hello!"
    assert seen == ["started", "stopped"]
    assert telemetry.spans == []


async def test_other_connections_get_the_very_same_objects(telemetry: Telemetry) -> None:
    seen: list[Any] = []

    async def app(*arguments: Any) -> None:
        seen.extend(arguments)

    for kind in ("websocket", "lifespan", "something.new"):
        scope, receive, send = {"type": kind}, object(), object()
        await PeekrASGIMiddleware(app)(scope, receive, send)  # pyright: ignore[reportArgumentType]
        assert seen[-3] is scope
        assert seen[-2] is receive
        assert seen[-1] is send
        assert scope == {"type": kind}


def test_without_instrument_requests_are_served_and_nothing_is_recorded(
    bare_telemetry: Telemetry,
) -> None:
    app = Applications(bare_telemetry).starlette()
    app.add_middleware(FastAPIMiddleware)
    with serving(app) as address:
        assert httpx.get(f"{address}/users/7").status_code == 200
    assert server_spans(bare_telemetry) == []


async def test_a_fault_in_reading_a_request_never_reaches_it(
    telemetry: Telemetry, contained_faults: None, caplog: pytest.LogCaptureFixture
) -> None:
    class Odd:
        def matches(self, scope: Any) -> Any:
            raise RuntimeError("an odd route")

    class App:
        routes = [Odd()]  # noqa: RUF012

        async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
            await PlainTextResponse("served")(scope, receive, send)

    assert len(await call(PeekrASGIMiddleware(App()))) == 2
    assert "beginning the span of a request" in caplog.text


async def test_the_context_of_the_caller_is_back_afterwards(telemetry: Telemetry) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        otel_context.attach(otel_context.set_value("left", "behind"))
        await PlainTextResponse("x")(scope, receive, send)

    before = otel_context.get_current()
    await call(PeekrASGIMiddleware(app))
    assert otel_context.get_current() is before


# -- beside other instrumentation -----------------------------------------------------------------


@pytest.mark.parametrize("order", ["peekr inside", "peekr outside"])
@pytest.mark.parametrize("path", ["/users/7", "/broken"])
def test_beside_the_instrumentation_of_fastapi_there_is_one_server_span(
    telemetry: Telemetry, applications: Applications, order: str, path: str
) -> None:
    instrumentation = pytest.importorskip("opentelemetry.instrumentation.fastapi")
    app: Any = applications.fastapi()
    if order == "peekr inside":
        app.add_middleware(FastAPIMiddleware)
    instrumentation.FastAPIInstrumentor.instrument_app(
        app, tracer_provider=telemetry.provider, exclude_spans=["send", "receive"]
    )
    served = app if order == "peekr inside" else PeekrASGIMiddleware(app)
    headers = {"X-Tenant-Id": "acme", "traceparent": f"00-{TRACE}-{PARENT}-01"}
    with serving(served) as address:
        assert httpx.get(address + path, headers=headers).status_code in (200, 500)
        httpx.get(f"{address}/nothing")
    spans = until(lambda: len(server_spans(telemetry)) == 2 and server_spans(telemetry))
    span = spans[0]
    route = "/users/{user_id}" if path == "/users/7" else path
    assert span.name == f"GET {route}"
    assert format(ids(span).trace_id, "032x") == TRACE
    assert attributes_of(span)[own.PEEKR_ENDPOINT] == route
    assert attributes_of(span)[own.PEEKR_TENANT_ID] == "acme"
    assert ids(spans[1]).trace_id != ids(span).trace_id
    if path == "/broken":
        assert span.status.status_code is StatusCode.ERROR
        assert {event.name for event in span.events} == {"exception"}
    else:
        child = next(one for one in telemetry.spans if one.name == "inner")
        assert child.parent is not None
        assert child.parent.span_id == ids(span).span_id
        assert attributes_of(child)[own.PEEKR_ENDPOINT] == route


@pytest.mark.parametrize("order", ["peekr inside", "peekr outside"])
def test_beside_the_asgi_instrumentation_there_is_one_server_span(
    telemetry: Telemetry, applications: Applications, order: str
) -> None:
    asgi = pytest.importorskip("opentelemetry.instrumentation.asgi")
    app: Any = applications.starlette()

    def traced(app: Any) -> Any:
        return asgi.OpenTelemetryMiddleware(
            app, tracer_provider=telemetry.provider, exclude_spans=["send", "receive"]
        )

    inside = order == "peekr inside"
    app = traced(PeekrASGIMiddleware(app)) if inside else PeekrASGIMiddleware(traced(app))
    with serving(app) as address:
        assert httpx.get(f"{address}/users/7").status_code == 200
    span = server_span(telemetry)
    assert attributes_of(span)[own.PEEKR_ENDPOINT] == "/users/{user_id}"


@pytest.mark.parametrize("order", ["peekr inside", "peekr outside"])
@pytest.mark.parametrize("path", ["/users/7", "/tenants/acme/sub/things/x", "/broken"])
def test_beside_fastapis_own_telemetry_there_is_one_server_span(
    telemetry: Telemetry, order: str, path: str
) -> None:
    pytest.importorskip("fastapi.telemetry")
    applications = Applications(telemetry)
    app: Any = applications.fastapi()
    made = FastAPI(telemetry={"tracer_provider": telemetry.provider})  # pyright: ignore[reportCallIssue]
    made.router.routes.extend(app.router.routes)
    app = made
    if order == "peekr inside":
        app.add_middleware(FastAPIMiddleware)
    else:
        app = PeekrASGIMiddleware(app)
    with serving(app) as address:
        httpx.get(address + path, headers={"X-Tenant-Id": "acme"})
    span = server_span(telemetry)
    route = {
        "/users/7": "/users/{user_id}",
        "/tenants/acme/sub/things/x": "/tenants/{tenant}/sub/things/{thing}",
    }.get(path, path)
    assert span.name == f"GET {route}"
    assert span.parent is None
    assert attributes_of(span)[own.PEEKR_ENDPOINT] == route
    assert attributes_of(span)[own.PEEKR_TENANT_ID] == "acme"
    if path == "/broken":
        assert span.status.status_code is StatusCode.ERROR


def test_a_skipped_path_is_not_recorded_when_others_make_its_span(telemetry: Telemetry) -> None:
    pytest.importorskip("fastapi.telemetry")
    app = FastAPI(telemetry={"tracer_provider": telemetry.provider})  # pyright: ignore[reportCallIssue]

    @app.get("/health")
    async def health() -> str:  # pyright: ignore[reportUnusedFunction]
        inner(telemetry, "a model call")
        return "ok"

    app.add_middleware(FastAPIMiddleware)
    with serving(app) as address:
        for _ in range(3):
            assert httpx.get(f"{address}/health").text == '"ok"'
    # The server has stopped, so all that it does has been done.
    assert len(server_spans(telemetry)) == 3
    assert {record["name"] for record in telemetry.records} == {"a model call"}
    assert not skip.is_any()


def test_a_server_span_serves_one_request(telemetry: Telemetry) -> None:
    app = PeekrASGIMiddleware(PlainTextResponse("x"))

    async def pipelined() -> None:
        # What a server does that starts a request in the context of the one before.
        with telemetry.tracer.start_as_current_span("GET", kind=SpanKind.SERVER):
            await call(app)
            await call(app)

    asyncio.run(pipelined())
    assert len(server_spans(telemetry)) == 2
    assert len({ids(span).trace_id for span in server_spans(telemetry)}) == 2


def test_a_middleware_between_keeps_the_route(
    telemetry: Telemetry, applications: Applications, framework: str
) -> None:
    app: Any = getattr(applications, framework)()

    async def dispatch(request: Request, call_next: Any) -> Response:
        return await call_next(request)

    app.add_middleware(BaseHTTPMiddleware, dispatch=dispatch)
    app.add_middleware(FastAPIMiddleware)
    with serving(app) as address:
        assert httpx.get(f"{address}/users/7").status_code == 200
    assert server_span(telemetry).name == "GET /users/{user_id}"


def test_keep_alive_requests_are_traces_of_their_own(telemetry: Telemetry, served: str) -> None:
    connection = http.client.HTTPConnection(urlsplit(served).netloc, timeout=DEADLINE_S)
    for number in range(3):
        connection.request("GET", f"/users/{number}")
        assert json.load(connection.getresponse())["user"] == str(number)
    connection.close()
    spans = until(lambda: len(server_spans(telemetry)) == 3 and server_spans(telemetry))
    assert len({ids(span).trace_id for span in spans}) == 3


def scope_value(answer: httpx.Response) -> Optional[str]:
    return answer.json()["scope"][Scope._fields.index("endpoint")]


def test_a_handler_in_a_thread_has_the_requests_scope(telemetry: Telemetry, served: str) -> None:
    assert scope_value(httpx.get(f"{served}/threaded/7")) == "/threaded/{user_id}"
