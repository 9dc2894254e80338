"""An evaluator of citations that needs no judge: does the passage exist, and is it about that."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Callable, Optional

from peekr.errors import EvaluationError
from peekr.eval.content import (
    Passage,
    chunks_of,
    input_text,
    output_text,
    passages,
    require_content,
)
from peekr.eval.evaluator import BaseEvaluator, Score
from peekr.record import SpanRecord

__all__ = ["CitationAccuracy"]

_SHARED = 0.25
"""The share of a sentence's words that a passage has to have, for it to be about the same."""

_MARKER = re.compile(
    r"\[\^?((?:(?i:source|doc|ref|chunk)\s*:?\s*)?[\w.#-]{1,80}"
    r"(?:\s*[,;]\s*\^?[\w.#-]{1,80}){0,20})\](?!\()"
    r"|【(\d{1,4})[^】]{0,80}】"
    r"|\[[^\]\n]{1,300}\]\((https?://[^\s)]{1,2000})\)"
)
_PREFIX = re.compile(r"^(?:source|doc|ref|chunk)\s*:?\s*(?=\S)", re.IGNORECASE)
_LINK_OR_NOTE = re.compile(r"[\[【]")
_SENTENCE_END = re.compile(r"(?<=[.!?])[\"')\]]*\s+(?=[^\s\[【])|\n+")
_QUOTED = re.compile(r"[\"“]([^\"”\n]{12,500})[\"”]")
_WORD = re.compile(r"\w+")
_NUMBERED_LINE = re.compile(r"^[ \t]*\[([\w.#-]{1,80})\][ \t:.-]*(?=\S)", re.MULTILINE)
_FILLERS = frozenset(
    re.findall(
        r"\w+",
        "a an and are as at be but by can for from has have if in is it its not of on or our that "
        "the their they this to was we were which will with you your",
    )
)


class CitationAccuracy(BaseEvaluator):
    """The share of an answer's citations that are right: 1.0 all, 0.0 none.

    A citation is `[1]`, `[2, 3]`, `[doc-7]`, `[^4]`, `【5†source】` or a link. It is right when the
    passage exists (by its id, its number from 1, or its address), has a quarter of the words of
    the sentence that cites it, and has what that sentence quotes word by word. An answer that
    cites nothing gets no score. Words are compared, no meanings: whoever needs those has a
    `Rubric`.
    """

    def __init__(self, context_extractor: Optional[Callable[[SpanRecord], Any]] = None) -> None:
        """Compare with these passages.

        Args:
            context_extractor: Gives the passages of a span's record, a list of texts or documents
                (see `record_evidence`). Else they are what was retrieved, or the paragraphs of the
                input that begin with `[1]`, `[2]`, ….
        """
        self._context_extractor = context_extractor

    def evaluate(self, span: SpanRecord) -> Optional[Score]:
        """See `BaseEvaluator.evaluate`."""
        require_content(span)
        cited = list(_citations(output_text(span)))
        known = self._passages(span)
        by_name = _names(known)
        if known:
            # A name in brackets is a citation where something may be cited by such a name.
            shapes = set(map(_shape, by_name))
            cited = [c for c in cited if c.is_certain or _shape(c.name) in shapes]
        else:
            cited = [c for c in cited if c.is_certain]
        if not cited:
            return None
        if not known:
            raise EvaluationError("the answer cites passages, but none were recorded")
        wrong: list[str] = []
        for citation in cited:
            passage = by_name.get(citation.name.lower())
            if passage is None or not _is_about(citation.sentence, passage):
                wrong.append(citation.name)
        right = len(cited) - len(wrong)
        said = f"{right} of {len(cited)} citations are right"
        return Score(right / len(cited), f"{said}; not {', '.join(wrong[:10])}" if wrong else said)

    def _passages(self, span: SpanRecord) -> list[Passage]:
        if self._context_extractor is not None:
            return passages(self._context_extractor(span))
        return chunks_of(span) or list(_numbered(input_text(span)))


class _Citation:
    __slots__ = ("is_certain", "name", "sentence")

    def __init__(self, name: str, sentence: str, is_certain: bool) -> None:
        self.name = name
        self.sentence = sentence
        self.is_certain = is_certain


def _citations(text: str) -> Iterator[_Citation]:
    for sentence in _SENTENCE_END.split(text):
        if not sentence or _LINK_OR_NOTE.search(sentence) is None:
            continue
        plain = _MARKER.sub(" ", sentence)
        for found in _MARKER.finditer(sentence):
            if found[3]:
                yield _Citation(found[3], plain, True)
            elif found[2]:
                yield _Citation(found[2], plain, True)
            else:
                named = _PREFIX.sub("", found[1])
                for name in re.split(r"\s*[,;]\s*", named):
                    bare = name.lstrip("^")
                    is_certain = bare.isdecimal() or named != found[1] or name != bare
                    yield _Citation(bare, plain, is_certain)


def _names(known: list[Passage]) -> dict[str, Passage]:
    """The passages by all that they may be cited by; an id comes before a number."""
    made: dict[str, Passage] = {}
    for number, passage in enumerate(known, 1):
        made[str(number)] = passage
        if passage.source:
            made[passage.source.lower()] = passage
    for passage in known:
        made[passage.id.lower()] = passage
        for address in re.findall(r"https?://[^\s)\]>\"']+", passage.text):
            made.setdefault(address.lower(), passage)
    return made


def _shape(name: str) -> str:
    """What names of one making have in common: `doc-7` and `doc-12`."""
    return re.sub(r"\d+", "0", name.lower())


def _is_about(sentence: str, passage: Passage) -> bool:
    text = _plain(passage.text)
    if any(_plain(quote) not in text for quote in _QUOTED.findall(sentence)):
        return False
    words = _words(sentence)
    if not words:
        return True  # a list of sources, say
    return len(words & _words(passage.text)) >= _SHARED * len(words)


def _plain(text: str) -> str:
    return " ".join(_WORD.findall(text.lower()))


def _words(text: str) -> set[str]:
    found = {_stem(word) for word in _WORD.findall(text.lower())}
    return found - _FILLERS - {""}


def _stem(word: str) -> str:
    return word[:-1] if len(word) > 3 and word.endswith("s") else word


def _numbered(text: str) -> Iterator[Passage]:
    """The passages of a prompt that are written out as `[1] …`."""
    marks = list(_NUMBERED_LINE.finditer(text))
    for mark, following in zip(marks, [*marks[1:], None]):
        end = len(text) if following is None else following.start()
        yield Passage(mark[1], text[mark.end() : end].strip())
