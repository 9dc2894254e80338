"""Where alerts go: the terminal, Slack, any HTTP endpoint."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any, Callable, Optional, Protocol, Union
from urllib.parse import urlsplit

from peekr.encoding import dumps
from peekr.errors import ConfigurationError
from peekr.http_client import HttpClient
from peekr.plaintext import clean

__all__ = [
    "DeliveryError",
    "Notifier",
    "PayloadBuilder",
    "Sink",
    "SlackSink",
    "StderrSink",
    "WebhookSink",
]


class Notifier(Protocol):
    """A sink of one's own."""

    def notify(self, alert_name: str, message: str, /) -> Any:
        """Deliver one alert; may take its time and may raise.

        Runs on a thread of the sink's own. An `OSError` (what networks and files raise) is tried
        again; anything else is reported once.
        """
        ...


Sink = Union[Notifier, Callable[[str, str], Any]]
"""An object with `notify(alert_name, message)`, or a function of the two."""

PayloadBuilder = Callable[[str, str], Any]
"""Makes a request's JSON body from the alert's name and message."""


class DeliveryError(Exception):
    """An alert could not be delivered; the message holds neither address nor key.

    Attributes:
        may_pass: Another attempt makes sense.
        retry_after_s: How long the receiver asked to wait, in seconds.
    """

    def __init__(
        self, message: str, *, may_pass: bool = True, retry_after_s: Optional[float] = None
    ) -> None:
        super().__init__(message)
        self.may_pass = may_pass
        self.retry_after_s = retry_after_s


class StderrSink:
    """Writes `[peekr alert] <name>: <message>`, one line an alert, to stderr."""

    def notify(self, alert_name: str, message: str) -> None:
        """Write the message to whatever `sys.stderr` is at the time."""
        if sys.stderr is not None:  # pyright: ignore[reportUnnecessaryComparison] - pythonw
            sys.stderr.write(f"[peekr alert] {clean(alert_name)}: {clean(message)}\n")
            sys.stderr.flush()

    def __repr__(self) -> str:
        return "StderrSink()"


class _HTTPSink:
    """Posts JSON; what is not 2xx is a `DeliveryError`."""

    def __init__(self, url: str, headers: Mapping[str, str], timeout_seconds: float) -> None:
        kind = type(self).__name__
        if not isinstance(url, str):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise TypeError(f"{kind}: the URL is {type(url).__name__}, not a text")
        try:
            parts = urlsplit(url)
            host = parts.hostname
        except ValueError:
            parts, host = None, None
        if parts is None or parts.scheme not in ("http", "https") or not host:
            # Without the value: it holds a secret at times.
            raise ConfigurationError(f"{kind}: the URL is not http(s)://host/...")
        if isinstance(timeout_seconds, bool) or not timeout_seconds > 0:
            raise ConfigurationError(f"{kind}: timeout_seconds={timeout_seconds!r} is not above 0")
        self.timeout_seconds = timeout_seconds
        self._url = url
        self._host = host
        sent = {"Content-Type": "application/json", **headers}
        self._client = HttpClient(sent, timeout_s=timeout_seconds)

    def _post(self, payload: Any) -> None:
        answer = self._client.send("POST", self._url, dumps(payload))
        if not answer.is_success:
            # What an endpoint says may repeat what it was sent, a webhook's secret address too.
            reason = f"HTTP {answer.status}" if answer.status else answer.reason
            raise DeliveryError(
                reason, may_pass=answer.is_retryable, retry_after_s=answer.retry_after_s
            )

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._host})"


class SlackSink(_HTTPSink):
    """Posts to an incoming webhook of Slack's.

    Its URL is a secret, and is neither shown nor logged.
    """

    def __init__(self, webhook_url: str, *, timeout_seconds: float = 5.0) -> None:
        """Deliver to a webhook.

        Args:
            webhook_url: `https://hooks.slack.com/services/...`.
            timeout_seconds: How long one attempt waits for Slack.

        Raises:
            ConfigurationError: (a ValueError) that is no URL, or the timeout is not above 0.
        """
        super().__init__(webhook_url, {}, timeout_seconds)

    def notify(self, alert_name: str, message: str) -> None:
        """Post the message, tried again by the courier when that fails."""
        self._post({"text": f":rotating_light: *{_escaped(alert_name)}*: {_escaped(message)}"})


class WebhookSink(_HTTPSink):
    """Posts JSON to any endpoint, by default `{"alert": name, "message": message}`."""

    def __init__(
        self,
        url: str,
        *,
        headers: Optional[Mapping[str, str]] = None,
        payload_builder: Optional[PayloadBuilder] = None,
        timeout_seconds: float = 5.0,
    ) -> None:
        """Deliver to an endpoint.

        Args:
            url: Where to POST.
            headers: Further request headers, such as `Authorization`.
            payload_builder: Makes the body from the alert's name and its message, for endpoints
                with a form of their own; what it returns is sent as JSON.
            timeout_seconds: How long one attempt waits for the endpoint.

        Raises:
            ConfigurationError: (a ValueError) that is no URL, or the timeout is not above 0.
            TypeError: the payload builder is not callable.
        """
        super().__init__(url, dict(headers or {}), timeout_seconds)
        if payload_builder is not None and not callable(payload_builder):
            raise TypeError(f"WebhookSink: payload_builder={payload_builder!r} is not callable")
        self._build = payload_builder or _payload

    def notify(self, alert_name: str, message: str) -> None:
        """Post the payload, tried again by the courier when that fails."""
        self._post(self._build(alert_name, message))


def _payload(alert_name: str, message: str) -> dict[str, str]:
    return {"alert": alert_name, "message": message}


def _escaped(text: str) -> str:
    # Source: Slack, "Formatting text for app surfaces": these three are control characters.
    return clean(text).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
