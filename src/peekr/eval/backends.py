"""How each kind of judge is asked: OpenAI's interface, Anthropic's, or a function."""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import os
import threading
from typing import Any, Callable, NamedTuple, Optional, Protocol, cast

from peekr.errors import EvaluationError
from peekr.eval import loops

__all__ = [
    "AnthropicBackend",
    "Backend",
    "CallableBackend",
    "JudgeFailedError",
    "OpenAIBackend",
    "Question",
    "Reply",
    "choose_provider",
]

DEFAULT_MODELS = {"openai": "gpt-4o-mini", "anthropic": "claude-haiku-4-5"}
"""What judges where no model is named: small ones, for a judge is asked often."""

_MAX_TOKENS = 4096
_MESSAGE_CHARS = 300
_BAD_REQUEST = (400, 404, 415, 422, 500, 501)
"""What servers answer to an option that they do not know."""


class JudgeFailedError(EvaluationError):
    """The judge could not be reached, or failed; its cause says how."""


class Question(NamedTuple):
    """What a judge is asked.

    Attributes:
        system: What it is to do.
        user: What it is to judge.
        schema: The JSON schema of the answer, strict in OpenAI's sense.
    """

    system: str
    user: str
    schema: dict[str, Any]


class Reply(NamedTuple):
    """What a judge answered.

    Attributes:
        answer: A mapping, or text in which one is to be found.
        tokens_input: Counted by the provider; None where it does not say.
        tokens_output: Likewise.
    """

    answer: Any
    tokens_input: Optional[int] = None
    tokens_output: Optional[int] = None


class Backend(Protocol):
    """One kind of judge."""

    def ask(self, question: Question) -> Reply:
        """Ask once; waits for the answer.

        Raises:
            EvaluationError: it could not be asked; the message says why, on one line.
        """
        ...


class _SDKBackend:
    """A judge behind a vendor's SDK, whose client is made at the first question."""

    sdk = ""
    client_class = ""

    def __init__(self, model: str, **options: Any) -> None:
        self.model = model
        self._options = {key: value for key, value in options.items() if value is not None}
        self._client: Any = None
        self._lock = threading.Lock()

    def _made(self) -> Any:
        with self._lock:
            if self._client is None:
                try:
                    module = importlib.import_module(self.sdk)
                except ImportError:
                    raise EvaluationError(
                        f"the judge needs the package {self.sdk}: pip install {self.sdk}"
                    ) from None
                try:
                    self._client = getattr(module, self.client_class)(**self._options)
                except Exception as error:  # no key, say
                    raise EvaluationError(f"the judge cannot be set up: {_said(error)}") from error
            return self._client

    def after_fork(self) -> None:
        """Leave the parent's connections to the parent."""
        self._lock = threading.Lock()
        if self._client is not None:
            _left.append(self._client)
            self._client = None


class OpenAIBackend(_SDKBackend):
    """OpenAI, or a server with its chat interface.

    Asks for the answer in its JSON schema; a server that does not know that is asked for any JSON,
    then for text. The same with the temperature, which some models do not take.
    """

    sdk = "openai"
    client_class = "OpenAI"

    def __init__(self, model: str, **options: Any) -> None:
        super().__init__(model, **options)
        if options.get("base_url") and not options.get("api_key"):
            # A server of one's own asks for no key, but the SDK does.
            self._options["api_key"] = os.environ.get("OPENAI_API_KEY") or "none"
        self._format = 0
        self._temperature: Optional[float] = 0.0

    def ask(self, question: Question) -> Reply:
        """See `Backend.ask`."""
        client = self._made()
        while True:
            arguments: dict[str, Any] = {}
            requested, temperature = self._format, self._temperature
            if requested < 2:
                arguments["response_format"] = _response_format(requested, question.schema)
            if temperature is not None:
                arguments["temperature"] = temperature
            try:
                completion = client.chat.completions.create(
                    model=self.model,
                    messages=[
                        {"role": "system", "content": question.system},
                        {"role": "user", "content": question.user},
                    ],
                    **arguments,
                )
            except Exception as error:
                if self._gives_way(error, requested, temperature):
                    continue
                raise JudgeFailedError(f"the judge failed: {_said(error)}") from error
            return _openai_reply(completion)

    def _gives_way(self, error: Exception, requested: int, temperature: Optional[float]) -> bool:
        """Whether to ask again with less; what other threads have found out meanwhile counts."""
        if getattr(error, "status_code", None) not in _BAD_REQUEST:
            return False
        if (self._format, self._temperature) != (requested, temperature):
            return True
        if "temperature" in str(error).lower() and temperature is not None:
            self._temperature = None
            return True
        if requested < 2 and _is_about_format(error):
            self._format = requested + 1
            return True
        return False


def _is_about_format(error: Exception) -> bool:
    text = str(error).lower()
    named = any(word in text for word in ("response_format", "json_schema", "json_object"))
    return named or any(word in text for word in ("schema", "grammar", "structured", "guided"))


