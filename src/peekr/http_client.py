"""Requests over HTTP: verified TLS, one pool of connections, and an answer in every case."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Optional, Union
from urllib.parse import urlsplit

from peekr.errors import ConfigurationError
from peekr.plaintext import clean

__all__ = ["Answer", "HttpClient", "address_of"]

_RETRYABLE = (408, 425, 429)
_REASON_CHARS = 200
_LEAST_SECRET_CHARS = 4
_MAX_ANSWER_BYTES = 16 * 1024 * 1024


@dataclass(frozen=True)
class Answer:
    """What became of a request.

    Attributes:
        status: The HTTP status; 0 where no answer came.
        reason: Why it is no success, in a few words for a log line; empty where it is one.
        retry_after_s: How long the server asks to wait, in seconds; None where it does not.
        body: The body, without its compression.
    """

    status: int
    reason: str = ""
    retry_after_s: Optional[float] = None
    body: bytes = b""

    @property
    def is_success(self) -> bool:
        """The server has taken it."""
        return 200 <= self.status < 300

    @property
    def is_retryable(self) -> bool:
        """The same request may succeed later: nobody answered, too many requests, a fault there."""
        return self.status in (0, *_RETRYABLE) or self.status >= 500

    @property
    def is_refused(self) -> bool:
        """The server does not accept who is asking."""
        return self.status in (401, 403)


class HttpClient:
    """Sends requests to one server. Safe from any thread; no request is ever repeated.

    Redirects are not followed: the credentials are for the server that was named. The environment
    says which proxy and which authorities to use (`HTTPS_PROXY`, `NO_PROXY`,
    `REQUESTS_CA_BUNDLE`), but adds no credentials of its own.
    """

    def __init__(
        self,
        headers: Mapping[str, str],
        *,
        timeout_s: float = 10.0,
        certificate_file: Optional[Union[str, os.PathLike[str]]] = None,
    ) -> None:
        """Begin; nothing is connected yet.

        Args:
            headers: Sent with each request; never shown.
            timeout_s: How long to wait for a connection, and again for the answer, in seconds.
            certificate_file: The authorities to trust, PEM, instead of the usual ones.
        """
        self.timeout_s = timeout_s
        self._headers = _Hidden(headers)
        self._verify = True if certificate_file is None else os.fspath(certificate_file)
        self._session: Any = None
        self._pid = 0

    def send(
        self,
        method: str,
        url: str,
        body: Optional[bytes] = None,
        headers: Optional[Mapping[str, str]] = None,
    ) -> Answer:
        """Send one request and wait for the answer, at most twice the timeout; never raises.

        Args:
            method: `GET` or `POST`.
            url: The whole address.
            body: What to send.
            headers: Further headers of this request.
        """
        import requests  # here: it takes longer to load than everything else of Peekr

        try:
            with self._get_session(requests).request(
                method,
                url,
                data=body,
                headers={**self._headers.value, **(headers or {})},
                timeout=self.timeout_s,
                allow_redirects=False,
                verify=self._verify,
                stream=True,
            ) as response:
                return self._answer(response)
        except requests.exceptions.Timeout:
            return Answer(0, f"no answer within {self.timeout_s:g} s")
        except requests.exceptions.SSLError as error:
            return Answer(0, f"no trusted connection: {_cause(error)}")
        except Exception as error:  # whatever a broken server or proxy makes of it
            return Answer(0, _cause(error))

    def close(self) -> None:
        """Close the connections; the next request opens new ones."""
        session, self._session = self._session, None
        if session is not None and self._pid == os.getpid():
            session.close()

    def _get_session(self, requests: Any) -> Any:
        if self._session is None or self._pid != os.getpid():
            # After a fork the connections are the parent's.
            session = requests.Session()
            session.auth = _no_other_credentials
            self._session, self._pid = session, os.getpid()
        return self._session

    def _answer(self, response: Any) -> Answer:
        status = int(response.status_code)
        body = b""
        for piece in response.iter_content(64 * 1024):
            body += piece
            if len(body) > _MAX_ANSWER_BYTES:
                return Answer(0, "an endless answer")
        if 200 <= status < 300:
            return Answer(status, body=body)
        return Answer(
            status,
            # A server may repeat what it was sent.
            self._headers.masked(_reason(status, response.reason, response.headers, body)),
            _retry_after(response.headers.get("Retry-After")),
            body,
        )


def address_of(url: object, argument: str) -> str:
    """The URL itself without a slash at its end, where it can be one of a server.

    Args:
        url: What was given.
        argument: What it was given for, for the message.

    Raises:
        ConfigurationError: it is no http or https URL, or has credentials in it.
        TypeError: it is no text.
    """
    if not isinstance(url, str):
        raise TypeError(f"{argument} is a {type(url).__name__}, not the text of a URL")
    text = url.strip()
    try:
        parts = urlsplit(text)
        host, _ = parts.hostname, parts.port
    except ValueError:
        raise ConfigurationError(f"{argument} is no URL: {clean(text)!r}") from None
    if parts.username is not None or parts.password is not None:
        raise ConfigurationError(f"{argument} has credentials in it; give them by themselves")
    if parts.scheme not in ("http", "https") or not host:
        raise ConfigurationError(
            f"{argument}={clean(text)!r} is no URL of a server: https://host, or http://host:port"
        )
    if parts.query or parts.fragment:
        raise ConfigurationError(f"{argument}={clean(text)!r} has more than a path after the host")
    return text.rstrip("/")


class _Hidden:
    """Keeps headers out of a representation, a log line, a traceback with locals."""

    def __init__(self, value: Mapping[str, str]) -> None:
        self.value = dict(value)

    def masked(self, text: str) -> str:
        """A text without the values, nor what follows `Bearer` in one."""
        for value in self.value.values():
            for secret in (value, value.rpartition(" ")[2]):
                if len(secret) >= _LEAST_SECRET_CHARS:
                    text = text.replace(secret, "[hidden]")
        return text

    def __repr__(self) -> str:
        return "<hidden>"

    def __reduce__(self) -> Any:
        raise TypeError("credentials are not stored")


def _no_other_credentials(request: Any) -> Any:
    """Keep `requests` from taking those of a .netrc file instead of ours."""
    return request


def _reason(status: int, phrase: Any, headers: Mapping[str, str], body: bytes) -> str:
    made = f"{status} {clean(str(phrase or ''))}".strip()
    target = headers.get("Location")
    if 300 <= status < 400 and target:
        return (
            f"{made}, to {clean(target.partition('?')[0])[:_REASON_CHARS]}: is the address right?"
        )
    if body and "html" not in headers.get("Content-Type", ""):
        try:
            said = " ".join(clean(body[: 4 * _REASON_CHARS].decode("utf-8")).split())
        except UnicodeDecodeError:
            return made
        if said.isprintable():
            made = f"{made}: {said[:_REASON_CHARS]}"
    return made


def _retry_after(value: Optional[str]) -> Optional[float]:
    """Seconds from now, of a number of seconds or a date."""
    if not value:
        return None
    try:
        seconds = float(value)
    except ValueError:
        from email.utils import parsedate_to_datetime

        try:
            seconds = parsedate_to_datetime(value).timestamp() - time.time()
        except (ValueError, TypeError, IndexError, OverflowError):
            return None
    return max(0.0, seconds) if math.isfinite(seconds) else None


def _cause(error: BaseException) -> str:
    """The innermost cause in a few words: `connection refused`."""
    found: Optional[BaseException] = error
    seen: list[BaseException] = []
    while found is not None and found not in seen:
        seen.append(found)
        inner = getattr(found, "reason", None)
        if not isinstance(inner, BaseException):
            inner = next((arg for arg in found.args if isinstance(arg, BaseException)), None)
        found = inner or found.__cause__ or found.__context__
    for one in reversed(seen):
        if isinstance(one, OSError) and one.strerror:
            return clean(one.strerror).lower()
        verify = getattr(one, "verify_message", None)
        if verify:
            return clean(str(verify))
    return type(seen[-1]).__name__
