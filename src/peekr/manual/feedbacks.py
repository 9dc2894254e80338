"""What people thought of an answer: kept beside the traces, and exported to learn from."""

from __future__ import annotations

import logging
import math
import os
import shutil
import time
import uuid
from collections import Counter
from collections.abc import Callable, Collection, Iterable
from contextlib import closing
from typing import Any, BinaryIO, Literal, Optional, Union

from peekr import messages
from peekr.encoding import dumps
from peekr.errors import ConfigurationError
from peekr.record import SpanRecord

__all__ = ["export_feedback", "feedback"]

Rating = Union[bool, int, float, str]
Filter = Union[None, Rating, Collection[Rating], Callable[[dict[str, Any]], bool]]

_FORMATS = ("openai-ft", "raw")
_POSITIVE = frozenset(
    ("positive", "good", "up", "thumbs_up", "thumbs-up", "thumbsup", "like", "liked", "yes", "true",
     "correct", "helpful", "👍")
)  # fmt: skip
_NEGATIVE = frozenset(
    ("negative", "bad", "down", "thumbs_down", "thumbs-down", "thumbsdown", "dislike", "disliked",
     "no", "false", "incorrect", "wrong", "unhelpful", "👎")
)  # fmt: skip
_HEX = frozenset("0123456789abcdef")

_logger = logging.getLogger("peekr")


def feedback(
    trace_id: str, rating: Rating, note: str = "", db_path: str = "traces.db"
) -> Union[int, str]:
    """Keep what somebody thought of a trace, in the table `feedback` of a database.

    May be called from any thread and process, long after the trace, also where no traces are
    written; the file and the table are made where they are missing. Waits for the disk: some
    milliseconds.

    Args:
        trace_id: The trace, as `peekr.get_current_span().trace_id` gives it.
        rating: A number (1 and -1, 0.0 to 1.0, stars), a boolean (kept as 1 and 0) or a word.
        note: What was said; guardrails in force that redact do so in it.
        db_path: The SQLite file.

    Returns:
        The id of the row.

    Raises:
        TypeError: `trace_id` is no text, `rating` no number, boolean or text, `note` no text.
        ConfigurationError: (a ValueError) `trace_id` is empty, or `rating` is not finite or empty.
        PeekrError: it could not be kept; the message says why on one line.
    """
    if not isinstance(trace_id, str):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise TypeError(f"trace_id={trace_id!r} is no text")
    if not isinstance(note, str):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise TypeError(f"note={note!r} is no text")
    from peekr.store.sqlite.feedback import add

    return add(db_path, _trace_id(trace_id), _rating(rating), _note(note), time.time()).id


def export_feedback(
    db_path: str = "traces.db",
    filter: Filter = None,
    output: str = "training_data.jsonl",
    format: Literal["openai-ft", "raw"] = "openai-ft",
    *,
    jsonl_path: Optional[str] = None,
) -> int:
    """Write rated traces to a file, one JSON document a line.

    `"openai-ft"`: a line a trace as OpenAI's fine-tuning takes it, `{"messages": [...]}` with
    `tools` where there are some: the trace's last successful model call with the conversation that
    led to it. Traces without a model call or content, with content that was cut when it was
    recorded, or with media other than images by address are left out, and counted in the log. Of a
    trace that was rated several times the latest rating counts.

    `"raw"`: a line a rating, `{"feedback": {...}, "spans": [records]}`, without spans where the
    trace is not found.

    The file is replaced as a whole when all is written.

    Args:
        db_path: The SQLite file with the feedback and, unless `jsonl_path` is given, the traces.
        filter: Which ratings: None for all, a rating, a collection of ratings, a function of the
            feedback as a dict, or `"positive"` and `"negative"`: a number above 0, and one of 0 or
            below, or a word that says so (`"up"`, `"good"`, ...). For stars give a function:
            `lambda feedback: feedback["rating"] >= 4`.
        output: The file to write; its directory is made where it is missing.
        format: `"openai-ft"` or `"raw"`.
        jsonl_path: The JSONL file with the traces.

    Returns:
        The number of lines.

    Raises:
        ConfigurationError: (a ValueError) another format.
        UnreadableFileError: a file that cannot be read.
        OSError: `output` cannot be written.
    """
    if format not in _FORMATS:
        choices = ", ".join(repr(choice) for choice in _FORMATS)
        raise ConfigurationError(f"format={format!r} is none of {choices}")
    wants = _filter(filter)
    from peekr.store.sqlite.feedback import read

    rows = read(db_path)
    if format == "openai-ft":
        latest = {row.trace_id: row for row in sorted(rows, key=lambda row: row.created_at)}
        rows = [row for row in rows if row is latest[row.trace_id]]
    chosen = [row for row in (row._asdict() for row in rows) if wants(row)]
    traces = _traces(jsonl_path or db_path, {row["trace_id"] for row in chosen})
    if format == "raw":
        lines: Iterable[Any] = (
            {
                "feedback": row,
                "spans": [span.to_dict() for span in traces.get(row["trace_id"], ())],
            }
            for row in chosen
        )
    else:
        lines = _examples([(row["trace_id"], traces.get(row["trace_id"], [])) for row in chosen])
    return _write(output, lines)


