"""`peekr ship`: stored spans sent to a collector, once."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Mapping
from contextlib import ExitStack
from types import FrameType
from typing import Any, Optional

import click

from peekr.cli.progress import progress
from peekr.cloud import CloudClient
from peekr.errors import ConfigurationError
from peekr.plaintext import clean
from peekr.shipping.destinations import Destination, OtlpGrpc, OtlpHttp, PeekrHttp
from peekr.shipping.ledger import Ledger, ledger_path
from peekr.shipping.ship import Report, count
from peekr.shipping.ship import ship as send
from peekr.store.opening import open_reader

__all__ = ["ship"]

_PROTOCOLS = {"http": "http", "http/protobuf": "http", "grpc": "grpc"}
_SAID_FROM_S = 5.0
"""A shorter time of trying again needs no word."""


def _pairs(
    ctx: click.Context, parameter: click.Parameter, values: tuple[str, ...]
) -> dict[str, str]:
    made: dict[str, str] = {}
    for value in values:
        key, equals, text = value.partition("=")
        if not equals or not key.strip():
            # Without the value, which may be a credential.
            raise click.BadParameter("give it as NAME=VALUE", ctx, parameter)
        made[key.strip()] = text.strip()
    return made


@click.command(
    "ship",
    epilog="""\b
Examples:
  peekr ship traces.jsonl --endpoint http://localhost:4318
  peekr ship traces.db --endpoint http://localhost:4317 --protocol grpc
  peekr ship traces.db --peekr --endpoint https://peekr.example.com""",
)
@click.argument("file", type=click.Path())
@click.option(
    "--endpoint",
    metavar="URL",
    help="Where to; else OTEL_EXPORTER_OTLP_ENDPOINT, or PEEKR_ENDPOINT with --peekr. "
    "With http, /v1/traces is added where it is missing.",
)
@click.option(
    "--protocol",
    type=click.Choice(["http", "grpc"]),
    metavar="http|grpc",
    help="How; else OTEL_EXPORTER_OTLP_PROTOCOL, or http.",
)
@click.option(
    "--header",
    "headers",
    multiple=True,
    callback=_pairs,
    metavar="NAME=VALUE",
    help="Send a header, as often as needed; besides those of OTEL_EXPORTER_OTLP_HEADERS.",
)
@click.option(
    "--resource",
    multiple=True,
    callback=_pairs,
    metavar="NAME=VALUE",
    help="An attribute of the resource, such as service.name=shop; besides those of "
    "OTEL_RESOURCE_ATTRIBUTES and OTEL_SERVICE_NAME.",
)
@click.option("--peekr", "to_peekr", is_flag=True, help="Send records to Peekr's HTTP endpoint.")
@click.option("--api-key", metavar="KEY", help="The key for --peekr; better to set PEEKR_API_KEY.")
@click.option(
    "--certificate",
    type=click.Path(dir_okay=False),
    help="The authorities to trust, PEM; else OTEL_EXPORTER_OTLP_CERTIFICATE.",
)
@click.option(
    "--compression",
    type=click.Choice(["gzip", "none"]),
    metavar="gzip|none",
    default="gzip",
    show_default=True,
    help="Of what is sent.",
)
@click.option(
    "--batch-size",
    type=click.IntRange(1, 10_000),
    metavar="N",
    default=200,
    show_default=True,
    help="The most spans of one request.",
)
@click.option(
    "--timeout",
    "timeout_s",
    type=click.FloatRange(0.1, 3600),
    metavar="SECONDS",
    default=30.0,
    show_default=True,
    help="How long to wait for an answer.",
)
@click.option(
    "--retry-for",
    "retry_for_s",
    type=click.FloatRange(0, 86_400),
    metavar="SECONDS",
    default=60.0,
    show_default=True,
    help="How long to go on trying while nobody answers.",
)
@click.option(
    "--state",
    type=click.Path(dir_okay=False),
    help="Where to note what was sent; else a file beside FILE.",
)
@click.option("--again", is_flag=True, help="Send everything, also what was sent before.")
def ship(
    file: str,
    endpoint: Optional[str],
    protocol: Optional[str],
    headers: dict[str, str],
    resource: dict[str, str],
    to_peekr: bool,
    api_key: Optional[str],
    certificate: Optional[str],
    compression: str,
    batch_size: int,
    timeout_s: float,
    retry_for_s: float,
    state: Optional[str],
    again: bool,
) -> None:
    """Send the spans in FILE to an OpenTelemetry collector, each of them once.

    What was sent is noted beside FILE, for each destination by itself: run again, after an end of
    any kind, it goes on where it stopped, and sends what has been added since.
    """
    open_reader(file).close()  # before anything is made beside it
    with ExitStack() as stack:
        destination: Destination
        try:
            if to_peekr:
                client = CloudClient(
                    endpoint, api_key, timeout_s=timeout_s, certificate_file=certificate
                )
                destination = PeekrHttp(client)
            else:
                destination = _collector(
                    os.environ,
                    endpoint,
                    protocol,
                    headers,
                    resource,
                    timeout_s=timeout_s,
                    compress=compression == "gzip",
                    certificate=certificate,
                )
        except ConfigurationError as error:
            raise click.UsageError(clean(str(error))) from None
        stack.callback(destination.close)
        place = state or ledger_path(file, destination.name)
        if again and os.path.exists(place):
            os.unlink(place)
        ledger = Ledger(place)
        stack.callback(ledger.close)
        should_stop = stack.enter_context(_Stop())
        total = count(file) if sys.stderr.isatty() else None
        advance = stack.enter_context(progress("Sending", total, at_once=True))
        done = 0

        is_said = False

        def say_waiting(reason: str) -> None:
            nonlocal is_said
            if not is_said and retry_for_s >= _SAID_FROM_S:
                where = f"{clean(destination.name)}: {clean(reason)}"
                click.echo(f"{where}; trying again for {retry_for_s:g} s", err=True)
            is_said = True

        def tell(report: Report) -> None:
            nonlocal done
            advance(report.done - done)
            done = report.done

        report = send(
            file,
            destination,
            ledger,
            batch_size=batch_size,
            retry_for_s=retry_for_s,
            on_progress=tell,
            on_failure=say_waiting,
            should_stop=should_stop,
        )
    _tell(file, destination.name, report)
    if should_stop.asked:
        click.echo("Stopped; run it again to go on.", err=True)
        sys.exit(130)
    if report.rejected:
        sys.exit(1)


