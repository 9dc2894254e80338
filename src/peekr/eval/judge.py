"""A model that judges: asked with retries, within bounds of time, company and cost, and cached."""

from __future__ import annotations

import random
import threading
import time
from typing import Any, Callable, Optional, TypeVar, Union

from peekr import forks
from peekr.errors import ConfigurationError, EvaluationError
from peekr.eval import answers
from peekr.eval.backends import (
    DEFAULT_MODELS,
    AnthropicBackend,
    Backend,
    CallableBackend,
    JudgeFailedError,
    OpenAIBackend,
    Question,
    Reply,
    choose_provider,
)
from peekr.eval.verdict import UnusableAnswerError
from peekr.pricing.book import Pending, PriceBook

__all__ = ["Judge", "as_judge"]

_PAUSE_S = 0.5

_Parsed = TypeVar("_Parsed")


class Judge:
    """Whom evaluators ask, and within which bounds; one may serve several evaluators.

    The same question is asked once: answers are kept, 4,096 for the whole process, by who is asked
    and what. One that could not be used is not kept. Safe from any thread.

    Attributes:
        spent_usd: What its answers have cost so far, as far as their prices are known.
    """

    def __init__(
        self,
        provider: Union[str, Callable[[str], Any]] = "auto",
        model: Optional[str] = None,
        *,
        base_url: Optional[str] = None,
        api_key: Optional[str] = None,
        timeout_s: float = 30.0,
        max_retries: int = 2,
        max_concurrency: int = 4,
        max_cost_usd: Optional[float] = None,
    ) -> None:
        """Describe a judge; nothing is imported or sent before its first question.

        Args:
            provider: `"openai"`, `"anthropic"`, `"auto"` (the one whose key is in the environment,
                OpenAI first), or a function of the prompt, a coroutine function as well, that
                gives a score, a mapping with `score`, or text with such a thing in it.
            model: The model; a small one of the provider's when None.
            base_url: A server with the provider's interface, OpenAI's where `provider` is `"auto"`:
                vLLM, Ollama, a gateway. Such a server need not ask for a key.
            api_key: The key; the SDK's variable when None.
            timeout_s: How long one attempt may take, in seconds.
            max_retries: How often a request that failed for the moment, or an answer that cannot be
                used, is tried again.
            max_concurrency: How many questions are asked at once.
            max_cost_usd: What may be spent in this process; evaluators that need the judge report
                an error from then on. Questions that are under way then are still paid for, and
                models without a known price count as free. None for no bound.

        Raises:
            ConfigurationError: (a ValueError) a value cannot be used.
            TypeError: `provider` is neither a name nor a function.
        """
        if isinstance(provider, str) and provider not in ("auto", "openai", "anthropic"):
            raise ConfigurationError(
                f"judge provider {provider!r} is none of 'auto', 'openai', 'anthropic' or a "
                "function; a server with OpenAI's interface is 'openai' with its base_url"
            )
        if not isinstance(provider, str) and not callable(provider):
            raise TypeError(f"judge provider {provider!r} is neither a name nor a function")
        if timeout_s <= 0 or max_retries < 0 or max_concurrency < 1:
            raise ConfigurationError(
                "a judge needs timeout_s above 0, max_retries from 0 and max_concurrency from 1"
            )
        if max_cost_usd is not None and max_cost_usd < 0:
            raise ConfigurationError(f"max_cost_usd={max_cost_usd!r} is negative")
        if provider == "auto" and base_url is not None:
            provider = "openai"
        self._provider = provider
        self._model = model
        self._base_url = base_url
        self._api_key = api_key
        self._timeout_s = timeout_s
        self._max_retries = max_retries
        self._max_concurrency = max_concurrency
        self._max_cost_usd = max_cost_usd
        self._backend: Optional[Backend] = None
        self.spent_usd = 0.0
        self.after_fork()
        forks.join(self)

    def ask(self, question: Question, read: Callable[[Any], _Parsed]) -> _Parsed:
        """What a question's answer says; waits for it, at most for all attempts together.

        Args:
            question: What is asked.
            read: Reads the answer; raises EvaluationError where it cannot be used.

        Raises:
            EvaluationError: there is no usable answer; the message says why, on one line.
        """
        backend = self._ready()
        key = answers.key_of(self._provider, self._model, self._base_url, *question)
        with answers.turn(key):
            kept = answers.kept(key)
            if kept is not None:
                return read(kept)
            for attempt in range(self._max_retries + 1):
                try:
                    reply = self._asked(backend, question)
                    parsed = read(reply.answer)
                except UnusableAnswerError:
                    if attempt == self._max_retries:
                        raise
                except JudgeFailedError:
                    # The SDKs have tried again themselves what fails for the moment.
                    if attempt == self._max_retries or not isinstance(backend, CallableBackend):
                        raise
                    time.sleep(random.uniform(0.5, 1.0) * _PAUSE_S * 2**attempt)
                else:
                    answers.keep(key, reply.answer)
                    return parsed
            raise AssertionError("unreachable")

    def _asked(self, backend: Backend, question: Question) -> Reply:
        with self._places:
            limit = self._max_cost_usd
            if limit is not None and self.spent_usd >= limit:
                raise EvaluationError(f"the judge's budget of ${limit:g} is spent")
            reply = backend.ask(question)
        self._pay(backend, reply)
        return reply

    def _pay(self, backend: Backend, reply: Reply) -> None:
        model = getattr(backend, "model", None)
        if model is None or reply.tokens_input is None:
            return
        cost_usd = _price_usd(self._name(), model, reply.tokens_input, reply.tokens_output or 0)
        if cost_usd:
            with self._lock:
                self.spent_usd += cost_usd

    def _ready(self) -> Backend:
        with self._lock:
            if self._backend is None:
                self._backend = self._make()
            return self._backend

    def _make(self) -> Backend:
        if not isinstance(self._provider, str):
            return CallableBackend(self._provider, self._timeout_s)
        if self._provider == "auto":
            self._provider = choose_provider()
        name = self._provider
        make = OpenAIBackend if name == "openai" else AnthropicBackend
        return make(
            self._model or DEFAULT_MODELS[name],
            base_url=self._base_url,
            api_key=self._api_key,
            timeout=self._timeout_s,
            max_retries=self._max_retries,
        )

    def _name(self) -> str:
        return self._provider if isinstance(self._provider, str) else "function"

    def after_fork(self) -> None:
        """Begin anew in a fork's child: with locks that nobody holds, and its own connections."""
        self._lock = threading.Lock()
        self._places = threading.BoundedSemaphore(self._max_concurrency)
        forget = getattr(self._backend, "after_fork", None)
        if forget is not None:
            forget()

    def __repr__(self) -> str:
        # Without the key.
        return f"<Judge {self._name()} {self._model or ''}>"


def as_judge(
    judge: Union[str, Callable[[str], Any], Judge],
    model: Optional[str],
    base_url: Optional[str],
    api_key: Optional[str],
) -> Judge:
    """The judge that an evaluator's arguments describe.

    Args:
        judge: A judge, a provider's name, or a function of the prompt.
        model: The model's name; None for the provider's usual one.
        base_url: The server's address; None for the provider's own.
        api_key: The key; None for the one in the environment.

    Raises:
        ConfigurationError: they contradict each other, or cannot be used.
    """
    if isinstance(judge, Judge):
        if model is not None or base_url is not None or api_key is not None:
            raise ConfigurationError("give the model and the server to the Judge")
        return judge
    return Judge(judge, model, base_url=base_url, api_key=api_key)


_prices: Optional[PriceBook] = None


def _price_usd(provider: str, model: str, tokens_input: int, tokens_output: int) -> Optional[float]:
    """What a judge's answer cost; None where the price is not known."""
    global _prices
    if _prices is None:
        _prices = PriceBook()
    _prices.load()
    rates = _prices.rates(provider, model)
    if rates is None or isinstance(rates, Pending):
        return None
    return rates.cost(tokens_input, tokens_output)