def _examples(traces: list[tuple[str, list[SpanRecord]]]) -> list[dict[str, Any]]:
    from peekr.files.fine_tuning import NotTrainableError, example

    made: list[dict[str, Any]] = []
    reasons: Counter[str] = Counter()
    for _, spans in traces:
        if not spans:
            reasons["the trace is not in the file"] += 1
            continue
        try:
            made.append(example(spans))
        except NotTrainableError as error:
            reasons[str(error)] += 1
    if reasons:
        said = ", ".join(f"{reason}: {count}" for reason, count in reasons.most_common())
        level = logging.INFO if made else logging.WARNING
        _logger.log(level, "%d rated traces were left out (%s)", sum(reasons.values()), said)
    return made


def _traces(path: str, wanted: set[str]) -> dict[str, list[SpanRecord]]:
    """The spans of the wanted traces; none where the file has no spans yet."""
    from peekr.errors import UnreadableFileError
    from peekr.store.opening import open_reader
    from peekr.store.query import Query

    found: dict[str, list[SpanRecord]] = {}
    if not wanted:
        return found
    with closing(open_reader(path)) as reader:
        if reader.problems.unit == "row":
            for trace_id in wanted:  # by the index
                for trace in reader.select(Query(trace=trace_id)).traces:
                    if trace.trace_id == trace_id:
                        found[trace_id] = trace.spans
            return found
        try:
            for record in reader.records():
                if record.trace_id in wanted:
                    found.setdefault(record.trace_id, []).append(record)
        except UnreadableFileError:
            if not found:
                raise
    return found


def _write(output: str, documents: Iterable[Any]) -> int:
    """Write JSON lines to a file, all of them or none; to a pipe or a device directly."""
    path = os.path.realpath(output)
    if os.path.exists(path) and not os.path.isfile(path):
        with open(path, "wb") as file:
            return _write_lines(file, documents)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    temporary = f"{path}.{uuid.uuid4().hex}.tmp"
    try:
        with open(temporary, "xb") as file:
            count = _write_lines(file, documents)
        if os.path.exists(path):
            shutil.copymode(path, temporary)
        os.replace(temporary, path)
    except BaseException:
        if os.path.exists(temporary):
            os.unlink(temporary)
        raise
    return count


def _write_lines(file: BinaryIO, documents: Iterable[Any]) -> int:
    count = 0
    for document in documents:
        file.write(dumps(document) + b"\n")
        count += 1
    return count


# -- ratings ---------------------------------------------------------------------------------------


def _filter(wanted: Filter) -> Callable[[dict[str, Any]], bool]:
    if wanted is None:
        return lambda row: True
    if callable(wanted):
        function = wanted
        return lambda row: bool(function(row))
    if wanted == "positive":
        return lambda row: _is_positive(row["rating"])
    if wanted == "negative":
        return lambda row: _is_negative(row["rating"])
    if isinstance(wanted, (str, bool, int, float)):
        return lambda row: row["rating"] == wanted
    ratings = list(wanted)
    return lambda row: row["rating"] in ratings


def _is_positive(rating: Any) -> bool:
    if isinstance(rating, str):
        return rating.strip().lower() in _POSITIVE
    return isinstance(rating, (int, float)) and rating > 0


def _is_negative(rating: Any) -> bool:
    if isinstance(rating, str):
        return rating.strip().lower() in _NEGATIVE
    return isinstance(rating, (int, float)) and rating <= 0


def _rating(rating: Any) -> Union[int, float, str]:
    if isinstance(rating, bool):
        return int(rating)
    if isinstance(rating, (int, float)):
        if not math.isfinite(rating) or abs(rating) >= 2**63:
            raise ConfigurationError(f"rating={rating!r} is no number that can be kept")
        return rating
    if isinstance(rating, str):
        if not rating:
            raise ConfigurationError("rating is empty")
        return _storable(rating)
    raise TypeError(f"rating={rating!r} is no number, boolean or text")


def _trace_id(trace_id: str) -> str:
    found = trace_id.strip()
    if not found:
        raise ConfigurationError("trace_id is empty")
    lower = found.lower()
    # Records have them in lower case, other systems show them otherwise.
    return lower if len(lower) == 32 and _HEX.issuperset(lower) else _storable(found)


def _note(note: str) -> str:
    """The note as it may be kept: a guardrail that redacts does so here too."""
    redact = messages.before_cut
    return _storable(note if redact is None else redact(note))


def _storable(text: str) -> str:
    """The text without lone surrogates, which SQLite does not take."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")