def _response_format(number: int, schema: dict[str, Any]) -> dict[str, Any]:
    if number:
        return {"type": "json_object"}
    named = {"name": "verdict", "schema": schema, "strict": True}
    return {"type": "json_schema", "json_schema": named}


def _openai_reply(completion: Any) -> Reply:
    usage = getattr(completion, "usage", None)
    tokens_input = getattr(usage, "prompt_tokens", None)
    tokens_output = getattr(usage, "completion_tokens", None)
    choices = getattr(completion, "choices", None) or ()
    message = getattr(choices[0], "message", None) if choices else None
    refusal = getattr(message, "refusal", None)
    if refusal:
        raise EvaluationError(f"the judge refused: {_one_line(str(refusal))}")
    return Reply(getattr(message, "content", None) or "", tokens_input, tokens_output)


class AnthropicBackend(_SDKBackend):
    """Anthropic: the answer comes as the arguments of a tool that the judge has to call."""

    sdk = "anthropic"
    client_class = "Anthropic"

    def __init__(self, model: str, **options: Any) -> None:
        super().__init__(model, **options)
        self._forced = True
        # Some models take no temperature.
        self._temperature: Optional[float] = 0.0

    def ask(self, question: Question) -> Reply:
        """See `Backend.ask`."""
        client = self._made()
        while True:
            arguments: dict[str, Any] = {}
            forced, temperature = self._forced, self._temperature
            if forced:
                tool = {
                    "name": "verdict",
                    "description": "Give the verdict.",
                    "input_schema": question.schema,
                }
                arguments["tools"] = [tool]
                arguments["tool_choice"] = {"type": "tool", "name": "verdict"}
            if temperature is not None:
                # Newer SDKs have no argument for it.
                arguments["extra_body"] = {"temperature": temperature}
            try:
                message = client.messages.create(
                    model=self.model,
                    max_tokens=_MAX_TOKENS,
                    system=question.system,
                    messages=[{"role": "user", "content": question.user}],
                    **arguments,
                )
            except Exception as error:
                if self._gives_way(error, forced, temperature):
                    continue
                raise JudgeFailedError(f"the judge failed: {_said(error)}") from error
            return _anthropic_reply(message)

    def _gives_way(self, error: Exception, forced: bool, temperature: Optional[float]) -> bool:
        if getattr(error, "status_code", None) not in _BAD_REQUEST:
            return False
        if (self._forced, self._temperature) != (forced, temperature):
            return True
        text = str(error).lower()
        if "temperature" in text and temperature is not None:
            self._temperature = None
            return True
        if "tool" in text and forced:
            self._forced = False
            return True
        return False


def _anthropic_reply(message: Any) -> Reply:
    usage = getattr(message, "usage", None)
    counts = [
        getattr(usage, name, None)
        for name in ("input_tokens", "cache_read_input_tokens", "cache_creation_input_tokens")
    ]
    whole = None if counts[0] is None else sum(count for count in counts if count)
    tokens_output = getattr(usage, "output_tokens", None)
    content = cast("list[Any]", getattr(message, "content", None) or [])
    for block in content:
        if getattr(block, "type", None) == "tool_use":
            return Reply(block.input, whole, tokens_output)
    text = "\n".join(str(block.text) for block in content if getattr(block, "type", None) == "text")
    return Reply(text, whole, tokens_output)


class CallableBackend:
    """A function of the prompt, one text, that gives a score, a mapping or text.

    A coroutine function runs on an event loop of Peekr's own.
    """

    def __init__(self, function: Callable[[str], Any], timeout_s: float) -> None:
        """Ask a function.

        Args:
            function: Takes the prompt.
            timeout_s: How long to wait for a coroutine, in seconds.
        """
        self._function = function
        self._timeout_s = timeout_s

    def ask(self, question: Question) -> Reply:
        """See `Backend.ask`."""
        try:
            answer = self._function(f"{question.system}\n\n{question.user}")
            if inspect.isawaitable(answer):
                answer = loops.wait_for(answer, self._timeout_s)
        except EvaluationError:
            raise
        except Exception as error:
            raise JudgeFailedError(f"the judge failed: {_said(error)}") from error
        return Reply(answer)


def choose_provider() -> str:
    """Who judges where nobody was named: the one whose key is set and whose SDK is installed.

    Raises:
        EvaluationError: nobody can.
    """
    for provider, variable in (("openai", "OPENAI_API_KEY"), ("anthropic", "ANTHROPIC_API_KEY")):
        if os.environ.get(variable) and importlib.util.find_spec(provider) is not None:
            return provider
    raise EvaluationError(
        "there is no judge: set OPENAI_API_KEY or ANTHROPIC_API_KEY (with its SDK installed), or "
        "give judge_provider="
    )


def _said(error: BaseException) -> str:
    text = _one_line(str(error))
    kind = type(error).__name__
    return f"{kind}: {text}" if text else kind


def _one_line(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= _MESSAGE_CHARS else text[: _MESSAGE_CHARS - 1] + "…"


# Never closed: that would close the parent's connections.
_left: list[Any] = []