def _collector(
    environ: Mapping[str, str],
    endpoint: Optional[str],
    protocol: Optional[str],
    headers: Mapping[str, str],
    resource: Mapping[str, str],
    *,
    timeout_s: float,
    compress: bool,
    certificate: Optional[str],
) -> Destination:
    """The collector that the options name, completed by OpenTelemetry's variables."""

    def variable(name: str) -> str:
        return environ.get(f"OTEL_EXPORTER_OTLP_TRACES_{name}") or environ.get(
            f"OTEL_EXPORTER_OTLP_{name}", ""
        )

    address = endpoint or variable("ENDPOINT")
    if not address:
        raise click.UsageError("give --endpoint, or set OTEL_EXPORTER_OTLP_ENDPOINT")
    how = protocol or _PROTOCOLS.get(variable("PROTOCOL"), "http")
    kind = OtlpGrpc if how == "grpc" else OtlpHttp
    service = environ.get("OTEL_SERVICE_NAME")
    return kind(
        address,
        {**_listed(variable("HEADERS")), **headers},
        resource={
            **_listed(environ.get("OTEL_RESOURCE_ATTRIBUTES", "")),
            **({"service.name": service} if service else {}),
            **resource,
        },
        timeout_s=timeout_s,
        compress=compress,
        certificate_file=certificate or variable("CERTIFICATE") or None,
    )


def _listed(text: str) -> dict[str, str]:
    """`a=1,b=2`, percent-encoded, as OpenTelemetry's variables have it."""
    from urllib.parse import unquote

    made: dict[str, str] = {}
    for pair in text.split(","):
        key, equals, value = pair.partition("=")
        if equals and key.strip():
            made[unquote(key.strip())] = unquote(value.strip())
    return made


def _tell(file: str, name: str, report: Report) -> None:
    said = f"Sent {_spans(report.sent)} to {clean(name)}"
    if report.before:
        said += f"; {_spans(report.before)} had been sent before"
    click.echo(f"{said}.")
    if report.rejected:
        reason = f": {report.reason}" if report.reason else ""
        click.echo(f"{_spans(report.rejected)} not taken there{reason}", err=True)
    if report.problems:
        click.echo(f"{clean(file)}: {report.problems}", err=True)


def _spans(number: int) -> str:
    return "1 span" if number == 1 else f"{number} spans"


class _Stop:
    """Ctrl-C and SIGTERM end the work after the batch that is on its way."""

    def __init__(self) -> None:
        self.asked = False
        self._before: dict[int, Any] = {}

    def __call__(self) -> bool:
        return self.asked

    def __enter__(self) -> _Stop:
        for number in (signal.SIGINT, signal.SIGTERM):
            try:
                self._before[number] = signal.signal(number, self._ask)
            except ValueError:
                pass  # not the main thread
        return self

    def __exit__(self, *exception: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _ask(self, number: int, frame: Optional[FrameType]) -> None:
        del frame
        if self.asked and number == signal.SIGINT:
            raise KeyboardInterrupt  # asked twice
        self.asked = True
