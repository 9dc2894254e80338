"""What OpenAI answers to a request that it refuses, and the checks that lead there."""

from __future__ import annotations

from typing import Optional

from .exchange import Json, Rejected, json_reply

__all__ = ["check_number", "failed", "missing", "refused", "server_error"]

_ERRORS = {
    400: ("invalid_request_error", None, "The request is invalid."),
    401: ("invalid_request_error", "invalid_api_key", "Incorrect API key provided: simulated."),
    403: ("invalid_request_error", "unsupported_country", "The request is not allowed."),
    404: ("invalid_request_error", "model_not_found", "The model does not exist."),
    429: ("requests", "rate_limit_exceeded", "Rate limit reached for requests."),
    503: ("server_error", None, "The server is overloaded. Please try again later."),
}
_SERVER_ERROR = (
    "server_error",
    None,
    "The server had an error while processing your request. Sorry about that!",
)


def server_error() -> Json:
    """Return the error object of a fault inside the service, as a stream sends it."""
    kind, code, message = _SERVER_ERROR
    return {"message": message, "type": kind, "param": None, "code": code}


def failed(status: int) -> Rejected:
    """Return the refusal for a status that the model's name asked for."""
    kind, code, message = _ERRORS.get(status, _SERVER_ERROR)
    # The SDK takes a Retry-After of 0 for none and waits half a second by itself, so the
    # milliseconds that the real service sends too come along.
    headers = {"Retry-After": "0", "retry-after-ms": "1"} if status == 429 else {}
    error = {"message": message, "type": kind, "param": None, "code": code}
    return Rejected(json_reply({"error": error}, status=status, headers=headers))


def refused(
    status: int, message: str, *, param: Optional[str] = None, code: Optional[str] = None
) -> Rejected:
    """Return the refusal of an invalid request."""
    error = {"message": message, "type": "invalid_request_error", "param": param, "code": code}
    return Rejected(json_reply({"error": error}, status=status))


def missing(name: str) -> Rejected:
    """Return the refusal of a request without a required parameter."""
    return refused(
        400,
        f"Missing required parameter: '{name}'.",
        param=name,
        code="missing_required_parameter",
    )


def check_number(body: Json, name: str, highest: float) -> None:
    """Check that a parameter, where given, is a number from 0 to `highest`.

    Raises:
        Rejected: it is not.
    """
    value = body.get(name)
    if value is None:
        return
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise refused(
            400, f"Invalid type for '{name}': expected a decimal.", param=name, code="invalid_type"
        )
    if value > highest:
        raise refused(
            400,
            f"Invalid '{name}': decimal above maximum value. Expected a value <= {highest}, but"
            f" got {value} instead.",
            param=name,
            code="decimal_above_max_value",
        )
    if value < 0:
        raise refused(
            400,
            f"Invalid '{name}': decimal below minimum value. Expected a value >= 0, but got"
            f" {value} instead.",
            param=name,
            code="decimal_below_min_value",
        )
