"""Peekr's HTTP endpoint: where it is, who is asking, and what is asked of it."""

from __future__ import annotations

import hashlib
import math
import os
from collections.abc import Mapping
from typing import Any, Optional, Union

from peekr.errors import ConfigurationError
from peekr.http_client import Answer, HttpClient, address_of

__all__ = ["CloudClient", "seconds"]


class CloudClient:
    """Asks one endpoint in the name of one API key. Safe from any thread.

    The key is in no representation and no message. A request blocks its thread, and belongs where
    instrumentation is suppressed
    (`opentelemetry.instrumentation.utils.suppress_instrumentation()`).

    Attributes:
        endpoint: The address, without a slash at its end.
        identity: Tells endpoints and keys apart; says nothing of the key.
        timeout_s: How long to wait for a connection, and again for the answer, in seconds.
    """

    def __init__(
        self,
        endpoint: Optional[str] = None,
        api_key: Optional[str] = None,
        *,
        timeout_s: float = 10.0,
        certificate_file: Optional[Union[str, os.PathLike[str]]] = None,
        environ: Optional[Mapping[str, str]] = None,
    ) -> None:
        """Check the arguments; nothing is connected yet.

        Args:
            endpoint: `https://host`, else `PEEKR_ENDPOINT`.
            api_key: The key, else `PEEKR_API_KEY`.
            timeout_s: How long to wait for a connection, and again for the answer, in seconds.
            certificate_file: The authorities to trust, PEM, instead of the usual ones.
            environ: The environment.

        Raises:
            ConfigurationError: one of the two is missing, or a value cannot be used.
            TypeError: a value is of the wrong kind.
        """
        environ = os.environ if environ is None else environ
        endpoint = endpoint or environ.get("PEEKR_ENDPOINT")
        if not endpoint:
            raise ConfigurationError("endpoint is missing: give it, or set PEEKR_ENDPOINT")
        self.endpoint = address_of(endpoint, "endpoint")
        self.timeout_s = seconds("timeout_seconds", timeout_s)
        key = _key(api_key or environ.get("PEEKR_API_KEY"))
        whole = f"peekr {self.endpoint} {key}".encode()
        self.identity = hashlib.sha256(whole).hexdigest()[:16]
        headers = {"Authorization": f"Bearer {key}"}
        self._client = HttpClient(headers, timeout_s=timeout_s, certificate_file=certificate_file)

    def __repr__(self) -> str:
        return f"CloudClient({self.endpoint!r})"

    def get(self, path: str) -> Answer:
        """Ask for something, such as `/v1/compliance`; never raises."""
        return self._client.send("GET", self.endpoint + path, None, {"Accept": "application/json"})

    def post(self, path: str, body: bytes, headers: Optional[Mapping[str, str]] = None) -> Answer:
        """Send JSON to something, such as `/v1/spans`; never raises."""
        return self._client.send(
            "POST",
            self.endpoint + path,
            body,
            {"Content-Type": "application/json", **(headers or {})},
        )

    def close(self) -> None:
        """Close the connections; the next request opens new ones."""
        self._client.close()


def seconds(argument: str, value: Any) -> float:
    """A length of time, in seconds.

    Raises:
        ConfigurationError: it is not more than nothing.
        TypeError: it is no number.
    """
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise TypeError(f"{argument}={value!r} is not a number of seconds")
    if not 0 < value < math.inf:
        raise ConfigurationError(f"{argument}={value!r} is not a time: give seconds above 0")
    return float(value)


def _key(value: Any) -> str:
    """The key; no message shows it, not even in part."""
    if not value:
        raise ConfigurationError("api_key is missing: give it, or set PEEKR_API_KEY")
    if not isinstance(value, str):
        raise TypeError(f"api_key is a {type(value).__name__}, not a text")
    key = value.strip()
    if not key:
        raise ConfigurationError("api_key is missing: give it, or set PEEKR_API_KEY")
    if not all("!" <= character <= "~" for character in key):
        raise ConfigurationError("api_key has characters in it that no key has")
    return key
