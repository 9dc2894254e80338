"""Presidio as the engine for what only language tells: names, places, organisations."""

from __future__ import annotations

import importlib
import threading
from collections.abc import Sequence
from typing import Any

from peekr.errors import ConfigurationError
from peekr.guard.base import Finding

__all__ = ["PresidioFinder"]

_ENTITIES = {"person": "PERSON", "location": "LOCATION", "organization": "ORGANIZATION"}
_CATEGORIES = {entity: category for category, entity in _ENTITIES.items()}
# spaCy refuses texts of a million characters; a piece of this size takes a few milliseconds.
_PIECE_CHARS = 50_000
_LEAST_SCORE = 0.4
# The models that Presidio can use, the best first.
_MODELS = ("lg", "md", "sm", "trf")
_FAMILIES = ("web", "news")


class PresidioFinder:
    """Asks a Presidio `AnalyzerEngine` for names and the like; a text of any length.

    It costs some milliseconds a kilobyte on the thread that ends the span.
    """

    def __init__(self, engine: Any, categories: Sequence[str], language: str) -> None:
        """Prepare.

        Args:
            engine: An `AnalyzerEngine`; None makes one with the spaCy model that is installed.
            categories: Some of `person`, `location` and `organization`.
            language: The language of the texts, by ISO 639 code.

        Raises:
            ConfigurationError: Presidio or a model for the language is not installed.
        """
        self._entities = [_ENTITIES[category] for category in categories]
        self._language = language
        self._engine = engine if engine is not None else _made(language)
        # Recognizers keep state of their own while they run.
        self._lock = threading.Lock()

    def __call__(self, text: str) -> list[Finding]:
        """The findings in a text."""
        if not self._entities:
            return []
        found: list[Finding] = []
        at = 0
        while at < len(text):
            end = min(len(text), at + _PIECE_CHARS)
            if end < len(text):
                # Between words, where there are any.
                end = max(text.rfind(" ", at, end), text.rfind("\n", at, end), at) + 1
                end = end if end > at + 1 else at + _PIECE_CHARS
            with self._lock:
                results = self._engine.analyze(
                    text=text[at:end],
                    language=self._language,
                    entities=self._entities,
                    score_threshold=_LEAST_SCORE,
                )
            for result in results:
                category = str(_CATEGORIES.get(result.entity_type) or result.entity_type.lower())
                found.append(Finding(category, at + result.start, at + result.end))
            at = end
        return found


def _made(language: str) -> Any:
    try:
        analyzer = importlib.import_module("presidio_analyzer")
        nlp = importlib.import_module("presidio_analyzer.nlp_engine")
        spacy: Any = importlib.import_module("spacy.util")
    except ImportError:
        raise ConfigurationError(
            "engine='presidio' needs Presidio: pip install \"peekr[presidio]\""
        ) from None
    names = [f"{language}_core_{family}_{size}" for size in _MODELS for family in _FAMILIES]
    model = next((name for name in names if spacy.is_package(name)), None)
    if model is None:
        # Presidio would fetch one from the network by itself.
        raise ConfigurationError(
            f"engine='presidio' needs a spaCy model for {language!r}, such as {names[0]}: "
            f"python -m spacy download {names[0]}; or give an AnalyzerEngine as engine="
        )
    configuration = {
        "nlp_engine_name": "spacy",
        "models": [{"lang_code": language, "model_name": model}],
    }
    engine = nlp.NlpEngineProvider(nlp_configuration=configuration).create_engine()
    return analyzer.AnalyzerEngine(nlp_engine=engine, supported_languages=[language])
